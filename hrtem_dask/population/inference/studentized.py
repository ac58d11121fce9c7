"""Studentized bootstrap over micrographs, for statistics that are smooth functions of sums over micrographs.

Percentile intervals of standard deviations and moment ratios contain the true value too seldom: without the few largest
particles, both the estimate and its standard error are too small. The studentized bootstrap measures in the resamples
how far the estimate deviates in units of its own standard error (B. Efron, R. Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 12).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["METHOD", "studentized_interval"]

METHOD = "studentized bootstrap over micrographs of the logarithm"
MAX_DISTANCE = float(np.log(10))
"""Largest distance of an end from a statistic that is a logarithm: a factor of 10 is of no use to anyone."""
_MAX_ENTRIES = 2_000_000  # of a matrix resamples × sums²


def studentized_interval(
    sums: np.ndarray,
    counts: np.ndarray,
    statistics: Callable[[np.ndarray], np.ndarray],
    *,
    confidence: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the intervals of smooth statistics of sums.

    Parameters
    ----------
    sums : numpy.ndarray of float
        Shape (micrographs, k): sums over the particles of each micrograph.
    counts : numpy.ndarray of float
        Shape (resamples + 1, micrographs), from `intervals.resamples`; the first row is 1 throughout.
    statistics : callable
        Function of sums of shape (..., k) that returns statistics of shape (..., s). It must not change where all sums
        are multiplied by the same number.
    confidence : float
        Probability, 0 to 1, that an interval contains the true value.

    Returns
    -------
    low, high : numpy.ndarray of float
        Shape (s,): θ − t_q se, with se by jackknife over the micrographs, t = (θ* − θ)/se* of each resample, and se*
        from the influence of each micrograph to first order. NaN where fewer than half of the resamples have a value,
        and where an end is farther than `MAX_DISTANCE` from θ: resamples that lack the few micrographs with most of the
        particles have a standard error near 0, and their t is meaningless.
    """
    m = len(sums)
    whole = statistics(sums.sum(axis=0))
    left_out = statistics(sums.sum(axis=0) - sums)
    with np.errstate(invalid="ignore"):
        error = np.sqrt((m - 1) / m * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    step = max(1, _MAX_ENTRIES // sums.shape[1] ** 2)
    products = (sums[:, :, None] * sums[:, None, :]).reshape(m, -1)
    parts = [_studentized(counts[i : i + step], sums, products, statistics, whole) for i in range(1, len(counts), step)]
    t = np.concatenate(parts)
    t[~np.isfinite(t)] = np.nan
    ends = np.full((2, len(whole)), np.nan)
    usable = np.isfinite(error) & (2 * np.isfinite(t).sum(axis=0) >= len(t))
    if usable.any():
        tails = [(1 + confidence) / 2, (1 - confidence) / 2]
        ends[:, usable] = whole[usable] - np.nanquantile(t[:, usable], tails, axis=0) * error[usable]
        ends[:, ~(np.abs(ends - whole).max(axis=0) <= MAX_DISTANCE)] = np.nan
    return ends[0], ends[1]


def _studentized(
    counts: np.ndarray,
    sums: np.ndarray,
    products: np.ndarray,
    statistics: Callable[[np.ndarray], np.ndarray],
    whole: np.ndarray,
) -> np.ndarray:
    """Return (θ* − θ)/se* of some resamples."""
    total = counts @ sums
    second = (counts @ products).reshape(len(counts), sums.shape[1], -1)
    slopes = np.empty((len(counts), sums.shape[1], len(whole)))
    with np.errstate(invalid="ignore", divide="ignore"):
        for i in range(sums.shape[1]):
            by = np.zeros_like(total)
            by[:, i] = 1e-5 * total[:, 0]
            slopes[:, i] = (statistics(total + by) - statistics(total - by)) / (2 * by[:, i, None])
        # θ does not change with the number of particles, so that influences add up to 0 and need no centering
        variance = np.einsum("bik,bij,bjk->bk", slopes, second, slopes, optimize=True)
        return np.asarray((statistics(total) - whole) / np.sqrt(variance))
