"""Differences between faulted and not faulted particles: effect sizes, alone and with size held constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from hrtem_dask.population.inference.clusters import clustered_standard_errors, estimate_row, no_estimate
from hrtem_dask.population.inference.multiple_testing import adjust_p_values
from hrtem_dask.population.inference.ranks import fractional_ranks
from hrtem_dask.population.inference.regression import fit_linear, fit_logistic
from hrtem_dask.population.particle_table import LazyTable, counted_particles, micrograph_codes, numbers, weight_column
from hrtem_dask.population.relations.fault_models import assessable_rows, odds_ratio, sample_terms, within_sd
from hrtem_dask.population.relations.ingredients import INGREDIENTS

__all__ = ["EFFECT_DESCRIPTORS", "defect_effects", "with_detectability"]

_SIZE = "size"
EFFECT_DESCRIPTORS = (
    "equivalent_diameter_nm",
    "aspect_ratio",
    "circularity",
    "roundness",
    "solidity",
    "convexity",
    "eccentricity",
    "contrast",
)
"""Default descriptors that are compared between faulted and not faulted particles."""


def defect_effects(
    particles: pd.DataFrame | LazyTable,
    *,
    descriptors: Sequence[str] = EFFECT_DESCRIPTORS,
    given: str = "equivalent_diameter_nm",
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Compare faulted with not faulted particles, descriptor by descriptor.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted, assessable particles are used. Each sample has its own intercept,
        since differences between samples would otherwise appear as effects.
    descriptors : sequence of str
        Names of numeric columns.
    given : str
        The confounder, held constant in ``odds_ratio_per_sd_given``.
    confidence : float
        Probability, 0 to 1, that each single interval contains the true value.

    Returns
    -------
    list of dict
        One per descriptor: ``descriptor``, ``n``, ``n_fault``, ``reason``, ``sd`` (within samples), ``given``, and the
        keys of `clusters.estimate_row` under ``odds_ratio_per_sd`` and ``odds_ratio_per_sd_given`` (logistic regression
        alone and with `given`), ``difference_of_means`` (faulted minus not faulted, in the descriptor's unit),
        ``auc`` (probability that a faulted particle has the larger value; N. Obuchowski, Biometrics 53 (1997) 567) and
        ``cliffs_delta`` (2 auc − 1; N. Cliff, Psychol. Bull. 114 (1993) 494). Standard errors of odds ratios and auc
        are those of their logarithm and logit. ``p_adjusted`` is Benjamini–Hochberg over the list for the odds ratio
        alone, ``p_adjusted_given`` for that with `given`. ``detectability`` is null, see `with_detectability`.
    """
    table = counted_particles(particles)
    rows = [_effects(table, descriptor, given, confidence) for descriptor in descriptors]
    for key, name in (("p_adjusted", "odds_ratio_per_sd"), ("p_adjusted_given", "odds_ratio_per_sd_given")):
        adjusted = adjust_p_values([row[name]["p_value"] for row in rows], method="benjamini_hochberg")
        rows = [{**row, key: p} for row, p in zip(rows, adjusted, strict=True)]
    return [{**row, "detectability": None} for row in rows]


def with_detectability(rows: list[dict[str, Any]], conclusion: dict[str, str] | None) -> list[dict[str, Any]]:
    """Mark the effects of a size: the found fraction depends on it by detectability too.

    Parameters
    ----------
    rows : list of dict
        From `defect_effects`.
    conclusion : dict or None
        From `detectability_effects.conclude`; None leaves the rows as they are.

    Returns
    -------
    list of dict
        The same rows. Rows of sizes have ``detectability``, the words of the conclusion, and, unless it calls the
        dependence an effect, no ``p_adjusted``: they are not findings. Benjamini and Hochberg's family is then that of
        the other rows.
    """
    if conclusion is None:
        return rows
    is_size = [bool({_SIZE} & INGREDIENTS.get(row["descriptor"], frozenset())) for row in rows]
    if conclusion["code"] in {"effect", "hidden"}:
        return [
            {**row, "detectability": conclusion["words"] if s else None} for row, s in zip(rows, is_size, strict=True)
        ]
    tested = [None if s else row["odds_ratio_per_sd"]["p_value"] for row, s in zip(rows, is_size, strict=True)]
    adjusted = adjust_p_values(tested, method="benjamini_hochberg")
    return [
        {**row, "p_adjusted": p, "detectability": conclusion["words"] if s else None}
        for row, s, p in zip(rows, is_size, adjusted, strict=True)
    ]


