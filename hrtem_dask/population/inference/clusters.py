"""Standard errors clustered by micrograph (delete-one-micrograph jackknife), and the intervals that follow from them.

Particles of one micrograph share its focus, thickness and neighborhood, so that micrographs are independent samples and
particles are not. The influence ψ of a particle is the derivative of a statistic θ with respect to the weight of that
particle (F. R. Hampel, J. Am. Stat. Assoc. 69 (1974) 383). The influences of a micrograph, added up and divided by one
minus its share of the weight, are the change of θ when the micrograph is left out (exactly for a mean, else to first
order). Their spread is therefore the standard error of the jackknife, at the cost of one pass (C. Bell, R. McCaffrey,
Survey Methodology 28 (2002) 169; J. MacKinnon, M. Nielsen, M. Webb, J. Appl. Econometrics 38 (2023) 671: "CV3").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from hrtem_dask.intervals import too_few_micrographs

__all__ = [
    "clustered_standard_errors",
    "estimate_row",
    "jackknife_error",
    "micrograph_shares",
    "no_estimate",
    "usable_strata",
]


def usable_strata(strata: np.ndarray | None) -> np.ndarray | None:
    """Return strata that can be used: a stratum of one micrograph says nothing about its spread.

    Parameters
    ----------
    strata : numpy.ndarray of int or None
        Shape (micrographs,): sample of each micrograph.

    Returns
    -------
    numpy.ndarray of int or None
        Numbers from 0; None where there is one stratum only, or where one has a single micrograph.
    """
    if strata is None:
        return None
    _, numbers, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return np.asarray(numbers) if len(counts) > 1 and counts.min() > 1 else None


def jackknife_error(changes: np.ndarray, strata: np.ndarray | None = None) -> np.ndarray:
    """Return the standard error from the changes of a statistic without each micrograph.

    Parameters
    ----------
    changes : numpy.ndarray of float
        Shape (micrographs, ...): statistic without the micrograph less the statistic.
    strata : numpy.ndarray of int, optional
        Shape (micrographs,): from `usable_strata`. Samples are then fixed, and only the spread within each counts.

    Returns
    -------
    numpy.ndarray of float
        Shape (...,): √((m − 1)/m Σ change²), or with strata √(Σ_h (m_h − 1)/m_h Σ (change − mean_h)²) (K. Wolter,
        Introduction to Variance Estimation, 2007, section 4.5).
    """
    if strata is None:
        m = len(changes)
        return np.asarray(np.sqrt((m - 1) / m * (changes**2).sum(axis=0)))
    total = np.zeros(changes.shape[1:])
    for one in np.unique(strata):
        here = changes[strata == one]
        total = total + (len(here) - 1) / len(here) * ((here - here.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(total))


def clustered_standard_errors(
    influences: np.ndarray, weights: np.ndarray, codes: np.ndarray, strata: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Return the standard errors of statistics, clustered by micrograph.

    Parameters
    ----------
    influences : numpy.ndarray of float
        Shape (particles,) or (particles, statistics): ψ, with a weighted mean of 0.
    weights : numpy.ndarray of float
        Shape (particles,), not negative.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.
    strata : numpy.ndarray of int, optional
        Shape (particles,): sample of each particle. Samples are then fixed: what differs between them is no error.

    Returns
    -------
    errors : numpy.ndarray of float
        Shape () or (statistics,): √((G − 1)/G · Σ (S_g / (1 − w_g))²), where S_g is the weighted sum of ψ over
        micrograph g divided by the weight of all, and w_g its share of it; infinite with fewer than 2 micrographs.
    n_micrographs : int
        G: micrographs with particles of positive weight.

    Examples
    --------
    >>> sizes, micrographs = np.array([4.0, 5.0, 6.0, 7.0]), np.array([0, 0, 1, 1])
    >>> error, n = clustered_standard_errors(sizes - sizes.mean(), np.ones(4), micrographs)
    >>> float(error), n
    (1.0, 2)
    """
    kept = weights > 0
    influences, weights = influences[kept], weights[kept]
    _, first, codes = np.unique(codes[kept], return_index=True, return_inverse=True)
    per_micrograph = None if strata is None else usable_strata(strata[kept][first])
    n = int(codes.max()) + 1 if codes.size else 0
    if n < 2:
        return np.full(influences.shape[1:], np.inf), n
    shares = np.bincount(codes, weights) / weights.sum()
    columns = influences.reshape(len(weights), -1)
    sums = np.stack([np.bincount(codes, weights * column) for column in columns.T], axis=1) / weights.sum()
    errors = jackknife_error(sums / (1 - shares)[:, None], per_micrograph)
    return errors.reshape(influences.shape[1:]), n


