"""How well the particles found agree with the true ones, particle by particle.

A pair matches where its intersection over union is at least 0.5. Then no particle of the pair can match another one as
well — two disjoint particles cannot both share more than half of it —, except where a particle is cut into exactly two
halves, each of which reaches 0.5: of those the one with the lower label is taken. So taking every pair *is* the
optimal one-to-one assignment, and no solver is needed.

Particles below the counting limit (too small to be measured) are no one's fault: a small true particle that is missed
is no miss, a small one found in vain is not false, and a particle found where a small true one lies is neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["IOU_THRESHOLDS", "compare_objects", "count_objects", "overlaps"]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10).round(2)
"""Intersection over union that a match must reach; COCO's ten."""


def overlaps(truth: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Count the pixels that each true and each predicted particle share.

    Parameters
    ----------
    truth : numpy.ndarray of int
        Shape (y, x): true particles, 0 = background.
    predicted : numpy.ndarray of int
        Shape (y, x): particles found, 0 = background.

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
    """List the particles of both sides, and who matches whom.

    Parameters
    ----------
    predicted : numpy.ndarray of int
        Shape (y, x): particles found, 0 = background.
    truth : numpy.ndarray of int
        Shape (y, x): true particles, 0 = background.
    min_area_px : float
        Smaller particles, of either side, are not judged.

    Returns
    -------
    objects : pandas.DataFrame
        A row per particle of either side: ``side`` (true, predicted), ``label``, ``area_px``, ``touches_edge``,
        ``is_small``, ``partner_label``, ``partner_area_px``, ``partner_touches_edge``, ``partner_is_small`` and
        ``iou`` (null where unmatched).
    pairs : pandas.DataFrame
        As `overlaps`.
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


def count_objects(objects: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Any]:
    """Count hits, misses, merges and splits.

    Parameters
    ----------
    objects : pandas.DataFrame
        From `compare_objects`.
    pairs : pandas.DataFrame
        From `compare_objects`.

    Returns
    -------
    dict
        ``n_true`` and ``n_predicted`` (particles at or above the limit, cut ones included), ``n_judged`` (predicted
        ones that are either right or false: what matches a true particle too small to be judged is neither),
        ``n_matched_iou50`` … ``n_matched_iou95``, ``n_merges`` (particles found that cover more than half of each of
        several true ones) and ``n_splits`` (true particles that hold more than half of each of several found).
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
    # a rounding error must not part 0.55 from 0.55
    counts |= {f"n_matched_iou{round(100 * t)}": int((hits >= t - 1e-9).sum()) for t in IOU_THRESHOLDS}
    large = pairs[
        pairs["true_label"].isin(judged["label"])
        & pairs["predicted_label"].isin(found.loc[~found["is_small"], "label"])
    ]
    swallowed = large[2 * large["shared_px"] > large["true_px"]]
    pieces = large[2 * large["shared_px"] > large["predicted_px"]]
    counts["n_merges"] = int((swallowed["predicted_label"].value_counts() > 1).sum())
    counts["n_splits"] = int((pieces["true_label"].value_counts() > 1).sum())
    return counts


def _list_objects(labels: np.ndarray, min_area_px: float) -> pd.DataFrame:
    """Return label, area and whether the border cuts it."""
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
