"""Studentized bootstrap over micrographs, for what follows from sums over micrographs.

Percentile intervals of deviations and of moment ratios hold the truth too seldom: a sample that lacks the few largest
particles is at once too low and too sure. The studentized bootstrap learns from the resamples how far off the estimate
is in units of its *own* standard error (B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["METHOD", "studentized_interval"]

METHOD = "studentized bootstrap over micrographs of the logarithm"
_AT_ONCE = 2_000_000  # entries of resamples × sums²


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
        Shape (micrographs, k): of each micrograph.
    counts : numpy.ndarray of float
        Shape (resamples + 1, micrographs), the first row 1 throughout.
    statistics : callable
        Sums of shape (..., k) → statistics of shape (..., s), unchanged where all sums are multiplied by one number.
    confidence : float
        How often the intervals shall hold the truth.

    Returns
    -------
    low, high : numpy.ndarray of float
        Shape (s,). θ − t_q se: se by jackknife over the micrographs, t = (θ* − θ)/se* of each resample with se* from
        the influence of each micrograph to first order. NaN where fewer than half of the resamples have a value.
    """
    m = len(sums)
    whole = statistics(sums.sum(axis=0))
    left_out = statistics(sums.sum(axis=0) - sums)
    with np.errstate(invalid="ignore"):
        error = np.sqrt((m - 1) / m * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    step = max(1, _AT_ONCE // sums.shape[1] ** 2)
    products = (sums[:, :, None] * sums[:, None, :]).reshape(m, -1)
    parts = [_studentized(counts[i : i + step], sums, products, statistics, whole) for i in range(1, len(counts), step)]
    t = np.concatenate(parts)
    t[~np.isfinite(t)] = np.nan
    ends = np.full((2, len(whole)), np.nan)
    usable = np.isfinite(error) & (2 * np.isfinite(t).sum(axis=0) >= len(t))
    if usable.any():
        tails = [(1 + confidence) / 2, (1 - confidence) / 2]
        ends[:, usable] = whole[usable] - np.nanquantile(t[:, usable], tails, axis=0) * error[usable]
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
        # θ does not change with the number of particles, so influences add up to 0 and need no centring
        variance = np.einsum("bik,bij,bjk->bk", slopes, second, slopes, optimize=True)
        return np.asarray((statistics(total) - whole) / np.sqrt(variance))
