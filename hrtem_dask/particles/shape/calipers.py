"""Feret diameters: caliper distances between the outlines of particles, corrected for the pixels.

The hull of pixel corners is up to 1.4 px wider than the object, by an amount that depends on its shape and direction.
The calipers are therefore set on that hull, which gives the direction, and the ends are then moved to where the area
beyond a line, as a function of its depth, vanishes. That area is known well, since it counts many pixels: it grows as
depth at an edge, depth^1.5 at a round end, and depth² at a corner.
"""

from __future__ import annotations

import numpy as np

from hrtem_dask.particles.runs import Runs

__all__ = ["feret_diameters"]

_SHALLOW_PX, _DEEP_PX = 2.0, 4.0
"""Depths (px) below the outermost corner at which area and chord are measured."""
_HALF_SLAB_PX = 1.0
"""The chord is the area between lines this distance (px) on both sides, divided by twice the distance."""
_SMALLEST_PX = 12.0
"""Narrower particles (px) keep the distances between pixel corners: four pixels are no end of them, but a part."""
_EDGE, _ROUND, _CORNER = 1.0, 1.5, 2.0
_OUTSIDE_PX = 0.5
"""Largest distance (px) by which an outline may lie outside the outermost pixel corner: half of a pixel is not seen."""
_ROUND_EXCESS_PX = 0.05
"""Remaining excess (px) of a round end, measured on disks of 20 to 200 px."""
_TIE = 1e-9


def feret_diameters(
    runs: Runs, hulls: list[np.ndarray], *, scale: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest and smallest caliper distance of each label.

    Parameters
    ----------
    runs : Runs
        Runs of the labels.
    hulls : list of numpy.ndarray
        From `hulls.convex_hulls`.
    scale : tuple of float
        Height and width of a pixel.

    Returns
    -------
    feret_max, feret_min : numpy.ndarray of float64
        Shape (n,), in the unit of the scale. On disks, ellipses and rectangles from 20 px on the mean error is below
        0.3 px in every direction.

    Notes
    -----
    The smallest distance is taken over the sides of the hull, one of which always lies on the caliper (Shamos 1978). Of
    a nearly round particle the errors may exceed the difference of the two; both are then their mean.
    """
    unit = float(np.sqrt(scale[0] * scale[1]))
    pixel = np.array(scale) / unit  # lengths are in px of the same area
    bounds = np.append(runs.first, runs.row.size)
    found = np.zeros((len(hulls), 2))
    for i, hull in enumerate(hulls):
        centers = _centers(runs, slice(int(bounds[i]), int(bounds[i + 1]))) * pixel
        smallest = _smallest(hull * pixel)
        narrow = float(np.ptp(hull * pixel @ smallest[0])) < _SMALLEST_PX
        found[i] = [_width(centers, ties, pixel, correct=not narrow) for ties in (_largest(hull * pixel), smallest)]
    found[:, :] = np.where(found[:, :1] < found[:, 1:], found.mean(axis=1, keepdims=True), found)
    return found[:, 0] * unit, found[:, 1] * unit


def _centers(runs: Runs, which: slice) -> np.ndarray:
    """Return the pixel centers (y, x) of some runs, shape (pixels, 2); pixel (0, 0) has its center at (0.5, 0.5)."""
    row, start = runs.row[which], runs.start[which]
    length = runs.stop[which] - start
    before = np.cumsum(length) - length
    x = np.arange(length.sum()) + np.repeat(start - before, length)
    return np.stack([np.repeat(row, length), x], axis=1) + 0.5


def _largest(hull: np.ndarray) -> np.ndarray:
    """Return the directions of the largest caliper distance, shape (ties, 2)."""
    apart = hull[:, None] - hull
    square = (apart**2).sum(axis=-1)
    ties = apart[np.triu(square >= square.max() * (1 - _TIE))]
    return np.asarray(ties / np.hypot(*ties.T)[:, None])


def _smallest(hull: np.ndarray) -> np.ndarray:
    """Return the directions of the smallest caliper distance, shape (ties, 2)."""
    sides = np.roll(hull, -1, axis=0) - hull
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1) / np.hypot(*sides.T)[:, None]
    across = np.ptp(normals @ hull.T, axis=1)
    return np.asarray(normals[across <= across.min() * (1 + _TIE)])


def _width(centers: np.ndarray, directions: np.ndarray, pixel: np.ndarray, *, correct: bool) -> float:
    """Return the mean width of a particle over directions in which its hull is equally wide."""
    widths = []
    for direction in directions:
        footprint = float(np.abs(direction) @ pixel)
        along = centers @ direction
        width = float(np.ptp(along)) + footprint
        if correct:
            width -= sum(_beyond(end, footprint, width / 2) for end in (along, -along))
        widths.append(width)
    return float(np.mean(widths))


def _beyond(along: np.ndarray, footprint: float, radius: float) -> float:
    """Return how far the outermost pixel corner in a direction lies outside the outline, at most half a footprint."""
    depth = along.max() - along + footprint / 2  # of pixel centers below the outermost corner
    depth = depth[depth < _DEEP_PX + _HALF_SLAB_PX + footprint]
    levels = np.array([_SHALLOW_PX, _DEEP_PX])

    def area(level: np.ndarray) -> np.ndarray:
        return np.asarray(np.clip((level[:, None] - depth) / footprint + 0.5, 0, 1).sum(axis=1))

    chord = (area(levels + _HALF_SLAB_PX) - area(levels - _HALF_SLAB_PX)) / (2 * _HALF_SLAB_PX)
    shallow, deep = area(levels) / chord
    # the area is c·depthᵞ, so that depth = γ·area/chord at both levels
    growth = (_DEEP_PX - _SHALLOW_PX) / max(deep - shallow, 1e-9)
    power = min((_EDGE, _ROUND, _CORNER), key=lambda candidate: abs(candidate - growth))
    reach = power * deep
    if power == _ROUND:
        reach = reach / (1 + reach / (10 * radius)) - _ROUND_EXCESS_PX  # next term of the circular segment
    return float(np.clip(_DEEP_PX - reach, -_OUTSIDE_PX, footprint / 2))
