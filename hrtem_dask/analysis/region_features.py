"""The features by which regions are classified: of shape (`particles`) and of the lattice (`fourier`)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from hrtem_dask import fourier, particles, tables
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.find import Particles

__all__ = ["is_assessable", "particle_features", "region_features", "region_labels"]

FEATURES = tuple(column.name for column in tables.REGION_FEATURES)
_SHAPE = ("solidity", "convexity", "circularity", "aspect_ratio", "eccentricity")
FINEST_LATTICE_PX = 2.0
"""A lattice spacing needs so many pixels to be seen (Nyquist)."""
COARSEST_PIXEL_NM = 0.1
"""Where pixels are larger, no lattice plane of the usual crystals (up to 0.2 nm) is resolved."""


def shows_lattice(pixel_size_nm: PixelSize | None) -> bool:
    """Return whether lattice fringes can be seen at all.

    Parameters
    ----------
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    bool
        False where it is not known, or coarser than 0.1 nm: two pixels would be more than 0.2 nm.

    Examples
    --------
    >>> shows_lattice((0.05, 0.05)), shows_lattice((0.2, 0.2)), shows_lattice(None)
    (True, False, False)
    """
    return pixel_size_nm is not None and max(pixel_size_nm) <= COARSEST_PIXEL_NM


def is_assessable(table: pd.DataFrame) -> np.ndarray:
    """Return which particles are large enough to be classified.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `tables.PARTICLES`.

    Returns
    -------
    numpy.ndarray of bool
        Shape (rows,): False for particles that are too small to be counted, or are counted by size alone.
    """
    too_small = (table["exclusion_reason"] == "too_small").fillna(False)
    return np.asarray((~too_small & table["solidity"].notna()).to_numpy(dtype=bool))


def region_labels(found: Particles) -> np.ndarray:
    """Label each pixel with its region.

    Parameters
    ----------
    found : particles.Particles
        Labels and tables of one micrograph.

    Returns
    -------
    numpy.ndarray of int64
        Shape (y, x), 0 is background.
    """
    owner = np.zeros(int(found.labels.max(initial=0)) + 1, np.int64)
    owner[found.particles["particle_id"].to_numpy(np.int64)] = found.particles["region_id"].to_numpy(np.int64)
    return np.asarray(owner[found.labels])


def region_features(image: np.ndarray, found: Particles, *, pixel_size_nm: PixelSize) -> pd.DataFrame:
    """Measure the features of every region.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), float32: the prepared image, particles dark.
    found : particles.Particles
        Labels and tables of one micrograph.
    pixel_size_nm : tuple of float
        (y, x) in nm.

    Returns
    -------
    pandas.DataFrame
        Index: region_id, of the regions that hold a part for which `is_assessable` is true. Columns: those of
        `tables.REGION_FEATURES`, float64, NaN where there is nothing to measure, and ``plane_trace_deg`` and
        ``plane_offset_nm`` of the plane at which phases jump most, a fault or not.
    """
    labels = region_labels(found)
    boxes = found.regions.set_index("region_id")[list(tables.BOX_COLUMNS)]
    assessable = found.particles[is_assessable(found.particles)]
    parts = assessable.groupby("region_id").size()
    parts.index = parts.index.astype(np.int64)
    boxes = boxes.loc[boxes.index.isin(parts.index)]
    return _features(image, labels, boxes, parts.reindex(boxes.index).to_numpy(float), pixel_size_nm)


def particle_features(
    image: np.ndarray, found: Particles, ids: Iterable[int], *, pixel_size_nm: PixelSize
) -> pd.DataFrame:
    """Measure the same features of single particles, as if each were a region.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), float32: the prepared image, particles dark.
    found : particles.Particles
        Labels and tables of one micrograph.
    ids : iterable of int
        The particles to measure.
    pixel_size_nm : tuple of float
        (y, x) in nm.

    Returns
    -------
    pandas.DataFrame
        As `region_features`, index: particle_id.
    """
    boxes = found.particles.set_index("particle_id").loc[list(ids), list(tables.BOX_COLUMNS)]
    return _features(image, found.labels, boxes, np.ones(len(boxes)), pixel_size_nm)


def _features(
    image: np.ndarray, labels: np.ndarray, boxes: pd.DataFrame, parts: np.ndarray, pixel_size_nm: PixelSize
) -> pd.DataFrame:
    """Measure the features of labelled pieces."""
    only = np.where(np.isin(labels, boxes.index), labels, 0)
    shapes = particles.measure_particles(only, image, pixel_size_nm=pixel_size_nm).set_index("particle_id")
    margin = [int(np.ceil(fourier.MARGIN_NM / size)) for size in pixel_size_nm]
    rows = []
    for label, (y0, x0, y1, x1) in zip(boxes.index, boxes.to_numpy(np.int64), strict=True):
        window = np.s_[max(y0 - margin[0], 0) : y1 + margin[0], max(x0 - margin[1], 0) : x1 + margin[1]]
        measured, step = fourier.region_features(image[window], labels[window] == label, pixel_size_nm=pixel_size_nm)
        plane = (np.nan, np.nan) if step is None else (step.angle_deg, step.offset_nm)
        rows.append({**measured, "plane_trace_deg": plane[0], "plane_offset_nm": plane[1]})
    table = pd.DataFrame(
        rows, index=boxes.index, columns=[*fourier.REGION_COLUMNS, "plane_trace_deg", "plane_offset_nm"]
    )
    table = table.assign(n_parts=parts, **{name: shapes[name].reindex(boxes.index) for name in _SHAPE})
    return table[[*FEATURES, "plane_trace_deg", "plane_offset_nm"]].astype(float)
