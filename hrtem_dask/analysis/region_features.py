"""The features by which regions are classified: of shape (`particles`) and of the lattice (`fourier`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask import fourier, particles, tables
from hrtem_dask.analysis.lattices import windows_with_margin
from hrtem_dask.fourier import Reflection
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.find import Particles

__all__ = [
    "MeasuredFeatures",
    "is_assessable",
    "measured_particles",
    "measured_regions",
    "particle_features",
    "region_features",
    "region_labels",
]

FEATURES = tuple(column.name for column in tables.REGION_FEATURES)
_SHAPE = ("solidity", "convexity", "circularity", "aspect_ratio", "eccentricity")
_NO_SHAPE = np.full(len(_SHAPE), np.nan)
_LATTICE = tuple(name for name in FEATURES if name in fourier.REGION_COLUMNS)
_PLANE = ("plane_trace_deg", "plane_offset_nm")
PUBLISHED = fourier.GROSCHNER2021_COLUMNS
"""The five features of Groschner et al. (2021)."""
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


def is_assessable(rows: tables.Rows) -> np.ndarray:
    """Return which particles are large enough to be classified.

    Parameters
    ----------
    rows : tables.Rows
        Of `tables.PARTICLES`.

    Returns
    -------
    numpy.ndarray of bool
        Shape (rows,): False for particles that are too small to be counted, or are counted by size alone.
    """
    return np.asarray((rows.texts("exclusion_reason") != "too_small") & ~np.isnan(rows.numbers("solidity")))


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
    owner[found.particle_rows.integers("particle_id")] = found.particle_rows.integers("region_id")
    return owner


@dataclass(frozen=True)
class MeasuredFeatures:
    """Features of some regions or particles."""

    ids: np.ndarray
    """Shape (row,), int64: number of each region or particle."""
    values: Mapping[str, np.ndarray]
    """Feature → shape (row,), float64, NaN where there is nothing to measure; also ``plane_trace_deg`` and
    ``plane_offset_nm``."""

    def table(self, name: str) -> pd.DataFrame:
        """Return them as a table.

        Parameters
        ----------
        name : str
            Name of the index, which holds `ids`.

        Returns
        -------
        pandas.DataFrame
            A column per feature.
        """
        return pd.DataFrame(dict(self.values), index=pd.Index(self.ids, name=name))


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
    return measured_regions(image, found, pixel_size_nm=pixel_size_nm).table("region_id")


def measured_regions(
    image: np.ndarray,
    found: Particles,
    *,
    pixel_size_nm: PixelSize,
    needed: Collection[str] = FEATURES,
    reflections: Sequence[Sequence[Reflection]] | None = None,
) -> MeasuredFeatures:
    """Measure the features of every region, as arrays.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), float32: the prepared image, particles dark.
    found : particles.Particles
        Labels and tables of one micrograph.
    pixel_size_nm : tuple of float
        (y, x) in nm.
    needed : collection of str
        Features that are looked at, of `tables.REGION_FEATURES` and of the five of Groschner et al. (2021). If none of
        them is of the lattice, the lattice is not measured, and its features are NaN.
    reflections : sequence of sequence of Reflection, optional
        From `particle_reflections`, in the default range of spacings; a region that is one particle has the same.

    Returns
    -------
    MeasuredFeatures
        As `region_features`; with the five features of the paper where one of them is needed.
    """
    ids = found.region_rows.integers("region_id")
    parts = np.bincount(
        found.particle_rows.integers("region_id")[is_assessable(found.particle_rows)],
        minlength=int(ids.max(initial=0)) + 1,
    )[ids]
    chosen = np.flatnonzero(parts)
    owner = _owners(found)
    row_of = _rows_of_single_particles(found)
    rows = [row_of.get(int(i)) for i in ids[chosen]]
    known = _shapes(found.particle_rows)
    shapes = np.array([_NO_SHAPE if row is None else known[row] for row in rows]).reshape(-1, len(_SHAPE))
    several = [int(i) for i, row in zip(ids[chosen], rows, strict=True) if row is None]
    if several:
        own = np.where(np.isin(owner, several), owner, 0)[found.labels]
        measured = particles.measured_columns(own, image, pixel_size_nm=pixel_size_nm)
        shapes[np.isin(ids[chosen], several)] = np.stack([measured[name] for name in _SHAPE], axis=1)
    searched = [None if reflections is None or row is None else reflections[row] for row in rows]
    pieces = _Pieces(found.labels, owner, ids[chosen], found.region_rows.boxes()[chosen], searched)
    return _features(ids[chosen], _measured(image, pieces, pixel_size_nm, needed), shapes, parts[chosen])


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
    return measured_particles(image, found, ids, pixel_size_nm=pixel_size_nm).table("particle_id")


def measured_particles(
    image: np.ndarray,
    found: Particles,
    ids: Iterable[int],
    *,
    pixel_size_nm: PixelSize,
    needed: Collection[str] = FEATURES,
    reflections: Sequence[Sequence[Reflection]] | None = None,
) -> MeasuredFeatures:
    """Measure the features of single particles, as arrays.

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
    needed : collection of str
        As for `measured_regions`.
    reflections : sequence of sequence of Reflection, optional
        As for `measured_regions`.

    Returns
    -------
    MeasuredFeatures
        As `particle_features`.
    """
    known = found.particle_rows.integers("particle_id")
    ids = np.fromiter(ids, np.int64)
    rows = np.searchsorted(known, ids)
    own = np.arange(int(known.max(initial=0)) + 1)
    searched = [None if reflections is None else reflections[row] for row in rows.tolist()]
    pieces = _Pieces(found.labels, own, ids, found.particle_rows.boxes()[rows], searched)
    values = _measured(image, pieces, pixel_size_nm, needed)
    return _features(ids, values, _shapes(found.particle_rows)[rows], np.ones(len(ids)))


@dataclass(frozen=True)
class _Pieces:
    """Regions or particles to measure: those pixels whose label belongs to each of `ids`."""

    labels: np.ndarray
    """Shape (y, x), int."""
    owner: np.ndarray
    """The piece that each label belongs to."""
    ids: np.ndarray
    """Shape (piece,), int64."""
    boxes: np.ndarray
    """Shape (piece, 4), int64: bounding boxes."""
    reflections: Sequence[Sequence[Reflection] | None]
    """Reflections of each bounding box with its margin, where they are known already."""

    def mask(self, number: int, window: tuple[slice, slice]) -> np.ndarray:
        """Return the pixels of a piece in a window."""
        labels, own = self.labels[window], np.flatnonzero(self.owner == number)
        if own.size == 1:  # nearly always; reading the owner of each pixel takes ten times as long
            return np.asarray(labels == int(own[0]))
        return np.asarray(self.owner[labels] == number)


def _features(
    ids: np.ndarray, measured: Mapping[str, np.ndarray], shapes: np.ndarray, n_parts: np.ndarray
) -> MeasuredFeatures:
    """Put what was measured in the image beside number of parts and shape, in the order of the columns."""
    values = {**measured, **dict(zip(_SHAPE, shapes.T, strict=True)), "n_parts": np.asarray(n_parts, float)}
    return MeasuredFeatures(ids, {name: values[name] for name in dict.fromkeys((*FEATURES, *values))})


def _measured(
    image: np.ndarray, pieces: _Pieces, pixel_size_nm: PixelSize, needed: Collection[str]
) -> dict[str, np.ndarray]:
    """Measure lattice, and features of the paper."""
    values = {name: np.full(len(pieces.ids), np.nan) for name in (*_LATTICE, *_PLANE)}
    if not set(_LATTICE).isdisjoint(needed):
        windows = windows_with_margin(pieces.boxes, pixel_size_nm)
        for i, (number, window) in enumerate(zip(pieces.ids.tolist(), windows, strict=True)):
            mask = pieces.mask(number, window)
            measured, step = fourier.region_features(
                image[window], mask, pixel_size_nm=pixel_size_nm, reflections=pieces.reflections[i]
            )
            for name in _LATTICE:
                values[name][i] = measured[name]
            if step is not None:
                values["plane_trace_deg"][i], values["plane_offset_nm"][i] = step.angle_deg, step.offset_nm
    if not set(PUBLISHED).isdisjoint(needed):
        # on crops of 8 bits, as in the data of the paper
        crops = [np.round(255 * image[y0:y1, x0:x1]) for y0, x0, y1, x1 in pieces.boxes.tolist()]
        published = [fourier.groschner2021_features(crop) for crop in crops]
        values |= {name: np.array([one[name] for one in published], float) for name in PUBLISHED}
    return values


def _rows_of_single_particles(found: Particles) -> dict[int, int]:
    """Return the row of each region's only particle: its shape and reflections are known already."""
    area_px = found.particle_rows.integers("area_px")
    region_id = found.particle_rows.integers("region_id")
    whole_px = np.bincount(found.region_rows.integers("region_id"), found.region_rows.integers("area_px"))
    same = np.flatnonzero((area_px == whole_px[region_id]) & is_assessable(found.particle_rows))
    return dict(zip(region_id[same].tolist(), same.tolist(), strict=True))


def _shapes(rows: tables.Rows) -> np.ndarray:
    """Return the descriptors of shape that are features, shape (row, descriptor)."""
    return np.stack([rows.numbers(name) for name in _SHAPE], axis=1)
