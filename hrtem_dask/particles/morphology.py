"""Morphological cleaning of a mask: specks are removed, pits and holes are filled.

The order is opening, then closing, then filling. The paper (Groschner 2021) describes "a series of morphological
closings and openings", and its code does not fix an order. Here the opening comes first, so that specks of noise are
removed before a closing can join them to a particle.

The surroundings of the image are unknown. The opening treats them as particle (scikit-image's ``mode="ignore"``), so
that particles cut by the border are not eroded from there. The closing treats them as background, so that the strip
between a particle and the border is not filled and no contact with the border is created.
"""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask import backend

__all__ = ["clean_mask"]


def clean_mask(mask: np.ndarray, *, opening_radius_px: int, closing_radius_px: int, fill_holes: bool) -> np.ndarray:
    """Clean a mask by opening, closing and filling holes, in this order.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True on particles.
    opening_radius_px : int
        Radius (px) of the disk of the opening, which removes parts of the mask that the disk does not fit into; 0 turns
        the opening off.
    closing_radius_px : int
        Radius (px) of the disk of the closing, which fills background that the disk does not fit into; 0 turns
        the closing off.
    fill_holes : bool
        Fill background that is enclosed by particles (not connected to the border by edges of pixels).

    Returns
    -------
    numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), a new array on the same device: made by OpenCV on the host and by CuPy on a GPU, with equal
        pixels.

    Raises
    ------
    ValueError
        If the mask is not two-dimensional, or a radius is negative.

    Examples
    --------
    A speck of one pixel is removed, and a hole of one pixel is filled:

    >>> import numpy as np
    >>> from hrtem_dask.particles import clean_mask
    >>> mask = np.zeros((40, 40), dtype=bool)
    >>> mask[10:30, 10:30], mask[20, 20], mask[2, 2] = True, False, True
    >>> cleaned = clean_mask(mask, opening_radius_px=1, closing_radius_px=0, fill_holes=True)
    >>> bool(cleaned[20, 20]), bool(cleaned[2, 2])
    (True, False)
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
        padded = backend.array_namespace(cleaned).pad(cleaned, r)  # a margin for the dilation to grow into
        cleaned = _erode(_dilate(padded, r), r)[r:-r, r:-r].copy()
    return _fill_holes(cleaned) if fill_holes else cleaned


def _disk(radius: int) -> np.ndarray:
    """Return the disk of scikit-image's `morphology.disk`: pixels whose centers are within the radius."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius)


def _erode(mask: np.ndarray, radius: int) -> np.ndarray:
    """Erode by a disk; the surroundings of the image count as particle."""
    xp = backend.array_namespace(mask)
    if xp is np:
        return cv2.erode(mask.view(np.uint8), _disk(radius).view(np.uint8)).view(bool)
    eroded: np.ndarray = backend.ndimage(mask).binary_erosion(mask, xp.asarray(_disk(radius)), border_value=1)
    return eroded


def _dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Dilate by a disk; the surroundings of the image count as background."""
    xp = backend.array_namespace(mask)
    if xp is np:
        return cv2.dilate(mask.view(np.uint8), _disk(radius).view(np.uint8)).view(bool)
    dilated: np.ndarray = backend.ndimage(mask).binary_dilation(mask, xp.asarray(_disk(radius)), border_value=0)
    return dilated


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill the 4-connected pieces of background that do not reach the border."""
    xp = backend.array_namespace(mask)
    if xp is np:
        n, background = cv2.connectedComponents((~mask).view(np.uint8), connectivity=4)
    else:
        background, n = backend.ndimage(mask).label(~mask)
        n += 1
    outside = xp.zeros(n, dtype=bool)
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        outside[edge] = True
    outside[0] = False  # 0 is the mask itself
    if int(xp.count_nonzero(outside)) == n - 1:
        return mask  # no hole: looking at every pixel would take longer than the rest
    filled: np.ndarray = ~outside[background]
    return filled
