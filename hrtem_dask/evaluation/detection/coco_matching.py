"""Matching of found to true instances by pycocotools, the reference program of the COCO scores.

Rotated boxes use the same program: only its overlap of two boxes is replaced.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_iou import rotated_intersections
from hrtem_dask.evaluation.detection.overlaps import KINDS, areas, check_same_fields, overlap_shares
from hrtem_dask.evaluation.objects import IOU_THRESHOLDS

__all__ = ["MAX_DETECTIONS", "ClassMatches", "make_evaluation", "match_by_class"]

MAX_DETECTIONS = 300
"""Found instances of one class that are judged per image, those with the highest scores; COCO itself takes 100, which
is fewer than a dense micrograph has."""


@dataclass(frozen=True, kw_only=True)
class ClassMatches:
    """Found and true instances of one class over all images, and which of them match."""

    class_name: str
    """The class."""
    scores: np.ndarray
    """Shape (d,): score of each found instance, falling."""
    image: np.ndarray
    """Shape (d,): number of its image."""
    is_match: np.ndarray
    """Shape (10, d), bool: whether it matches a true instance at each of `IOU_THRESHOLDS`."""
    is_ignored: np.ndarray
    """Shape (10, d), bool: whether it is neither right nor wrong."""
    true_image: np.ndarray
    """Shape (g,): image of each true instance that is not ignored."""
    true_area_px: np.ndarray
    """Shape (g,): its area (px²)."""
    is_found: np.ndarray
    """Shape (10, g), bool: whether it is found at each threshold."""


def make_evaluation(
    truth: Sequence[Instances],
    predicted: Sequence[Instances],
    *,
    kind: str,
    max_detections: int = MAX_DETECTIONS,
    class_names: Sequence[str] | None = None,
) -> tuple[Any, list[str]]:
    """Set pycocotools' evaluation up and match; `accumulate` of what is returned gives COCO's own scores.

    Parameters
    ----------
    truth, predicted : sequence of Instances
        True and found instances, one entry per image.
    kind : str
        ``boxes``, ``masks`` or ``rotated_boxes``.
    max_detections : int
        Found instances of a class that are judged per image.
    class_names : sequence of str, optional
        Classes that are judged; all of the truth by default.

    Returns
    -------
    evaluation : pycocotools.cocoeval.COCOeval
        After ``evaluate``, for areas of every size.
    class_names : list of str
        The classes, in the order of its categories.

    Raises
    ------
    ValueError
        If the images do not fit together, or the kind is unknown.
    ModuleNotFoundError
        If pycocotools is not installed.
    """
    check_same_fields(list(truth), list(predicted))
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(KINDS)}")
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("COCO scores need pycocotools: pip install pycocotools") from error

    class RotatedEvaluation(COCOeval):  # type: ignore[misc]
        """COCO's evaluation with the exact overlap of rotated boxes."""

        def computeIoU(self, image: int, category: int) -> Any:  # noqa: N802 - the name that pycocotools calls
            true, found = self._gts[image, category], self._dts[image, category]
            if not true or not found:
                return []
            order = np.argsort([-d["score"] for d in found], kind="mergesort")[: self.params.maxDets[-1]]
            a = np.array([found[i]["rotated_box"] for i in order])
            b = np.array([t["rotated_box"] for t in true])
            shared = rotated_intersections(a, b)
            own, other = (a[:, 2] * a[:, 3])[:, None], (b[:, 2] * b[:, 3])[None]
            crowd = np.array([bool(t["iscrowd"]) for t in true])[None]
            return overlap_shares(shared, own, other, crowd)

    names = sorted({str(n) for t in truth for n in t.class_names}) if class_names is None else list(class_names)
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [_coco(COCO(), side, names, kind) for side in (truth, predicted)]
        evaluation = (RotatedEvaluation if kind == "rotated_boxes" else COCOeval)(
            *sides, iouType="segm" if kind == "masks" else "bbox"
        )
        evaluation.params.iouThrs = IOU_THRESHOLDS
        evaluation.params.maxDets = [max_detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    return evaluation, names


def match_by_class(
    truth: Sequence[Instances],
    predicted: Sequence[Instances],
    *,
    kind: str,
    max_detections: int = MAX_DETECTIONS,
    class_names: Sequence[str] | None = None,
) -> list[ClassMatches]:
    """Match found to true instances, class by class.

    Parameters
    ----------
    truth, predicted : sequence of Instances
        True and found instances, one entry per image.
    kind : str
        ``boxes``, ``masks`` or ``rotated_boxes``.
    max_detections : int
        Found instances of a class that are judged per image.
    class_names : sequence of str, optional
        Classes that are judged; all of the truth by default.

    Returns
    -------
    list of ClassMatches
        One per class.

    Raises
    ------
    ValueError
        If the images do not fit together, or the kind is unknown.
    ModuleNotFoundError
        If pycocotools is not installed.
    """
    evaluation, names = make_evaluation(
        truth, predicted, kind=kind, max_detections=max_detections, class_names=class_names
    )
    n = len(truth)
    made = []
    for k, name in enumerate(names):
        # one entry per image, None where neither truth nor prediction has the class
        entries = [(i, e) for i, e in enumerate(evaluation.evalImgs[k * n : (k + 1) * n]) if e is not None]
        made.append(_class_matches(name, entries, evaluation, category=k + 1))
    return made


def _class_matches(name: str, entries: list[tuple[int, Any]], evaluation: Any, *, category: int) -> ClassMatches:
    """Collect the matches of one class."""
    n_thresholds = len(IOU_THRESHOLDS)

    def joined(parts: list[np.ndarray], rows: int | None = None) -> np.ndarray:
        empty = np.zeros(0 if rows is None else (rows, 0))
        return np.concatenate([empty, *parts], axis=-1) if parts else empty

    scores = joined([np.asarray(e["dtScores"], float) for _, e in entries])
    order = np.argsort(-scores, kind="mergesort")
    counted = [np.asarray(e["gtIgnore"]) == 0 for _, e in entries]
    area_of = {t["id"]: t["area"] for i, _ in entries for t in evaluation._gts[i, category]}
    true_areas = [np.array([area_of[g] for g in e["gtIds"]], float) for _, e in entries]
    return ClassMatches(
        class_name=name,
        scores=scores[order],
        image=joined([np.full(len(e["dtScores"]), i) for i, e in entries])[order].astype(int),
        is_match=joined([np.asarray(e["dtMatches"]) > 0 for _, e in entries], n_thresholds)[:, order] > 0,
        is_ignored=joined([np.asarray(e["dtIgnore"]) > 0 for _, e in entries], n_thresholds)[:, order] > 0,
        true_image=joined([np.full(int(c.sum()), i) for (i, _), c in zip(entries, counted, strict=True)]).astype(int),
        true_area_px=joined([a[c] for a, c in zip(true_areas, counted, strict=True)]),
        is_found=joined(
            [np.asarray(e["gtMatches"])[:, c] > 0 for (_, e), c in zip(entries, counted, strict=True)], n_thresholds
        )
        > 0,
    )


def _coco(coco: Any, sides: Sequence[Instances], names: Sequence[str], kind: str) -> Any:
    """Fill a COCO object with the instances of all images."""
    category = {name: i for i, name in enumerate(names, 1)}
    annotations: list[dict[str, Any]] = []
    for image, instances in enumerate(sides):
        sizes = areas(instances, kind if kind != "boxes" or instances.masks is None else "masks")
        for k in range(len(instances)):
            if str(instances.class_names[k]) not in category:
                continue
            x0, y0, x1, y1 = (instances.boxes[k] + 0.5).tolist()
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": category[str(instances.class_names[k])],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "rotated_box": instances.rotated_boxes[k],
                "area": float(sizes[k]),
                "iscrowd": int(instances.ignored[k]),
                "score": float(instances.scores[k]),
            }
            if kind == "masks":
                annotation["segmentation"] = _run_lengths(instances, k)
            annotations.append(annotation)
    coco.dataset = {
        "images": [{"id": i, "height": s.shape[0], "width": s.shape[1]} for i, s in enumerate(sides)],
        "categories": [{"id": i, "name": name} for name, i in category.items()],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _run_lengths(instances: Instances, k: int) -> Any:
    """Return a mask as pycocotools compresses it."""
    from pycocotools.mask import encode

    whole = np.zeros(instances.shape, np.uint8, order="F")
    if instances.masks is not None:
        instances.masks[k].paint(whole)
    return encode(whole)
