"""Correlations of all pairs of descriptors, with intervals and tests clustered by micrograph."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.inference.clusters import estimate_row, no_estimate
from hrtem_dask.population.inference.jackknife_correlations import jackknife_pearson, jackknife_spearman
from hrtem_dask.population.inference.multiple_testing import adjust_p_values
from hrtem_dask.population.particle_table import (
    LazyTable,
    counted_particles,
    micrograph_codes,
    numbers,
    weight_column,
)
from hrtem_dask.population.relations.defect_fraction import fault_states
from hrtem_dask.population.relations.ingredients import shared_ingredients
from hrtem_dask.population.relations.pixel_effects import pixel_warning

__all__ = ["DESCRIPTORS", "correlations"]

DESCRIPTORS = (
    "equivalent_diameter_nm",
    "feret_min_nm",
    "feret_max_nm",
    "aspect_ratio",
    "circularity",
    "roundness",
    "compactness",
    "solidity",
    "convexity",
    "eccentricity",
    "extent",
    "contrast",
    "spacing_1_nm",
    "faulted",
)
"""Default descriptors; ``faulted`` is 1 for fault, 0 for no fault, and missing where unknown."""

_MIN_PARTICLES = 10
_TOLERANCE = 1e-12


def correlations(
    particles: pd.DataFrame | LazyTable, *, descriptors: Sequence[str] = DESCRIPTORS, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Correlate every pair of descriptors.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted particles with both values are used. Correlations are computed
        within each sample and averaged, weighted by particles, since differences between samples would otherwise appear
        as correlations.
    descriptors : sequence of str
        Names of numeric columns; missing columns, and columns of nulls, are left out.
    confidence : float
        Probability, 0 to 1, that each single interval contains the true value.

    Returns
    -------
    list of dict
        One per pair and coefficient (``pearson``, ``spearman``): ``first``, ``second``, ``coefficient``, the keys
        of `clusters.estimate_row`, ``shared_ingredients`` (see `ingredients.shared_ingredients`; a correlation of
        such pairs is expected), ``pixel_warning`` (see `pixel_effects.pixel_warning`) and ``p_adjusted``:
        Benjamini–Hochberg over the pairs without shared ingredients and both coefficients; None for the others, which
        are not tested for a discovery.
        Intervals and tests are the delete-one-micrograph jackknife's on Fisher's z, with Student's t of as many
        degrees of freedom as micrographs less samples.
    """
    table = counted_particles(particles)
    values = {name: fault_states(table) if name == "faulted" else numbers(table, name) for name in descriptors}
    present = [name for name, column in values.items() if np.isfinite(column).any()]
    weights, codes = weight_column(table), micrograph_codes(table)
    samples = np.asarray(pd.factorize(table["sample"].fillna(""))[0])
    diameters = numbers(table, "equivalent_diameter_px")
    rows = []
    for first, second in itertools.combinations(present, 2):
        known = np.isfinite(values[first]) & np.isfinite(values[second]) & (weights > 0)
        x, y = values[first][known], values[second][known]
        for coefficient in ("pearson", "spearman"):
            row = _correlation_row(x, y, weights[known], codes[known], samples[known], coefficient, confidence)
            names = {"first": first, "second": second, "coefficient": coefficient}
            warning = pixel_warning(first, second, x, y, diameters[known])
            rows.append(
                {**names, **row, "shared_ingredients": shared_ingredients(first, second), "pixel_warning": warning}
            )
    # certain correlations in the family would let others pass: the limit of each rises with the number of rejections
    family = [None if row["shared_ingredients"] else row["p_value"] for row in rows]
    adjusted = adjust_p_values(family, method="benjamini_hochberg")
    return [{**row, "p_adjusted": p} for row, p in zip(rows, adjusted, strict=True)]


def _correlation_row(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    samples: np.ndarray,
    coefficient: str,
    confidence: float,
) -> dict[str, Any]:
    """Return the row of one pair: the mean correlation of the samples, with the jackknife over micrographs."""
    leave_out = jackknife_pearson if coefficient == "pearson" else jackknife_spearman
    parts = []
    for sample in np.unique(samples):
        here = samples == sample
        several = len(np.unique(codes[here])) > 1
        if several and here.sum() >= _MIN_PARTICLES and np.ptp(x[here]) > 0 and np.ptp(y[here]) > 0:
            left_out = leave_out(x[here], y[here], weights[here], codes[here])
            parts.append((weights[here].sum(), int(here.sum()), left_out))
    if not parts:
        return no_estimate(
            f"no sample has two micrographs and {_MIN_PARTICLES} particles with both values, not all equal", n=len(x)
        )
    shares = np.array([total for total, _, _ in parts])
    shares /= shares.sum()
    r = float(np.clip(sum(share * left[0] for share, (_, _, left) in zip(shares, parts, strict=True)), -1, 1))
    counts = {"n": sum(n for _, n, _ in parts), "n_micrographs": sum(len(left) - 1 for _, _, left in parts)}
    if abs(r) > 1 - _TOLERANCE:
        return no_estimate("the two descriptors are perfectly correlated", **counts) | {"estimate": r}
    squares = 0.0
    for share, (_, _, left) in zip(shares, parts, strict=True):
        changed = np.clip(r + share * (left[1:] - left[0]), -1 + _TOLERANCE, 1 - _TOLERANCE)
        squares += (len(left) - 2) / (len(left) - 1) * ((np.arctanh(changed) - np.arctanh(r)) ** 2).sum()
    df = counts["n_micrographs"] - len(parts)
    return estimate_row(
        float(np.arctanh(r)), float(np.sqrt(squares)), **counts, df=df, scale="tanh", confidence=confidence
    )
