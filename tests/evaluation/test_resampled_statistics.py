"""Statistics of resamples against NumPy, and how often their intervals contain the true value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.evaluation.resampled_statistics import (
    estimate,
    mean_estimate,
    median_estimate,
    ratio_estimate,
    weighted_mean,
    weighted_median,
    weighted_ratio,
)
from hrtem_dask.intervals import resamples

numbers = st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=1, max_size=12)


@given(values=numbers, seed=st.integers(0, 99))
def test_draws_are_repetitions(values: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    array, owners = np.array(values), rng.integers(0, 4, len(values))
    draws = resamples(4, n_resamples=5, seed=seed)
    medians = weighted_median(array, owners, draws)
    for row, found in zip(draws, medians, strict=True):
        repeated = np.repeat(array, row[owners].astype(int))
        np.testing.assert_allclose(found, np.median(repeated) if len(repeated) else np.nan)
    per_micrograph = np.where(np.arange(4) == 2, np.nan, np.arange(4.0))
    for row, mean in zip(draws, weighted_mean(per_micrograph, draws), strict=True):
        repeated = np.repeat(per_micrograph, row.astype(int))
        known = repeated[np.isfinite(repeated)]
        np.testing.assert_allclose(mean, known.mean() if len(known) else np.nan)


def test_many_values_go_in_pieces(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    values, owners, draws = rng.normal(size=50), rng.integers(0, 6, 50), resamples(6, n_resamples=40, seed=1)
    whole = weighted_median(values, owners, draws)
    monkeypatch.setattr("hrtem_dask.evaluation.resampled_statistics._MAX_ENTRIES", 120)
    np.testing.assert_array_equal(weighted_median(values, owners, draws), whole)


def test_each_statistic_counts_the_micrographs_that_contribute(rng: np.random.Generator) -> None:
    """Five micrographs, of which one contributes nothing, have a value but no interval."""
    draws = resamples(5, n_resamples=200, seed=0)
    values, one_missing = rng.normal(size=5), np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    owners = np.repeat(np.arange(5), 3)
    particles = rng.normal(size=15)
    for all_five, four in (
        (mean_estimate(values, draws), mean_estimate(np.where(one_missing > 0, values, np.nan), draws)),
        (ratio_estimate(values, np.ones(5), draws), ratio_estimate(values * one_missing, one_missing, draws)),
        (median_estimate(particles, owners, draws), median_estimate(particles[:12], owners[:12], draws)),
    ):
        assert all_five.low < all_five.value < all_five.high
        assert np.isfinite(four.value)
        assert np.isnan(four.low)
        assert np.isnan(four.high)


def test_the_interval_of_no_particles_is_null() -> None:
    draws = resamples(3, n_resamples=2, seed=0)
    assert np.isnan(weighted_median(np.empty(0), np.empty(0, int), draws)).all()
    assert np.isnan(median_estimate(np.empty(0), np.empty(0, int), draws)).all()


@pytest.mark.slow
def test_intervals_contain_the_true_value_as_often_as_stated() -> None:
    """Particles of one micrograph share an error: intervals from drawn particles would be far too narrow."""
    rng = np.random.default_rng(4)
    held = {"mean": 0, "ratio": 0, "median": 0, "particles": 0}
    trials, n = 600, 40
    for trial in range(trials):
        shared = rng.normal(0.1, 1, n)
        counts = rng.integers(3, 30, n)
        owners = np.repeat(np.arange(n), counts)
        values = shared[owners] + rng.normal(0, 0.3, len(owners))
        draws = resamples(n, n_resamples=400, seed=trial)
        sums = np.bincount(owners, weights=values)
        drawn = resamples(len(values), n_resamples=400, seed=trial)
        for name, statistic in (
            ("mean", weighted_mean(sums / counts, draws)),
            ("ratio", weighted_ratio(sums, counts.astype(float), draws)),
            ("median", weighted_median(values, owners, draws)),
            ("particles", weighted_mean(values, drawn)),
        ):
            _, low, high = estimate(statistic, len(values) if name == "particles" else n)
            held[name] += low <= 0.1 <= high
    assert all(0.91 < held[name] / trials < 0.97 for name in ("mean", "ratio", "median")), held
    assert held["particles"] / trials < 0.7
