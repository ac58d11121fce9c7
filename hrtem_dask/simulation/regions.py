"""True regions: connected pieces of the union of projected hulls, and their classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.ndimage
import scipy.sparse.csgraph

from hrtem_dask.simulation.truth import Values
from hrtem_dask.tables.true_regions import is_clear, particle_class

__all__ = ["BRIDGED_GAP_NM", "region_rows", "true_regions"]

BRIDGED_GAP_NM = 0.4
"""Pieces with a gap smaller than this are one region."""


def true_regions(inside: np.ndarray, pixel_size_nm: float) -> np.ndarray:
    """Label the regions of a field.

    Parameters
    ----------
    inside : numpy.ndarray
        Shape (y, x), bool: union of the projected hulls.
    pixel_size_nm : float
        Pixel size (nm).

    Returns
    -------
    numpy.ndarray
        Shape (y, x), int32: 1, 2, … in reading order, 0 is background. Pieces less than 0.4 nm apart, from edge to
        edge, have the same label.
    """
    eight = np.ones((3, 3), bool)
    pieces, n = scipy.ndimage.label(inside, eight)
    reach = int(np.ceil(BRIDGED_GAP_NM / pixel_size_nm)) + 1
    pairs: list[tuple[int, int]] = []
    for piece, box in enumerate(scipy.ndimage.find_objects(pieces), start=1):
        crop = pieces[tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in box)]
        # distances are between pixel centers: growing the piece by one pixel makes them distances between edges
        grown = scipy.ndimage.binary_dilation(crop == piece, eight)
        near = scipy.ndimage.distance_transform_edt(~grown) * pixel_size_nm < BRIDGED_GAP_NM * (1 - 1e-9)
        pairs += [(piece, int(other)) for other in np.unique(crop[near]) if other > piece]
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    graph = scipy.sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(n + 1, n + 1))
    # node 0 is the background and has no edges; components are numbered by their first node
    _, regions = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return np.asarray(regions[pieces], np.int32)


def region_rows(labels: np.ndarray, particles: pd.DataFrame, *, pixel_size_nm: float, ordinary: bool) -> pd.DataFrame:
    """Describe every region.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (y, x), int: labels from `true_regions`.
    particles : pandas.DataFrame
        One row per particle with the columns region_id, orientation, n_faults, fault_visible and visibility.
    pixel_size_nm : float
        Pixel size (nm).
    ordinary : bool
        Whether the imaging is ordinary; only then a region can be clear.

    Returns
    -------
    pandas.DataFrame
        Columns of `TRUTH_REGIONS`, without micrograph_id.
    """
    rows: list[Values] = []
    for region_id, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        members = particles[particles["region_id"] == region_id]
        area = int(np.count_nonzero(labels[box] == region_id))
        (y0, y1), (x0, x1) = ((s.start, s.stop) for s in box)
        name = _region_class(members)
        least = float(members["visibility"].min()) if len(members) else 0.0
        rows.append(
            {
                "region_id": region_id,
                "bbox_y0_px": y0,
                "bbox_x0_px": x0,
                "bbox_y1_px": y1,
                "bbox_x1_px": x1,
                "area_px": area,
                "area_nm2": area * pixel_size_nm**2,
                "n_particles": len(members),
                "touches_edge": bool(y0 == 0 or x0 == 0 or y1 == labels.shape[0] or x1 == labels.shape[1]),
                "region_class": name,
                "visibility": least,
                "is_clear": is_clear(name, least, ordinary=ordinary),
            }
        )
    return pd.DataFrame(rows)


def _region_class(members: pd.DataFrame) -> str | None:
    """Return the class of a region from its particles; None if it is not scored."""
    if len(members) > 1:
        return "agglomeration"
    return particle_class(members.iloc[0])
