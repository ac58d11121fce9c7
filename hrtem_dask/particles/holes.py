"""Holes in a mask: those within a particle are filled, the gaps between particles of a cluster are not.

A cluster of touching particles encloses background. Filled, it would hide the necks along which the cluster can be
split, and add background to the particles; a particle of uneven contrast encloses holes that are its own. So a hole
is filled at once where it is small, or where its piece without holes is as convex as one particle; the others stay
open until particles are split, and are then filled where a single particle surrounds them.
"""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.particles.components import connected_components
from hrtem_dask.particles.hulls import convex_hulls, hull_pixels
from hrtem_dask.particles.runs import find_runs

__all__ = ["fill_particle_holes", "fill_within_particles"]

_ONE_PARTICLE_SOLIDITY = 0.93
"""A piece at least this solid is one particle: three touching disks have 0.88, seven 0.90, ragged particles 0.95."""


def _holes(background: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the 4-connected pieces of background, their boxes and areas, and which of them are holes."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(background.view(np.uint8), connectivity=4)
    x0, y0, width, height = stats[:, :4].T
    inner = (x0 > 0) & (y0 > 0) & (x0 + width < pieces.shape[1]) & (y0 + height < pieces.shape[0])
    inner[0] = False  # 0 is what is not background
    return pieces, stats, inner


def fill_particle_holes(mask: np.ndarray, *, small_px: int) -> np.ndarray:
    """Fill holes that are small, or whose piece is as convex as one particle.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), True where particle.
    small_px : int
        Holes of fewer pixels are filled wherever they are.

    Returns
    -------
    numpy.ndarray of bool
        Shape (y, x), a new array.
    """
    if mask.size == 0:
        return mask.copy()
    background, stats, inner = _holes(~mask)
    filled = mask | inner[background]
    fill = inner & (stats[:, cv2.CC_STAT_AREA] < small_px)
    if np.array_equal(fill, inner):
        return np.asarray(filled)
    pieces = connected_components(filled)
    runs = find_runs(pieces)
    solidity = runs.area_px / hull_pixels(runs, convex_hulls(runs))
    for hole in np.flatnonzero(inner & ~fill):
        x0, y0, width = stats[hole, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH]]
        piece = pieces[y0, x0 + int(np.argmax(background[y0, x0 : x0 + width] == hole))]
        fill[hole] = solidity[piece - 1] >= _ONE_PARTICLE_SOLIDITY
    return np.asarray(mask | fill[background])


def fill_within_particles(labels: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill holes that one particle alone surrounds.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background: particles.
    regions : numpy.ndarray of int32
        Shape (y, x), the regions that the particles belong to.

    Returns
    -------
    labels, regions : numpy.ndarray of int32
        Shape (y, x), new arrays; the numbers are the same.
    """
    labels, regions = labels.copy(), regions.copy()
    if labels.size == 0:
        return labels, regions
    background, stats, inner = _holes(labels == 0)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for hole in np.flatnonzero(inner):
        x0, y0, width, height = stats[hole, :4]
        here = (slice(y0 - 1, y0 + height + 1), slice(x0 - 1, x0 + width + 1))
        inside = background[here] == hole
        around = cv2.dilate(inside.view(np.uint8), cross).view(bool) & ~inside
        owner = labels[here][around]
        if (owner == owner[0]).all():
            labels[here][inside] = owner[0]
            regions[here][inside] = regions[here][around][0]
    return labels, regions
