"""Outlines as polygons that enclose exactly the centers of the particle's pixels."""

from __future__ import annotations

import numpy as np
from skimage.measure import find_contours

from hrtem_dask.particles.components import connected_components

__all__ = ["outline_polygons"]


def outline_polygons(mask: np.ndarray, *, corner: tuple[int, int] = (0, 0)) -> list[list[np.ndarray]]:
    """Return the outlines of a particle as polygons.

    The outlines run half-way between the centers of the pixels inside and outside, with cut corners. Filling them
    restores the mask exactly.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), True on the particle; pixels that touch by a corner belong to one piece.
    corner : tuple of int
        Row and column of the mask's first pixel in the image.

    Returns
    -------
    list of list of numpy.ndarray
        For each piece the outer ring and then the rings of its holes. A ring has shape (n, 2), with x and y in px from
        the upper left corner of the image, as in COCO and GeoJSON: the center of the first pixel is (0.5, 0.5). The
        first point is not repeated at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.particles import outline_polygons
    >>> [[ring]] = outline_polygons(np.ones((2, 3), dtype=bool))
    >>> ring.min(axis=0).tolist(), ring.max(axis=0).tolist()  # (x, y)
    ([0.0, 0.0], [3.0, 2.0])
    """
    pieces = connected_components(mask)
    found = []
    for number in range(1, int(pieces.max(initial=0)) + 1):
        padded = np.pad(pieces == number, 1).astype(float)
        contours = find_contours(padded, 0.5, fully_connected="high")  # type: ignore[no-untyped-call]
        rings = [_corners(contour[:-1]) for contour in contours]
        rings.sort(key=_area, reverse=True)  # the outer one encloses the holes
        # undo the margin, and count from the corners of pixels instead of their centers
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
