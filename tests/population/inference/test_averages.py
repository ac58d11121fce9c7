from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrtem_dask.population.inference.averages import geometric_sd, mean, median

STATISTICS = [mean, median, geometric_sd]


@pytest.fixture
def sizes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    codes = rng.integers(0, 30, 1201)
    return np.exp(rng.normal(2, 0.3, 1201) + rng.normal(0, 0.1, 30)[codes]), np.ones(1201), codes


def test_the_estimates_are_the_textbooks(sizes: tuple[np.ndarray, ...]) -> None:
    assert mean(*sizes)["estimate"] == pytest.approx(sizes[0].mean())
    assert median(*sizes)["estimate"] == pytest.approx(np.median(sizes[0]))
    assert geometric_sd(*sizes)["estimate"] == pytest.approx(np.exp(np.log(sizes[0]).std()))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_interval_is_that_of_a_bootstrap_over_micrographs(
    statistic: Callable[..., dict[str, Any]], sizes: tuple[np.ndarray, ...], rng: np.random.Generator
) -> None:
    values, weights, codes = sizes
    groups = [np.flatnonzero(codes == g) for g in range(30)]
    drawn = [
        statistic(values[rows], weights[rows], codes[rows])["estimate"]
        for rows in (np.concatenate([groups[g] for g in rng.integers(0, 30, 30)]) for _ in range(400))
    ]
    row = statistic(*sizes)
    assert row["standard_error"] == pytest.approx(np.std(drawn), rel=0.25)
    assert row["low"] < row["estimate"] < row["high"]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_no_particles_give_a_reason(statistic: Callable[..., dict[str, Any]], sizes: tuple[np.ndarray, ...]) -> None:
    nothing = np.zeros(0)
    assert statistic(nothing, nothing, nothing)["reason"]
    few = statistic(sizes[0], sizes[1], sizes[2] % 4)
    assert few["estimate"] > 1
    assert few["low"] is None
    assert "4 micrographs" in few["reason"]
    assert statistic(np.full(50, 5.0), np.ones(50), np.arange(50) % 10)["low"] is None