def _effects(table: pd.DataFrame, descriptor: str, given: str, confidence: float) -> dict[str, Any]:
    """Return the effects of one descriptor."""
    table, reason = assessable_rows(table, sorted({descriptor, given}))
    x = numbers(table, descriptor)
    if reason is None and np.ptp(x) == 0:
        reason = f"all values of {descriptor} are equal"
    effects = ("odds_ratio_per_sd", "odds_ratio_per_sd_given", "difference_of_means", "auc", "cliffs_delta")
    row: dict[str, Any] = {
        "descriptor": descriptor,
        "given": given,
        "n": len(table),
        "n_fault": int(table["_fault"].sum()),
        "sd": None,
        "reason": reason,
    }
    if reason:
        return row | {name: no_estimate(reason, n=len(table)) for name in effects}
    fault, weights = table["_fault"].to_numpy(dtype=float), weight_column(table)
    codes, levels = micrograph_codes(table), sample_terms(table)
    sd = within_sd(x, weights, levels)
    z, other = (x - np.average(x, weights=weights)) / sd, numbers(table, given)
    alone = fit_logistic(np.column_stack([z, levels]), fault, weights, codes)
    row |= {"sd": sd, "odds_ratio_per_sd": odds_ratio(alone, confidence)}
    if descriptor == given or np.ptp(other) == 0:
        row["odds_ratio_per_sd_given"] = no_estimate(f"{given} is held constant", n=len(table))
    else:
        w = (other - np.average(other, weights=weights)) / within_sd(other, weights, levels)
        both = fit_logistic(np.column_stack([z, w, levels]), fault, weights, codes)
        row["odds_ratio_per_sd_given"] = odds_ratio(both, confidence)
    line = fit_linear(np.column_stack([fault, levels]), x, weights, codes)
    sizes: dict[str, Any] = {
        "n": len(table),
        "n_micrographs": line.n_micrographs,
        "df": line.df,
        "confidence": confidence,
    }
    row["difference_of_means"] = estimate_row(float(line.coefficients[0]), line.error(0), **sizes)
    return row | _auc(x, fault, weights, codes, levels, sizes)


def _auc(
    x: np.ndarray, fault: np.ndarray, weights: np.ndarray, codes: np.ndarray, levels: np.ndarray, sizes: dict[str, Any]
) -> dict[str, Any]:
    """Return AUC and Cliff's delta: the mean over samples, weighted by their numbers of pairs."""
    influences, aucs, shares = np.zeros(len(x)), np.zeros(levels.shape[1]), np.zeros(levels.shape[1])
    totals = levels.T @ weights
    for s, level in enumerate(levels.T):
        here, hit = level == 1, (level == 1) & (fault == 1)
        miss = here & ~hit
        fraction = weights[hit].sum() / totals[s]
        below, above = fractional_ranks(x[hit], x[miss], weights[miss]), fractional_ranks(x[miss], x[hit], weights[hit])
        aucs[s] = np.average(below, weights=weights[hit])
        shares[s] = totals[s] * fraction * (1 - fraction)
        scale = shares[s] / totals[s] * weights.sum()
        influences[hit] = (below - aucs[s]) / fraction * scale
        influences[miss] = (1 - above - aucs[s]) / (1 - fraction) * scale
    auc = float(np.average(aucs, weights=shares))
    influences /= shares.sum()
    error = float(clustered_standard_errors(influences, weights, codes)[0])
    if not 0 < auc < 1:
        reason = "no interval: the values separate faulted from not faulted particles completely"
        whole = no_estimate(reason, n=sizes["n"], n_micrographs=sizes["n_micrographs"])
        return {"auc": whole | {"estimate": auc}, "cliffs_delta": whole | {"estimate": 2 * auc - 1}}
    row = estimate_row(float(logit(auc)), error / (auc * (1 - auc)), scale="expit", **sizes)
    delta = {k: None if row[k] is None else 2 * row[k] - 1 for k in ("estimate", "low", "high")}
    return {"auc": row, "cliffs_delta": row | delta | {"standard_error": 2 * error if row["standard_error"] else None}}
