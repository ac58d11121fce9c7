"""Calibrate a network's guess of its own Dice coefficient, on micrographs whose truth is known.

What is fitted is what a user gets: the labels after `analysis.label`, not the bare mask. The Dice coefficient of an
empty field is here 1 where nothing was found and 0 otherwise: false particles on empty carbon count as failures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from hrtem_dask import analysis
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.evaluation import dice
from hrtem_dask.segmentation.dice_model import PROPERTIES, TERMS, DiceModel, comparable, straightened
from hrtem_dask.segmentation.unet_segmenter import UNetSegmenter
from hrtem_dask.segmentation.weights import with_dice_model
from hrtem_dask.settings import Settings
from hrtem_dask.storage.simulated import SimulatedStore

__all__ = ["calibrate_quality", "fit_dice_model", "judge_micrographs", "quality_errors"]

FAILURE_DICE = 0.5
"""A mask below this is a failure."""
SOURCES = ("pixel_size_nm", "sharpness", "mass_contrast", "peak_snr")
PENALTY = 0.0005
"""Weight of the squared coefficients against the mean squared error: terms that say the same shall not quarrel."""
FOLDS = 5
GAIN = 0.02
"""By how much a term must lower the squared error of micrographs left out."""


def judge_micrographs(store: SimulatedStore, model: str | Path, *, settings: Settings | None = None) -> pd.DataFrame:
    """Segment the micrographs of a simulated store, and put what the network says of itself beside the truth.

    Parameters
    ----------
    store : SimulatedStore
        From `open_simulated`.
    model : str or path-like
        The network's file; it needs no calibration.
    settings : Settings, optional
        Of these, filtering, segmentation (with the model put in), particles and quality.

    Returns
    -------
    pandas.DataFrame
        One row per micrograph, indexed by micrograph_id: the terms of `agreement.judge_mask`, the properties of
        `DiceModel.distance_from_training`, and ``dice``, 0 to 1. Left out are micrographs smaller than a block of the
        network.
    """
    settings = (settings or Settings()).updated({"segmentation": {"model": str(model), "method": "unet"}})
    segmenter = UNetSegmenter(settings.segmentation, settings.execution, judge_always=True)
    rows = []
    sizes = store.micrographs.set_index("micrograph_id")["pixel_size_nm"].astype(float)
    for name, pixel_size_nm in zip(map(str, sizes.index), sizes.to_numpy(), strict=True):
        size = (float(pixel_size_nm), float(pixel_size_nm))
        image = store.image(name)
        metrics, _ = analysis.judge_quality(image, settings, pixel_size_nm=size)
        prepared, _ = analysis.prepare(image, settings)
        segmentation = analysis.segment(prepared, segmenter, pixel_size_nm=size)
        if segmentation.quality_terms is None:  # smaller than a block of the network
            continue
        found = analysis.label(image, segmentation, settings, pixel_size_nm=size).labels > 0
        true = store.labels(name) > 0
        score = dice(found, true) if true.any() else float(not found.any())
        properties = {source: {**metrics, "pixel_size_nm": size[0]}[source] for source in SOURCES}
        rows.append({"micrograph_id": name, **segmentation.quality_terms, **properties, "dice": score})
    columns = ["micrograph_id", *TERMS, *SOURCES, "dice"]
    return pd.DataFrame(rows, columns=[c for c in columns if c != "distance_from_training"]).set_index("micrograph_id")


def fit_dice_model(judged: pd.DataFrame, *, familiar: pd.DataFrame) -> DiceModel:
    """Fit the guess of the Dice coefficient.

    Least squares of a logistic curve, each coefficient bound to the sign that its term must have. Terms are taken in
    one after the other, the cheap ones first, and kept where they lower the cross-validated squared error by 2 %.

    Parameters
    ----------
    judged : pandas.DataFrame
        From `judge_micrographs`: what to fit on. Unlike images must be among them (other magnification, dose, blur)
        if the distance from training is to count: where all are alike, its coefficient is 0.
    familiar : pandas.DataFrame
        Rows of micrographs drawn as those of training were: their 1st to 99th percentiles are the range of training.

    Returns
    -------
    DiceModel
        Without errors, see `quality_errors`.

    Raises
    ------
    SettingsError
        If there are fewer than 20 micrographs to fit on, fewer than 5 masks that are not empty, or none of training.
    """
    nothing = (judged["mask_fraction"] == 0).to_numpy()
    if len(judged) < 20 or not len(familiar) or nothing.sum() > len(judged) - FOLDS:
        raise SettingsError(
            f"need at least 20 micrographs to fit on, {FOLDS} of them with a mask that is not empty, and 1 of "
            f"training, got {len(judged)}, {len(judged) - nothing.sum()} and {len(familiar)}"
        )
    ranges = _ranges(familiar)
    n_right = judged["dice"][nothing].sum()
    blank = DiceModel(
        intercept=0.0,
        coefficients={},
        centres={},
        scales={},
        empty_dice=float((n_right + 1) / (nothing.sum() + 2)),  # Laplace: of none, one cannot say
        ranges=ranges,
    )
    rows = [{**row, "distance_from_training": blank.distance_from_training(row)} for row in _rows(judged[~nothing])]
    values = np.array([[straightened(name, row[name]) for name in TERMS] for row in rows])
    truth = judged["dice"].to_numpy(float)[~nothing]
    centres, scales = values.mean(axis=0), values.std(axis=0)
    z = np.clip((values - centres) / np.maximum(scales, 1e-9), -4, 4)
    signs = np.array(list(TERMS.values()))
    kept = _chosen(z, truth, signs)
    intercept, coefficients = _fitted(z[:, kept], truth, signs[kept])
    names = [list(TERMS)[i] for i in kept]
    return dataclasses.replace(
        blank,
        intercept=intercept,
        coefficients=dict(zip(names, coefficients, strict=True)),
        centres=dict(zip(names, centres[kept].tolist(), strict=True)),
        scales=dict(zip(names, scales[kept].tolist(), strict=True)),
    )


def _chosen(z: np.ndarray, truth: np.ndarray, signs: np.ndarray) -> list[int]:
    """Return the terms that earn their place, by the squared error of micrographs left out of the fit."""
    fold = np.arange(len(truth)) % FOLDS

    def left_out(columns: list[int]) -> float:
        errors = np.empty(len(truth))
        for k in range(FOLDS):
            intercept, coefficients = _fitted(z[fold != k][:, columns], truth[fold != k], signs[columns])
            guess = _logistic(intercept + z[fold == k][:, columns] @ np.array(coefficients))
            errors[fold == k] = guess - truth[fold == k]
        return float(np.mean(errors**2))

    kept: list[int] = []
    best = left_out(kept)
    for column in range(z.shape[1]):
        error = left_out([*kept, column])
        if error < (1 - GAIN) * best:
            kept, best = [*kept, column], error
    return kept


def _logistic(logit: np.ndarray) -> np.ndarray:
    """Return the share of which this is the logit."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def _rows(judged: pd.DataFrame) -> list[dict[str, float]]:
    """Return what is known of each micrograph."""
    return [{str(name): float(value) for name, value in row.items()} for row in judged.to_dict("records")]


