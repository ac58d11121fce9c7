"""The true class of a region that was found, by the true particles in it.

The classes are those of the simulator (docs/simulation.md). A segmenter may merge separate particles and split touching
ones, so that a region it finds need not be a true region. The class therefore follows from the true particles that lie
in the region.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask.tables.true_regions import is_clear, particle_class

__all__ = ["true_region_classes"]

MIN_SHARE_INSIDE = 0.5
"""A particle is in a region that holds at least this share of its visible pixels."""
MIN_OVERLAP = 0.5
"""A region has the class of its only particle where their intersection over union is at least this."""
MAX_NO_PARTICLE = 0.1
"""A region is no_particle where less than this share of its pixels belongs to particles."""
COLUMNS = ("region_class", "visibility", "is_clear", "touches_edge", "true_particle_id", "n_true_particles")


def true_region_classes(
    regions: np.ndarray, truth: np.ndarray, particles: pd.DataFrame, *, ordinary: bool
) -> pd.DataFrame:
    """Return the true class of each region that was found.

    Parameters
    ----------
    regions : numpy.ndarray of int
        Shape (y, x): regions that were found, 0 = background.
    truth : numpy.ndarray of int
        Shape (y, x): true particles, 0 = background.
    particles : pandas.DataFrame
        Rows of `simulation.TRUTH_PARTICLES` of this micrograph.
    ordinary : bool
        Whether the micrograph was taken with ordinary imaging (docs/simulation.md); otherwise no region is clear.

    Returns
    -------
    pandas.DataFrame
        Index: ``region_id``. Columns: ``region_class``: ``agglomeration`` where two or more particles lie in the
        region, else the class of its only particle (`tables.true_regions.particle_class`), ``no_particle`` where less
        than a tenth of it is particle; null where the region is a piece of a particle, or the particle has no class.
        ``visibility``: lowest visibility of its particles, NaN without one. ``is_clear``: see
        `tables.true_regions.is_clear`. ``touches_edge``: the region, or a particle that overlaps it, touches the
        border of the image. ``true_particle_id``: its only particle, else null. ``n_true_particles``: number of
        particles in it.

    Examples
    --------
    >>> labels = np.zeros((8, 8), dtype=int)
    >>> labels[2:6, 2:6] = 1
    >>> particle = {"orientation": "on_zone", "n_faults": 1, "fault_visible": True, "visibility": 2.0}
    >>> particles = pd.DataFrame([{"particle_id": 1, "touches_edge": False, **particle}])
    >>> true_region_classes(labels, labels, particles, ordinary=True)["region_class"].tolist()
    ['stacking_fault']
    """
    n_regions, n_true = int(regions.max(initial=0)) + 1, int(truth.max(initial=0)) + 1
    counts = np.bincount((regions.astype(np.int64) * n_true + truth).ravel(), minlength=n_regions * n_true)
    overlap = counts.reshape(n_regions, n_true)
    true_area, area = overlap.sum(0), overlap.sum(1)
    border = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    known = particles.set_index("particle_id")
    rows: dict[int, dict[str, object]] = {}
    for region in np.flatnonzero(area[1:]) + 1:
        shared = overlap[region, 1:]
        inside = np.flatnonzero((shared > 0) & (shared >= MIN_SHARE_INSIDE * true_area[1:])) + 1
        members = known.loc[known.index.isin(inside.tolist())]
        name = _class_of(members, shared, area[region], true_area)
        least = float(members["visibility"].min()) if len(members) else np.nan
        touched = known.loc[known.index.isin((np.flatnonzero(shared) + 1).tolist())]["touches_edge"]
        rows[int(region)] = {
            "region_class": name,
            "visibility": least,
            "is_clear": is_clear(name, least, ordinary=ordinary),
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
    return particle_class(particle)
