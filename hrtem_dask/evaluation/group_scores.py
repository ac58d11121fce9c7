"""Every statistic of one group of micrographs, with its interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.curves import THRESHOLDS, average_precision
from hrtem_dask.evaluation.objects import IOU_THRESHOLDS
from hrtem_dask.evaluation.resampled_statistics import (
    Estimate,
    estimate,
    mean_estimate,
    median_estimate,
    ratio_estimate,
    weighted_median,
    weighted_ratio,
)
from hrtem_dask.intervals import resamples, wilson_interval

__all__ = ["score_group"]


def score_group(
    rows: pd.DataFrame, objects: pd.DataFrame, curves: Mapping[str, np.ndarray], *, n_resamples: int, seed: int
) -> dict[str, Estimate]:
    """Summarize the scores of a group of micrographs.

    Parameters
    ----------
    rows : pandas.DataFrame
        A row per micrograph, from `score_micrograph`, with ``truth_id``.
    objects : pandas.DataFrame
        Particles from `score_micrograph`, with ``truth_id``; particles of other micrographs are ignored.
    curves : mapping
        Counts over thresholds by ``truth_id``.
    n_resamples : int
        Resamples of the bootstrap.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict of str to Estimate
        Every name of `STATISTICS`.
    """
    draws = resamples(len(rows), n_resamples=n_resamples, seed=seed)
    empty = rows["truth_empty"].to_numpy(dtype=bool)
    filled, filled_draws = rows[~empty], draws[:, ~empty]
    return {
        "n_micrographs": Estimate(float(len(rows))),
        "n_empty": Estimate(float(empty.sum())),
        **_pixel_scores(filled, filled_draws, ""),
        **_pixel_scores(filled, filled_draws, "mask_"),
        **_threshold_scores(filled, curves, filled_draws),
        **_object_scores(filled, filled_draws),
        **_size_scores(filled, objects, filled_draws),
        **_prediction_scores(filled, filled_draws),
        **_empty_scores(rows[empty], draws[:, empty]),
    }


def _numbers(rows: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column as floats, NaN for null."""
    return rows[name].to_numpy(dtype=float, na_value=np.nan)


def _pixel_scores(rows: pd.DataFrame, draws: np.ndarray, prefix: str) -> dict[str, Estimate]:
    """Return Dice, precision and recall, averaged and pooled."""
    known = np.isfinite(_numbers(rows, f"{prefix}true_positive_px"))
    rows, draws = rows[known], draws[:, known]
    hit, false, missed = (
        _numbers(rows, f"{prefix}{name}_px") for name in ("true_positive", "false_positive", "false_negative")
    )
    background = _numbers(rows, "n_pixels") - hit - missed
    means = {
        f"{prefix}{name}_mean": mean_estimate(_numbers(rows, f"{prefix}{name}"), draws)
        for name in ("dice", "precision", "recall")
    }
    return {
        **means,
        f"{prefix}dice_pooled": ratio_estimate(2 * hit, 2 * hit + false + missed, draws),
        f"{prefix}precision_pooled": ratio_estimate(hit, hit + false, draws),
        f"{prefix}recall_pooled": ratio_estimate(hit, hit + missed, draws),
        f"{prefix}false_positive_rate": ratio_estimate(false, background, draws),
    }


def _threshold_scores(rows: pd.DataFrame, curves: Mapping[str, np.ndarray], draws: np.ndarray) -> dict[str, Estimate]:
    """Return the area under the precision–recall curve and the highest Dice."""
    known = rows["truth_id"].isin(list(curves)).to_numpy(dtype=bool)
    if not known.any():
        return dict.fromkeys(("average_precision", "best_dice_pooled", "best_threshold"), Estimate(np.nan))
    counts = np.array([curves[name] for name in rows["truth_id"][known]], dtype=float)
    pooled = np.tensordot(draws[:, known], counts, axes=1)
    hit, predicted = pooled[:, 0], pooled[:, 1]
    under = predicted + hit[:, :1]
    dice = np.divide(2 * hit, under, out=np.full_like(hit, np.nan), where=hit[:, :1] > 0)
    best = np.where(np.isnan(dice).all(axis=1), np.nan, np.nan_to_num(dice, nan=-1).max(axis=1))
    n = int(known.sum())
    return {
        "average_precision": estimate(average_precision(pooled), n),
        "best_dice_pooled": estimate(best, n),
        "best_threshold": Estimate(float(THRESHOLDS[np.nan_to_num(dice[0], nan=-1).argmax()])),
    }


