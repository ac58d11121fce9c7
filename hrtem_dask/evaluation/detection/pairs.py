"""Found and true instances at one score threshold: which belong together, and how their sizes and directions differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import angle_difference_deg
from hrtem_dask.evaluation.detection.overlaps import check_same_fields, overlap_matrix

__all__ = ["DetectionPairs", "match_greedily", "pair_detections"]

ROUND_BELOW_ASPECT = 1.3
"""A true box that is less elongated has no direction that could be compared."""


@dataclass(frozen=True, kw_only=True)
class DetectionPairs:
    """What was found of the instances of some images."""

    pairs: pd.DataFrame
    """A row per pair: ``image``, ``class_name``, ``iou``, ``score``, ``true_length_px``, ``length_ratio``,
    ``width_ratio`` (found over true), ``angle_error_deg`` (found − true; NaN where the true box is nearly square), and
    ``center_error_px``."""
    counts: pd.DataFrame
    """A row per image and class: ``image``, ``class_name``, ``n_true``, ``n_predicted`` (ignored ones counted in
    neither), ``n_matched``."""


def match_greedily(overlap: np.ndarray, scores: np.ndarray, ignored: np.ndarray, threshold: float) -> np.ndarray:
    """Give each found instance, by falling score, the true one that it covers best and no better one has taken.

    Parameters
    ----------
    overlap : numpy.ndarray
        Shape (predicted, true), from `overlap_matrix`.
    scores : numpy.ndarray
        Shape (predicted,).
    ignored : numpy.ndarray of bool
        Shape (true,): ignored ones are taken last, and by any number of found ones.
    threshold : float
        Least overlap of a match.

    Returns
    -------
    numpy.ndarray of int64
        Shape (predicted,): the true one, or −1. The rule is that of pycocotools.
    """
    chosen = np.full(len(overlap), -1, np.int64)
    taken = np.zeros(len(ignored), bool)
    if overlap.size == 0:
        return chosen
    for p in np.argsort(-scores, kind="stable"):
        for among in (~ignored & ~taken, ignored):
            best = int(np.argmax(np.where(among, overlap[p], -1)))
            if among[best] and overlap[p, best] >= threshold:
                chosen[p] = best
                taken[best] = True
                break
    return chosen


def pair_detections(
    truth: Sequence[Instances],
    predicted: Sequence[Instances],
    *,
    kind: str = "rotated_boxes",
    min_score: float = 0.5,
    threshold: float = 0.5,
    class_names: Sequence[str] | None = None,
) -> DetectionPairs:
    """Pair found with true instances of the same class.

    Parameters
    ----------
    truth, predicted : sequence of Instances
        True and found instances, one entry per image.
    kind : str
        What is compared: ``rotated_boxes``, ``boxes`` or ``masks``.
    min_score : float
        Found instances with a lower score are left out.
    threshold : float
        Least overlap of a pair.
    class_names : sequence of str, optional
        Classes that are judged; all of truth and predictions by default.

    Returns
    -------
    DetectionPairs
        Pairs and counts.

    Raises
    ------
    ValueError
        If the images do not fit together, or the kind is unknown.
    """
    check_same_fields(list(truth), list(predicted))
    if class_names is None:
        class_names = sorted({str(n) for side in (truth, predicted) for t in side for n in t.class_names})
    rows: list[dict[str, object]] = []
    counts: list[dict[str, object]] = []
    for image, (all_true, all_found) in enumerate(zip(truth, predicted, strict=True)):
        for name in class_names:
            true = all_true.select(all_true.class_names == name)
            found = all_found.select((all_found.class_names == name) & (all_found.scores >= min_score))
            overlap = overlap_matrix(found, true, kind)
            match = match_greedily(overlap, found.scores, true.ignored, threshold)
            lost = (match >= 0) & true.ignored[match] if len(true) else np.zeros(len(found), bool)
            pairs = np.flatnonzero((match >= 0) & ~lost)
            rows += [_pair(image, name, true, found, int(match[p]), int(p), float(overlap[p, match[p]])) for p in pairs]
            n_true, n_found = int((~true.ignored).sum()), len(found) - int(lost.sum())
            counts.append(
                {"image": image, "class_name": name, "n_true": n_true, "n_predicted": n_found, "n_matched": len(pairs)}
            )
    return DetectionPairs(
        pairs=pd.DataFrame(rows, columns=_PAIR_COLUMNS), counts=pd.DataFrame(counts, columns=_COUNT_COLUMNS)
    )


_PAIR_COLUMNS = [
    "image", "class_name", "iou", "score", "true_length_px", "length_ratio", "width_ratio", "angle_error_deg",
    "center_error_px",
]  # fmt: skip
_COUNT_COLUMNS = ["image", "class_name", "n_true", "n_predicted", "n_matched"]


def _pair(image: int, name: str, true: Instances, found: Instances, t: int, p: int, iou: float) -> dict[str, object]:
    """Describe one pair."""
    a, b = found.rotated_boxes[p], true.rotated_boxes[t]
    has_direction = b[2] >= ROUND_BELOW_ASPECT * b[3]
    return {
        "image": image,
        "class_name": name,
        "iou": iou,
        "score": float(found.scores[p]),
        "true_length_px": float(b[2]),
        "length_ratio": float(a[2] / b[2]),
        "width_ratio": float(a[3] / b[3]),
        "angle_error_deg": float(angle_difference_deg(a[4], b[4])) if has_direction else np.nan,
        "center_error_px": float(np.hypot(*(a[:2] - b[:2]))),
    }
