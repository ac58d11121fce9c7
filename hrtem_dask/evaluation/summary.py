"""The scores of many micrographs, averaged and pooled, with intervals over micrographs.

Particles of one micrograph share its focus, dose and neighbours, so they are no independent samples: the bootstrap
draws micrographs, never particles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.bootstrap import (
    interval,
    resamples,
    share_interval,
    weighted_mean,
    weighted_median,
    weighted_ratio,
)
from hrtem_dask.evaluation.curves import THRESHOLDS, average_precision
from hrtem_dask.evaluation.definitions import STATISTICS
from hrtem_dask.evaluation.objects import IOU_THRESHOLDS

__all__ = ["group_labels", "summarize_scores"]

_MAX_CATEGORIES = 6
_MIN_RESAMPLED = 5


def summarize_scores(
    micrographs: pd.DataFrame,
    objects: pd.DataFrame,
    curves: Mapping[str, np.ndarray] | None = None,
    *,
    groups: Sequence[str] = (),
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Summarize scores over all micrographs, and over groups of them.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        A row per micrograph, of `score_micrograph`, with ``truth_id`` and the columns to group by.
    objects : pandas.DataFrame
        Their particles, of `score_micrograph`, with ``truth_id``.
    curves : mapping, optional
        Counts over thresholds by ``truth_id``; a curve is pooled over the micrographs that have one.
    groups : sequence of str
        Columns of `micrographs`. Numbers of more than 6 values are parted into quarters.
    n_resamples : int
        Resamples of the bootstrap.
    seed : int
        Its seed.

    Returns
    -------
    pandas.DataFrame
        A row per group and statistic: ``by`` and ``group`` (both ``"all"`` for all micrographs), ``statistic`` (of
        `STATISTICS`), ``value``, ``low`` and ``high``: the 95 % interval, Wilson's for shares of empty micrographs,
        else by bootstrap over micrographs; null below 5 of them, and for numbers of micrographs and thresholds.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    tables = []
    for by, group, rows in _parts(micrographs, groups):
        table = pd.DataFrame(_statistics(rows, objects, curves or {}, n_resamples, seed))
        tables.append(table.assign(by=by, group=group))
    return pd.concat(tables, ignore_index=True)[["by", "group", "statistic", "value", "low", "high"]]


def group_labels(values: pd.Series) -> pd.Series:
    """Name the group of each micrograph.

    Parameters
    ----------
    values : pandas.Series
        A column.

    Returns
    -------
    pandas.Series of str
        The value itself; the quarter, as ``low–high``, where it is a number of more than 6 values; null stays null.
    """
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.astype(float)
        if numbers.nunique() > _MAX_CATEGORIES:
            quarters = pd.qcut(numbers, 4, duplicates="drop")
            return quarters.map(lambda q: f"{max(q.left, numbers.min()):.4g}–{q.right:.4g}", na_action="ignore").astype(
                "object"
            )
        return numbers.map(lambda v: f"{v:.4g}", na_action="ignore").astype("object")
    return values.map(str, na_action="ignore").astype("object")


def _parts(micrographs: pd.DataFrame, groups: Sequence[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield all micrographs, then each group; those without a value are in none."""
    yield "all", "all", micrographs
    for by in groups:
        labels = group_labels(micrographs[by])
        kept = micrographs[by][labels.notna()]
        for label in labels.loc[kept.sort_values(kind="stable").index].unique():
            yield by, str(label), micrographs[(labels == label).fillna(False).astype(bool)]


