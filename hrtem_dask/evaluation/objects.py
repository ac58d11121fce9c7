"""Agreement of found and true particles, particle by particle.

A pair matches where its intersection over union is at least 0.5. Two disjoint particles cannot both share more than
half of a third one, so that a particle has at most one match. The exception is a particle that is split into exactly
two halves, each with an intersection over union of 0.5; of these the one with the lower label is taken. The pairs are
therefore the optimal one-to-one assignment, and no solver is needed.

Particles below the counting limit are too small to be measured and are not judged: a small true particle that is not
found does not count as missed, a small found particle does not count as false, and a found particle that matches a
small true one counts as neither.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["IOU_THRESHOLDS", "compare_objects", "count_objects", "overlaps"]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10).round(2)
"""Intersection over union that a match must reach: the ten thresholds of COCO (T.-Y. Lin et al., 2014)."""


def overlaps(truth: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Count the pixels that true and found particles share.

    Parameters
    ----------
    truth : numpy.ndarray of int
        Shape (y, x): true particles, 0 = background.
    predicted : numpy.ndarray of int
        Shape (y, x): found particles, 0 = background.

    Returns
    -------
    pandas.DataFrame
        A row per pair that shares a pixel: ``true_label``, ``predicted_label``, ``shared_px``, ``true_px``,
        ``predicted_px`` and ``iou``, sorted by labels.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, the labels {predicted.shape}: compare the same field")
    both = (truth > 0) & (predicted > 0)
    n = int(predicted.max(initial=0)) + 1
    pairs, shared = np.unique(truth[both].astype(np.int64) * n + predicted[both], return_counts=True)
    table = pd.DataFrame({"true_label": pairs // n, "predicted_label": pairs % n, "shared_px": shared})
    table["true_px"] = np.bincount(truth.ravel())[table["true_label"]] if len(table) else shared
    table["predicted_px"] = np.bincount(predicted.ravel())[table["predicted_label"]] if len(table) else shared
    return table.assign(iou=table["shared_px"] / (table["true_px"] + table["predicted_px"] - table["shared_px"]))


def compare_objects(
    predicted: np.ndarray, truth: np.ndarray, *, min_area_px: float = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the true and the found particles, and their matches.

    Parameters
    ----------
    predicted : numpy.ndarray of int
        Shape (y, x): found particles, 0 = background.
    truth : numpy.ndarray of int
        Shape (y, x): true particles, 0 = background.
    min_area_px : float
        Counting limit (px): smaller particles, true or found, are not judged.

    Returns
    -------
    objects : pandas.DataFrame
        A row per particle: ``side`` (true, predicted), ``label``, ``area_px``, ``touches_edge``,
        ``is_small``, ``partner_label``, ``partner_area_px``, ``partner_touches_edge``, ``partner_is_small`` and
        ``iou`` (null where unmatched).
    pairs : pandas.DataFrame
        The rows of `overlaps`.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    >>> found = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    >>> objects, pairs = compare_objects(found, truth)
    >>> objects[["side", "label", "area_px", "iou"]].to_numpy().tolist()
    [['true', 1, 4, 0.75], ['true', 2, 2, nan], ['predicted', 1, 3, 0.75]]
    """
    pairs = overlaps(truth, predicted)
    matched = pairs[pairs["iou"] >= IOU_THRESHOLDS[0]]
    matched = matched.drop_duplicates("true_label").drop_duplicates("predicted_label")
    sides = {"true": _list_objects(truth, min_area_px), "predicted": _list_objects(predicted, min_area_px)}
    joined = []
    for side, other in (("true", "predicted"), ("predicted", "true")):
        partners = matched[[f"{side}_label", f"{other}_label", "iou"]].set_axis(
            ["label", "partner_label", "iou"], axis=1
        )
        partners = partners.merge(sides[other].add_prefix("partner_"), on="partner_label")
        joined.append(sides[side].merge(partners, on="label", how="left").assign(side=side))
    objects = pd.concat(joined, ignore_index=True)
    for name in ("partner_touches_edge", "partner_is_small"):
        objects[name] = objects[name].astype("boolean")
    return objects[_OBJECT_COLUMNS], pairs


_OBJECT_COLUMNS = [
    "side", "label", "area_px", "touches_edge", "is_small",
    "partner_label", "partner_area_px", "partner_touches_edge", "partner_is_small", "iou",
]  # fmt: skip


def count_objects(objects: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, int]:
    """Count matches, merges and splits.

    Parameters
    ----------
    objects : pandas.DataFrame
        From `compare_objects`.
    pairs : pandas.DataFrame
        From `compare_objects`.

    Returns
    -------
    dict
        ``n_true`` and ``n_predicted`` (particles at or above the limit, also at the border), ``n_judged`` (found
        particles that are either correct or false; a match of a small true particle is neither), ``n_matched_iou50`` …
        ``n_matched_iou95``, ``n_merges`` (found particles that cover more than half of each of several true ones) and
        ``n_splits`` (true particles that contain more than half of each of several found ones).

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    >>> found = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    >>> counts = count_objects(*compare_objects(found, truth))
    >>> counts["n_true"], counts["n_predicted"], counts["n_matched_iou75"], counts["n_matched_iou80"]
    (2, 1, 1, 0)
    """
    true, found = objects[objects["side"] == "true"], objects[objects["side"] == "predicted"]
    judged = true[~true["is_small"]]
    hits = judged["iou"].dropna().to_numpy()
    false = found["partner_label"].isna() & ~found["is_small"]
    counts = {
        "n_true": len(judged),
        "n_predicted": int((~found["is_small"]).sum()),
        "n_judged": len(hits) + int(false.sum()),
    }
    # 0.55 as a ratio of areas must reach the threshold 0.55 despite rounding
    counts |= {f"n_matched_iou{round(100 * t)}": int((hits >= t - 1e-9).sum()) for t in IOU_THRESHOLDS}
    large = pairs[
        pairs["true_label"].isin(judged["label"])
        & pairs["predicted_label"].isin(found.loc[~found["is_small"], "label"])
    ]
    merged = large[2 * large["shared_px"] > large["true_px"]]
    pieces = large[2 * large["shared_px"] > large["predicted_px"]]
    counts["n_merges"] = int((merged["predicted_label"].value_counts() > 1).sum())
    counts["n_splits"] = int((pieces["true_label"].value_counts() > 1).sum())
    return counts


def _list_objects(labels: np.ndarray, min_area_px: float) -> pd.DataFrame:
    """Return label and area of each particle, and whether it touches the border."""
    areas = np.bincount(labels.ravel(), minlength=1)
    areas[0] = 0
    present = np.flatnonzero(areas)
    border = np.concatenate([labels[:1].ravel(), labels[-1:].ravel(), labels[:, :1].ravel(), labels[:, -1:].ravel()])
    return pd.DataFrame(
        {
            "label": present,
            "area_px": areas[present],
            "touches_edge": np.isin(present, border),
            "is_small": areas[present] < min_area_px,
        }
    )
