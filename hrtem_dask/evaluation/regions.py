"""What a found region truly is, by the particles in it.

The classes are those of the simulator (docs/simulation.md). A found region need not be a true one: a segmenter merges
what a gap parts and parts what touches. So a region is judged by the true particles that lie in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["true_region_classes"]

MIN_SHARE_INSIDE = 0.5
"""A particle is in a region that holds at least this share of its visible pixels."""
MIN_OVERLAP = 0.5
"""A region is its only particle where their intersection over union is at least this."""
MAX_NO_PARTICLE = 0.1
"""A region is no particle where less than this share of it is."""
CLEAR_VISIBILITY = 1.7
CLEAR_VISIBILITY_MISORIENTED = 0.8
COLUMNS = ("region_class", "visibility", "is_clear", "touches_edge", "true_particle_id", "n_true_particles")


def true_region_classes(
    regions: np.ndarray, truth: np.ndarray, particles: pd.DataFrame, *, ordinary: bool
) -> pd.DataFrame:
    """Say what each found region is.

    Parameters
    ----------
    regions : numpy.ndarray of int
        Shape (y, x): found regions, 0 is background.
    truth : numpy.ndarray of int
        Shape (y, x): true particles, 0 is background.
    particles : pandas.DataFrame
        Rows of `simulation.TRUTH_PARTICLES` of this micrograph.
    ordinary : bool
        Whether it was taken with ordinary imaging: only then a region is clear.

    Returns
    -------
    pandas.DataFrame
        Index: region_id. ``region_class``: agglomeration where two or more particles lie in it, else the class of its
        only particle, no_particle where less than a tenth of it is particle; null where it is a piece of a particle, or
        one between on zone and misoriented. ``visibility``: the least of its particles. ``is_clear``: visibility 1.7
        (misoriented: 0.8; no_particle: any) and ordinary imaging. ``touches_edge``: it or one of its particles does.
        ``true_particle_id``: its only particle. ``n_true_particles``: how many lie in it.
    """
    n_regions, n_true = int(regions.max(initial=0)) + 1, int(truth.max(initial=0)) + 1
    counts = np.bincount((regions.astype(np.int64) * n_true + truth).ravel(), minlength=n_regions * n_true)
    overlap = counts.reshape(n_regions, n_true)
    true_area, area = overlap.sum(0), overlap.sum(1)
    border = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    known = particles.set_index("particle_id")
    rows: dict[int, dict[str, Any]] = {}
    for region in np.flatnonzero(area[1:]) + 1:
        shared = overlap[region, 1:]
        inside = np.flatnonzero((shared > 0) & (shared >= MIN_SHARE_INSIDE * true_area[1:])) + 1
        members = known.loc[known.index.isin(inside.tolist())]
        name = _class_of(members, shared, area[region], true_area)
        least = float(members["visibility"].min()) if len(members) else np.nan
        needed = CLEAR_VISIBILITY_MISORIENTED if name == "misoriented" else CLEAR_VISIBILITY
        touched = known.loc[known.index.isin((np.flatnonzero(shared) + 1).tolist())]["touches_edge"]
        rows[int(region)] = {
            "region_class": name,
            "visibility": least,
            "is_clear": ordinary and name is not None and (name == "no_particle" or least >= needed),
            "touches_edge": bool(region in border or touched.any()),
            "true_particle_id": int(members.index[0]) if len(members) == 1 else None,
            "n_true_particles": len(members),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).rename_axis("region_id")


def _class_of(members: pd.DataFrame, shared: np.ndarray, area: int, true_area: np.ndarray) -> str | None:
    """Return the class of a region by its particles."""
    if len(members) > 1:
        return "agglomeration"
    if members.empty:
        return "no_particle" if shared.sum() < MAX_NO_PARTICLE * area else None
    particle = members.iloc[0]
    common = shared[members.index[0] - 1]
    if common < MIN_OVERLAP * (area + true_area[members.index[0]] - common):
        return None
    if particle["orientation"] != "on_zone":
        return "misoriented" if particle["orientation"] == "misoriented" else None
    if particle["n_faults"] == 0:
        return "no_stacking_fault"
    return "stacking_fault" if particle["fault_visible"] else None
