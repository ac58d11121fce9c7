"""Common parts of the models of faults: which particles are used, terms of the regression, and the odds ratio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.intervals import too_few_micrographs
from hrtem_dask.population.inference.clusters import estimate_row, no_estimate
from hrtem_dask.population.inference.regression import Fit
from hrtem_dask.population.particle_table import numbers, weight_column
from hrtem_dask.population.relations.defect_fraction import fault_states

__all__ = ["MIN_OUTCOMES", "assessable_rows", "odds_ratio", "sample_terms", "within_sd"]

MIN_OUTCOMES = 10
"""Smallest number of faulted, and of not faulted, particles of a model (P. Peduzzi et al., J. Clin. Epidemiol. 49
(1996) 1373)."""


def assessable_rows(table: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, str | None]:
    """Return the particles that a model of faults can use.

    Parameters
    ----------
    table : pandas.DataFrame
        Counted particles.
    columns : list of str
        Descriptors that a particle must have.

    Returns
    -------
    table : pandas.DataFrame
        Faulted and not faulted particles of positive weight with all descriptors, from samples that have both kinds.
        Others are not informative. ``_fault`` (0, 1) and ``_sample`` are additional columns.
    reason : str or None
        Why there are too few particles; None where there are enough.
    """
    fault = fault_states(table)
    kept = np.isfinite(fault) & (weight_column(table) > 0)
    for column in columns:
        kept &= np.isfinite(numbers(table, column))
    table = table[kept].assign(_fault=fault[kept], _sample=table["sample"].fillna("")[kept])
    kinds = table.groupby("_sample")["_fault"].transform("nunique")
    table = table[kinds == 2].reset_index(drop=True)
    n_fault = int(table["_fault"].sum())
    fewest = min(n_fault, len(table) - n_fault)
    if fewest < MIN_OUTCOMES:
        return table, (
            f"{n_fault} faulted and {len(table) - n_fault} not faulted particles with these values in samples that "
            f"have both: at least {MIN_OUTCOMES} of each are needed"
        )
    return table, too_few_micrographs(table["micrograph_id"].nunique())


def sample_terms(table: pd.DataFrame) -> np.ndarray:
    """Return the terms of a regression that give each sample its own intercept.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `assessable_rows`.

    Returns
    -------
    numpy.ndarray of float
        Shape (rows, samples): 1 where the row belongs to the sample, else 0.
    """
    codes, samples = pd.factorize(table["_sample"])
    return np.asarray(codes[:, None] == np.arange(len(samples)), dtype=float)


def odds_ratio(fit: Fit, confidence: float) -> dict[str, Any]:
    """Return the odds ratio of the first term of a fit.

    Parameters
    ----------
    fit : Fit
        Result of `regression.fit_logistic`.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        Keys of `clusters.estimate_row`; ``standard_error`` is that of the logarithm.
    """
    if fit.reason is not None:
        return no_estimate(fit.reason, n=fit.n, n_micrographs=fit.n_micrographs)
    return estimate_row(
        float(fit.coefficients[0]),
        fit.error(0),
        n=fit.n,
        n_micrographs=fit.n_micrographs,
        df=fit.df,
        scale="exp",
        confidence=confidence,
    )


def within_sd(x: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> float:
    """Return the standard deviation within samples.

    Parameters
    ----------
    x : numpy.ndarray of float
        Shape (rows,).
    weights : numpy.ndarray of float
        Shape (rows,), positive.
    levels : numpy.ndarray of float
        Shape (rows, samples), from `sample_terms`.

    Returns
    -------
    float
        Weighted standard deviation about the mean of each sample.
    """
    means = (levels.T @ (weights * x)) / (levels.T @ weights)
    return float(np.sqrt(np.average((x - levels @ means) ** 2, weights=weights)))
