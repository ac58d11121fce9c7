"""Nested analysis of variance: how much of the variance of a size lies between samples, sessions and micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.particle_table import counted_particles, numbers

__all__ = ["nested_components", "nested_variance"]

LEVELS = ("sample", "session", "micrograph", "segmentation")
"""Levels from the outermost one; those without two values are left out. ``session`` and ``segmentation`` are covariates
of the metadata file: when or where micrographs were taken, and which of several segmentations of one field a row is."""


def nested_components(values: np.ndarray, levels: Sequence[np.ndarray]) -> list[float]:
    """Split the variance of nested groups of unequal numbers.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,).
    levels : sequence of numpy.ndarray of int
        Shape (n,) each, outermost first: the group of each value, nested in that of the level before.

    Returns
    -------
    list of float
        Variance between the groups of each level, and of the values within the innermost one; negative estimates are 0.
        Sums of squares are set equal to their expectations (S. R. Searle et al., Variance Components, 1992, section
        5.3: Henderson's method I). NaN where a level has no degree of freedom.

    Examples
    --------
    >>> groups = np.array([0, 0, 1, 1])
    >>> np.round(nested_components(np.array([4.0, 5.0, 7.0, 8.0]), [groups]), 2).tolist()
    [4.25, 0.5]
    """
    n = len(values)
    codes = [np.zeros(n, dtype=np.int64), *(np.unique(c, return_inverse=True)[1] for c in levels), np.arange(n)]
    counts = [np.bincount(c) for c in codes]
    between = [float((np.bincount(c, values) ** 2 / m).sum()) for c, m in zip(codes, counts, strict=True)]
    k = len(codes) - 1
    squares = np.diff(between)
    coefficients = np.zeros((k, k))
    for i in range(1, k + 1):
        for j in range(1, k + 1):
            coefficients[i - 1, j - 1] = _share(codes, counts, i, j) - _share(codes, counts, i - 1, j)
    if (np.diff([len(m) for m in counts]) <= 0).any():
        return [np.nan] * k
    found = np.zeros(k)
    for i in range(k - 1, -1, -1):  # the matrix is upper triangular
        found[i] = (squares[i] - coefficients[i, i + 1 :] @ found[i + 1 :]) / coefficients[i, i]
        found[i] = max(found[i], 0.0)
    return [float(v) for v in found]


def _share(codes: list[np.ndarray], counts: list[np.ndarray], outer: int, inner: int) -> float:
    """Return Σ over groups g of a level of Σ n_h² / n_g, h the groups of an inner level in g; n of the same level."""
    if outer >= inner:
        return float(len(codes[0]))
    _, first = np.unique(codes[inner], return_index=True)
    owner = codes[outer][first]
    return float((np.bincount(owner, counts[inner].astype(float) ** 2) / counts[outer]).sum())


def nested_variance(
    particles: pd.DataFrame, micrographs: pd.DataFrame, *, size: str = "equivalent_diameter_nm"
) -> dict[str, Any]:
    """Split the variance of a size into that between samples, sessions, micrographs and segmentations.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`; only counted particles are used, without edge weights.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`, with the covariates ``session`` and ``segmentation`` if they are known. Without
        ``session``, it is the day in ``acquired_at``.
    size : str
        Column of the size (nm).

    Returns
    -------
    dict
        ``size``, ``components`` (a list of ``level``, ``n_groups``, ``sd_nm``, ``share`` of the variance; the last
        one is ``particle``) and ``reason``.
    """
    table = counted_particles(particles)
    table = table[numbers(table, size) > 0].reset_index(drop=True)
    result: dict[str, Any] = {"size": size, "components": [], "reason": None}
    by_id = micrographs.drop_duplicates("micrograph_id").set_index("micrograph_id")
    rows = by_id.reindex(table["micrograph_id"]).reset_index()
    columns = {"sample": table["sample"], "micrograph": table["micrograph_id"]}
    if "session" in rows:
        columns["session"] = rows["session"]
    elif "acquired_at" in rows:
        columns["session"] = (
            rows["acquired_at"].astype(object).where(rows["acquired_at"].notna(), "").astype(str).str[:10]
        )
    if "segmentation" in rows:  # the same field, segmented several times, is one micrograph
        columns["segmentation"] = rows["segmentation"]
        if "field" in rows:
            columns["micrograph"] = rows["field"]
    kept: list[str] = []
    codes: list[np.ndarray] = []
    key = np.zeros(len(table), dtype=np.int64)
    for level in LEVELS:
        if level not in columns:
            continue
        values = columns[level].astype(object).where(columns[level].notna(), "").astype(str).to_numpy()
        inner = np.asarray(pd.factorize(pd.Series(zip(key, values, strict=True)))[0])
        if len(np.unique(inner)) > max(len(np.unique(key)), 1):
            kept, codes, key = [*kept, level], [*codes, inner], inner
    if not codes or len(table) <= len(np.unique(key)):
        return result | {"reason": "needs two micrographs, one of them with two counted particles"}
    variances = nested_components(numbers(table, size), codes)
    total = float(np.sum(variances))
    groups = [len(np.unique(c)) for c in codes] + [len(table)]
    result["components"] = [
        {"level": level, "n_groups": n, "sd_nm": float(np.sqrt(v)), "share": v / total if total > 0 else 0.0}
        for level, n, v in zip([*kept, "particle"], groups, variances, strict=True)
    ]
    return result
