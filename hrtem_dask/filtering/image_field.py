"""The part of an array that is image: aligned stacks have borders of NaN or of one value, which are none.

Pixels outside the image hold no particle, a particle that reaches them is cut as at the border of an array, and areas
refer to what is left.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["field_sides", "find_outside", "replace_outside"]

MIN_MISSING_PX = 3
"""Side of the smallest square of pixels without a number that is a gap of the image; dead pixels and lines are none."""
MIN_FIELD = 0.25
"""Smallest share of the array that an image fills, so that a single object on an empty ground is not taken for one."""
MAX_CORNERS = 8
"""Most corners of a rectangular image that was shifted and turned in a rectangular array."""
MAX_FILL_AT_RIM = 0.3
"""Largest share of the rim of an image with exactly the value outside; a background that goes on has more."""
MIN_BORDER_PX = 2
"""Thinnest border of one value; a single constant line is one of a camera."""
MIN_OUTSIDE = 5e-4
"""Smallest share of the array that is a border; a few equal pixels in a corner are chance."""
_RIM_PX = 3


def find_outside(image: np.ndarray) -> np.ndarray | None:
    """Find the pixels that are no image.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.

    Returns
    -------
    numpy.ndarray of bool or None
        Shape (y, x): True in areas without finite numbers of at least 3 × 3 px, and in borders of exactly one value
        that leave a shifted or turned rectangle; None where there is none.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(100.0, 5.0, (64, 64))
    >>> image[:10] = np.nan
    >>> int(find_outside(image).sum())
    640
    """
    outside = np.zeros(image.shape, dtype=bool)
    if min(image.shape) <= 2 * _RIM_PX:
        return None
    if image.dtype.kind == "f":
        outside |= _gaps(~np.isfinite(image))
    for value in _border_values(image):
        outside |= _constant_border(image, value, outside)
    return outside if outside.any() and not outside.all() else None


def replace_outside(image: np.ndarray, outside: np.ndarray | None) -> np.ndarray:
    """Fill what is no image with the median of the image, so that it decides no threshold.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype; not modified.
    outside : numpy.ndarray of bool or None
        From `find_outside`.

    Returns
    -------
    numpy.ndarray
        Same shape and dtype; the same object where nothing is outside.
    """
    if outside is None:
        return image
    inside = image[~outside]
    inside = inside[np.isfinite(inside)] if image.dtype.kind == "f" else inside
    filled = image.copy()
    if inside.size:
        filled[outside] = np.median(inside).astype(image.dtype)
    return filled


def field_sides(outside: np.ndarray | None, shape: tuple[int, int]) -> tuple[float, float]:
    """Return height and width of the image.

    Parameters
    ----------
    outside : numpy.ndarray of bool or None
        From `find_outside`.
    shape : tuple of int
        Height and width of the array (px).

    Returns
    -------
    tuple of float
        Height and width (px): those of the array; of the rectangle that is left; and where what is left is no
        rectangle, those of the rectangle around it, reduced alike to its area.

    Examples
    --------
    >>> outside = np.zeros((100, 100), dtype=bool)
    >>> outside[:20] = True
    >>> field_sides(outside, (100, 100))
    (80.0, 100.0)
    """
    if outside is None:
        return float(shape[0]), float(shape[1])
    rows, columns = np.flatnonzero(~outside.all(axis=1)), np.flatnonzero(~outside.all(axis=0))
    if not rows.size:
        return 0.0, 0.0
    sides = float(rows[-1] - rows[0] + 1), float(columns[-1] - columns[0] + 1)
    reduced = float(np.sqrt(np.count_nonzero(~outside) / (sides[0] * sides[1])))
    return sides[0] * reduced, sides[1] * reduced


def _gaps(missing: np.ndarray) -> np.ndarray:
    """Return the areas of missing pixels that contain a square of `MIN_MISSING_PX`."""
    if not missing.any():
        return missing
    square = np.ones((MIN_MISSING_PX, MIN_MISSING_PX), np.uint8)
    # beyond the array all is missing, so that a strip along its border is wide enough
    padded = cv2.copyMakeBorder(missing.view(np.uint8), 2, 2, 2, 2, cv2.BORDER_REPLICATE)
    core = cv2.erode(padded, square)[2:-2, 2:-2]
    _, parts = cv2.connectedComponents(missing.view(np.uint8), connectivity=8)
    return np.asarray(np.isin(parts, np.unique(parts[core > 0])) & missing)


def _border_values(image: np.ndarray) -> list[float]:
    """Return the values that fill two neighboring pixels of a corner, since every border of one value has a corner."""
    corners = [image[y : y + 2 or None, x : x + 2 or None] for y in (0, -2) for x in (0, -2)]
    found = [float(c.flat[0]) for c in corners if np.all(c == c.flat[0])]
    return list(dict.fromkeys(value for value in found if np.isfinite(value)))


def _constant_border(image: np.ndarray, value: float, known: np.ndarray) -> np.ndarray:
    """Return the pixels outside the convex hull of all other values, where they are a border."""
    nothing = np.zeros(image.shape, dtype=bool)
    filled = (image == value) | known
    if not filled.any() or filled.all():
        return nothing
    rows, columns = np.flatnonzero(~filled.all(axis=1)), np.flatnonzero(~filled.all(axis=0))
    left = np.zeros(image.shape, np.uint8)
    points = np.concatenate(
        [[(np.argmin(filled[y]), y), (image.shape[1] - 1 - np.argmin(filled[y, ::-1]), y)] for y in rows]
    ).astype(np.int32)
    hull = cv2.convexHull(points)
    corners = cv2.approxPolyDP(hull, 2.0, closed=True)
    cv2.fillConvexPoly(left, hull, 1)
    is_shape = len(corners) <= MAX_CORNERS and left.mean() >= MIN_FIELD
    thickness = max(rows[0], columns[0], image.shape[0] - 1 - rows[-1], image.shape[1] - 1 - columns[-1])
    is_cut = bool(thickness >= MIN_BORDER_PX) or len(corners) > 4 or left.mean() < 1 - 2 / min(image.shape)
    outside = left == 0
    if not (is_shape and is_cut and outside.mean() > MIN_OUTSIDE):
        return nothing
    rim = (cv2.erode(left, np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) == 0) & (left > 0)
    at_outside = cv2.dilate(outside.view(np.uint8), np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) > 0
    rim &= at_outside & ~known
    if not rim.any() or (image[rim] == value).mean() > MAX_FILL_AT_RIM:
        return nothing
    return np.asarray(outside & (image == value))
