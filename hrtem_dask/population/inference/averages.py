"""Mean, median and geometric standard deviation of sizes, with standard errors clustered by micrograph."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from hrtem_dask.intervals import too_few_micrographs
from hrtem_dask.population.inference.clusters import (
    clustered_standard_errors,
    estimate_row,
    jackknife_error,
    micrograph_shares,
    no_estimate,
    usable_strata,
)
from hrtem_dask.population.inference.quantiles import weighted_quantiles

__all__ = ["geometric_sd", "mean", "median", "quantile"]


def mean(
    values: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return the arithmetic mean.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes.
    weights : numpy.ndarray of float
        Shape (n,), positive.
    codes : numpy.ndarray of int
        Shape (n,): micrograph of each value.
    strata : numpy.ndarray of int, optional
        Shape (n,): sample of each value, if the interval is to hold for these samples together.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        Keys of `clusters.estimate_row`, without a p-value.

    Examples
    --------
    >>> mean(np.array([4.0, 5.0, 6.0, 7.0]), np.ones(4), np.array([0, 0, 1, 1]))["estimate"]
    5.5
    """
    if not values.size:
        return no_estimate("no particle has a size")
    middle = float(np.average(values, weights=weights))
    return _row(middle, values - middle, weights, codes, strata, confidence)


def geometric_sd(
    values: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return the geometric standard deviation σ_g, 1 for equal sizes.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,), positive.
    weights : numpy.ndarray of float
        Shape (n,), positive.
    codes : numpy.ndarray of int
        Shape (n,): micrograph of each value.
    strata : numpy.ndarray of int, optional
        Shape (n,): sample of each value, if the interval is to hold for these samples together.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        Keys of `clusters.estimate_row`, without a p-value: exp of the standard deviation (over n, not n − 1) of the
        logarithms (ISO 9276-2). The interval is the delete-one-micrograph jackknife's on the logarithm of that
        standard deviation, corrected by the bias that the jackknife estimates (B. Efron, The Jackknife, the Bootstrap
        and Other Resampling Plans, 1982): few micrographs show less than the full spread between micrographs.
    """
    if not values.size:
        return no_estimate("no particle has a size")
    logarithms = np.log(values)
    logarithms -= np.average(logarithms, weights=weights)
    df = _df(codes, strata, len(np.unique(codes)))
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    samples = None if strata is None else usable_strata(strata[first])
    sums = np.stack([np.bincount(codes, weights * power) for power in (logarithms**0, logarithms, logarithms**2)])
    total = sums.sum(axis=1, keepdims=True)
    n, first, second = np.concatenate([total, total - sums], axis=1)
    variances = np.divide(second, n, out=np.zeros_like(n), where=n > 0)
    variances -= np.divide(first, n, out=np.zeros_like(n), where=n > 0) ** 2
    n_micrographs = sums.shape[1]
    count = {"n": len(values), "n_micrographs": n_micrographs}
    few = too_few_micrographs(n_micrographs, sums[0] / sums[0].sum())
    if not variances[0] > 0:
        return no_estimate(few or "all sizes are equal", **count)
    if few is not None:
        return no_estimate(few, **count) | {"estimate": float(np.exp(np.sqrt(variances[0])))}
    if not (variances > 0).all():
        return no_estimate("all sizes are equal without one of the micrographs", **count)
    q = np.log(variances) / 2
    error = float(jackknife_error(q[1:] - q[0], samples))
    middle = n_micrographs * q[0] - (n_micrographs - 1) * q[1:].mean()
    row = estimate_row(float(middle), error, **count, df=df, confidence=confidence)
    sd = np.exp(q[0])
    with np.errstate(over="ignore"):
        ends = {k: None if row[k] is None else float(np.exp(np.exp(row[k]))) for k in ("low", "high")}
    if ends["high"] is not None and not np.isfinite(ends["high"]):
        ends = dict.fromkeys(ends)
        row |= {"standard_error": None, "reason": "no interval: the micrographs say too little about the spread"}
    if row["standard_error"] is not None:
        row["standard_error"] *= float(np.exp(sd) * sd)
    return row | {"estimate": float(np.exp(sd)), "p_value": None} | ends


def median(
    values: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return the median.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes.
    weights : numpy.ndarray of float
        Shape (n,), positive.
    codes : numpy.ndarray of int
        Shape (n,): micrograph of each value.
    strata : numpy.ndarray of int, optional
        Shape (n,): sample of each value, if the interval is to hold for these samples together.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        As `quantile` of probability 1/2.
    """
    return quantile(values, weights, codes, 0.5, strata=strata, confidence=confidence)


