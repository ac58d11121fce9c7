"""Intervals for statistics of particles that share their micrograph: standard errors clustered by micrograph.

Particles of one micrograph share its focus, thickness and neighbours, so they are no independent samples; micrographs
are. Each statistic θ gives every particle an influence ψ (how θ moves with that particle's weight; F. R. Hampel,
J. Am. Stat. Assoc. 69 (1974) 383). Summed by micrograph and divided by one minus the micrograph's share of the
weight, the influences are what leaving out that micrograph would change (exactly so for a mean), so their spread is
the delete-one-micrograph jackknife's standard error, at the cost of one pass (C. Bell, R. McCaffrey, Survey
Methodology 28 (2002) 169; J. MacKinnon, M. Nielsen, M. Webb, J. Appl. Econometrics 38 (2023) 671: "CV3").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special
import scipy.stats

from hrtem_dask.intervals import too_few_micrographs

__all__ = ["clustered_standard_errors", "estimate_row", "no_estimate"]


def clustered_standard_errors(influences: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, int]:
    """Return standard errors, clustered by micrograph.

    Parameters
    ----------
    influences : numpy.ndarray of float
        Shape (particles,) or (particles, statistics): ψ, of weighted mean 0.
    weights : numpy.ndarray of float
        Shape (particles,), not negative.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.

    Returns
    -------
    errors : numpy.ndarray of float
        Shape () or (statistics,): √((G − 1)/G · Σ (S_g / (1 − w_g))²), where S_g is the weighted sum of ψ over
        micrograph g divided by the weight of all, and w_g its share of it; infinite with fewer than 2 micrographs.
    n_micrographs : int
        G: micrographs with particles of positive weight.
    """
    kept = weights > 0
    influences, weights = influences[kept], weights[kept]
    _, codes = np.unique(codes[kept], return_inverse=True)
    n = int(codes.max()) + 1 if codes.size else 0
    if n < 2:
        return np.full(influences.shape[1:], np.inf), n
    shares = np.bincount(codes, weights) / weights.sum()
    columns = influences.reshape(len(weights), -1)
    sums = np.stack([np.bincount(codes, weights * column) for column in columns.T], axis=1) / weights.sum()
    squares = ((sums / (1 - shares)[:, None]) ** 2).sum(axis=0)
    return np.sqrt((n - 1) / n * squares).reshape(influences.shape[1:]), n


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
    """Return a statistic with its interval and p-value, ready for JSON.

    Parameters
    ----------
    estimate : float
        The statistic, on the scale that `scale` names.
    standard_error : float
        Its clustered standard error on that scale.
    n : int
        Particles.
    n_micrographs : int
        Micrographs.
    df : float, optional
        Degrees of freedom of Student's t; one less than the micrographs by default.
    scale : {"identity", "exp", "tanh", "expit"}
        The function that brings estimate and ends of the interval to the scale in which they are reported.
    confidence : float
        How often the interval holds the truth.

    Returns
    -------
    dict
        ``estimate``, ``low``, ``high``, ``standard_error`` (on the inner scale), ``p_value`` (two-sided), ``n``,
        ``n_micrographs`` and ``reason``; None for what does not exist.
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
    half = scipy.stats.t.ppf((1 + confidence) / 2, df) * standard_error
    return row | {
        "low": float(back(estimate - half)),
        "high": float(back(estimate + half)),
        "standard_error": float(standard_error),
        "p_value": float(2 * scipy.stats.t.sf(abs(estimate) / standard_error, df)),
    }


def no_estimate(reason: str, *, n: int = 0, n_micrographs: int = 0) -> dict[str, Any]:
    """Return the row of a statistic that does not exist.

    Parameters
    ----------
    reason : str
        Why, in words.
    n : int
        Particles.
    n_micrographs : int
        Micrographs.

    Returns
    -------
    dict
        The keys of `estimate_row`, None where there is no number.
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
