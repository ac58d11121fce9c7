"""Intervals against NumPy and SciPy, and against how often they hold."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.evaluation.bootstrap import (
    interval,
    resamples,
    share_interval,
    weighted_mean,
    weighted_median,
    weighted_ratio,
)

numbers = st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=1, max_size=12)


@given(values=numbers, seed=st.integers(0, 99))
def test_weights_are_repetitions(values: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    array, owners = np.array(values), rng.integers(0, 4, len(values))
    weights = resamples(4, n_resamples=5, seed=seed)
    assert list(weights.sum(axis=1)) == [4] * 6
    assert list(weights[0]) == [1] * 4
    medians = weighted_median(array, owners, weights)
    for row, found in zip(weights, medians, strict=True):
        repeated = np.repeat(array, row[owners])
        np.testing.assert_allclose(found, np.median(repeated) if len(repeated) else np.nan)
    per_micrograph = np.where(np.arange(4) == 2, np.nan, np.arange(4.0))
    for row, mean in zip(weights, weighted_mean(per_micrograph, weights), strict=True):
        repeated = np.repeat(per_micrograph, row)
        known = repeated[np.isfinite(repeated)]
        np.testing.assert_allclose(mean, known.mean() if len(known) else np.nan)


def test_many_values_go_in_pieces(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    values, owners, weights = rng.normal(size=50), rng.integers(0, 6, 50), resamples(6, n_resamples=40, seed=1)
    whole = weighted_median(values, owners, weights)
    monkeypatch.setattr("hrtem_dask.evaluation.bootstrap._AT_ONCE", 120)
    np.testing.assert_array_equal(weighted_median(values, owners, weights), whole)


def test_the_interval_of_a_mean_is_that_of_scipy(rng: np.random.Generator) -> None:
    values = rng.gamma(3, size=60)
    ours = interval(weighted_mean(values, resamples(60, n_resamples=4000, seed=0)))
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=rng)
    np.testing.assert_allclose(ours, theirs.confidence_interval, rtol=0.02)


def test_nothing_has_no_interval() -> None:
    assert np.isnan(interval(np.full(11, np.nan))).all()
    assert np.isnan(share_interval(0, 0)).all()
    assert np.isnan(weighted_median(np.empty(0), np.empty(0, int), resamples(3, n_resamples=2, seed=0))).all()
    assert resamples(0, n_resamples=3, seed=0).shape == (4, 0)


def test_wilson_by_hand() -> None:
    # 20 of 20: the lower end is n / (n + z²)
    low, high = share_interval(20, 20)
    assert (low, high) == (pytest.approx(20 / (20 + 1.959964**2), abs=1e-6), pytest.approx(1))


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Particles of one micrograph share an error: drawing particles would hold far too seldom."""
    rng = np.random.default_rng(4)
    held = {"mean": 0, "ratio": 0, "median": 0, "particles": 0}
    trials, n = 600, 40
    for trial in range(trials):
        shared = rng.normal(0.1, 1, n)
        counts = rng.integers(3, 30, n)
        owners = np.repeat(np.arange(n), counts)
        values = shared[owners] + rng.normal(0, 0.3, len(owners))
        weights = resamples(n, n_resamples=400, seed=trial)
        sums = np.bincount(owners, weights=values)
        drawn = resamples(len(values), n_resamples=400, seed=trial)
        for name, statistic in (
            ("mean", weighted_mean(sums / counts, weights)),
            ("ratio", weighted_ratio(sums, counts.astype(float), weights)),
            ("median", weighted_median(values, owners, weights)),
            ("particles", weighted_mean(values, drawn)),
        ):
            low, high = interval(statistic)
            held[name] += low <= 0.1 <= high
    assert all(0.91 < held[name] / trials < 0.97 for name in ("mean", "ratio", "median")), held
    assert held["particles"] / trials < 0.7
