"""Average precision of rotated boxes or masks in validation images, to follow a training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_iou import rotated_intersections
from hrtem_dask.evaluation.detection.overlaps import overlap_matrix

__all__ = ["mean_average_precision"]


def mean_average_precision(
    found: Sequence[Instances], true: Sequence[Instances], iou_threshold: float, *, kind: str = "rotated_boxes"
) -> float:
    """Return the area under the curve of precision over recall, averaged over the classes that occur.

    Each found box, by falling score, takes the free true box of its class in its image that it overlaps most, as COCO
    does; what lies on ignored ones is left out.

    Parameters
    ----------
    found, true : sequence of Instances
        One per image.
    iou_threshold : float
        Least intersection over union.
    kind : {"rotated_boxes", "masks"}
        Of what.

    Returns
    -------
    float
        From 0 to 1; NaN if there is no true instance.
    """
    names = sorted({str(name) for one in true for name in one.class_names[~one.ignored]})
    return (
        float(np.mean([_one_class(found, true, name, iou_threshold, kind) for name in names]))
        if names
        else float("nan")
    )


def _one_class(
    found: Sequence[Instances], true: Sequence[Instances], name: str, iou_threshold: float, kind: str
) -> float:
    """Return the average precision of one class."""
    scores, right, n_true = [], [], 0
    for predicted, truth in zip(found, true, strict=True):
        mine = truth.select((truth.class_names == name) & ~truth.ignored)
        n_true += len(mine)
        candidates = predicted.select(predicted.class_names == name)
        hits = _match(candidates, mine, iou_threshold, kind)
        ignored = truth.rotated_boxes[truth.ignored]
        covered = rotated_intersections(candidates.rotated_boxes, ignored)
        area = candidates.rotated_boxes[:, 2] * candidates.rotated_boxes[:, 3]
        counts = hits | ~(covered >= 0.5 * area[:, None]).any(axis=1)
        scores.append(candidates.scores[counts])
        right.append(hits[counts])
    if not n_true:
        return 0.0
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit = np.concatenate(right)[order]
    recall, precision = np.cumsum(hit) / n_true, np.cumsum(hit) / np.arange(1, len(hit) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _match(predicted: Instances, true: Instances, iou_threshold: float, kind: str) -> np.ndarray:
    """Return which predictions have a true box of their own, shape (n,), bool."""
    iou = np.array(overlap_matrix(predicted, true, kind))
    hits = np.zeros(len(predicted), dtype=bool)
    for row in np.argsort(-predicted.scores, kind="stable"):
        best = int(np.argmax(iou[row])) if iou.shape[1] else -1
        if best >= 0 and iou[row, best] >= iou_threshold:
            hits[row] = True
            iou[:, best] = -1
    return hits