def _ranges(familiar: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the range of each property in training that is known there."""
    compared = [comparable(row) for row in _rows(familiar)]
    ranges = {}
    for name in PROPERTIES:
        values = np.array([row[name] for row in compared])
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.percentile(values, [1, 99])
            ranges[name] = (float(low), float(high))
    return ranges


def _fitted(z: np.ndarray, truth: np.ndarray, signs: np.ndarray) -> tuple[float, list[float]]:
    """Return intercept and coefficients of the logistic curve nearest to the truth."""

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        guess = _logistic(x[0] + z @ x[1:])
        error = guess - truth
        slope = 2 * error * guess * (1 - guess) / len(truth)
        gradient = np.append(slope.sum(), z.T @ slope + 2 * PENALTY * x[1:])
        return float(np.mean(error**2) + PENALTY * np.sum(x[1:] ** 2)), gradient

    bounds = [(-10.0, 10.0), *((0.0, 10.0) if sign > 0 else (-10.0, 0.0) for sign in signs)]
    start = np.append(0.0, 0.5 * signs)
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return float(best[0]), [float(c) for c in best[1:]]


def quality_errors(dice_model: DiceModel, judged: pd.DataFrame) -> dict[str, float]:
    """Measure how far the guess is off on micrographs that it was not fitted on.

    Parameters
    ----------
    dice_model : DiceModel
        From `fit_dice_model`.
    judged : pandas.DataFrame
        From `judge_micrographs`, of other micrographs than those of the fit.

    Returns
    -------
    dict
        ``n``, micrographs; ``mae``, mean absolute error; ``mae_of_mean``, the same for a guess that says their mean
        Dice each time; ``rank_correlation``, Spearman's, NaN where either is constant; ``n_failures``, masks with
        Dice < 0.5; ``failure_auroc``, probability that a failure is guessed below a success, NaN where there are none
        of either.
    """
    guess = np.array([dice_model.predict(row, row) for row in _rows(judged)])
    truth = judged["dice"].to_numpy(float)
    failed = truth < FAILURE_DICE
    both = 0 < failed.sum() < len(failed)
    varied = np.ptp(guess) > 0 and np.ptp(truth) > 0
    return {
        "n": float(len(truth)),
        "mae": float(np.abs(guess - truth).mean()),
        "mae_of_mean": float(np.abs(truth - truth.mean()).mean()),
        "rank_correlation": float(spearmanr(guess, truth).statistic) if varied else float("nan"),
        "n_failures": float(failed.sum()),
        "failure_auroc": float(roc_auc_score(failed, -guess)) if both else float("nan"),
    }


def calibrate_quality(
    model: str | Path,
    stores: Iterable[SimulatedStore],
    *,
    familiar: Iterable[SimulatedStore],
    out: str | Path | None = None,
    settings: Settings | None = None,
) -> DiceModel:
    """Fit the guess of the Dice coefficient, measure it, and write it into the network's file.

    Parameters
    ----------
    model : str or path-like
        The network's file.
    stores : iterable of SimulatedStore
        Micrographs not used in training, also unlike ones; the even ones of each are fitted on, the odd ones are for
        measuring.
    familiar : iterable of SimulatedStore
        Micrographs drawn as those of training were; may be among `stores`.
    out : str or path-like, optional
        Safetensors file to write; by default the network's own.
    settings : Settings, optional
        As for `judge_micrographs`.

    Returns
    -------
    DiceModel
        As it was written, with its errors.

    Raises
    ------
    ModelError
        If `out` is not given for a model in the paper's Keras format, which keeps no calibration.
    SettingsError
        If there are too few micrographs.
    """
    if out is None and Path(model).suffix != ".safetensors":
        raise ModelError(f"{model} cannot keep a calibration: give a .safetensors file to write (out)")
    judged: dict[str, pd.DataFrame] = {}

    def judge(store: SimulatedStore) -> pd.DataFrame:
        if store.folder.url not in judged:
            judged[store.folder.url] = judge_micrographs(store, model, settings=settings)
        return judged[store.folder.url]

    tables = [judge(store) for store in stores]
    fitted = fit_dice_model(pd.concat([t.iloc[::2] for t in tables]), familiar=pd.concat([judge(s) for s in familiar]))
    errors = quality_errors(fitted, pd.concat([t.iloc[1::2] for t in tables]))
    known = {name: value for name, value in errors.items() if np.isfinite(value)}  # JSON has no NaN
    calibrated = dataclasses.replace(fitted, errors=known)
    with_dice_model(model, calibrated, model if out is None else out)
    return calibrated
