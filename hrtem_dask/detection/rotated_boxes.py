"""Rotated boxes: rectangles with any direction, as float64 arrays of five numbers.

A box is (x_center_px, y_center_px, length_px, width_px, angle_deg):

- Centers of pixels are whole numbers, so pixel (0, 0) covers −0.5 to 0.5 in x and y; y counts downwards. A mask of
  3 × 1 pixels that starts at (0, 0) has the box (1, 0, 3, 1, 0).
- length ≥ width > 0.
- The angle is that of the length, counter-clockwise from +x on the screen, −90 ≤ angle < 90: the convention of
  ``orientation_deg`` in the table of particles. Since y counts downwards, the direction of the length in (x, y) is
  (cos angle, −sin angle).

Axis-aligned boxes are (x_min_px, y_min_px, x_max_px, y_max_px) in the same coordinates; add 0.5 for COCO and
torchvision, where pixel (0, 0) covers 0 to 1.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = [
    "angle_difference_deg",
    "box_around_points",
    "canonical",
    "check_rotated_boxes",
    "corners",
    "hulls",
    "rotate_boxes",
]


def check_rotated_boxes(boxes: np.ndarray) -> np.ndarray:
    """Return boxes as float64, and refuse what is no array of boxes of this convention.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (n, 5): x_center_px, y_center_px, length_px, width_px, angle_deg.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n, 5).

    Raises
    ------
    ValueError
        If the shape is another, a number is not finite, or a length or angle is outside the convention.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(f"rotated boxes have the shape (n, 5), not {boxes.shape}")
    wrong = ~np.isfinite(boxes).all(axis=1) | ~(boxes[:, 2] >= boxes[:, 3]) | ~(boxes[:, 3] > 0)
    wrong |= ~((boxes[:, 4] >= -90) & (boxes[:, 4] < 90))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"rotated box {row} is {boxes[row].tolist()}, but length ≥ width > 0 and −90 ≤ angle < 90 are needed: "
            "pass it through rotated_boxes.canonical"
        )
    return boxes


def canonical(boxes: np.ndarray) -> np.ndarray:
    """Return the same rectangles with length ≥ width and −90 ≤ angle < 90.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (..., 5), with sides in any order and any angles (counter-clockwise on the screen).

    Returns
    -------
    numpy.ndarray of float64
        Shape (..., 5).
    """
    boxes = np.array(boxes, dtype=np.float64)
    turned = boxes[..., 2] < boxes[..., 3]
    angle = np.mod(boxes[..., 4] + 90.0 * turned + 90, 180) - 90
    boxes[..., 4] = np.where(angle >= 90, -90.0, angle)  # tiny negative angles round up to the period
    boxes[..., 2:4] = np.where(turned[..., None], boxes[..., 3:1:-1], boxes[..., 2:4])
    return boxes


def angle_difference_deg(first: np.ndarray, second: np.ndarray, *, period_deg: float | np.ndarray = 180) -> np.ndarray:
    """Return by how much a direction must be turned to be another, the shorter way round.

    Parameters
    ----------
    first, second : numpy.ndarray
        Angles (°), shapes that broadcast.
    period_deg : float or numpy.ndarray
        Angle after which the object is the same: 180 for rods, 90 for squares.

    Returns
    -------
    numpy.ndarray of float64
        The difference first − second (°), −period / 2 to period / 2.
    """
    half = np.asarray(period_deg, dtype=np.float64) / 2
    return np.asarray(np.mod(np.asarray(first, dtype=np.float64) - second + half, 2 * half) - half)


def corners(boxes: np.ndarray) -> np.ndarray:
    """Return the four corners of each box, clockwise on the screen for positive y downwards.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (..., 5).

    Returns
    -------
    numpy.ndarray of float64
        Shape (..., 4, 2): (x, y) in px.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    angle = np.deg2rad(boxes[..., 4])
    along = np.stack([np.cos(angle), -np.sin(angle)], axis=-1) * boxes[..., 2, None] / 2
    across = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * boxes[..., 3, None] / 2
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)
    offsets = signs[:, :1] * along[..., None, :] + signs[:, 1:] * across[..., None, :]
    return np.asarray(boxes[..., None, :2] + offsets)


def hulls(boxes: np.ndarray) -> np.ndarray:
    """Return the axis-aligned box around each rotated box.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (..., 5).

    Returns
    -------
    numpy.ndarray of float64
        Shape (..., 4): x_min, y_min, x_max, y_max (px).
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    angle = np.deg2rad(boxes[..., 4])
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    half_x = (boxes[..., 2] * cos + boxes[..., 3] * sin) / 2
    half_y = (boxes[..., 2] * sin + boxes[..., 3] * cos) / 2
    x, y = boxes[..., 0], boxes[..., 1]
    return np.stack([x - half_x, y - half_y, x + half_x, y + half_y], axis=-1)


def rotate_boxes(boxes: np.ndarray, angle_deg: float, center_px: tuple[float, float]) -> np.ndarray:
    """Turn boxes as an image is turned.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (..., 5).
    angle_deg : float
        Counter-clockwise on the screen (°).
    center_px : tuple of float
        (x, y) of the point that stays.

    Returns
    -------
    numpy.ndarray of float64
        Shape (..., 5), canonical.
    """
    boxes = np.array(boxes, dtype=np.float64)
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    x, y = boxes[..., 0] - center_px[0], boxes[..., 1] - center_px[1]
    boxes[..., 0] = center_px[0] + cos * x + sin * y
    boxes[..., 1] = center_px[1] - sin * x + cos * y
    boxes[..., 4] += angle_deg
    return canonical(boxes)


def box_around_points(points: np.ndarray) -> np.ndarray:
    """Return the rotated box of least area around points.

    One side of it lies on a side of the convex hull (H. Freeman and R. Shapira, CACM 18 (1975) 409).

    Parameters
    ----------
    points : numpy.ndarray
        Shape (n, 2), n ≥ 1: (x, y) in px. For the box of a mask pass the corners of its pixels.

    Returns
    -------
    numpy.ndarray of float64
        Shape (5,), canonical; sides of points on one line are at least 1e-9 px.

    Raises
    ------
    ValueError
        If there is no point, or one is not finite.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2) + 0.0  # OpenCV takes -0 and 0 for two points
    if not len(points) or not np.isfinite(points).all():
        raise ValueError(f"a box needs at least one point, and finite ones; there are {len(points)}")
    hull = points[cv2.convexHull(points.astype(np.float32), returnPoints=False)[:, 0]]
    sides = np.roll(hull, -1, axis=0) - hull
    angles = np.arctan2(-sides[:, 1], sides[:, 0])[np.hypot(sides[:, 0], sides[:, 1]) > 0]
    angles = angles if angles.size else np.zeros(1)
    along = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    across = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    u, v = points @ along.T, points @ across.T
    best = int(np.argmin(np.ptp(u, axis=0) * np.ptp(v, axis=0)))
    middle_u, middle_v = ((w[:, best].min() + w[:, best].max()) / 2 for w in (u, v))
    x, y = middle_u * along[best] + middle_v * across[best]
    length, width = (max(float(np.ptp(w[:, best])), 1e-9) for w in (u, v))
    return canonical(np.array([x, y, length, width, np.rad2deg(angles[best])]))
