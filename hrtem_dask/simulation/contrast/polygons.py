"""Polygons in the plane: moments, signed distances and rounded corners. Points are (y, x)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Moments", "convex_distance", "moments", "outline_of", "rounded", "segment_distance"]


@dataclass(frozen=True)
class Moments:
    """Properties of a figure that follow from its outline."""

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
    y1, x1 = _next(y), _next(x)
    cross = x * y1 - x1 * y
    twice = float(cross.sum())
    cy, cx = (float(((a + a1) * cross).sum() / (3 * twice)) for a, a1 in ((y, y1), (x, x1)))
    yy, xx = (float(((a * a + a * a1 + a1 * a1) * cross).sum() / (6 * twice)) for a, a1 in ((y, y1), (x, x1)))
    xy = float(((x * y1 + 2 * x * y + 2 * x1 * y1 + x1 * y) * cross).sum() / (12 * twice))
    yy, xx, xy = yy - cy * cy, xx - cx * cx, xy - cx * cy
    middle, half = (yy + xx) / 2, math.hypot((yy - xx) / 2, xy)
    major, minor = (4 * math.sqrt(max(v, 0.0)) for v in (middle + half, middle - half))
    return Moments(abs(twice) / 2, (cy, cx), major, minor)


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
    _, normal, offset = _edges(outline)
    y, x = np.asarray(y, np.float32), np.asarray(x, np.float32)
    axes = (slice(None),) + (None,) * max(y.ndim, x.ndim)
    beyond = normal[:, 0][axes] * y + (normal[:, 1][axes] * x - offset[axes])
    return np.asarray(beyond.max(axis=0))


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
    outside = signed > 0
    if not outside.any():
        return signed
    y, x = (np.broadcast_to(np.asarray(v, np.float32), signed.shape)[outside] for v in (y, x))
    edge, _, _ = _edges(outline)
    corner = outline.astype(np.float32)
    dy, dx = y - corner[:, :1], x - corner[:, 1:]
    ey, ex = edge[:, :1], edge[:, 1:]
    along = np.clip((dy * ey + dx * ex) / (ey * ey + ex * ex), 0, 1)
    squared = (dy - along * ey) ** 2 + (dx - along * ex) ** 2
    signed[outside] = np.sqrt(squared.min(axis=0))
    return signed


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
    before, after = np.concatenate([outline[-1:], outline[:-1]]), _next(outline)

    def outward(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.arctan2(-(b[:, 1] - a[:, 1]), b[:, 0] - a[:, 0]))

    first, last = outward(before, outline), outward(outline, after)
    turn = np.mod(last - first, 2 * np.pi)
    angle = first[:, None] + turn[:, None] * np.linspace(0, 1, n_per_corner)
    arcs = outline[:, None, :] + radius * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    return np.asarray(arcs.reshape(-1, 2))


def _next(points: np.ndarray) -> np.ndarray:
    """Return each corner's successor."""
    return np.concatenate([points[1:], points[:1]])


def _edges(outline: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return edges, outward normals and their offsets, float32; edges without length face away from everything."""
    edge = _next(outline) - outline
    length = np.maximum(np.hypot(edge[:, 0], edge[:, 1]), 1e-9)
    normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1) / length[:, None]
    inner = outline.mean(axis=0)
    offset = (normal * outline).sum(axis=1)
    sign = np.where(normal @ inner > offset, -1.0, 1.0)
    normal, offset = normal * sign[:, None], offset * sign
    offset = np.where(length < 1e-7, np.inf, offset)
    return edge.astype(np.float32), normal.astype(np.float32), offset.astype(np.float32)
