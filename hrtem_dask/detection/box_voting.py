"""Better places for detected boxes: each is moved to the mean of the boxes that found the same instance.

Suppression of duplicates keeps the surest box of an instance and drops the others, which know something about its
place, too (S. Gidaris & N. Komodakis, ICCV 2015, "bounding box voting").
"""

from __future__ import annotations

import numpy as np

from hrtem_dask.detection.rotated_boxes import canonical
from hrtem_dask.detection.rotated_iou import rotated_iou

__all__ = ["vote_boxes"]

LARGEST_TURN_DEG = 30.0
"""Boxes in another direction than that do not vote: of a square, sides and angle would not belong together."""


def vote_boxes(
    boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, kept: np.ndarray, *, min_iou: float
) -> np.ndarray:
    """Return the mean of each kept box and those that overlap it.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (n, 5), see `rotated_boxes`; duplicates included.
    scores : numpy.ndarray
        Shape (n,): 0 for boxes without a vote. A kept box for which none votes stays.
    groups : numpy.ndarray of int
        Shape (n,): only boxes of one group vote for each other.
    kept : numpy.ndarray of int
        Shape (k,): numbers of the boxes to move, from `rotated_nms`.
    min_iou : float
        Least intersection over union with the kept box of a box that votes.

    Returns
    -------
    numpy.ndarray of float64
        Shape (k, 5), canonical: means weighted by score × intersection over union; of lengths and widths the geometric
        ones, and of angles those of the differences to the kept box.

    Examples
    --------
    >>> boxes = np.array([[10.0, 10, 20, 8, 0], [12.0, 10, 20, 8, 4]])
    >>> moved = vote_boxes(boxes, np.array([0.8, 0.8]), np.zeros(2, int), np.array([0]), min_iou=0.6)
    >>> bool(10 < moved[0, 0] < 11), bool(0 < moved[0, 4] < 2)
    (True, True)
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 5)
    if not len(kept):
        return np.zeros((0, 5))
    chosen = boxes[kept]
    turn = (boxes[:, 4] - chosen[:, 4, None] + 90) % 180 - 90
    overlap = rotated_iou(chosen, boxes, least=min_iou)
    votes = (overlap >= min_iou) & (groups == groups[kept][:, None]) & (np.abs(turn) <= LARGEST_TURN_DEG)
    weight = np.where(votes, overlap * scores, 0.0)
    nobody = ~weight.any(axis=1)
    weight[nobody, kept[nobody]] = 1.0
    weight /= weight.sum(axis=1, keepdims=True)
    return canonical(
        np.column_stack([
            weight @ boxes[:, :2],
            np.exp(weight @ np.log(boxes[:, 2:4])),
            chosen[:, 4] + (weight * turn).sum(axis=1),
        ])
    )  # fmt: skip
