"""Convex hulls of particles, their caliper diameters and their pixels."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from hrtem_dask.particles.runs import Runs

__all__ = ["convex_hulls", "feret_diameters", "hull_pixels"]

_CHUNK = 2_000_000
"""Largest number of pairs of vertices in memory."""


def convex_hulls(runs: Runs) -> list[np.ndarray]:
    """Return the convex hull of the pixel corners of each label.

    Parameters
    ----------
    runs : Runs
        Runs of the labels.

    Returns
    -------
    list of numpy.ndarray of int64
        For each label its vertices (y, x) in px, shape (m, 2), in order around; pixel (0, 0) has the corners
        (0, 0) and (1, 1).
    """
    corners = np.concatenate(
        [np.stack([x, y], axis=1) for x in (runs.start, runs.stop) for y in (runs.row, runs.row + 1)], axis=1
    )
    points = corners.reshape(-1, 2).astype(np.int32)
    bounds = [*(4 * runs.first), points.shape[0]]
    return [
        cv2.convexHull(points[begin:end]).reshape(-1, 2)[:, ::-1].astype(np.int64)
        for begin, end in itertools.pairwise(bounds)
    ]


def _padded(hulls: list[np.ndarray]) -> np.ndarray:
    """Stack hulls of different lengths by repeating the last vertex: shape (n, m, 2)."""
    longest = max(len(hull) for hull in hulls)
    return np.stack([np.pad(hull, ((0, longest - len(hull)), (0, 0)), mode="edge") for hull in hulls])


def feret_diameters(hulls: list[np.ndarray], *, scale: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest and smallest caliper distance of each hull.

    The smallest is taken over the sides of the hull, one of which always lies on the caliper (Shamos 1978).

    Parameters
    ----------
    hulls : list of numpy.ndarray
        From `convex_hulls`.
    scale : tuple of float
        Height and width of a pixel.

    Returns
    -------
    feret_max, feret_min : numpy.ndarray of float64
        Shape (n,), in the unit of the scale.
    """
    largest, smallest = np.zeros(len(hulls)), np.zeros(len(hulls))
    # hulls of similar length are handled together, so that few vertices are repeated
    order = sorted(range(len(hulls)), key=lambda i: len(hulls[i]))
    while order:
        m = len(hulls[order[-1]])
        chosen, order = order[-max(_CHUNK // (m * m), 1) :], order[: -max(_CHUNK // (m * m), 1)]
        vertices = _padded([hulls[i] for i in chosen]) * scale
        vertices -= vertices.mean(axis=1, keepdims=True)  # vectors from the middle are short and lose no digits
        square = (vertices**2).sum(axis=-1)
        apart = square[:, :, None] + square[:, None, :] - 2 * vertices @ vertices.swapaxes(1, 2)
        largest[chosen] = np.sqrt(apart.max(axis=(1, 2)))
        sides = np.roll(vertices, -1, axis=1) - vertices
        normals = np.stack([-sides[..., 1], sides[..., 0]], axis=-1)
        height = normals @ vertices.swapaxes(1, 2)
        length = np.hypot(sides[..., 0], sides[..., 1])
        across = height.max(axis=2) - height.min(axis=2)
        smallest[chosen] = np.divide(across, length, out=np.full_like(length, np.inf), where=length > 0).min(axis=1)
    return largest, smallest


def hull_pixels(runs: Runs, hulls: list[np.ndarray]) -> np.ndarray:
    """Count the pixels of the convex hull of each label: those whose centres lie in the hull of its pixel centres.

    Pick's theorem counts them exactly: area of the hull + half the pixel centres on its outline + 1. The hull of
    the corners is that of the centres widened by one pixel along each axis, from which both follow. A digitized
    convex shape of any size has as many pixels as its hull.

    Parameters
    ----------
    runs : Runs
        Runs of the labels.
    hulls : list of numpy.ndarray
        From `convex_hulls`.

    Returns
    -------
    numpy.ndarray of int64
        Shape (n,).
    """
    counts = np.empty(len(hulls), dtype=np.int64)
    boxes = runs.boxes
    half_sides = (boxes[:, 2] - boxes[:, 0]) + (boxes[:, 3] - boxes[:, 1])
    for i, hull in enumerate(hulls):
        y, x = hull.T
        following_y, following_x = np.append(y[1:], y[0]), np.append(x[1:], x[0])
        twice_area = abs(int((y * following_x - x * following_y).sum()))
        on_outline = int(np.gcd(following_y - y, following_x - x).sum())
        counts[i] = (twice_area + on_outline) // 2 - half_sides[i]
    return counts
