"""Association of two descriptors within micrographs and between them, which need not be the same."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.intervals import MIN_MICROGRAPHS
from hrtem_dask.population.inference.clusters import estimate_row, no_estimate
from hrtem_dask.population.inference.jackknife_correlations import jackknife_pearson
from hrtem_dask.population.particle_table import counted_particles, numbers, weight_column

__all__ = ["associations"]

DESCRIPTORS = ("equivalent_diameter_nm", "aspect_ratio", "circularity", "solidity", "contrast", "faulted")
_LIMIT = 1 - 1e-12


def associations(
    particles: pd.DataFrame, *, descriptors: Sequence[str] = DESCRIPTORS, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Correlate descriptors within micrographs, and the means of micrographs with each other.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`, optionally with ``weight``; only counted particles are used.
    descriptors : sequence of str
        Names of numeric columns, or ``faulted``.
    confidence : float
        Probability, 0 to 1, that each single interval contains the true value.

    Returns
    -------
    list of dict
        One per pair: ``first``, ``second``, ``within`` (Pearson's correlation of deviations from the micrograph's
        mean, clustered by micrograph) and ``between`` (that of the means of micrographs less those of their sample, by
        Fisher's z), each with the keys of `clusters.estimate_row`. One between micrographs alone may come from
        their focus, dose or thickness; one within micrographs cannot.
    """
    table = counted_particles(particles)
    if "fault_state" in table:
        states = table["fault_state"].astype(object)
        table = table.assign(faulted=np.where(states == "fault", 1.0, np.where(states == "no_fault", 0.0, np.nan)))
    present = [name for name in descriptors if np.isfinite(numbers(table, name)).any()]
    rows = []
    for first, second in itertools.combinations(present, 2):
        x, y, weights = numbers(table, first), numbers(table, second), weight_column(table)
        kept = np.isfinite(x) & np.isfinite(y) & (weights > 0)
        codes = np.asarray(pd.factorize(table.loc[kept, "micrograph_id"])[0])
        samples = np.asarray(pd.factorize(table.loc[kept, "sample"].fillna("").astype(str))[0])
        found = _pair(x[kept], y[kept], weights[kept], codes, samples, confidence)
        rows.append({"first": first, "second": second, **found})
    return rows


def _pair(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray, samples: np.ndarray, confidence: float
) -> dict[str, Any]:
    """Return both associations of one pair."""
    n = int(codes.max(initial=-1)) + 1
    reason = f"{n} micrographs with both values: at least {MIN_MICROGRAPHS} are needed"
    if n < MIN_MICROGRAPHS:
        return {name: no_estimate(reason, n=len(x), n_micrographs=n) for name in ("within", "between")}
    total = np.bincount(codes, weights)
    means = [np.bincount(codes, weights * v) / total for v in (x, y)]
    inner = [v - m[codes] for v, m in zip((x, y), means, strict=True)]
    first = np.unique(codes, return_index=True)[1]
    sample = samples[first]
    outer = [m - (np.bincount(sample, m) / np.bincount(sample))[sample] for m in means]
    df = n - len(np.unique(sample)) - 1
    return {
        "within": _within(inner[0], inner[1], weights, codes, n, confidence),
        "between": _between(outer[0], outer[1], df, len(x), n, confidence),
    }


def _within(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray, n: int, confidence: float
) -> dict[str, Any]:
    """Return the correlation of deviations from the means of micrographs."""
    if min(x.std(), y.std()) < 1e-12:
        return no_estimate("one of the two does not vary within micrographs", n=len(x), n_micrographs=n)
    found = np.clip(jackknife_pearson(x, y, weights, codes), -_LIMIT, _LIMIT)
    z = np.arctanh(found)
    error = float(np.sqrt((n - 1) / n * ((z[1:] - z[0]) ** 2).sum()))
    return estimate_row(float(z[0]), error, n=len(x), n_micrographs=n, scale="tanh", confidence=confidence)


def _between(x: np.ndarray, y: np.ndarray, df: int, particles: int, n: int, confidence: float) -> dict[str, Any]:
    """Return the correlation of the means of micrographs."""
    if df < 2 or min(x.std(), y.std()) < 1e-12:
        return no_estimate("the means of micrographs do not vary, or are too few", n=particles, n_micrographs=n)
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -_LIMIT, _LIMIT))
    error = 1 / float(np.sqrt(max(df - 1, 1)))
    counts = {"n": particles, "n_micrographs": n}
    return estimate_row(float(np.arctanh(r)), error, **counts, df=df, scale="tanh", confidence=confidence)
