"""Outlines as polygons whose inside holds exactly the particle's pixel centres."""

from __future__ import annotations

import numpy as np
from skimage.measure import find_contours

from hrtem_dask.particles.components import connected_components

__all__ = ["outline_polygons"]


def outline_polygons(mask: np.ndarray, *, corner: tuple[int, int] = (0, 0)) -> list[list[np.ndarray]]:
    """Return the outlines of a particle.

    They run half-way between the centres of the pixels inside and outside, corners cut, so that filling them gives the
    mask back to the pixel.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), True where particle; pixels that touch by a corner are one piece.
    corner : tuple of int
        Row and column of the mask's first pixel in the image.

    Returns
    -------
    list of list of numpy.ndarray
        For each piece its outer ring and then those of its holes; a ring has shape (n, 2), x and y in px from the upper
        left corner of the image, as COCO and GeoJSON viewers count: the centre of the first pixel is (0.5, 0.5). It is
        not closed by repeating its first point.
    """
    pieces = connected_components(mask)
    found = []
    for number in range(1, int(pieces.max(initial=0)) + 1):
        room = np.pad(pieces == number, 1).astype(float)
        contours = find_contours(room, 0.5, fully_connected="high")  # type: ignore[no-untyped-call]
        rings = [_corners(contour[:-1]) for contour in contours]
        rings.sort(key=_area, reverse=True)  # the outer one encloses the holes
        # back from the margin, and from centres of pixels to their corners
        shift = np.array(corner[::-1]) - 0.5
        found.append([ring + shift for ring in rings])
    return found


def _corners(contour: np.ndarray) -> np.ndarray:
    """Return the points (x, y) at which a contour (row, column) turns."""
    before, after = contour - np.roll(contour, 1, axis=0), np.roll(contour, -1, axis=0) - contour
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(contour[turns][:, ::-1])


def _area(ring: np.ndarray) -> float:
    """Return the area inside a ring by the shoelace formula."""
    x, y = ring.T
    return float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)
