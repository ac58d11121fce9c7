"""Uncertainty budgets of the medians of shape descriptors: sampling, and outlines that lie further in or out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.budgets.combined import budget
from hrtem_dask.population.inference.averages import median
from hrtem_dask.population.inference.quantiles import weighted_quantiles
from hrtem_dask.population.particle_table import counted_particles, micrograph_codes, numbers, weight_column

__all__ = ["moved_outlines", "shape_budgets"]

DESCRIPTORS = ("aspect_ratio", "circularity", "roundness", "compactness", "solidity", "convexity", "extent")
ASSUMED_EDGE_PX = 0.5
"""Half range (px) of the position of outlines where it was not measured."""


def moved_outlines(table: pd.DataFrame, shift_px: np.ndarray | float) -> pd.DataFrame:
    """Return the shape descriptors that particles would have if their outlines lay further out.

    Parameters
    ----------
    table : pandas.DataFrame
        Particles, with area, perimeters, Feret diameters (px) and solidity.
    shift_px : float or numpy.ndarray of float
        Distance by which outlines are moved outwards (px); negative for inwards.

    Returns
    -------
    pandas.DataFrame
        A column per descriptor in `DESCRIPTORS`, by Steiner's formulas for a convex body whose outline is moved by s:
        area A + P s + π s², perimeter P + 2 π s, Feret diameters F + 2 s.

    Examples
    --------
    >>> disk = pd.DataFrame({"area_px": [np.pi * 100], "perimeter_px": 20 * np.pi, "convex_perimeter_px": 20 * np.pi})
    >>> disk = disk.assign(feret_max_px=20.0, feret_min_px=20.0, solidity=1.0)
    >>> moved_outlines(disk, 1.0)[["circularity", "roundness"]].round(6).to_numpy().tolist()
    [[1.0, 1.0]]
    """
    names = ("area_px", "perimeter_px", "convex_perimeter_px", "feret_max_px", "feret_min_px", "solidity")
    area, perimeter, convex, longest, shortest, solidity = (numbers(table, name) for name in names)
    s = np.asarray(shift_px, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        hull = area / solidity + convex * s + np.pi * s**2
        area = area + perimeter * s + np.pi * s**2
        perimeter, convex = perimeter + 2 * np.pi * s, convex + 2 * np.pi * s
        longest, shortest = longest + 2 * s, shortest + 2 * s
        return pd.DataFrame(
            {
                "aspect_ratio": longest / shortest,
                "circularity": 4 * np.pi * area / perimeter**2,
                "roundness": 4 * area / (np.pi * longest**2),
                "compactness": np.sqrt(4 * area / np.pi) / longest,
                "solidity": area / hull,
                "convexity": convex / perimeter,
                "extent": area / (longest * shortest),
            },
            index=table.index,
        )


def shape_budgets(
    particles: pd.DataFrame, micrographs: pd.DataFrame, *, confidence: float = 0.95
) -> dict[str, dict[str, Any]]:
    """Return the uncertainty budget of the median of each shape descriptor.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`, optionally with ``weight``; only counted particles are used.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`; ``edge_position_px`` says how well the outlines are known.
    confidence : float
        Probability, 0 to 1, of intervals and expanded uncertainties.

    Returns
    -------
    dict
        Descriptor → ``median`` (keys of `clusters.estimate_row`) and ``budget`` (from `combined.budget`); descriptors
        that no particle has are left out.
    """
    table = counted_particles(particles)
    by_id = micrographs.drop_duplicates("micrograph_id").set_index("micrograph_id")
    edges = numbers(by_id.reindex(table["micrograph_id"]), "edge_position_px")
    measured = bool(len(edges)) and bool(np.isfinite(edges).all())
    shift = edges if measured else np.full(len(table), ASSUMED_EDGE_PX)
    here, out, inside = (moved_outlines(table, s) for s in (0.0, shift, -shift))
    found: dict[str, dict[str, Any]] = {}
    for name in DESCRIPTORS:
        values, weights = numbers(table, name), weight_column(table)
        known = np.isfinite(values) & (weights > 0)
        if not known.any():
            continue
        values, weights = values[known], weights[known]
        row = median(values, weights, micrograph_codes(table)[known], confidence=confidence)
        middles = []
        for moved in (out, inside):
            change = (moved[name] - here[name]).to_numpy()[known]  # descriptors of real outlines differ by more
            kept = np.isfinite(change)
            middles.append(float(weighted_quantiles((values + change)[kept], weights[kept], [0.5])[0]))
        size = max(abs(m - row["estimate"]) for m in middles)
        basis = f"outlines {'measured' if measured else 'assumed'} to ±{float(np.mean(shift)):.2g} px: uniform"
        sources = [
            ("segmentation", float(size / np.sqrt(3)), f"{basis} within ± the change of the median"),
            ("sampling", row["standard_error"], "Woodruff's interval, clustered by micrograph"),
        ]
        freedom = max(float(row["n_micrographs"]) - 1, 1.0)
        found[name] = {
            "median": row,
            "budget": budget(row["estimate"], sources, degrees_of_freedom=freedom, confidence=confidence),
        }
    return found
