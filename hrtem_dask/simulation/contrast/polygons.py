"""Polygons in the plane: moments, signed distances and rounded corners. Points are (y, x)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Moments", "convex_distance", "moments", "outline_of", "rounded", "segment_distance"]


@dataclass(frozen=True)
class Moments:
    """What the outline of a figure says about it."""

    area_px: float
    """Area (px)."""
    centroid_px: tuple[float, float]
    """(y, x) of its centroid (px)."""
    major_axis_px: float
    """Length of the long axis of the ellipse with the same second moments (px)."""
    minor_axis_px: float
    """Length of its short axis (px)."""


def moments(outline: np.ndarray) -> Moments:
    """Integrate a polygon's area, centroid and second moments.

    Parameters
    ----------
    outline : numpy.ndarray
        Shape (n, 2): corners as (y, x) in px, in either sense of rotation.

    Returns
    -------
    Moments
        Exact for the polygon.
    """
    y, x = outline[:, 0].astype(float), outline[:, 1].astype(float)
    y1, x1 = np.roll(y, -1), np.roll(x, -1)
    cross = x * y1 - x1 * y
    twice = float(cross.sum())
    cy, cx = (float(((a + a1) * cross).sum() / (3 * twice)) for a, a1 in ((y, y1), (x, x1)))
    yy, xx = (float(((a * a + a * a1 + a1 * a1) * cross).sum() / (6 * twice)) for a, a1 in ((y, y1), (x, x1)))
    xy = float(((x * y1 + 2 * x * y + 2 * x1 * y1 + x1 * y) * cross).sum() / (12 * twice))
    spread = np.linalg.eigvalsh([[yy - cy * cy, xy - cx * cy], [xy - cx * cy, xx - cx * cx]])
    minor, major = 4 * np.sqrt(np.maximum(spread, 0))
    return Moments(abs(twice) / 2, (cy, cx), float(major), float(minor))


def outline_of(radius: np.ndarray) -> np.ndarray:
    """Return the corners of a figure given by its radius in equally spaced directions.

    Parameters
    ----------
    radius : numpy.ndarray
        Shape (n,): distance from the origin at the angles 2πk/n from +x towards +y.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2): (y, x).
    """
    angle = np.arange(len(radius)) * (2 * np.pi / len(radius))
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def convex_distance(outline: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the largest distance beyond any edge of a convex polygon.

    Parameters
    ----------
    outline : numpy.ndarray
        Shape (n, 2): corners (y, x) of a convex polygon, in either sense.
    y, x : numpy.ndarray
        Where; they broadcast.

    Returns
    -------
    numpy.ndarray
        Signed distance, negative inside; beside a corner it is too small outside.
    """
    inner = outline.mean(axis=0)
    result: np.ndarray | None = None
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        if length < 1e-9:
            continue
        ny, nx = float(b[1] - a[1]) / length, float(a[0] - b[0]) / length
        if (inner[0] - a[0]) * ny + (inner[1] - a[1]) * nx > 0:
            ny, nx = -ny, -nx
        beyond = y * np.float32(ny) + (x * np.float32(nx) - np.float32(a[0] * ny + a[1] * nx))
        result = beyond if result is None else np.maximum(result, beyond, out=result)
    if result is None:
        raise ValueError("a polygon needs edges")
    return result


def segment_distance(outline: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the exact signed distance from a convex polygon.

    Parameters
    ----------
    outline : numpy.ndarray
        Shape (n, 2): corners (y, x) of a convex polygon.
    y, x : numpy.ndarray
        Where; they broadcast.

    Returns
    -------
    numpy.ndarray
        Signed distance, negative inside.
    """
    signed = convex_distance(outline, y, x)
    squared = np.full(signed.shape, np.inf, np.float32)
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        ey, ex = float(b[0] - a[0]), float(b[1] - a[1])
        dy, dx = y - np.float32(a[0]), x - np.float32(a[1])
        along = np.clip((dy * ey + dx * ex) / max(ey * ey + ex * ex, 1e-12), 0, 1)
        np.minimum(squared, (dy - along * ey) ** 2 + (dx - along * ex) ** 2, out=squared)
    return np.where(signed < 0, signed, np.sqrt(squared))


def rounded(outline: np.ndarray, radius: float, *, n_per_corner: int = 8) -> np.ndarray:
    """Widen a convex polygon by a radius, so that its corners become arcs.

    Parameters
    ----------
    outline : numpy.ndarray
        Shape (n, 2): corners (y, x) of a convex polygon, in the sense from +x towards +y.
    radius : float
        How far.
    n_per_corner : int
        Points of each arc.

    Returns
    -------
    numpy.ndarray
        Shape (n × n_per_corner, 2).
    """
    before, after = np.roll(outline, 1, axis=0), np.roll(outline, -1, axis=0)

    def outward(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.arctan2(-(b[:, 1] - a[:, 1]), b[:, 0] - a[:, 0]))

    first, last = outward(before, outline), outward(outline, after)
    turn = np.mod(last - first, 2 * np.pi)
    angle = first[:, None] + turn[:, None] * np.linspace(0, 1, n_per_corner)
    arcs = outline[:, None, :] + radius * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    return np.asarray(arcs.reshape(-1, 2))
