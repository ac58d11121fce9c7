"""What relations of faults to size and shape share: which particles can tell, and what a logistic fit says of them."""

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
"""Fewer faulted, or fewer not faulted, particles are not related to anything (P. Peduzzi et al., 1996)."""


def assessable_rows(table: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, str | None]:
    """Return the particles that can be related to their faults.

    Parameters
    ----------
    table : pandas.DataFrame
        Counted particles.
    columns : list of str
        Descriptors that must be there.

    Returns
    -------
    table : pandas.DataFrame
        Particles that are faulted or not, of positive weight, with all descriptors, of samples that have both kinds:
        a sample all faulted says nothing about what faults depend on.
    reason : str or None
        Why they are too few; None where they suffice.
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
    """Return the terms of a regression that let each sample have its own level.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `assessable_rows`.

    Returns
    -------
    numpy.ndarray of float
        Shape (rows, samples): 1 where the row is of the sample.
    """
    codes, samples = pd.factorize(table["_sample"])
    return np.asarray(codes[:, None] == np.arange(len(samples)), dtype=float)


def odds_ratio(fit: Fit, confidence: float) -> dict[str, Any]:
    """Return the odds ratio of a fit's first term.

    Parameters
    ----------
    fit : Fit
        Of `regression.fit_logistic`.
    confidence : float
        How often the interval holds the truth.

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
        Shape (rows, samples), of `sample_terms`.

    Returns
    -------
    float
        The weighted standard deviation about each sample's own mean.
    """
    means = (levels.T @ (weights * x)) / (levels.T @ weights)
    return float(np.sqrt(np.average((x - levels @ means) ** 2, weights=weights)))