def _statistics(
    rows: pd.DataFrame, objects: pd.DataFrame, curves: Mapping[str, np.ndarray], n_resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Return every statistic of one group, with its interval."""
    weights = resamples(len(rows), n_resamples=n_resamples, seed=seed)
    empty = rows["truth_empty"].to_numpy(dtype=bool)
    filled, weights_filled = rows[~empty], weights[:, ~empty]
    found: dict[str, np.ndarray] = {
        **_pixels(filled, weights_filled, ""),
        **_pixels(filled, weights_filled, "mask_"),
        **_thresholds(filled, curves, weights_filled),
        **_objects(filled, weights_filled),
        **_sizes(filled, objects, weights_filled),
        **_prediction(filled, weights_filled),
        **_empties(rows[empty], weights[:, empty]),
    }
    counts = {"n_micrographs": float(len(rows)), "n_empty": float(empty.sum())}
    table = []
    for name in STATISTICS:
        value = counts[name] if name in counts else float(found[name][0])
        low, high = np.nan, np.nan
        if name.endswith("_share") and empty.any():
            low, high = share_interval(round(value * counts["n_empty"]), int(counts["n_empty"]))
        elif name in found and name != "best_threshold":
            low, high = interval(found[name])
        table.append({"statistic": name, "value": value, "low": low, "high": high})
    return table


def _numbers(rows: pd.DataFrame, name: str) -> np.ndarray:
    return rows[name].to_numpy(dtype=float, na_value=np.nan)


def _pixels(rows: pd.DataFrame, weights: np.ndarray, prefix: str) -> dict[str, np.ndarray]:
    """Return Dice, precision and recall, averaged and pooled."""
    hit, false, missed = (
        _numbers(rows, f"{prefix}{k}_px") for k in ("true_positive", "false_positive", "false_negative")
    )
    known = np.isfinite(hit)
    hit, false, missed, weights = hit[known], false[known], missed[known], weights[:, known]
    rows = rows[known]
    background = _numbers(rows, "n_pixels") - hit - missed
    found = {
        **{f"{prefix}{k}_mean": weighted_mean(_numbers(rows, f"{prefix}{k}"), weights) for k in _PIXEL_SCORES},
        f"{prefix}dice_pooled": weighted_ratio(2 * hit, 2 * hit + false + missed, weights),
        f"{prefix}precision_pooled": weighted_ratio(hit, hit + false, weights),
        f"{prefix}recall_pooled": weighted_ratio(hit, hit + missed, weights),
        f"{prefix}false_positive_rate": weighted_ratio(false, background, weights),
    }
    return _without_draws(found, int(known.sum()))


def _without_draws(found: dict[str, np.ndarray], n_micrographs: int) -> dict[str, np.ndarray]:
    """Blank the resamples of what too few micrographs contribute to: of one, they would all be the same."""
    if n_micrographs >= _MIN_RESAMPLED:
        return found
    return {name: np.where(np.arange(len(drawn)) == 0, drawn, np.nan) for name, drawn in found.items()}


_PIXEL_SCORES = ("dice", "precision", "recall")


def _thresholds(rows: pd.DataFrame, curves: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the area under the curve and the best Dice."""
    known = rows["truth_id"].isin(list(curves)).to_numpy(dtype=bool)
    if not known.any():
        return dict.fromkeys(("average_precision", "best_dice_pooled", "best_threshold"), np.full(len(weights), np.nan))
    counts = np.array([curves[name] for name in rows["truth_id"][known]], dtype=float)
    pooled = np.tensordot(weights[:, known].astype(float), counts, axes=1)
    hit, said = pooled[:, 0], pooled[:, 1]
    under = said + hit[:, :1]
    dice = np.divide(2 * hit, under, out=np.full_like(hit, np.nan), where=hit[:, :1] > 0)
    best = np.where(np.isnan(dice).all(axis=1), np.nan, np.nan_to_num(dice, nan=-1).max(axis=1))
    found = {
        "average_precision": average_precision(pooled),
        "best_dice_pooled": best,
        "best_threshold": THRESHOLDS[np.nan_to_num(dice, nan=-1).argmax(axis=1)],
    }
    return _without_draws(found, int(known.sum()))


def _objects(rows: pd.DataFrame, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of particles."""
    true, said, judged = (_numbers(rows, name) for name in ("n_true", "n_predicted", "n_judged"))
    matched = {t: _numbers(rows, f"n_matched_iou{round(100 * t)}") for t in IOU_THRESHOLDS}
    f1 = {t: weighted_ratio(2 * hits, judged + true, weights) for t, hits in matched.items()}
    first = IOU_THRESHOLDS[0]
    found = {
        "object_precision": weighted_ratio(matched[first], judged, weights),
        "object_recall": weighted_ratio(matched[first], true, weights),
        "object_f1": f1[first],
        "object_f1_iou50_95": np.mean(list(f1.values()), axis=0),
        "merges_per_particle": weighted_ratio(_numbers(rows, "n_merges"), true, weights),
        "splits_per_particle": weighted_ratio(_numbers(rows, "n_splits"), true, weights),
        "count_bias_mean": weighted_mean(_numbers(rows, "count_bias"), weights),
        "count_bias_pooled": weighted_ratio(said - true, true, weights),
    }
    return _without_draws(found, len(rows))


def _sizes(rows: pd.DataFrame, objects: pd.DataFrame, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the bias of sizes: of matched particles, and of the whole population; cut particles left out.

    The population is compared in nm where every micrograph has a pixel size, else in px.
    """
    number = pd.Series(np.arange(len(rows)), index=rows["truth_id"].to_numpy())
    whole = objects[objects["truth_id"].isin(number.index) & ~objects["touches_edge"] & ~objects["is_small"]]
    owner = number.loc[whole["truth_id"]].to_numpy() if len(whole) else np.empty(0, int)
    area = whole["area_px"].to_numpy(dtype=float)
    in_nm = rows["pixel_area_nm2"].notna().all()
    scaled = area * whole["pixel_area_nm2"].to_numpy(dtype=float) if in_nm else area
    is_true = (whole["side"] == "true").to_numpy(dtype=bool)
    medians = {side: weighted_median(np.sqrt(scaled[at]), owner[at], weights) for side, at in
               (("true", is_true), ("predicted", ~is_true))}  # fmt: skip
    matched = is_true & (whole["partner_touches_edge"] == False).fillna(False).to_numpy(dtype=bool)  # noqa: E712
    ratio = whole["partner_area_px"].to_numpy(dtype=float)[matched] / area[matched]
    biases = {"size": np.sqrt(ratio) - 1, "area": ratio - 1}
    sums = {name: _sums(values, owner[matched], len(rows)) for name, values in biases.items()}
    counts = _sums(np.ones(int(matched.sum())), owner[matched], len(rows))
    found = {
        **{f"{name}_bias_mean": weighted_ratio(sums[name], counts, weights) for name in biases},
        **{f"{name}_bias_median": weighted_median(v, owner[matched], weights) for name, v in biases.items()},
    }
    population = {"population_size_bias": medians["predicted"] / medians["true"] - 1}
    owners = min(len(np.unique(owner[at])) for at in (is_true, ~is_true))
    return _without_draws(found, int((counts > 0).sum())) | _without_draws(population, owners)


def _sums(values: np.ndarray, owners: np.ndarray, n: int) -> np.ndarray:
    """Add up the particles of each micrograph."""
    return np.bincount(owners, weights=values, minlength=n).astype(float)


def _prediction(rows: pd.DataFrame, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the error of the Dice that was predicted without labels, where it was."""
    predicted = _numbers(rows, "predicted_dice") if "predicted_dice" in rows else np.full(len(rows), np.nan)
    error = np.abs(predicted - _numbers(rows, "dice"))
    found = {"predicted_dice_error": weighted_mean(error, weights)}
    return _without_draws(found, int(np.isfinite(error).sum()))


def _empties(rows: pd.DataFrame, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is falsely found on micrographs without particles."""
    area = _numbers(rows, "false_positive_px")
    found = {
        "empty_clean_share": weighted_mean((_numbers(rows, "n_predicted") == 0).astype(float), weights),
        "empty_without_pixels_share": weighted_mean((area == 0).astype(float), weights),
        "empty_false_area_px": weighted_mean(area, weights),
        "empty_false_area_nm2": weighted_mean(_numbers(rows, "false_positive_area_nm2"), weights),
    }
    return _without_draws(found, len(rows))