def _object_scores(rows: pd.DataFrame, draws: np.ndarray) -> dict[str, Estimate]:
    """Return the scores of particles."""
    true, predicted, judged = (_numbers(rows, name) for name in ("n_true", "n_predicted", "n_judged"))
    matched = {t: _numbers(rows, f"n_matched_iou{round(100 * t)}") for t in IOU_THRESHOLDS}
    f1 = np.array([weighted_ratio(2 * hits, judged + true, draws) for hits in matched.values()])
    n_with_particles = int(np.count_nonzero(judged + true))
    first = matched[IOU_THRESHOLDS[0]]
    return {
        "object_precision": ratio_estimate(first, judged, draws),
        "object_recall": ratio_estimate(first, true, draws),
        "object_f1": estimate(f1[0], n_with_particles),
        "object_f1_iou50_95": estimate(np.mean(list(f1), axis=0), n_with_particles),
        "merges_per_particle": ratio_estimate(_numbers(rows, "n_merges"), true, draws),
        "splits_per_particle": ratio_estimate(_numbers(rows, "n_splits"), true, draws),
        "count_bias_mean": mean_estimate(_numbers(rows, "count_bias"), draws),
        "count_bias_pooled": ratio_estimate(predicted - true, true, draws),
    }


def _size_scores(rows: pd.DataFrame, objects: pd.DataFrame, draws: np.ndarray) -> dict[str, Estimate]:
    """Return the bias of sizes of matched particles and of the whole population; particles at the border are left out.

    The population is compared in nm where every micrograph has a pixel size, else in px.
    """
    number = pd.Series(np.arange(len(rows)), index=rows["truth_id"].to_numpy())
    whole = objects[objects["truth_id"].isin(number.index) & ~objects["touches_edge"] & ~objects["is_small"]]
    owners = number.loc[whole["truth_id"]].to_numpy() if len(whole) else np.empty(0, int)
    area = whole["area_px"].to_numpy(dtype=float)
    in_nm = rows["pixel_area_nm2"].notna().all()
    diameter = np.sqrt(area * whole["pixel_area_nm2"].to_numpy(dtype=float) if in_nm else area)
    is_true = (whole["side"] == "true").to_numpy(dtype=bool)
    true, predicted = (weighted_median(diameter[side], owners[side], draws) for side in (is_true, ~is_true))
    n_both = min(len(np.unique(owners[side])) for side in (is_true, ~is_true))
    matched = is_true & (whole["partner_touches_edge"] == False).fillna(False).to_numpy(dtype=bool)  # noqa: E712
    ratio = whole["partner_area_px"].to_numpy(dtype=float)[matched] / area[matched]
    found: dict[str, Estimate] = {"population_size_bias": estimate(predicted / true - 1, n_both)}
    n_matched = np.bincount(owners[matched], minlength=len(rows)).astype(float)
    for name, bias in {"size": np.sqrt(ratio) - 1, "area": ratio - 1}.items():
        sums = np.bincount(owners[matched], weights=bias, minlength=len(rows))
        found[f"{name}_bias_mean"] = ratio_estimate(sums, n_matched, draws)
        found[f"{name}_bias_median"] = median_estimate(bias, owners[matched], draws)
    return found


def _prediction_scores(rows: pd.DataFrame, draws: np.ndarray) -> dict[str, Estimate]:
    """Return the error of the Dice that was predicted without labels."""
    predicted = _numbers(rows, "predicted_dice") if "predicted_dice" in rows else np.full(len(rows), np.nan)
    return {"predicted_dice_error": mean_estimate(np.abs(predicted - _numbers(rows, "dice")), draws)}


def _empty_scores(rows: pd.DataFrame, draws: np.ndarray) -> dict[str, Estimate]:
    """Return the false findings on micrographs without particles."""
    area = _numbers(rows, "false_positive_px")
    return {
        "empty_clean_share": _share(_numbers(rows, "n_predicted") == 0),
        "empty_without_pixels_share": _share(area == 0),
        "empty_false_area_px": mean_estimate(area, draws),
        "empty_false_area_nm2": mean_estimate(_numbers(rows, "false_positive_area_nm2"), draws),
    }


def _share(hits: np.ndarray) -> Estimate:
    """Return the share of micrographs; a bootstrap would call 20 of 20 certain, Wilson's interval does not."""
    share = float(hits.mean()) if len(hits) else np.nan
    return Estimate(share, *wilson_interval(share, len(hits)))
