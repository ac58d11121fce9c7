"""Statistics of many resamples at once: a resample is a vector that says how often each micrograph is in it."""

from __future__ import annotations

import numpy as np
import scipy.stats

__all__ = ["interval", "resamples", "share_interval", "weighted_mean", "weighted_median", "weighted_ratio"]

_AT_ONCE = 4_000_000  # entries of a matrix resamples × particles


def resamples(n: int, *, n_resamples: int, seed: int) -> np.ndarray:
    """Draw micrographs with replacement.

    Parameters
    ----------
    n : int
        Number of micrographs.
    n_resamples : int
        How often.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    numpy.ndarray of int
        Shape (n_resamples + 1, n): how often each micrograph is drawn. The first row is 1 throughout: the
        micrographs themselves.
    """
    once = np.ones((1, n), dtype=np.int32)
    if not n:
        return np.repeat(once, n_resamples + 1, axis=0)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples)
    return np.vstack([once, drawn.astype(np.int32)])


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean over micrographs in each resample.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,); NaN where a micrograph has none, which is left out.
    weights : numpy.ndarray of int
        Shape (resamples, n), of `resamples`.

    Returns
    -------
    numpy.ndarray of float
        Shape (resamples,); NaN where no micrograph of a resample has a value.
    """
    known = np.isfinite(values)
    return weighted_ratio(np.where(known, values, 0), known.astype(float), weights)


def weighted_ratio(numerators: np.ndarray, denominators: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the ratio of two sums over micrographs in each resample.

    Parameters
    ----------
    numerators : numpy.ndarray of float
        Shape (n,).
    denominators : numpy.ndarray of float
        Shape (n,).
    weights : numpy.ndarray of int
        Shape (resamples, n), of `resamples`.

    Returns
    -------
    numpy.ndarray of float
        Shape (resamples,); NaN where the denominator is 0.
    """
    over, under = weights @ numerators, weights @ denominators
    ratio: np.ndarray = np.divide(over, under, out=np.full(len(weights), np.nan), where=under != 0)
    return ratio


def weighted_median(values: np.ndarray, owners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the median over particles in each resample of micrographs.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (m,): a value per particle.
    owners : numpy.ndarray of int
        Shape (m,): the micrograph that it is in.
    weights : numpy.ndarray of int
        Shape (resamples, n), of `resamples`.

    Returns
    -------
    numpy.ndarray of float
        Shape (resamples,): what `numpy.median` gives where each particle is there as often as its micrograph is drawn;
        NaN where there is none.
    """
    medians = np.full(len(weights), np.nan)
    if not len(values):
        return medians
    order = np.argsort(values, kind="stable")
    values, owners = values[order], owners[order]
    step = max(1, _AT_ONCE // len(values))
    for start in range(0, len(weights), step):
        until = np.cumsum(weights[start : start + step, owners], axis=1)
        half = until[:, -1:] / 2
        lower, upper = (until >= half).argmax(axis=1), (until > half).argmax(axis=1)
        there = until[:, -1] > 0
        medians[start : start + step] = np.where(there, (values[lower] + values[upper]) / 2, np.nan)
    return medians


def interval(statistics: np.ndarray, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of a statistic.

    Parameters
    ----------
    statistics : numpy.ndarray of float
        Shape (resamples + 1,), the first of the micrographs themselves.
    confidence : float
        Share of resamples between the two ends.

    Returns
    -------
    tuple of float
        Lower and upper end (B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13); NaN where
        fewer than half of the resamples have a value. With few micrographs it is too narrow: it holds the
        truth in 83 % of cases with 5, in 88 % with 10, in 94 % with 40 instead of 95 %.
    """
    drawn = statistics[1:]
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) == 0 or 2 * len(drawn) < len(statistics) - 1:
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def share_interval(n_hits: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share of micrographs, where a bootstrap would say that 20 of 20 is certain.

    Parameters
    ----------
    n_hits : int
        Micrographs of which something is true.
    n : int
        All micrographs.
    confidence : float
        How often the interval holds the true share.

    Returns
    -------
    tuple of float
        Wilson's interval (J. Am. Stat. Assoc. 22 (1927) 209); NaN without micrographs.
    """
    if not n:
        return np.nan, np.nan
    found = scipy.stats.binomtest(n_hits, n).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)
