"""Distributions of shape descriptors, and shape classes by a documented rule.

A mean of shape descriptors need not describe any particle (ISO 9276-6), so that quantiles and histograms are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.inference.fractions import FRACTION_METHOD, clustered_fraction
from hrtem_dask.population.inference.quantiles import weighted_quantiles
from hrtem_dask.population.particle_table import LazyTable, counted_particles, micrograph_codes, numbers, weight_column

__all__ = ["SHAPE_CLASSES", "SHAPE_DESCRIPTORS", "ShapeRule", "classify_shapes", "shape_classes", "shape_distributions"]

SHAPE_DESCRIPTORS = ("aspect_ratio", "circularity", "roundness", "compactness", "solidity", "convexity", "eccentricity")
SHAPE_CLASSES = ("near_spherical", "faceted", "elongated", "rod_like", "irregular", "too_few_pixels", "not_measured")
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_UNIT_EDGES = np.linspace(0, 1, 51)
_ASPECT_EDGES = np.linspace(1, 5, 81)


@dataclass(frozen=True, kw_only=True)
class ShapeRule:
    """Limits between the shape classes, which are applied in this order."""

    min_area_px: int = 200
    """Particles with a smaller area (px) are too_few_pixels: the outline of such a disk may appear faceted."""
    min_solidity: float = 0.9
    """Particles of lower solidity are irregular: dents, branches, intergrown particles. Filters for agglomerates
    commonly use 0.9 to 0.95."""
    rod_aspect_ratio: float = 3.0
    """Particles are rod_like from this aspect ratio, "typically more than three times" (ISO/TS 80004-2)."""
    elongated_aspect_ratio: float = 1.5
    """Particles are elongated from this aspect ratio; a square has √2, a regular hexagon 1.15."""
    min_circularity: float = 0.93
    """Particles are round from this circularity, between a regular hexagon (0.907) and octagon (0.948), and faceted
    below."""
    round_aspect_ratio: float = 1.2
    """Round particles are near_spherical below this aspect ratio, and elongated from it."""


def classify_shapes(table: pd.DataFrame, *, rule: ShapeRule = ShapeRule()) -> pd.Series:
    """Classify the shape of each particle.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `tables.PARTICLES`, counted or not.
    rule : ShapeRule
        Limits between the classes.

    Returns
    -------
    pandas.Series of str
        One of `SHAPE_CLASSES` for each row, by the projected outline; the third dimension is not known.

    Examples
    --------
    >>> table = pd.DataFrame({"area_px": [900, 900], "aspect_ratio": [1.05, 3.5], "circularity": [0.97, 0.6]})
    >>> classify_shapes(table.assign(solidity=0.98)).tolist()
    ['near_spherical', 'rod_like']
    """
    area, aspect, circularity, solidity = (
        numbers(table, name) for name in ("area_px", "aspect_ratio", "circularity", "solidity")
    )
    measured = np.isfinite(area) & np.isfinite(aspect) & np.isfinite(circularity) & np.isfinite(solidity)
    is_round = circularity >= rule.min_circularity
    names = np.select(
        [
            area < rule.min_area_px,
            ~measured,
            solidity < rule.min_solidity,
            aspect >= rule.rod_aspect_ratio,
            aspect >= rule.elongated_aspect_ratio,
            ~is_round,
            aspect >= rule.round_aspect_ratio,
        ],
        ["too_few_pixels", "not_measured", "irregular", "rod_like", "elongated", "faceted", "elongated"],
        default="near_spherical",
    )
    return pd.Series(names, index=table.index, name="shape_class", dtype="str")


def shape_classes(particles: pd.DataFrame | LazyTable, *, rule: ShapeRule = ShapeRule()) -> dict[str, Any]:
    """Count the shape classes.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted particles are used.
    rule : ShapeRule
        Limits between the classes.

    Returns
    -------
    dict
        ``n_counted``; ``classes``: class → ``count`` and, among the classified particles, ``fraction`` (as
        `fractions.clustered_fraction`; None for too_few_pixels and not_measured); ``rule`` and ``method``.
    """
    table = counted_particles(particles)
    names = classify_shapes(table, rule=rule).to_numpy(dtype=object)
    weights, codes = weight_column(table), micrograph_codes(table)
    classified = ~np.isin(names, ["too_few_pixels", "not_measured"])
    classes: dict[str, Any] = {}
    for name in SHAPE_CLASSES:
        fraction = None
        if name not in {"too_few_pixels", "not_measured"}:
            fraction = clustered_fraction(names[classified] == name, weights[classified], codes[classified])
        classes[name] = {"count": int((names == name).sum()), "fraction": fraction}
    return {"n_counted": len(table), "classes": classes, "rule": asdict(rule), "method": FRACTION_METHOD}


def shape_distributions(
    particles: pd.DataFrame | LazyTable, *, descriptors: Sequence[str] = SHAPE_DESCRIPTORS
) -> dict[str, dict[str, Any]]:
    """Return the distribution of each shape descriptor.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted particles are used.
    descriptors : sequence of str
        Names of columns of ratios, all of which except the aspect ratio are in 0 to 1.

    Returns
    -------
    dict
        Descriptor → ``n``, ``n_missing``, ``quantiles`` (``"0.05"`` … ``"0.95"``), ``histogram`` with ``edges`` (the
        same for every sample), ``weights`` (sum of the weights per bin, the number of particles by default),
        ``below`` and ``above`` (weight outside of the edges: circularity may exceed 1 due to the error of a perimeter
        on pixels), and ``reason``.
    """
    table = counted_particles(particles)
    return {name: _distribution(table, name) for name in descriptors}


def _distribution(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return quantiles and histogram of one descriptor."""
    values, weights = numbers(table, name), weight_column(table)
    known = np.isfinite(values) & (weights > 0)
    edges = _ASPECT_EDGES if name == "aspect_ratio" else _UNIT_EDGES
    row: dict[str, Any] = {"n": int(known.sum()), "n_missing": len(table) - int(known.sum())}
    if not known.any():
        return row | {"quantiles": None, "histogram": None, "reason": f"no counted particle has {name}"}
    values, weights = values[known], weights[known]
    quantiles = weighted_quantiles(values, weights, QUANTILES)
    return row | {
        "quantiles": {f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
        "histogram": {
            "edges": edges.tolist(),
            "weights": np.histogram(values, edges, weights=weights)[0].tolist(),
            "below": float(weights[values < edges[0]].sum()),
            "above": float(weights[values > edges[-1]].sum()),
        },
        "reason": None,
    }
