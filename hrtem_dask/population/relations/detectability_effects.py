"""Whether defects depend on the size, or whether detectability alone makes them seem to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy
from scipy.special import expit

from hrtem_dask.intervals import too_few_micrographs
from hrtem_dask.population.inference.clusters import estimate_row, no_estimate
from hrtem_dask.population.inference.regression import fit_logistic
from hrtem_dask.population.particle_table import micrograph_codes, numbers, weight_column
from hrtem_dask.population.relations.defect_fraction import fault_states
from hrtem_dask.population.relations.detectability import Detectability
from hrtem_dask.population.relations.true_fractions import TrueFractionFit, fit_true_fraction

__all__ = ["CONCLUSIONS", "SIZE", "conclude", "corrected_bin", "corrected_curve"]

SIZE = "equivalent_diameter_nm"
"""The size for which detectability is known."""
CONCLUSIONS = {
    "not_tested": "too few particles to say whether defects depend on the size",
    "not_seen": "no dependence of defects on the size is seen",
    "detectability": "the found share of faults depends on the size as detectability alone would make it: this shows "
    "no effect of the size on defects",
    "beyond_default": "the found share of faults depends on the size more than detectability on simulated micrographs "
    "would make it; measure detectability on micrographs like yours (hrtem-dask evaluate, then report --detectability) "
    "before you call this an effect",
    "effect": "the share of faults depends on the size, with the measured detectability taken into account",
    "hidden": "the found share of faults does not show it, but with the measured detectability taken into account, the "
    "share of faults depends on the size",
}
"""Code → what is said about the dependence of defects on the size."""
MIN_DIFFERENCE = 0.1
"""Smallest sensitivity less false alarms at which a size says anything about the true fraction."""


def corrected_curve(
    table: pd.DataFrame, grid: np.ndarray, detectability: Detectability, *, confidence: float
) -> dict[str, Any]:
    """Fit the true defect fraction against the size.

    Parameters
    ----------
    table : pandas.DataFrame
        Counted particles, assessable or not.
    grid : numpy.ndarray of float
        Shape (points,): diameters (nm) of the curve.
    detectability : Detectability
        How particles of each size are judged.
    confidence : float
        Probability, 0 to 1, that each single interval contains the true value.

    Returns
    -------
    dict
        ``odds_ratio_per_sd`` (keys of `clusters.estimate_row`; standard deviation over all counted particles, within
        samples), ``sd``, ``logistic`` (lists ``value``, ``fraction``, ``low``, ``high``; None without a fit),
        ``odds_ratio_by_detectability`` (that of the found shares if the true one were the same at every size),
        ``n_outside`` (particles smaller or larger than those with which detectability was measured) and ``reason``.
    """
    table, x, middle, sd = _design(table)
    found: dict[str, Any] = {
        "odds_ratio_per_sd": no_estimate("", n=len(table)), "sd": sd, "logistic": None,
        "odds_ratio_by_detectability": None, "n_outside": 0, "reason": None,
    }  # fmt: skip
    reason = too_few_micrographs(int(table["micrograph_id"].nunique())) or _unclear(table, detectability, sd)
    if reason:
        return found | {"odds_ratio_per_sd": no_estimate(reason, n=len(table)), "reason": reason}
    diameters = numbers(table, SIZE)
    found["n_outside"] = int(((diameters < detectability.range_nm[0]) | (diameters > detectability.range_nm[1])).sum())
    fit = _fit(x, table, detectability)
    if fit.reason:
        return found | {"odds_ratio_per_sd": no_estimate(fit.reason, n=fit.n), "reason": fit.reason}
    error = float(np.sqrt(fit.covariance[0, 0]))
    counts = {"n": fit.n, "n_micrographs": fit.n_micrographs, "df": fit.df}
    row = estimate_row(float(fit.coefficients[0]), error, scale="exp", confidence=confidence, **counts)
    level = np.average(x[:, 1:], axis=0, weights=weight_column(table))
    at = np.column_stack([(grid - middle) / sd, np.tile(level, (len(grid), 1))])
    return found | {
        "odds_ratio_per_sd": row,
        "logistic": _band(fit, at, grid, confidence),
        "odds_ratio_by_detectability": _by_detectability(x, table, detectability),
    }


def corrected_bin(table: pd.DataFrame, detectability: Detectability, *, confidence: float) -> dict[str, float | None]:
    """Return the true defect fraction of the particles of one bin.

    Parameters
    ----------
    table : pandas.DataFrame
        Counted particles of the bin, assessable or not.
    detectability : Detectability
        How particles of each size are judged.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        ``estimate``, ``low`` and ``high``; None where there is none.
    """
    none: dict[str, float | None] = dict.fromkeys(("estimate", "low", "high"))
    table = table[(numbers(table, SIZE) > 0) & (weight_column(table) > 0)]
    if too_few_micrographs(int(table["micrograph_id"].nunique())) or _unclear(table, detectability, 1.0):
        return none
    fit = _fit(np.ones((len(table), 1)), table, detectability)
    if fit.reason:
        return none
    half = scipy.stats.t.ppf((1 + confidence) / 2, fit.df) * float(np.sqrt(fit.covariance[0, 0]))
    logit = float(fit.coefficients[0])
    return {"estimate": float(expit(logit)), "low": float(expit(logit - half)), "high": float(expit(logit + half))}


def conclude(
    observed: dict[str, Any], corrected: dict[str, Any], detectability: Detectability, *, confidence: float
) -> dict[str, str]:
    """Say what the found and the corrected curve show.

    Parameters
    ----------
    observed : dict
        ``odds_ratio_per_sd`` of the found shares, as `clusters.estimate_row` gives it.
    corrected : dict
        From `corrected_curve`.
    detectability : Detectability
        How particles of each size are judged; what is only measured on simulated micrographs calls nothing an effect.
    confidence : float
        One minus this is the largest p-value of what is called significant.

    Returns
    -------
    dict
        ``code``, one of `CONCLUSIONS`, and ``words``.

    Notes
    -----
    Detectability that the user measured corrects the curve, and the corrected one decides. With the default of the
    package, no dependence is called an effect.
    """
    found_p, true_p = observed["p_value"], corrected["odds_ratio_per_sd"]["p_value"]
    is_found = found_p is not None and found_p <= 1 - confidence
    is_true = true_p is not None and true_p <= 1 - confidence
    if found_p is None and true_p is None:
        code = "not_tested"
    elif detectability.is_measured and true_p is not None:
        code = ("effect" if is_found else "hidden") if is_true else ("detectability" if is_found else "not_seen")
    elif not is_found:
        code = "not_seen"
    else:
        code = "beyond_default" if is_true else "detectability"
    return {"code": code, "words": CONCLUSIONS[code]}


def _design(table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, float, float]:
    """Return the particles with a size, the terms (standardized size, a level per sample), and the standardization."""
    kept = (numbers(table, SIZE) > 0) & (weight_column(table) > 0)
    table = table[kept].reset_index(drop=True)
    size, weights = numbers(table, SIZE), weight_column(table)
    if table.empty:
        return table, np.zeros((0, 2)), 0.0, 0.0
    codes, samples = pd.factorize(table["sample"].fillna("").astype(str))
    levels = (codes[:, None] == np.arange(len(samples))).astype(float)
    means = (levels.T @ (weights * size)) / (levels.T @ weights)
    sd = float(np.sqrt(np.average((size - levels @ means) ** 2, weights=weights)))
    middle = float(np.average(size, weights=weights))
    return table, np.column_stack([(size - middle) / (sd or 1.0), levels]), middle, sd


def _unclear(table: pd.DataFrame, detectability: Detectability, sd: float) -> str | None:
    """Return why the true fraction cannot be found, or None."""
    if not np.isfinite(fault_states(table)).any():
        return "no particle is assessable"
    if sd == 0:
        return "all sizes are equal"
    outcomes = detectability.outcomes(numbers(table, SIZE))
    assessed = outcomes[:, :2, :2].sum(axis=2)
    called = outcomes[:, :2, 0] / assessed
    if float(np.median(called[:, 0] - called[:, 1])) < MIN_DIFFERENCE:
        return (
            f"at these sizes, faults are hardly told from no faults: sensitivity less false alarms is below "
            f"{MIN_DIFFERENCE:g}"
        )
    return None


def _fit(x: np.ndarray, table: pd.DataFrame, detectability: Detectability) -> TrueFractionFit:
    """Fit the true fraction of a table."""
    fault = fault_states(table)
    said = np.where(fault == 1, 0, np.where(fault == 0, 1, 2))
    return fit_true_fraction(
        x, said, numbers(table, SIZE), weight_column(table), micrograph_codes(table), detectability
    )


def _by_detectability(x: np.ndarray, table: pd.DataFrame, detectability: Detectability) -> float | None:
    """Return the odds ratio per standard deviation of the found shares if the true share were equal at every size."""
    flat = _fit(x[:, 1:], table, detectability)
    if flat.reason:
        return None
    p = expit(x[:, 1:] @ flat.coefficients)[:, None]
    outcomes = detectability.outcomes(numbers(table, SIZE))
    answers = p * outcomes[:, 0] + (1 - p) * outcomes[:, 1]
    assessed = answers[:, :2].sum(axis=1)
    known = np.isfinite(fault_states(table))
    weights = weight_column(table)[known]
    line = fit_logistic(x[known], (answers[:, 0] / assessed)[known], weights, micrograph_codes(table)[known])
    return None if line.reason else float(np.exp(line.coefficients[0]))


def _band(fit: TrueFractionFit, at: np.ndarray, grid: np.ndarray, confidence: float) -> dict[str, list[float]]:
    """Return the curve with its pointwise band."""
    logit = at @ fit.coefficients
    errors = np.sqrt(np.einsum("pi,ij,pj->p", at, fit.covariance, at).clip(min=0))
    half = scipy.stats.t.ppf((1 + confidence) / 2, fit.df) * errors
    ends = {"fraction": logit, "low": logit - half, "high": logit + half}
    return {"value": grid.tolist(), **{name: expit(value).tolist() for name, value in ends.items()}}
