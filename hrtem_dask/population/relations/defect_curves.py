"""Probability of a fault against size or shape: a logistic curve with its band, an isotonic curve, and fractions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from hrtem_dask.population.inference.clusters import no_estimate
from hrtem_dask.population.inference.fractions import clustered_fraction
from hrtem_dask.population.inference.regression import Fit, fit_logistic
from hrtem_dask.population.particle_table import LazyTable, counted_particles, micrograph_codes, numbers, weight_column
from hrtem_dask.population.relations.defect_fraction import fault_states
from hrtem_dask.population.relations.detectability import Detectability
from hrtem_dask.population.relations.detectability_effects import SIZE, conclude, corrected_bin, corrected_curve
from hrtem_dask.population.relations.fault_models import assessable_rows, odds_ratio, sample_terms, within_sd

__all__ = ["defect_curve"]


def defect_curve(
    particles: pd.DataFrame | LazyTable,
    descriptor: str = "equivalent_diameter_nm",
    *,
    n_points: int = 41,
    n_bins: int = 8,
    detectability: Detectability | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Relate the probability of a fault to one descriptor.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted, assessable particles are used (misoriented ones are
        unknown).
    descriptor : str
        A numeric column.
    n_points : int
        Points of the curve, from the 1st to the 99th percentile.
    n_bins : int
        Bins with equal numbers of particles.
    detectability : Detectability, optional
        How often particles of each size are found, assessable and seen as faulted; used for the equivalent diameter.
    confidence : float
        Probability, 0 to 1, that the interval at each single point contains the true value.

    Returns
    -------
    dict
        ``descriptor``, ``n``, ``n_fault``, ``n_micrographs``, ``reason``; ``odds_ratio_per_sd`` (keys of
        `clusters.estimate_row`; ``standard_error`` is that of the logarithm) with ``sd`` the descriptor's standard
        deviation (within samples); ``logistic`` with lists ``value``, ``fraction``, ``low``, ``high`` (pointwise band;
        of several samples: at their mean level); ``isotonic`` with lists ``value``, ``fraction`` and ``increasing``,
        to check the logistic shape by eye, without an interval; ``bins``, a list of
        `fractions.clustered_fraction` rows with ``from``, ``to``, ``n_unknown`` and ``bounds`` (the fraction of all
        counted particles of the bin if no and if every unknown one is faulted). None where a part does not exist.
        With `detectability`: ``detectability`` (what is drawn under the curve, see `Detectability.curves`),
        ``corrected`` (see `corrected_curve`), ``corrected`` in each bin, and ``conclusion`` (see `conclude`); else
        None.
    """
    counted = counted_particles(particles)
    table, reason = assessable_rows(counted, [descriptor])
    result: dict[str, Any] = {
        "descriptor": descriptor,
        "n": len(table),
        "n_fault": int(table["_fault"].sum()),
        "n_micrographs": int(table["micrograph_id"].nunique()),
        "odds_ratio_per_sd": no_estimate(reason or "", n=len(table)),
        "sd": None,
        "logistic": None,
        "isotonic": None,
        "bins": [],
        "detectability": None,
        "corrected": None,
        "conclusion": None,
        "reason": reason,
    }
    if table.empty:
        return result
    result = _curve(result, table, reason, n_points=n_points, n_bins=n_bins, confidence=confidence)
    known = counted[np.isfinite(numbers(counted, descriptor)) & (weight_column(counted) > 0)]
    size = numbers(known, descriptor)
    # the first and the last bin also hold smaller and larger particles that are all unknown
    edges = [-np.inf, *(b["to"] for b in result["bins"][:-1]), np.inf]
    bin_of = np.searchsorted(edges, size, side="right") - 1
    for i, row in enumerate(result["bins"]):
        row |= _bounds(known[bin_of == i])
        if detectability is not None and descriptor == SIZE:
            row["corrected"] = corrected_bin(known[bin_of == i], detectability, confidence=confidence)
    if detectability is None or descriptor != SIZE:
        return result
    start, stop = np.quantile(numbers(table, descriptor), [0.01, 0.99])
    grid = np.linspace(float(start), float(stop), n_points)
    corrected = corrected_curve(known, grid, detectability, confidence=confidence)
    return result | {
        "detectability": detectability.curves(grid, confidence=confidence),
        "corrected": corrected,
        "conclusion": conclude(result["odds_ratio_per_sd"], corrected, detectability, confidence=confidence),
    }


