"""Exact overlap of rotated boxes, and suppression of duplicates by it.

The second box is moved into the frame of the first and clipped at its four sides, one after the other (I. E.
Sutherland and G. W. Hodgman, CACM 17 (1974) 32). In float64 this is exact to about 1e-12, also for boxes that are
nearly identical, where sorting the crossings of the sides, as usual on GPUs, fails.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["lowered_scores", "rotated_intersections", "rotated_iou", "rotated_nms"]


@numba.njit(cache=True)
def _clip(polygon, n, axis, sign, limit, clipped):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Clip a convex polygon of n corners where sign × coordinate ≤ limit; return the number of corners left."""
    kept = 0
    for i in range(n):
        before = i - 1 if i else n - 1
        d0 = sign * polygon[before, axis] - limit
        d1 = sign * polygon[i, axis] - limit
        if (d0 < 0 < d1) or (d1 < 0 < d0):
            t = d0 / (d0 - d1)
            for k in range(2):
                clipped[kept, k] = polygon[before, k] + t * (polygon[i, k] - polygon[before, k])
            kept += 1
        if d1 <= 0:
            clipped[kept, 0], clipped[kept, 1] = polygon[i, 0], polygon[i, 1]
            kept += 1
    return kept


@numba.njit(cache=True)
def _intersection(a, b, polygon, clipped):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the area (px²) that two boxes share; the last two arguments are memory, shape (16, 2)."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    reach = 0.5 * (np.hypot(a[2], a[3]) + np.hypot(b[2], b[3]))
    if dx * dx + dy * dy >= reach * reach:
        return 0.0
    # axes: along the first box, and 90° counter-clockwise of it on the screen, where y counts downwards
    cos, sin = np.cos(np.deg2rad(a[4])), np.sin(np.deg2rad(a[4]))
    u, v = dx * cos - dy * sin, -dx * sin - dy * cos
    turn = np.deg2rad(b[4] - a[4])
    cos, sin = np.cos(turn), np.sin(turn)
    for i in range(4):
        along = 0.5 * b[2] * (-1.0 if i in (0, 3) else 1.0)
        across = 0.5 * b[3] * (-1.0 if i < 2 else 1.0)
        polygon[i, 0] = u + along * cos - across * sin
        polygon[i, 1] = v + along * sin + across * cos
    n = 4
    for axis in range(2):
        n = _clip(polygon, n, axis, 1.0, 0.5 * a[2 + axis], clipped)
        n = _clip(clipped, n, axis, -1.0, 0.5 * a[2 + axis], polygon)
    twice = 0.0
    for i in range(n):
        before = i - 1 if i else n - 1
        twice += polygon[before, 0] * polygon[i, 1] - polygon[i, 0] * polygon[before, 1]
    return max(0.5 * twice, 0.0)


@numba.njit(cache=True)
def _intersections(first, second):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the shared areas (px²) of all pairs."""
    areas = np.zeros((first.shape[0], second.shape[0]))
    polygon, clipped = np.empty((16, 2)), np.empty((16, 2))
    for i in range(first.shape[0]):
        for j in range(second.shape[0]):
            areas[i, j] = _intersection(first[i], second[j], polygon, clipped)
    return areas


@numba.njit(cache=True)
def _may_share(a, b, cos_a, sin_a, cos_b, sin_b, least):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return whether two boxes may share an area of `least` px²: an upper limit in the frame of the first."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    u, v = abs(dx * cos_a - dy * sin_a), abs(dx * sin_a + dy * cos_a)
    cos, sin = abs(cos_a * cos_b + sin_a * sin_b), abs(sin_b * cos_a - cos_b * sin_a)
    half_u, half_v = 0.5 * (b[2] * cos + b[3] * sin), 0.5 * (b[2] * sin + b[3] * cos)
    shared_u = min(0.5 * a[2], u + half_u) - max(-0.5 * a[2], u - half_u)
    shared_v = min(0.5 * a[3], v + half_v) - max(-0.5 * a[3], v - half_v)
    return shared_u > 0 and shared_v > 0 and shared_u * shared_v > least


@numba.njit(cache=True)
def _large_ious(first, second, least_iou):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the intersections over union of all pairs, and 0 for those that cannot reach `least_iou`."""
    ious = np.zeros((first.shape[0], second.shape[0]))
    polygon, clipped = np.empty((16, 2)), np.empty((16, 2))
    cos, sin = np.cos(np.deg2rad(second[:, 4])), np.sin(np.deg2rad(second[:, 4]))
    for i in range(first.shape[0]):
        a, area = first[i], first[i, 2] * first[i, 3]
        cos_a, sin_a = np.cos(np.deg2rad(a[4])), np.sin(np.deg2rad(a[4]))
        for j in range(second.shape[0]):
            b, other = second[j], second[j, 2] * second[j, 3]
            least = least_iou / (1 + least_iou) * (area + other) * (1 - 1e-9)
            if min(area, other) < least or not _may_share(a, b, cos_a, sin_a, cos[j], sin[j], least):
                continue
            shared = _intersection(a, b, polygon, clipped)
            ious[i, j] = shared / (area + other - shared)
    return ious


