"""Precision, recall, counts, sizes and directions of detections, with intervals over micrographs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.detection.pairs import DetectionPairs
from hrtem_dask.intervals import bootstrap_interval, resamples

__all__ = ["summarize_pairs"]


def summarize_pairs(found: DetectionPairs, *, n_images: int, n_resamples: int = 500, seed: int = 0) -> pd.DataFrame:
    """Summarize what was found, class by class and over all classes.

    Parameters
    ----------
    found : DetectionPairs
        From `pair_detections`.
    n_images : int
        Number of images, those without instances included.
    n_resamples : int
        Resamples of the micrographs for the intervals.
    seed : int
        Seed of the resamples.

    Returns
    -------
    pandas.DataFrame
        A row per class and the row ``all``, with the counts ``n_true``, ``n_predicted`` and ``n_matched``, and,
        each with ``…_low`` and ``…_high`` (95 % interval; NaN with fewer than five micrographs): ``precision``,
        ``recall``, ``f1``, ``count_bias`` (found over true, − 1), ``length_bias`` and ``width_bias`` (median of found
        over true, − 1), and ``angle_error_deg`` (median of the absolute difference).
    """
    drawn = resamples(n_images, n_resamples=n_resamples, seed=seed)
    names = sorted(found.counts["class_name"].unique())
    rows = []
    for name in [*names, "all"]:
        counts, pairs = found.counts, found.pairs
        if name != "all":
            counts, pairs = counts[counts["class_name"] == name], pairs[pairs["class_name"] == name]
        rows.append({"class_name": name} | _summary(counts, pairs, drawn, n_images))
    return pd.DataFrame(rows)


def _summary(counts: pd.DataFrame, pairs: pd.DataFrame, drawn: np.ndarray, n_images: int) -> dict[str, float]:
    """Summarize one class."""
    columns = ["n_true", "n_predicted", "n_matched"]
    per_image = counts.groupby("image")[columns].sum().reindex(range(n_images), fill_value=0).to_numpy(float)
    true, predicted, matched = (drawn @ per_image).T
    with np.errstate(invalid="ignore", divide="ignore"):
        series = {
            "precision": matched / predicted,
            "recall": matched / true,
            "f1": 2 * matched / (true + predicted),
            "count_bias": predicted / true - 1,
        }
    contributing = {name: int((per_image[:, :2] > 0).any(axis=1).sum()) for name in series}
    image = pairs["image"].to_numpy(int)
    for name, column in (("length_bias", "length_ratio"), ("width_bias", "width_ratio"), ("angle_error_deg", None)):
        values = np.abs(pairs["angle_error_deg"].to_numpy(float)) if column is None else pairs[column].to_numpy(float)
        known = np.isfinite(values)
        medians = _weighted_medians(values[known], drawn[:, image[known]])
        series[name] = medians if column is None else medians - 1
        contributing[name] = len(np.unique(image[known]))
    made: dict[str, float] = {name: int(per_image[:, i].sum()) for i, name in enumerate(columns)}
    for name, values in series.items():
        low, high = bootstrap_interval(values, contributing[name])
        made |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
    return made


def _weighted_medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the median of values that are counted as often as each row of weights says; NaN where none is."""
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values)
    values, total = values[order], np.cumsum(weights[:, order], axis=1)
    whole = total[:, -1:]
    last = len(values) - 1
    lower = values[np.minimum((total < whole / 2).sum(axis=1), last)]
    upper = values[np.minimum((total <= whole / 2).sum(axis=1), last)]
    return np.where(whole[:, 0] > 0, (lower + upper) / 2, np.nan)
