"""Intervals by bootstrap over micrographs, never over particles, which share their micrograph's focus, dose and place.

A resample is a row of numbers: how often each micrograph is in it. Every statistic is computed for all rows at once.
"""

from __future__ import annotations

import numpy as np
import scipy.stats

__all__ = ["METHOD", "MIN_MICROGRAPHS", "interval", "resamples", "standard_error"]

MIN_MICROGRAPHS = 5
"""With fewer no interval is given: it would hold the truth far less often than it says."""
METHOD = "expanded percentile bootstrap over micrographs (Hesterberg 2015)"


def resamples(n: int, *, n_resamples: int, seed: int, size: int | None = None) -> np.ndarray:
    """Draw micrographs with replacement.

    Parameters
    ----------
    n : int
        Number of micrographs, at least 1.
    n_resamples : int
        How often.
    seed : int
        Seed of the random numbers.
    size : int, optional
        Micrographs per resample; `n` without it.

    Returns
    -------
    numpy.ndarray of float
        Shape (n_resamples + 1, n): how often each micrograph is drawn. The first row is 1 throughout: the
        micrographs themselves.
    """
    drawn = np.random.default_rng(seed).multinomial(n if size is None else size, np.full(n, 1 / n), size=n_resamples)
    return np.vstack([np.ones((1, n)), drawn])


def interval(statistics: np.ndarray, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the expanded percentile interval of a statistic.

    Parameters
    ----------
    statistics : numpy.ndarray of float
        Shape (resamples + 1,), the first of the micrographs themselves.
    n : int
        Number of micrographs.
    confidence : float
        How often the interval shall hold the truth.

    Returns
    -------
    tuple of float
        Lower and upper end: the quantiles α' and 1 − α' of the resamples, α' = Φ(−√(n/(n − 1)) t(1 − α/2; n − 1)),
        which makes up for the bootstrap's variance being too small by (n − 1)/n and its quantiles being normal
        rather than t (T. C. Hesterberg, Am. Stat. 69 (2015) 371, section 5.3). NaN where fewer than half of the
        resamples have a value.
    """
    drawn = statistics[1:][np.isfinite(statistics[1:])]
    if n < 2 or len(drawn) == 0 or 2 * len(drawn) < len(statistics) - 1:
        return np.nan, np.nan
    tail = scipy.stats.norm.cdf(-np.sqrt(n / (n - 1)) * scipy.stats.t.ppf((1 + confidence) / 2, n - 1))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def standard_error(statistics: np.ndarray, n: int) -> float:
    """Return the standard error of a statistic.

    Parameters
    ----------
    statistics : numpy.ndarray of float
        Shape (resamples + 1,), the first of the micrographs themselves.
    n : int
        Number of micrographs.

    Returns
    -------
    float
        Standard deviation of the resamples × √(n/(n − 1)); NaN for fewer than two micrographs.
    """
    drawn = statistics[1:][np.isfinite(statistics[1:])]
    if n < 2 or len(drawn) < 2:
        return np.nan
    return float(drawn.std(ddof=1) * np.sqrt(n / (n - 1)))
