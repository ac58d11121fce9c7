"""Intervals against SciPy, by hand, and by how often they contain the true value."""

import numpy as np
import pytest
import scipy.stats

from hrtem_dask import intervals
from hrtem_dask.intervals import (
    MIN_MICROGRAPHS,
    bootstrap_interval,
    bootstrap_standard_error,
    resample_counts,
    resample_sums,
    resamples,
    too_few_micrographs,
    wilson_interval,
)


def test_a_resample_draws_as_many_micrographs_as_there_are() -> None:
    counts = resamples(4, n_resamples=5, seed=0)
    assert counts[0].tolist() == [1] * 4
    assert counts.sum(axis=1).tolist() == [4] * 6
    assert resamples(4, n_resamples=5, seed=0, size=2).sum(axis=1).tolist() == [4] + [2] * 5
    assert resamples(0, n_resamples=3, seed=0).shape == (4, 0)


@pytest.mark.parametrize("strata", [None, np.arange(30) % 3])
def test_numbers_of_draws_are_small_and_the_same_in_pieces(
    strata: np.ndarray | None, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    whole = resample_counts(30, n_resamples=50, seed=3, strata=strata)
    sums = rng.integers(0, 9, (30, 4)).astype(float)
    expected = whole.astype(float) @ sums
    monkeypatch.setattr(intervals, "_MAX_ENTRIES", 70)
    assert whole.dtype == np.uint8
    assert np.array_equal(resample_counts(30, n_resamples=50, seed=3, strata=strata), whole)
    assert np.array_equal(resample_sums(whole, sums), expected)
    assert np.array_equal(resamples(30, n_resamples=50, seed=3, strata=strata), whole)


def test_large_numbers_of_draws_fit() -> None:
    counts = resample_counts(2, n_resamples=3, seed=0, size=70_000)
    assert counts[1:].sum(axis=1, dtype=int).tolist() == [70_000] * 3
    assert resample_counts(1, n_resamples=1, seed=0, size=70_000).tolist() == [[1], [70_000]]


def test_the_interval_of_many_micrographs_is_the_percentile_interval_of_scipy(rng: np.random.Generator) -> None:
    values = rng.gamma(3, size=400)
    found = bootstrap_interval(resamples(400, n_resamples=4000, seed=0) @ values / 400, 400)
    expected = scipy.stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=rng)
    np.testing.assert_allclose(found, expected.confidence_interval, rtol=0.02)


def test_the_interval_of_few_micrographs_is_nearly_students(rng: np.random.Generator) -> None:
    values = rng.normal(size=12)
    low, high = bootstrap_interval(resamples(12, n_resamples=20_000, seed=0) @ values / 12, 12)
    half = scipy.stats.t.ppf(0.975, 11) * scipy.stats.sem(values)
    assert high - low == pytest.approx(2 * half, rel=0.07)


def test_the_standard_error_is_that_of_the_mean(rng: np.random.Generator) -> None:
    values = rng.normal(size=15)
    statistics = resamples(15, n_resamples=20_000, seed=0) @ values / 15
    assert bootstrap_standard_error(statistics, 15) == pytest.approx(scipy.stats.sem(values), rel=0.03)


def test_without_data_there_is_no_interval() -> None:
    assert np.isnan(bootstrap_interval(np.full(11, np.nan), 10)).all()
    assert np.isnan(wilson_interval(np.nan, 0)).all()
    assert np.isnan(bootstrap_standard_error(np.ones(5), 1))


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_fewer_than_five_micrographs_have_no_interval(n: int) -> None:
    low, high = bootstrap_interval(np.linspace(0, 1, 101), n)
    assert np.isnan(low) == np.isnan(high) == (n < MIN_MICROGRAPHS) == (too_few_micrographs(n) is not None)


def test_wilson_by_hand() -> None:
    # 20 of 20: the lower end is n / (n + z²)
    low, high = wilson_interval(1, 20)
    assert (low, high) == (pytest.approx(20 / (20 + 1.959964**2), abs=1e-6), pytest.approx(1))


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 20), (20, 20), (7, 500)])
def test_wilson_against_scipy(hits: int, n: int) -> None:
    truth = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson_interval(hits / n, n) == pytest.approx((truth.low, truth.high))


def test_intervals_of_eight_micrographs_contain_the_mean_as_often_as_stated() -> None:
    rng = np.random.default_rng(5)
    counts = resamples(8, n_resamples=1000, seed=0)
    covered = percentile = 0
    for _ in range(1500):
        statistics = counts @ rng.normal(size=8) / 8
        low, high = bootstrap_interval(statistics, 8)
        covered += low <= 0 <= high
        low, high = np.quantile(statistics[1:], [0.025, 0.975])
        percentile += low <= 0 <= high
    assert 0.925 < covered / 1500 < 0.97
    assert percentile / 1500 < 0.91  # what the expansion is for