@numba.njit(cache=True)
def _suppress(boxes, groups, order, iou_threshold, most):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the first boxes in the order that no box before them, which was kept itself, overlaps too much."""
    chosen = np.empty(min(boxes.shape[0], most), dtype=np.int64)
    polygon, clipped = np.empty((16, 2)), np.empty((16, 2))
    area = boxes[:, 2] * boxes[:, 3]
    cos, sin = np.cos(np.deg2rad(boxes[:, 4])), np.sin(np.deg2rad(boxes[:, 4]))
    n = 0
    for i in order:
        if n == most:
            break
        free = True
        for k in range(n):
            j = chosen[k]
            # what they share at the threshold; shares that are not possible need not be computed
            least = iou_threshold / (1 + iou_threshold) * (area[i] + area[j])
            if groups[i] != groups[j] or min(area[i], area[j]) <= least:
                continue
            if not _may_share(boxes[j], boxes[i], cos[j], sin[j], cos[i], sin[i], least):
                continue
            if _intersection(boxes[j], boxes[i], polygon, clipped) > least:
                free = False
                break
        if free:
            chosen[n] = i
            n += 1
    return chosen[:n]


def _as_boxes(boxes: np.ndarray) -> np.ndarray:
    """Return boxes as numba compiles for: float64, contiguous, shape (n, 5)."""
    return np.ascontiguousarray(np.reshape(boxes, (-1, 5)), dtype=np.float64)


def rotated_intersections(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the areas that pairs of rotated boxes share.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shapes (n, 5) and (m, 5), see `rotated_boxes`; length and width may be in any order.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n, m), px².
    """
    return np.asarray(_intersections(_as_boxes(first), _as_boxes(second)))


def rotated_iou(first: np.ndarray, second: np.ndarray, *, least: float = 0.0) -> np.ndarray:
    """Return the intersection over union of pairs of rotated boxes.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shapes (n, 5) and (m, 5), see `rotated_boxes`; length and width may be in any order.
    least : float
        Pairs that cannot reach it, by an upper limit that costs little, are 0; others may be below it.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n, m), 0 to 1.
    """
    first, second = _as_boxes(first), _as_boxes(second)
    if least > 0:
        return np.asarray(_large_ious(first, second, float(least)))
    shared = rotated_intersections(first, second)
    union = (first[:, 2] * first[:, 3])[:, None] + second[:, 2] * second[:, 3] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def rotated_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    iou_threshold: float,
    groups: np.ndarray | None = None,
    most: int | None = None,
) -> np.ndarray:
    """Keep of boxes that overlap the one with the highest score.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (n, 5), see `rotated_boxes`.
    scores : numpy.ndarray
        Shape (n,).
    iou_threshold : float
        Boxes whose intersection over union with a kept one is larger are suppressed.
    groups : numpy.ndarray of int, optional
        Shape (n,): boxes suppress only those of their own group, such as a class.
    most : int, optional
        Largest number of boxes to keep.

    Returns
    -------
    numpy.ndarray of int64
        Positions of the kept boxes, by falling score; of equal scores the first comes first.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    number = np.zeros(len(order), dtype=np.int64) if groups is None else np.asarray(groups, dtype=np.int64)
    limit = len(order) if most is None else most
    return np.asarray(_suppress(_as_boxes(boxes), number, order, float(iou_threshold), limit))


def lowered_scores(boxes: np.ndarray, scores: np.ndarray, *, from_iou: float, groups: np.ndarray) -> np.ndarray:
    """Lower the scores of boxes that overlap a surer one so much that they may be duplicates, but need not be.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (n, 5), see `rotated_boxes`, by falling score.
    scores : numpy.ndarray
        Shape (n,).
    from_iou : float
        Intersection over union with a surer box of the same group above which a score is lowered.
    groups : numpy.ndarray of int
        Shape (n,): such as a class.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,): scores × (1 − the largest of these intersections over union), as they were where there is none (the
        linear rule of N. Bodla et al., Soft-NMS, ICCV 2017, for boxes that `rotated_nms` has kept).

    Examples
    --------
    >>> boxes = np.array([[10.0, 10, 20, 8, 0], [14.0, 10, 20, 8, 0], [60.0, 10, 20, 8, 0]])
    >>> lowered_scores(boxes, np.array([0.9, 0.6, 0.6]), from_iou=0.45, groups=np.zeros(3, int)).round(2).tolist()
    [0.9, 0.2, 0.6]
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not len(scores):
        return scores
    surer = np.tril(rotated_iou(boxes, boxes, least=from_iou), -1) * (groups[:, None] == groups)
    largest = surer.max(axis=1)
    return np.where(largest > from_iou, scores * (1 - largest), scores)