def _curve(
    result: dict[str, Any], table: pd.DataFrame, reason: str | None, *, n_points: int, n_bins: int, confidence: float
) -> dict[str, Any]:
    """Return the curves and bins of the assessable particles."""
    descriptor = result["descriptor"]
    x, y, weights = numbers(table, descriptor), table["_fault"].to_numpy(dtype=float), weight_column(table)
    codes, levels = micrograph_codes(table), sample_terms(table)
    result["bins"] = _bins(x, y, weights, codes, n_bins, confidence)
    if reason:
        return result
    middle, sd = float(np.average(x, weights=weights)), within_sd(x, weights, levels)
    if sd == 0:
        return result | {"reason": f"all values of {descriptor} are equal"}
    fit = fit_logistic(np.column_stack([(x - middle) / sd, levels]), y, weights, codes)
    start, stop = np.quantile(x, [0.01, 0.99])
    grid = np.linspace(float(start), float(stop), n_points)
    result |= {"sd": sd, "isotonic": _isotonic(x, y, weights, grid), "reason": fit.reason}
    result["odds_ratio_per_sd"] = odds_ratio(fit, confidence)
    if fit.reason is None:
        at = np.column_stack(
            [(grid - middle) / sd, np.tile(np.average(levels, axis=0, weights=weights), (n_points, 1))]
        )
        result["logistic"] = _band(fit, at, grid, confidence)
    return result


def _band(fit: Fit, at: np.ndarray, grid: np.ndarray, confidence: float) -> dict[str, Any]:
    """Return the curve with its pointwise band."""
    logit = at @ fit.coefficients
    errors = np.sqrt(np.einsum("pi,ij,pj->p", at, fit.covariance, at).clip(min=0))
    half = scipy.stats.t.ppf((1 + confidence) / 2, fit.df) * errors
    return {
        "value": grid.tolist(),
        "fraction": expit(logit).tolist(),
        "low": expit(logit - half).tolist(),
        "high": expit(logit + half).tolist(),
    }


def _bounds(rows: pd.DataFrame) -> dict[str, Any]:
    """Return how many particles of a bin are unknown, and the fraction if none or all of them are faulted."""
    fault, weights = fault_states(rows), weight_column(rows)
    if not len(rows):
        return {"n_unknown": 0, "bounds": {"low": None, "high": None}}
    low, high = (float(np.average(hits, weights=weights)) for hits in (fault == 1, fault != 0))
    return {"n_unknown": int(np.isnan(fault).sum()), "bounds": {"low": low, "high": high}}


def _isotonic(x: np.ndarray, y: np.ndarray, weights: np.ndarray, grid: np.ndarray) -> dict[str, Any]:
    """Return the best monotonic curve, rising or falling, whichever fits better."""

    def fit(increasing: bool) -> tuple[float, IsotonicRegression]:
        model = IsotonicRegression(increasing=increasing, out_of_bounds="clip", y_min=0, y_max=1)
        model.fit(x, y, sample_weight=weights)
        return float((weights * (y - model.predict(x)) ** 2).sum()), model

    rising, falling = fit(True), fit(False)
    increasing = rising[0] <= falling[0]
    model = (rising if increasing else falling)[1]
    return {"value": grid.tolist(), "fraction": model.predict(grid).tolist(), "increasing": increasing}


def _bins(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray, n_bins: int, confidence: float
) -> list[dict[str, Any]]:
    """Return the defect fraction in bins with equal numbers of particles."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, n_bins + 1)))
    if len(edges) < 2:
        return []
    bin_of = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    return [
        {"from": float(edges[i]), "to": float(edges[i + 1])}
        | clustered_fraction(y[bin_of == i] == 1, weights[bin_of == i], codes[bin_of == i], confidence=confidence)
        for i in range(len(edges) - 1)
    ]
