"""Polygons and masks: a pixel belongs to a polygon where its center lies inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.draw import polygon

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.particles import outline_polygons

__all__ = ["mask_of_polygons", "polygons_of_mask"]


def mask_of_polygons(polygons: Sequence[np.ndarray], shape: tuple[int, int]) -> InstanceMask:
    """Fill polygons.

    Parameters
    ----------
    polygons : sequence of numpy.ndarray
        Each of shape (m, 2): x and y in px, centers of pixels at whole numbers.
    shape : tuple of int
        (height, width) of the image.

    Returns
    -------
    InstanceMask
        Their union, of the part in the image.
    """
    points = np.concatenate([np.asarray(p, float).reshape(-1, 2) for p in polygons])
    x0, y0 = (max(int(np.floor(v)), 0) for v in points.min(axis=0))
    x1, y1 = (min(int(np.ceil(v)) + 1, n) for v, n in zip(points.max(axis=0), shape[::-1], strict=True))
    crop = np.zeros((max(y1 - y0, 0), max(x1 - x0, 0)), bool)
    if crop.size:
        for corners in polygons:
            x, y = np.asarray(corners, float).T
            crop[polygon(y - y0, x - x0, crop.shape)] = True  # type: ignore[no-untyped-call]
    return InstanceMask.from_image(crop, y0_px=y0, x0_px=x0)


def polygons_of_mask(mask: InstanceMask) -> list[np.ndarray] | None:
    """Return polygons that enclose exactly the centers of a mask's pixels.

    Parameters
    ----------
    mask : InstanceMask
        A mask.

    Returns
    -------
    list of numpy.ndarray or None
        Each of shape (m, 2): x and y in px, centers of pixels at whole numbers. None if the mask has a hole, which
        a union of polygons cannot have.
    """
    pieces = outline_polygons(mask.crop, corner=(mask.y0_px, mask.x0_px))
    if any(len(rings) > 1 for rings in pieces):
        return None
    return [rings[0] - 0.5 for rings in pieces]
