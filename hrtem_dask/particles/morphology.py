"""Morphological cleaning of a mask: specks off, pits and holes filled.

Order: opening, then closing, then filling. The paper (Groschner 2021) says "a series of morphological closings and
openings" and its code does not fix an order; opening comes first here, so that specks of noise are gone before a
closing could weld them to a particle.

What lies outside the image is unknown. Opening takes it as more of the same (scikit-image's ``mode="ignore"``), so
that particles cut by the border are not eaten from there; closing takes it as background, so that the strip between
a particle and the border is not filled and no contact with the edge is invented.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from hrtem_dask import backend

__all__ = ["clean_mask"]


def clean_mask(mask: Any, *, opening_radius_px: int, closing_radius_px: int, fill_holes: bool) -> Any:
    """Clean a mask by opening, closing and filling holes, in this order.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True where particle.
    opening_radius_px : int
        Radius (px) of the disk of the opening, which removes what the disk does not fit into; 0 turns it off.
    closing_radius_px : int
        Radius (px) of the disk of the closing, which fills background that the disk does not fit into; 0 turns
        it off.
    fill_holes : bool
        Fill background that is enclosed by particles (not connected to the border by edges of pixels).

    Returns
    -------
    numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), a new array where the mask was: OpenCV on the host, CuPy on a GPU, equal pixel by pixel.

    Raises
    ------
    ValueError
        If the mask is not two-dimensional, or a radius is negative.
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask has 2 dimensions (y, x), got shape {mask.shape}: pass one frame at a time")
    for name, radius in (("opening_radius_px", opening_radius_px), ("closing_radius_px", closing_radius_px)):
        if radius < 0:
            raise ValueError(f"{name} must be 0 or more, got {radius}: 0 turns it off")
    cleaned = mask.astype(bool)  # a copy: the input stays as it is
    if cleaned.size == 0:
        return cleaned
    if opening_radius_px:
        cleaned = _dilate(_erode(cleaned, opening_radius_px), opening_radius_px)
    if closing_radius_px:
        r = closing_radius_px
        room = backend.array_namespace(cleaned).pad(cleaned, r)  # a margin for the dilation to grow into
        cleaned = _erode(_dilate(room, r), r)[r:-r, r:-r].copy()
    return _fill_holes(cleaned) if fill_holes else cleaned


def _disk(radius: int) -> np.ndarray:
    """Return the disk of scikit-image's `morphology.disk`: pixels whose centres are within the radius."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius)


def _erode(mask: Any, radius: int) -> Any:
    """Erode by a disk, what is outside the image taken as particle."""
    if isinstance(mask, np.ndarray):
        return cv2.erode(mask.view(np.uint8), _disk(radius).view(np.uint8)).view(bool)
    xp = backend.array_namespace(mask)
    return backend.ndimage(mask).binary_erosion(mask, structure=xp.asarray(_disk(radius)), border_value=1)


def _dilate(mask: Any, radius: int) -> Any:
    """Dilate by a disk, what is outside the image taken as background."""
    if isinstance(mask, np.ndarray):
        return cv2.dilate(mask.view(np.uint8), _disk(radius).view(np.uint8)).view(bool)
    xp = backend.array_namespace(mask)
    return backend.ndimage(mask).binary_dilation(mask, structure=xp.asarray(_disk(radius)), border_value=0)


def _fill_holes(mask: Any) -> Any:
    """Fill the 4-connected pieces of background that do not reach the border."""
    xp = backend.array_namespace(mask)
    if isinstance(mask, np.ndarray):
        n, background = cv2.connectedComponents((~mask).view(np.uint8), connectivity=4)
    else:
        background, n = backend.ndimage(mask).label(~mask)
        n += 1
    outside = xp.zeros(n, dtype=bool)
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        outside[edge] = True
    outside[0] = False  # 0 is the mask itself
    return ~outside[background]
