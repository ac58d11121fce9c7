"""Scores of one micrograph: pixels, particles and sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.ndimage

from hrtem_dask.evaluation.curves import threshold_counts
from hrtem_dask.evaluation.objects import compare_objects, count_objects
from hrtem_dask.evaluation.segmentation import Confusion, confusion
from hrtem_dask.micrograph import PixelSize

__all__ = ["MicrographScores", "connected_pieces", "counting_limit_px", "score_micrograph"]


@dataclass(frozen=True, kw_only=True)
class MicrographScores:
    """How well one micrograph was segmented."""

    row: dict[str, float]
    """Scores, and the counts from which they follow. Names that begin with ``mask_`` refer to the segmenter's own mask,
    all others to the particles."""
    objects: pd.DataFrame
    """True and found particles, as `compare_objects` lists them."""
    threshold_counts: np.ndarray | None
    """Shape (2, 101), from `threshold_counts`; None without a probability."""


def score_micrograph(
    predicted: np.ndarray,
    truth: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    mask: np.ndarray | None = None,
    probability: np.ndarray | None = None,
    instances: bool = True,
    min_area_px: float = 100,
    min_area_nm2: float = 0.5,
) -> MicrographScores:
    """Score one micrograph: pixels, particles, sizes.

    Parameters
    ----------
    predicted : numpy.ndarray of int
        Shape (y, x): found particles, 0 = background.
    truth : numpy.ndarray of int
        Shape (y, x): true particles, 0 = background.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without one the ``*_nm`` columns are null.
    mask : numpy.ndarray of bool, optional
        Shape (y, x): the segmenter's own mask, before opening, closing and splitting.
    probability : numpy.ndarray of float, optional
        Shape (y, x), 0 to 1, for the curve over thresholds.
    instances : bool
        Whether touching particles have different labels in truth. Otherwise connected pieces are compared.
    min_area_px : float
        Counting limit (px): smaller particles, true or found, are not judged.
    min_area_nm2 : float
        The same in nm²; ignored without a pixel size.

    Returns
    -------
    MicrographScores
        One row of scores, the true and found particles, and counts over thresholds.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> truth = np.zeros((64, 64), dtype=int)
    >>> truth[20:40, 20:40] = 1
    >>> found = np.zeros((64, 64), dtype=int)
    >>> found[20:40, 20:39] = 1
    >>> scores = score_micrograph(found, truth, pixel_size_nm=(0.05, 0.05))
    >>> round(scores.row["dice"], 3), scores.row["n_matched_iou50"], round(scores.row["size_bias_mean"], 3)
    (0.974, 1, -0.025)
    """
    if not instances:
        predicted, truth = connected_pieces(predicted), connected_pieces(truth)
    limit = counting_limit_px(pixel_size_nm, min_area_px=min_area_px, min_area_nm2=min_area_nm2)
    objects, pairs = compare_objects(predicted, truth, min_area_px=limit)
    pixel_area = np.nan if pixel_size_nm is None else pixel_size_nm[0] * pixel_size_nm[1]
    counts = count_objects(objects, pairs)
    counted = confusion(predicted > 0, truth > 0)
    raw = None if mask is None else confusion(mask, truth > 0)
    row: dict[str, float] = {
        "pixel_area_nm2": pixel_area,
        "n_pixels": truth.size,
        "truth_empty": not truth.any(),
        **_pixel_scores("", counted),
        **_pixel_scores("mask_", raw),
        "false_positive_area_nm2": counted.false_positive * pixel_area,
        **counts,
        "object_precision": _ratio(counts["n_matched_iou50"], counts["n_judged"]),
        "object_recall": _ratio(counts["n_matched_iou50"], counts["n_true"]),
        "object_f1": _ratio(2 * counts["n_matched_iou50"], counts["n_judged"] + counts["n_true"]),
        "count_bias": _ratio(counts["n_predicted"] - counts["n_true"], counts["n_true"]),
        **_size_scores(objects, pixel_area),
    }
    curve = None if probability is None else threshold_counts(probability, truth > 0)
    return MicrographScores(row=row, objects=objects.assign(pixel_area_nm2=pixel_area), threshold_counts=curve)


def connected_pieces(labels: np.ndarray) -> np.ndarray:
    """Label the 8-connected pieces of the foreground.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (y, x), integers or booleans; 0 = background.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), numbered from 1.
    """
    pieces, _ = scipy.ndimage.label(labels > 0, structure=np.ones((3, 3)))
    return np.asarray(pieces, dtype=np.int32)


def counting_limit_px(pixel_size_nm: PixelSize | None, *, min_area_px: float, min_area_nm2: float) -> float:
    """Return the area that a particle must have to be judged.

    Parameters
    ----------
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    min_area_px : float
        Limit in pixels.
    min_area_nm2 : float
        Limit in nm²; ignored without a pixel size.

    Returns
    -------
    float
        The larger of both limits (px), as in the counting rule of a run.
    """
    if pixel_size_nm is None:
        return min_area_px
    return max(min_area_px, min_area_nm2 / (pixel_size_nm[0] * pixel_size_nm[1]))


def _pixel_scores(prefix: str, counts: Confusion | None) -> dict[str, float]:
    """Return the pixel columns; NaN where there is no mask."""
    if counts is None:
        return dict.fromkeys([f"{prefix}{name}" for name in _PIXEL_COLUMNS], np.nan)
    values = (counts.true_positive, counts.false_positive, counts.false_negative)
    return {
        f"{prefix}{name}": value
        for name, value in zip(_PIXEL_COLUMNS, (*values, counts.dice, counts.precision, counts.recall), strict=True)
    }


_PIXEL_COLUMNS = ("true_positive_px", "false_positive_px", "false_negative_px", "dice", "precision", "recall")


def _size_scores(objects: pd.DataFrame, pixel_area_nm2: float) -> dict[str, float]:
    """Return medians of the equivalent diameter, and the relative error of matched particles, inside the image only."""
    whole = objects[~objects["touches_edge"] & ~objects["is_small"]]
    scores: dict[str, float] = {}
    for side in ("true", "predicted"):
        areas = whole.loc[whole["side"] == side, "area_px"].to_numpy(dtype=float)
        median = float(np.median(np.sqrt(4 * areas / np.pi))) if len(areas) else np.nan
        scores[f"median_diameter_{side}_px"] = median
        scores[f"median_diameter_{side}_nm"] = median * np.sqrt(pixel_area_nm2)
    matched = whole[(whole["side"] == "true") & (whole["partner_touches_edge"] == False)]  # noqa: E712 - nullable
    error = np.sqrt((matched["partner_area_px"] / matched["area_px"]).to_numpy(dtype=float)) - 1
    return scores | {
        "n_sized": len(error),
        "size_bias_mean": float(error.mean()) if len(error) else np.nan,
        "size_bias_median": float(np.median(error)) if len(error) else np.nan,
    }


def _ratio(numerator: float, denominator: float) -> float:
    """Divide; NaN where the denominator is 0."""
    return numerator / denominator if denominator else np.nan