def quantile(
    values: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    probability: float,
    *,
    strata: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return a quantile.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes.
    weights : numpy.ndarray of float
        Shape (n,), positive.
    codes : numpy.ndarray of int
        Shape (n,): micrograph of each value.
    probability : float
        Probability, above 0 and below 1.
    strata : numpy.ndarray of int, optional
        Shape (n,): sample of each value, if the interval is to hold for these samples together.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        Keys of `clusters.estimate_row`, without a p-value. The interval runs between the quantiles at the ends of the
        clustered interval of the share below the quantile, whose logit has Student's t; the standard error is its half
        width over t (R. Woodruff, J. Am. Stat. Assoc. 47 (1952) 635; C. Francisco, W. Fuller, Ann. Stat. 19 (1991)
        454).

    Examples
    --------
    >>> sizes, micrographs = np.arange(1.0, 101.0), np.arange(100) % 7
    >>> found = quantile(sizes, np.ones(100), micrographs, 0.9)
    >>> found["estimate"], bool(found["low"] < 90.5 < found["high"])
    (90.5, True)
    """
    if not values.size:
        return no_estimate("no particle has a size")
    middle = float(weighted_quantiles(values, weights, [probability])[0])
    below = (values < middle) + (values == middle) / 2 - probability
    share, n_micrographs = clustered_standard_errors(below, weights, codes, strata)
    row = no_estimate("", n=len(values), n_micrographs=n_micrographs)
    row |= {"estimate": middle, "reason": too_few_micrographs(n_micrographs, micrograph_shares(weights, codes))}
    if row["reason"]:
        return row
    t = scipy.special.stdtrit(_df(codes, strata, n_micrographs), (1 + confidence) / 2)
    half = t * float(share) / (probability * (1 - probability))
    ends = scipy.special.expit(scipy.special.logit(probability) + np.array([-half, half]))
    low, high = weighted_quantiles(values, weights, ends.tolist())
    if low == high:
        return row | {"reason": "no interval: the values do not vary between micrographs"}
    return row | {"low": float(low), "high": float(high), "standard_error": float((high - low) / (2 * t))}


def _df(codes: np.ndarray, strata: np.ndarray | None, n_micrographs: int) -> int:
    """Return the degrees of freedom: micrographs less samples, where samples are fixed."""
    if strata is None:
        return n_micrographs - 1
    _, first = np.unique(codes, return_index=True)
    samples = usable_strata(strata[first])
    return n_micrographs - (1 if samples is None else int(samples.max()) + 1)


def _row(
    estimate: float,
    influences: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    strata: np.ndarray | None,
    confidence: float,
) -> dict[str, Any]:
    """Return the row of a statistic without a null hypothesis, and hence without a p-value."""
    error, n_micrographs = clustered_standard_errors(influences, weights, codes, strata)
    df = _df(codes, strata, n_micrographs)
    n, few = len(influences), too_few_micrographs(n_micrographs, micrograph_shares(weights, codes))
    if few is not None:
        return no_estimate(few, n=n, n_micrographs=n_micrographs) | {"estimate": estimate}
    row = estimate_row(estimate, float(error), n=n, n_micrographs=n_micrographs, df=df, confidence=confidence)
    return row | {"p_value": None}
