"""The part of rotated boxes that lies in an image."""

from __future__ import annotations

import numpy as np

from hrtem_dask.detection.rotated_boxes import canonical, corners, hulls

__all__ = ["clip_boxes"]


def clip_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the box, in the same direction, around the part of each box that lies in an image.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (n, 5), see `rotated_boxes`.
    shape : tuple of int
        (height, width) of the image (px).

    Returns
    -------
    clipped : numpy.ndarray of float64
        Shape (n, 5), canonical; boxes outside the image stay as they are.
    share : numpy.ndarray of float64
        Shape (n,), 0 to 1: share of each box's area that lies in the image.
    """
    boxes = np.reshape(np.asarray(boxes, dtype=np.float64), (-1, 5))
    clipped, share = boxes.copy(), np.ones(len(boxes))
    around = hulls(boxes)
    limit = np.array([shape[1], shape[0]]) - 0.5
    cut = np.flatnonzero((around[:, :2] < -0.5).any(axis=1) | (around[:, 2:] > limit).any(axis=1))
    for i in cut:
        polygon = corners(boxes[i])
        for axis in range(2):
            polygon = _keep(polygon, axis, 1, limit[axis])
            polygon = _keep(polygon, axis, -1, 0.5)
        if len(polygon) < 3:
            share[i] = 0
            continue
        x, y = polygon.T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        share[i] = area / (boxes[i, 2] * boxes[i, 3])
        angle = np.deg2rad(boxes[i, 4])
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        along = polygon @ axes.T
        low, high = along.min(axis=0), along.max(axis=0)
        center = (low + high) / 2 @ axes
        clipped[i] = [*center, *np.maximum(high - low, 1e-6), boxes[i, 4]]
    return canonical(clipped), share


def _keep(polygon: np.ndarray, axis: int, sign: int, limit: float) -> np.ndarray:
    """Return the part of a convex polygon where sign × coordinate ≤ limit."""
    if not len(polygon):
        return polygon
    distance = sign * polygon[:, axis] - limit
    kept = []
    for i in range(len(polygon)):
        before, here = distance[i - 1], distance[i]
        if (before < 0 < here) or (here < 0 < before):
            kept.append(polygon[i - 1] + before / (before - here) * (polygon[i] - polygon[i - 1]))
        if here <= 0:
            kept.append(polygon[i])
    return np.array(kept).reshape(-1, 2)
