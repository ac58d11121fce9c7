"""Intervals of logarithms of moments by the delete-one-micrograph jackknife, with Student's t.

A studentized bootstrap of few micrographs divides by standard errors that are near 0 where a resample holds the same
micrograph several times: of five micrographs, a mean of 5.17 had the interval 4.25 to 19.9. Student's t knows the
number of micrographs instead, and the logarithm keeps the ends above 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.special

from hrtem_dask.population.inference.clusters import jackknife_error

__all__ = ["METHOD", "jackknife_interval"]

METHOD = "jackknife over micrographs with Student's t, of the logarithm"
_FEW_VALUES = 1.5
"""Factor of the excess kurtosis of few values of a skewed distribution, chosen by the coverage of intervals."""
MAX_DISTANCE = float(np.log(10))
"""Largest distance of an end from a statistic that is a logarithm: a factor of 10 is of no use to anyone."""


def jackknife_interval(
    sums: np.ndarray,
    statistics: Callable[[np.ndarray], np.ndarray],
    *,
    confidence: float,
    strata: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the intervals of smooth statistics of sums.

    Parameters
    ----------
    sums : numpy.ndarray of float
        Shape (micrographs, k): sums over the particles of each micrograph, the first of which is that of the weights.
    statistics : callable
        Function of sums of shape (..., k) that returns statistics of shape (..., s), logarithms of quantities.
    confidence : float
        Probability, 0 to 1, that an interval contains the true value.
    strata : numpy.ndarray of int, optional
        Shape (micrographs,): sample of each micrograph; the samples are then fixed.

    Returns
    -------
    low, high : numpy.ndarray of float
        Shape (s,): the statistic, corrected by the bias that the jackknife estimates, ± t se, where se is the standard
        error of the jackknife. t has one degree of freedom less than the micrographs of equal weight that would be as
        informative, (Σw)²/Σw² (L. Kish, Survey Sampling, 1965), or fewer where a few micrographs decide: the variance
        of m deviations of kurtosis κ has 2 m/(κ − 1) (G. Snedecor, W. Cochran, Statistical Methods, 1980, section
        5.13). NaN where a value is not finite, and where an end is
        farther than `MAX_DISTANCE` from the statistic.

    Examples
    --------
    >>> sums = np.array([[10.0, 40.0], [10.0, 50.0], [10.0, 60.0], [10.0, 45.0], [10.0, 55.0]])
    >>> low, high = jackknife_interval(sums, lambda s: np.log(s[..., 1:] / s[..., :1]), confidence=0.95)
    >>> np.exp([low[0], high[0]]).round(2).tolist()
    [4.12, 6.1]
    """
    m = len(sums)
    shares = sums[:, 0] / sums[:, 0].sum()
    freedom = 1 / float((shares**2).sum()) - (1 if strata is None else int(strata.max()) + 1)
    whole, left_out = statistics(sums.sum(axis=0)), statistics(sums.sum(axis=0) - sums)
    with np.errstate(invalid="ignore"):
        error = jackknife_error(left_out - whole, strata)
        middle = m * whole - (m - 1) * left_out.mean(axis=0)
        degrees = np.minimum(freedom, 2 * m / (_kurtosis(left_out - left_out.mean(axis=0)) - 1))
        t = scipy.special.stdtrit(degrees, (1 + confidence) / 2)
        half = t * error if freedom > 0 else np.full_like(whole, np.nan)
        ends = np.stack([middle - half, middle + half])
        ends[:, ~(np.abs(ends - whole).max(axis=0) <= MAX_DISTANCE) | (error == 0)] = np.nan
    return ends[0], ends[1]


def _kurtosis(deviations: np.ndarray) -> np.ndarray:
    """Return the kurtosis of deviations over the first axis, at least 3; that of few values alone is too low."""
    m = len(deviations)
    found = m * (deviations**4).sum(axis=0) / (deviations**2).sum(axis=0) ** 2
    excess = np.maximum(found - 3 * (m - 1) / (m + 1), 0)  # 3 (m − 1)/(m + 1) is expected of normal deviations
    return np.asarray(3 + _FEW_VALUES * (m + 1) / (m - 1) * np.nan_to_num(excess))
