"""The features by which regions are classified: of shape (`particles`) and of the lattice (`fourier`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from hrtem_dask import fourier, particles, tables
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.find import Particles

__all__ = ["is_assessable", "particle_features", "region_features", "region_labels"]

FEATURES = tuple(column.name for column in tables.REGION_FEATURES)
_SHAPE = ("solidity", "convexity", "circularity", "aspect_ratio", "eccentricity")
_NO_SHAPE = np.full(len(_SHAPE), np.nan)
_LATTICE = tuple(name for name in FEATURES if name in fourier.REGION_COLUMNS)
Window = tuple[slice, slice]
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
    too_small = table["exclusion_reason"].to_numpy(object, na_value="") == "too_small"
    return np.asarray(~too_small & table["solidity"].notna().to_numpy(dtype=bool))


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
    return np.asarray(_owners(found)[found.labels])


def _owners(found: Particles) -> np.ndarray:
    """Return the region of each particle, by its number; 0 of 0, the background."""
    owner = np.zeros(int(found.labels.max(initial=0)) + 1, np.int64)
    owner[_integers(found.particles, "particle_id")] = _integers(found.particles, "region_id")
    return owner


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
    ids = _integers(found.regions, "region_id")
    parts = np.bincount(
        _integers(found.particles, "region_id")[is_assessable(found.particles)], minlength=int(ids.max(initial=0)) + 1
    )[ids]
    chosen = np.flatnonzero(parts)
    owner = _owners(found)
    alone = _as_single_particles(found)
    shapes = np.array([alone.get(int(i), _NO_SHAPE) for i in ids[chosen]]).reshape(-1, len(_SHAPE))
    several = [int(i) for i in ids[chosen] if int(i) not in alone]
    if several:
        own = np.where(np.isin(owner, several), owner, 0)[found.labels]
        measured = particles.measure_particles(own, image, pixel_size_nm=pixel_size_nm)
        shapes[np.isin(ids[chosen], several)] = measured[list(_SHAPE)].to_numpy(float)
    return _features(
        image,
        [
            (window, owner[found.labels[window]] == i)
            for i, window in _windows(found.regions, chosen, ids, pixel_size_nm)
        ],
        shapes,
        pd.Index(ids[chosen], name="region_id"),
        parts[chosen],
        pixel_size_nm,
    )


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
    known = _integers(found.particles, "particle_id")
    ids = np.fromiter(ids, np.int64)
    rows = np.searchsorted(known, ids)
    return _features(
        image,
        [(window, found.labels[window] == i) for i, window in _windows(found.particles, rows, known, pixel_size_nm)],
        _shapes(found.particles)[rows],
        pd.Index(ids, name="particle_id"),
        np.ones(len(ids)),
        pixel_size_nm,
    )


def _features(
    image: np.ndarray,
    pieces: Sequence[tuple[Window, np.ndarray]],
    shapes: np.ndarray,
    index: pd.Index,
    n_parts: np.ndarray,
    pixel_size_nm: PixelSize,
) -> pd.DataFrame:
    """Measure the lattice of pieces, each a window and a mask in it, and put it beside their shapes."""
    lattice = np.full((len(pieces), len(_LATTICE)), np.nan)
    planes = np.full((len(pieces), 2), np.nan)
    for i, (window, mask) in enumerate(pieces):
        measured, step = fourier.region_features(image[window], mask, pixel_size_nm=pixel_size_nm)
        lattice[i] = [measured[name] for name in _LATTICE]
        if step is not None:
            planes[i] = step.angle_deg, step.offset_nm
    values = dict(zip(_LATTICE, lattice.T, strict=True)) | dict(zip(_SHAPE, shapes.T, strict=True))
    values |= {"n_parts": np.asarray(n_parts, float), "plane_trace_deg": planes[:, 0], "plane_offset_nm": planes[:, 1]}
    return pd.DataFrame({name: values[name] for name in (*FEATURES, "plane_trace_deg", "plane_offset_nm")}, index=index)


def _windows(
    table: pd.DataFrame, rows: np.ndarray, ids: np.ndarray, pixel_size_nm: PixelSize
) -> Iterator[tuple[int, Window]]:
    """Return the number of each row, and its box with the margin that features need."""
    boxes = np.stack([_integers(table, name)[rows] for name in tables.BOX_COLUMNS], axis=1)
    y, x = (int(np.ceil(fourier.MARGIN_NM / size)) for size in pixel_size_nm)
    for i, (y0, x0, y1, x1) in zip(ids[rows].tolist(), boxes.tolist(), strict=True):
        yield i, (slice(max(y0 - y, 0), y1 + y), slice(max(x0 - x, 0), x1 + x))


def _as_single_particles(found: Particles) -> dict[int, np.ndarray]:
    """Return the shape of each region that is exactly one particle: it is known already."""
    shapes, area_px = _shapes(found.particles), _integers(found.particles, "area_px")
    region_id = _integers(found.particles, "region_id")
    whole_px = np.bincount(_integers(found.regions, "region_id"), _integers(found.regions, "area_px"))
    same = (area_px == whole_px[region_id]) & is_assessable(found.particles)
    return dict(zip(region_id[same].tolist(), shapes[same], strict=True))


def _shapes(table: pd.DataFrame) -> np.ndarray:
    """Return the descriptors of shape that are features, shape (row, descriptor)."""
    return np.stack([table[name].to_numpy(float, na_value=np.nan) for name in _SHAPE], axis=1)


def _integers(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column that has no null."""
    return table[name].to_numpy(np.int64)
