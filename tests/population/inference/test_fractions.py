import numpy as np
import pytest

from hrtem_dask.population.inference.fractions import clustered_fraction


def test_the_same_particles_twice_are_no_new_information(rng: np.random.Generator) -> None:
    codes = np.repeat(np.arange(20), 10)
    hits = rng.random(200) < rng.beta(2, 3, 20)[codes]
    once = clustered_fraction(hits, np.ones(200), codes)
    twice = clustered_fraction(np.tile(hits, 2), np.ones(400), np.tile(codes, 2))
    assert once["design_effect"] > 1
    assert twice["n_effective"] == pytest.approx(once["n_effective"])
    assert (twice["low"], twice["high"]) == pytest.approx((once["low"], once["high"]))


def test_micrographs_of_one_kind_count_as_one_particle_each() -> None:
    codes = np.repeat(np.arange(10), 50)
    fraction = clustered_fraction(codes < 3, np.ones(500), codes)
    assert fraction["n_effective"] == pytest.approx(9)  # 10 micrographs, one degree of freedom spent
    assert fraction["estimate"] == 0.3


@pytest.mark.parametrize("value", [False, True])
def test_none_or_all_is_not_certain(value: bool) -> None:
    codes = np.repeat(np.arange(10), 30)
    fraction = clustered_fraction(np.full(300, value), np.ones(300), codes)
    assert fraction["n_effective"] == pytest.approx(10)
    assert fraction["high"] - fraction["low"] > 0.2


def test_weights_are_repeats(rng: np.random.Generator) -> None:
    codes, hits, weights = np.repeat(np.arange(12), 6), rng.random(72) < 0.4, rng.integers(0, 4, 72)
    weighted = clustered_fraction(hits, weights.astype(float), codes)
    repeated = clustered_fraction(np.repeat(hits, weights), np.ones(weights.sum()), np.repeat(codes, weights))
    assert weighted["estimate"] == pytest.approx(repeated["estimate"])
    assert weighted["standard_error"] == pytest.approx(repeated["standard_error"])


def test_too_few() -> None:
    assert "no particles" in clustered_fraction(np.zeros(0, bool), np.zeros(0), np.zeros(0, int))["reason"]
    few = clustered_fraction(np.array([True, False]), np.ones(2), np.array([0, 1]))
    assert few["estimate"] == 0.5
    assert few["low"] is None
    assert "2 micrographs" in few["reason"]
