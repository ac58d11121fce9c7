"""Mean average precision of detections as COCO defines it, with intervals over micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.detection.instances import Instances
from hrtem_dask.evaluation.detection.coco_matching import MAX_DETECTIONS, ClassMatches, match_by_class
from hrtem_dask.evaluation.objects import IOU_THRESHOLDS
from hrtem_dask.intervals import bootstrap_interval, resamples

__all__ = ["SIZE_EDGES_PX", "precision_table", "weighted_average_precision"]

RECALLS = np.linspace(0, 1, 101)
SIZE_EDGES_PX = (32.0, 96.0)
"""Square roots of the areas that separate small, medium and large instances (px), as in COCO."""
_AT_50, _AT_75 = 0, 5


def weighted_average_precision(matches: ClassMatches, weights: np.ndarray) -> np.ndarray:
    """Return the average precision at each threshold, with images counted as often as drawn.

    Parameters
    ----------
    matches : ClassMatches
        Matches of one class.
    weights : numpy.ndarray
        Shape (images,): how often each image counts.

    Returns
    -------
    numpy.ndarray of float64
        Shape (10,): mean of the precision at 101 recalls, made monotonic, for each of `IOU_THRESHOLDS`; NaN without a
        true instance. For weights of 1 these are pycocotools' own values.
    """
    n_true = float(weights[matches.true_image].sum())
    if n_true == 0:
        return np.full(len(IOU_THRESHOLDS), np.nan)
    weight = weights[matches.image] * ~matches.is_ignored
    right = np.cumsum(weight * matches.is_match, axis=1)
    wrong = np.cumsum(weight * ~matches.is_match, axis=1)
    recall = right / n_true
    precision = right / (right + wrong + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    made = np.zeros(len(IOU_THRESHOLDS))
    for t in range(len(IOU_THRESHOLDS)):
        at = np.searchsorted(recall[t], RECALLS, side="left")
        reached = at < recall.shape[1]
        made[t] = precision[t, at[reached]].sum() / len(RECALLS)
    return made


def precision_table(
    truth: Sequence[Instances],
    predicted: Sequence[Instances],
    *,
    kind: str,
    max_detections: int = MAX_DETECTIONS,
    class_names: Sequence[str] | None = None,
    n_resamples: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute COCO's scores for each class and their mean.

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
    n_resamples : int
        Resamples of the micrographs for the intervals.
    seed : int
        Seed of the resamples.

    Returns
    -------
    pandas.DataFrame
        A row per class, and the row ``mean`` over classes with a true instance: ``n_true``, ``n_predicted``, ``map``
        (mean over the thresholds 0.5 to 0.95), ``ap50`` and ``ap75``, each with ``…_low`` and ``…_high`` (95 %
        interval of the bootstrap over micrographs; NaN with fewer than five), and the recall at 0.5 of all, small,
        medium and large true instances: ``recall50``, ``recall50_small`` (area below 32² px), ``recall50_medium`` (to
        96² px), ``recall50_large``.

    Raises
    ------
    ValueError
        If the images do not fit together, or the kind is unknown.
    ModuleNotFoundError
        If pycocotools is not installed.
    """
    matches = match_by_class(truth, predicted, kind=kind, max_detections=max_detections, class_names=class_names)
    drawn = resamples(len(truth), n_resamples=n_resamples, seed=seed)
    values = np.array([[weighted_average_precision(m, weights) for weights in drawn] for m in matches])
    values = values.reshape(len(matches), len(drawn), len(IOU_THRESHOLDS))
    rows: list[dict[str, Any]] = [
        {"class_name": m.class_name, "n_true": len(m.true_image), "n_predicted": len(m.scores)}
        | _with_intervals(v, len(np.unique(m.true_image)))
        | _recalls(m)
        for m, v in zip(matches, values, strict=True)
    ]
    present = [m for m, v in zip(matches, values, strict=True) if np.isfinite(v[0, 0])]
    mean: dict[str, Any] = {
        "class_name": "mean",
        "n_true": sum(len(m.true_image) for m in matches),
        "n_predicted": sum(len(m.scores) for m in matches),
    }
    if present:
        finite = values[np.isfinite(values[:, 0, 0])]
        # a resample without any instance of a class has the mean of the others
        counted = np.isfinite(finite)
        means = np.where(counted, finite, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
        mean |= _with_intervals(means, len(np.unique(np.concatenate([m.true_image for m in present]))))
        mean |= {name: float(np.nanmean([row[name] for row in rows])) for name in _recalls(present[0])
                 if np.isfinite([row[name] for row in rows]).any()}  # fmt: skip
    return pd.DataFrame([*rows, mean])


def _with_intervals(values: np.ndarray, n_images: int) -> dict[str, float]:
    """Return mAP, AP50 and AP75 with their intervals, from values of shape (resamples + 1, 10)."""
    made: dict[str, float] = {}
    for name, series in (("map", values.mean(axis=1)), ("ap50", values[:, _AT_50]), ("ap75", values[:, _AT_75])):
        low, high = bootstrap_interval(series, n_images)
        made |= {name: float(series[0]), f"{name}_low": low, f"{name}_high": high}
    return made


def _recalls(matches: ClassMatches) -> dict[str, float]:
    """Return the share of true instances that are found at 0.5, by size."""
    side = np.sqrt(matches.true_area_px)
    small, large = side < SIZE_EDGES_PX[0], side >= SIZE_EDGES_PX[1]
    chosen = {"": side >= 0, "_small": small, "_medium": ~small & ~large, "_large": large}
    found = matches.is_found[_AT_50]
    return {f"recall50{name}": float(found[c].mean()) if c.any() else np.nan for name, c in chosen.items()}
