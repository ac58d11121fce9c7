"""Convex hulls of particles and their pixels."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from hrtem_dask.particles.runs import Runs

__all__ = ["convex_hulls", "hull_pixels"]


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
