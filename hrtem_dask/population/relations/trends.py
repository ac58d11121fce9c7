"""Trends of size, shape and defects against a number that belongs to the micrograph: time, temperature, dose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.inference.clusters import estimate_row, no_estimate
from hrtem_dask.population.inference.multiple_testing import adjust_p_values
from hrtem_dask.population.inference.regression import fit_linear
from hrtem_dask.population.particle_table import LazyTable, counted_particles, micrograph_codes, numbers, weight_column
from hrtem_dask.population.relations.defect_fraction import fault_states

__all__ = ["covariate_trends"]

_BY_SAMPLE = (
    "the covariate is constant within each sample: the interval states how well these samples are known, not how much "
    "another synthesis would differ; see between_samples for the latter"
)


def covariate_trends(
    particles: pd.DataFrame | LazyTable,
    covariates: Sequence[str],
    *,
    outcomes: Sequence[str] = ("equivalent_diameter_nm", "aspect_ratio", "defect_fraction"),
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Fit a straight line of each outcome against each covariate.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES` with the covariates as further columns; only counted particles are used.
    covariates : sequence of str
        Numeric columns that are equal for all particles of a micrograph.
    outcomes : sequence of str
        Numeric columns, or ``defect_fraction`` (of assessable particles).
    confidence : float
        Probability, 0 to 1, that each single interval contains the true value.

    Returns
    -------
    list of dict
        One per covariate and outcome: ``covariate``, ``outcome``, keys of `clusters.estimate_row` (``estimate`` is the
        change of the outcome's mean per unit of the covariate, clustered by micrograph), ``p_adjusted`` (Holm over
        the list), ``n_values`` (different values of the covariate), ``between_samples`` (the same slope clustered by
        sample, where the covariate is constant within each) and ``note``. Student's t has as many degrees of freedom as
        micrographs less 2, or fewer where few of them determine the slope: (Σγ)² / Σγ², γ the squared leverage of a
        micrograph (C. Bell, R. McCaffrey, Survey Methodology 28 (2002) 169, for errors that a micrograph shares).
    """
    table = counted_particles(particles)
    table = table.assign(_sample=table["sample"].fillna("").astype(str))
    rows = [
        {"covariate": covariate, "outcome": outcome} | _trend(table, covariate, outcome, confidence)
        for covariate in covariates
        for outcome in outcomes
    ]
    adjusted = adjust_p_values([row["p_value"] for row in rows], method="holm")
    return [{**row, "p_adjusted": p} for row, p in zip(rows, adjusted, strict=True)]


def _trend(table: pd.DataFrame, covariate: str, outcome: str, confidence: float) -> dict[str, Any]:
    """Return the slope of one outcome against one covariate."""
    x = numbers(table, covariate)
    y = fault_states(table) if outcome == "defect_fraction" else numbers(table, outcome)
    weights = weight_column(table)
    kept = np.isfinite(x) & np.isfinite(y) & (weights > 0)
    x, y, weights, table = x[kept], y[kept], weights[kept], table[kept]
    n_values = len(np.unique(x))
    more: dict[str, Any] = {"n_values": n_values, "between_samples": None, "note": None}
    if n_values < 2:
        return no_estimate(f"{covariate} has fewer than two values among these particles", n=len(x)) | more
    codes = micrograph_codes(table)
    if pd.Series(x).groupby(codes).nunique().max() > 1:
        return no_estimate(f"{covariate} differs within a micrograph: it must belong to it", n=len(x)) | more
    row = _slope(x, y, weights, codes, confidence) | more
    samples = pd.factorize(table["_sample"])[0]
    if pd.Series(x).groupby(samples).nunique().max() == 1:
        between = _slope(x, y, weights, np.asarray(samples), confidence)
        if between["reason"]:
            between["reason"] = between["reason"].replace("micrographs", "samples")
        between["n_samples"] = between.pop("n_micrographs")
        row |= {"between_samples": between, "note": _BY_SAMPLE}
    return row


def _slope(x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray, confidence: float) -> dict[str, Any]:
    """Return the slope with its standard error clustered by `codes`."""
    middle, sd = np.average(x, weights=weights), np.std(x)
    fit = fit_linear(np.column_stack([(x - middle) / sd, np.ones(len(x))]), y, weights, codes)
    # where few extreme micrographs determine the slope, their squared leverages limit the degrees of freedom
    leverages = np.bincount(codes, weights * (x - middle)) ** 2
    df = min(float(fit.df), float(leverages.sum() ** 2 / (leverages**2).sum()))
    return estimate_row(
        float(fit.coefficients[0] / sd),
        fit.error(0) / sd,
        n=fit.n,
        n_micrographs=fit.n_micrographs,
        df=df,
        confidence=confidence,
    )