def micrograph_shares(weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the share of each micrograph in the weights.

    Parameters
    ----------
    weights : numpy.ndarray of float
        Shape (particles,), not negative.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.

    Returns
    -------
    numpy.ndarray of float
        Shape (micrographs,): of those with particles of positive weight; empty without any.

    Examples
    --------
    >>> micrograph_shares(np.array([1.0, 1.0, 2.0, 0.0]), np.array([7, 7, 9, 11])).tolist()
    [0.5, 0.5]
    """
    sums = np.bincount(np.unique(codes, return_inverse=True)[1], weights)
    sums = sums[sums > 0]
    return np.asarray(sums / sums.sum())


def estimate_row(
    estimate: float,
    standard_error: float,
    *,
    n: int,
    n_micrographs: int,
    df: float | None = None,
    scale: str = "identity",
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return a statistic with its interval and p-value, as plain numbers.

    Parameters
    ----------
    estimate : float
        The statistic, on the scale that `scale` names.
    standard_error : float
        Its clustered standard error on that scale.
    n : int
        Number of particles.
    n_micrographs : int
        Number of micrographs.
    df : float, optional
        Degrees of freedom of Student's t; the number of micrographs less 1 by default.
    scale : {"identity", "exp", "tanh", "expit"}
        Function that transforms the estimate and the ends of the interval to the scale on which they are reported.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        ``estimate``, ``low``, ``high``, ``standard_error`` (on the scale of the parameters), ``p_value`` (two-sided,
        of the null hypothesis that the untransformed statistic is 0), ``n``, ``n_micrographs`` and ``reason``; None for
        numbers that do not exist.
    """
    back = {"identity": float, "exp": np.exp, "tanh": np.tanh, "expit": scipy.special.expit}[scale]
    row = no_estimate("", n=n, n_micrographs=n_micrographs) | {"reason": None}
    if not np.isfinite(estimate):
        return row | {"reason": "the statistic is not defined for these values"}
    row["estimate"] = float(back(estimate))
    reason = too_few_micrographs(n_micrographs)
    df = n_micrographs - 1 if df is None else df
    if reason is None and not (0 < standard_error < np.inf and df > 0):
        reason = "no interval: the values do not vary between micrographs"
    if reason is not None:
        return row | {"reason": reason}
    half = scipy.special.stdtrit(df, (1 + confidence) / 2) * standard_error
    return row | {
        "low": float(back(estimate - half)),
        "high": float(back(estimate + half)),
        "standard_error": float(standard_error),
        "p_value": float(2 * scipy.special.stdtr(df, -abs(estimate) / standard_error)),
    }


def no_estimate(reason: str, *, n: int = 0, n_micrographs: int = 0) -> dict[str, Any]:
    """Return the row of a statistic that does not exist.

    Parameters
    ----------
    reason : str
        Why there is no estimate.
    n : int
        Number of particles.
    n_micrographs : int
        Number of micrographs.

    Returns
    -------
    dict
        The keys of `estimate_row`; None for the missing numbers.
    """
    return {
        "estimate": None,
        "low": None,
        "high": None,
        "standard_error": None,
        "p_value": None,
        "n": n,
        "n_micrographs": n_micrographs,
        "reason": reason,
    }
