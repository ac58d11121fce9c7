"""Holes in a mask: those within a particle are filled, the gaps between particles of a cluster are not.

A cluster of touching particles encloses background. Filling this background would hide the necks along which the
cluster can be split, and add background to the particles. A single particle of uneven contrast also encloses holes,
and these belong to it. Therefore a hole is filled at once if it is small, or if its piece is one particle once its
holes are filled. In pieces that are split, the other holes stay open until the piece has been split with them, and are
then filled where a single particle surrounds them.
"""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.components import connected_components
from hrtem_dask.particles.runs import find_runs
from hrtem_dask.particles.split import split_touching

__all__ = ["fill_particle_holes", "fill_within_particles"]

_PINHOLE = 0.25
"""Holes smaller than this fraction of the smallest particle are always filled: gaps between particles are larger."""


def _has_holes(mask: np.ndarray) -> bool:
    """Return whether the mask encloses background: outlines take a tenth of the time of numbering its pieces."""
    outlines, relations = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return bool(outlines) and bool((relations[0, :, 3] >= 0).any())  # the outline of a hole has an outer one


def _holes(background: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the 4-connected pieces of background, their boxes and areas, and which of them are holes."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(background.view(np.uint8), connectivity=4)
    x0, y0, width, height = stats[:, :4].T
    inner = (x0 > 0) & (y0 > 0) & (x0 + width < pieces.shape[1]) & (y0 + height < pieces.shape[0])
    inner[0] = False  # piece 0 is the mask
    return pieces, stats, inner


def fill_particle_holes(
    mask: np.ndarray,
    *,
    min_confidence: float,
    min_part_area_px: float,
    pixel_size_nm: PixelSize | None = None,
) -> np.ndarray:
    """Fill holes that are small, or whose piece is not split once its holes are filled.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), True on particles.
    min_confidence : float
        Smallest confidence of a split, see `split_touching`.
    min_part_area_px : float
        Smallest area (px) of a part, see `split_touching`; holes below a quarter of it are always filled.
    pixel_size_nm : tuple of float, optional
        Height and width of a pixel (nm), see `split_touching`.

    Returns
    -------
    numpy.ndarray of bool
        Shape (y, x), a new array.
    """
    if mask.size == 0 or not _has_holes(mask):
        return mask.copy()
    background, stats, inner = _holes(~mask)
    large = np.flatnonzero(inner & (stats[:, cv2.CC_STAT_AREA] >= min_part_area_px * _PINHOLE))
    filled = mask | inner[background]
    if not large.size:
        return np.asarray(filled)
    pieces = connected_components(filled)
    piece_of_hole = np.array([_value_in(pieces, background, stats, hole) for hole in large.tolist()])
    chosen = np.zeros(int(pieces.max()) + 1, dtype=np.int32)
    chosen[piece_of_hole] = piece_of_hole
    parts, _ = split_touching(
        chosen[pieces],
        min_confidence=min_confidence,
        min_part_area_px=min_part_area_px,
        pixel_size_nm=pixel_size_nm,
    )
    runs = find_runs(parts)
    n_parts = np.bincount(pieces[runs.row[runs.first], runs.start[runs.first]], minlength=chosen.size)
    inner[large[n_parts[piece_of_hole] > 1]] = False
    return np.asarray(mask | inner[background])


def _value_in(values: np.ndarray, background: np.ndarray, stats: np.ndarray, hole: int) -> int:
    """Return the value of an image in a hole, where it is constant."""
    x0, y0, width = stats[hole, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH]]
    return int(values[y0, x0 + int(np.argmax(background[y0, x0 : x0 + width] == hole))])


def fill_within_particles(labels: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill holes that are surrounded by a single particle.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background: particles.
    regions : numpy.ndarray of int32
        Shape (y, x): number of the region of each pixel.

    Returns
    -------
    labels, regions : numpy.ndarray of int32
        Shape (y, x): new arrays, or the same ones where there is no hole; the numbers are the same.
    """
    if labels.size == 0 or not _has_holes(labels != 0):
        return labels, regions
    labels, regions = labels.copy(), regions.copy()
    background, stats, inner = _holes(labels == 0)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for hole in np.flatnonzero(inner):
        x0, y0, width, height = stats[hole, :4]
        here = (slice(y0 - 1, y0 + height + 1), slice(x0 - 1, x0 + width + 1))
        inside = background[here] == hole
        around = cv2.dilate(inside.view(np.uint8), cross).view(bool) & ~inside
        neighbors = labels[here][around]
        if (neighbors == neighbors[0]).all():
            labels[here][inside] = neighbors[0]
            regions[here][inside] = regions[here][around][0]
    return labels, regions
