"""Correlations of all pairs of descriptors, with intervals and tests that know of micrographs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.clusters import (
    counted_particles,
    estimate_row,
    influence_errors,
    micrograph_codes,
    no_estimate,
    numbers,
    particle_weights,
)
from hrtem_dask.population.defects import fault_states
from hrtem_dask.population.grades import grades_within, mean_above
from hrtem_dask.population.multiple_testing import adjust_p_values

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
"""What is correlated by default; ``faulted`` is 1 for fault, 0 for no fault, and missing where unknown."""

_ALIKE = (
    {"equivalent_diameter_nm", "feret_min_nm", "feret_max_nm", "area_nm2", "perimeter_nm"},
    {"aspect_ratio", "roundness", "compactness", "eccentricity", "circularity", "extent"},
    {"solidity", "convexity", "circularity", "extent"},
)
_MIN_PARTICLES = 10


def correlations(
    particles: Any, *, descriptors: Sequence[str] = DESCRIPTORS, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Correlate every pair of descriptors.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; counted ones are used, and of these the ones that have both values. Of several
        samples, each is correlated for itself and the mean over particles taken: samples that differ in two
        things would else make these seem related.
    descriptors : sequence of str
        Columns; those that are missing or null throughout are left out.
    confidence : float
        How often each interval, for itself, holds the truth.

    Returns
    -------
    list of dict
        One per pair and coefficient (``pearson``, ``spearman``): ``first``, ``second``, ``coefficient``, the keys
        of `clusters.estimate_row`, ``p_adjusted`` (Benjamini–Hochberg over the whole list) and ``same_ingredients``
        (true where the two descriptors are made of the same lengths, so that a correlation is no discovery).
        Intervals are made on Fisher's z; standard errors are the jackknife's over micrographs, see `clusters`; p-values
        are those of Student's t with one degree of freedom less than micrographs.
    """
    table = counted_particles(particles)
    values = {name: fault_states(table) if name == "faulted" else numbers(table, name) for name in descriptors}
    present = [name for name, column in values.items() if np.isfinite(column).any()]
    weights, codes = particle_weights(table), micrograph_codes(table)
    samples = np.asarray(pd.factorize(table["sample"].fillna(""))[0])
    rows = []
    for first, second in itertools.combinations(present, 2):
        known = np.isfinite(values[first]) & np.isfinite(values[second]) & (weights > 0)
        x, y = values[first][known], values[second][known]
        for coefficient in ("pearson", "spearman"):
            row = _one(x, y, weights[known], codes[known], samples[known], coefficient, confidence)
            alike = any({first, second} <= group for group in _ALIKE)
            names = {"first": first, "second": second, "coefficient": coefficient}
            rows.append({**names, **row, "same_ingredients": alike})
    adjusted = adjust_p_values([row["p_value"] for row in rows], method="benjamini_hochberg")
    return [{**row, "p_adjusted": p} for row, p in zip(rows, adjusted, strict=True)]


def _one(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    samples: np.ndarray,
    coefficient: str,
    confidence: float,
) -> dict[str, Any]:
    """Return the row of one pair, averaged over samples."""
    influences = np.zeros(len(x))
    used = np.zeros(len(x), dtype=bool)
    total = 0.0
    for sample in np.unique(samples):
        here = samples == sample
        if here.sum() < _MIN_PARTICLES or np.ptp(x[here]) == 0 or np.ptp(y[here]) == 0:
            continue
        correlate = _pearson if coefficient == "pearson" else _spearman
        r, influences[here] = correlate(x[here], y[here], weights[here])
        total += r * weights[here].sum()
        used |= here
    n, n_micrographs = int(used.sum()), len(np.unique(codes[used]))
    if not used.any():
        return no_estimate(f"fewer than {_MIN_PARTICLES} particles have both values, or these are all equal", n=len(x))
    r = float(np.clip(total / weights[used].sum(), -1, 1))
    if abs(r) > 1 - 1e-12:
        return no_estimate("the two are the same", n=n, n_micrographs=n_micrographs) | {"estimate": r}
    error, _ = influence_errors(influences[used], weights[used], codes[used])
    df = n_micrographs - len(np.unique(samples[used]))
    return estimate_row(
        np.arctanh(r),
        float(error) / (1 - r**2),
        n=n,
        n_micrographs=n_micrographs,
        df=df,
        scale="tanh",
        confidence=confidence,
    )


def _pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return Pearson's r and each particle's influence, z_x z_y − r (z_x² + z_y²) / 2 (S. Devlin et al., 1975)."""
    zx, zy = _standardised(x, weights), _standardised(y, weights)
    r = float(np.average(zx * zy, weights=weights))
    return r, zx * zy - r * (zx**2 + zy**2) / 2


def _standardised(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return x with weighted mean 0 and variance 1."""
    centred = x - np.average(x, weights=weights)
    return np.asarray(centred / np.sqrt(np.average(centred**2, weights=weights)))


def _spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return Spearman's ρ and each particle's influence.

    A particle moves ρ by its own two grades and by the grades of all the others, which it shifts (C. Croux, C. Dehon,
    Stat. Methods Appl. 19 (2010) 497); weighted grades, ties at the middle.
    """
    u, v = grades_within(x, x, weights), grades_within(y, y, weights)
    cu, cv = u - 0.5, v - 0.5
    suu, svv, suv = (float(np.average(a * b, weights=weights)) for a, b in ((cu, cu), (cv, cv), (cu, cv)))
    r = suv / np.sqrt(suu * svv)

    def influence(product: np.ndarray, *shifted: np.ndarray) -> np.ndarray:
        total = sum(shifted, product)
        return np.asarray(total - np.average(total, weights=weights))

    i_uv = influence(cu * cv, mean_above(x, cv, weights), mean_above(y, cu, weights))
    i_uu = influence(cu * cu, mean_above(x, 2 * cu, weights))
    i_vv = influence(cv * cv, mean_above(y, 2 * cv, weights))
    return r, i_uv / np.sqrt(suu * svv) - r / 2 * (i_uu / suu + i_vv / svv)
