import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.intervals import too_few_micrographs
from hrtem_dask.population.inference.clusters import clustered_standard_errors, estimate_row, no_estimate


@given(st.integers(0, 10_000))
def test_the_error_of_a_mean_is_the_jackknifes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 6, 40)
    values, weights = rng.normal(size=40), rng.uniform(0.5, 2, 40)
    mean = np.average(values, weights=weights)
    left_out = [np.average(values[codes != g], weights=weights[codes != g]) for g in np.unique(codes)]
    n = len(left_out)
    error, n_micrographs = clustered_standard_errors(values - mean, weights, codes)
    assert n_micrographs == n
    assert error == pytest.approx(np.sqrt((n - 1) / n * np.sum((np.array(left_out) - mean) ** 2)))


def test_one_particle_per_micrograph_is_the_textbook(rng: np.random.Generator) -> None:
    values = rng.normal(size=30)
    error, _ = clustered_standard_errors(values - values.mean(), np.ones(30), np.arange(30))
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(30))


def test_particles_of_no_weight_are_not_there(rng: np.random.Generator) -> None:
    values, codes = rng.normal(size=40), np.repeat(np.arange(8), 5)
    weights = np.where(codes < 6, 1.0, 0.0)
    values -= values[codes < 6].mean()
    assert clustered_standard_errors(values, weights, codes) == clustered_standard_errors(
        values[:30], np.ones(30), codes[:30]
    )


def test_one_micrograph_knows_nothing_of_others() -> None:
    error, n = clustered_standard_errors(np.array([1.0, -1.0]), np.ones(2), np.zeros(2, dtype=int))
    assert n == 1
    assert error == np.inf


@pytest.mark.parametrize("n", [0, 1, 4])
def test_few_micrographs_have_no_interval(n: int) -> None:
    row = estimate_row(1.0, 0.1, n=10, n_micrographs=n)
    assert (row["estimate"], row["low"], row["p_value"]) == (1.0, None, None)
    assert str(n) in row["reason"]
    assert too_few_micrographs(5) is None


def test_interval_and_p_value_agree() -> None:
    row = estimate_row(2.0447, 1.0, n=300, n_micrographs=30)  # t of 29 degrees at 97.5 % is 2.0452
    assert row["low"] < 0 < row["high"]
    assert 0.05 < row["p_value"] < 0.0501
    assert estimate_row(0.0, 1.0, n=1, n_micrographs=30, scale="exp")["estimate"] == 1


def test_what_does_not_vary_has_no_interval() -> None:
    assert "do not vary" in estimate_row(1.0, 0.0, n=100, n_micrographs=10)["reason"]
    assert "not defined" in estimate_row(np.nan, 1.0, n=100, n_micrographs=10)["reason"]
    assert set(no_estimate("why")) == set(estimate_row(1.0, 1.0, n=10, n_micrographs=9))
