"""Quantiles of resamples: the same in pieces, and in memory that does not follow the number of micrographs."""

import tracemalloc

import numpy as np
import pytest

from hrtem_dask import intervals
from hrtem_dask.intervals import resample_counts
from hrtem_dask.population.inference import quantiles
from hrtem_dask.population.inference.quantiles import quantile_statistics, weighted_quantiles

PROBABILITIES = [0.1, 0.5, 0.9]


def test_some_ranks_and_resamples_at_a_time_give_the_same(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = rng.permutation(np.repeat(np.arange(23), rng.integers(0, 9, 23)))
    values, weights = rng.lognormal(size=(2, len(owners)))
    counts = resample_counts(23, n_resamples=40, seed=1)
    expected = quantile_statistics(values, weights, owners, counts, PROBABILITIES)
    monkeypatch.setattr(intervals, "_ENTRIES_OF_FEW", 100)
    for ranks in (1, 5, 1000):
        monkeypatch.setattr(quantiles, "_BLOCK", ranks)
        found = quantile_statistics(values, weights, owners, counts, PROBABILITIES)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_curve_of_a_resample_passes_through_every_particle(rng: np.random.Generator) -> None:
    owners = rng.integers(0, 9, 200)
    values, weights = rng.lognormal(size=(2, 200))
    counts = resample_counts(9, n_resamples=50, seed=1)
    found = quantile_statistics(values, weights, owners, counts, PROBABILITIES)
    order = np.argsort(values)
    for row, count in zip(found.T[1:], counts[1:], strict=True):
        mass = (weights * count[owners])[order]
        curve = (np.cumsum(mass) - mass / 2) / mass.sum()
        np.testing.assert_allclose(row, np.interp(PROBABILITIES, curve, values[order]), rtol=1e-9)


def test_a_resample_is_as_its_micrographs_one_by_one(rng: np.random.Generator) -> None:
    owners, values = np.repeat(np.arange(700), 2), rng.lognormal(size=1400)
    counts = np.ones((3, 700), dtype=np.uint8)
    counts[1], counts[2, 1:] = 2, 0
    found = quantile_statistics(values, np.ones(1400), owners, counts, [0.5])[0]
    assert found[1] == pytest.approx(weighted_quantiles(values, np.ones(1400), [0.5])[0])
    assert min(values[:2]) <= found[2] <= max(values[:2])


def test_memory_does_not_follow_the_number_of_micrographs(rng: np.random.Generator) -> None:
    owners = np.arange(20_000)
    values, weights = rng.lognormal(size=20_000), np.ones(20_000)
    counts = resample_counts(20_000, n_resamples=100, seed=0)
    tracemalloc.start()
    quantile_statistics(values, weights, owners, counts, PROBABILITIES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6, "a table of the ranks of all micrographs has 330 MB"
