"""Fit the prediction of a network's own Dice coefficient to micrographs with a known mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.quality.dice_model import PROPERTIES, TERMS, DiceModel, comparable, straightened

__all__ = ["dice_model_errors", "fit_dice_model"]

FAILURE_DICE = 0.5
"""A mask with a lower Dice coefficient counts as a failure."""
PENALTY = 0.0005
"""Weight of the squared coefficients relative to the mean squared error; it stabilizes the fit of correlated terms."""
MIN_MICROGRAPHS = 20
"""Smallest number of micrographs to fit."""
N_FOLDS = 5
"""Number of folds of the cross-validation."""
MIN_IMPROVEMENT = 0.02
"""Smallest relative decrease of the cross-validated squared error for which a term is kept."""


def fit_dice_model(table: pd.DataFrame, *, familiar: pd.DataFrame, terms: Sequence[str] = tuple(TERMS)) -> DiceModel:
    """Fit the prediction of the Dice coefficient.

    A logistic curve is fitted by least squares, with the sign of each coefficient fixed. Terms are added one after the
    other, the fastest to compute first, and kept if they lower the cross-validated squared error by at least 2 %.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `dice_calibration.calibration_table` to fit. They must include images unlike the training images
        (another magnification, dose or blur) to determine the effect of the distance from training. Without them, its
        coefficient is 0.
    familiar : pandas.DataFrame
        Rows of micrographs like those of the training. Their 1st to 99th percentiles are the ranges of the training.
    terms : sequence of str
        Terms that may be used, in the order in which they are tried.

    Returns
    -------
    DiceModel
        The model, without its errors (see `dice_model_errors`).

    Raises
    ------
    SettingsError
        If there are fewer than 20 micrographs to fit, fewer than 5 of them with a mask that is not empty, or no
        micrograph like those of the training.
    """
    empty = (table["mask_fraction"] == 0).to_numpy()
    if len(table) < MIN_MICROGRAPHS or not len(familiar) or empty.sum() > len(table) - N_FOLDS:
        raise SettingsError(
            f"need at least {MIN_MICROGRAPHS} micrographs to fit, {N_FOLDS} of them with a mask that is not empty, and "
            f"1 like those of the training, got {len(table)}, {len(table) - empty.sum()} and {len(familiar)}"
        )
    ranges = _ranges(familiar)
    n_correct = table["dice"][empty].sum()
    without_terms = DiceModel(
        intercept=0.0,
        coefficients={},
        centres={},
        scales={},
        empty_dice=float((n_correct + 1) / (empty.sum() + 2)),  # rule of succession: 0.5 without any empty mask
        ranges=ranges,
    )
    rows = [
        {**row, "distance_from_training": without_terms.distance_from_training(row)} for row in _rows(table[~empty])
    ]
    values = np.array([[straightened(name, row[name]) for name in terms] for row in rows])
    truth = table["dice"].to_numpy(float)[~empty]
    centers, scales = values.mean(axis=0), values.std(axis=0)
    z = np.clip((values - centers) / np.maximum(scales, 1e-9), -4, 4)
    signs = np.array([TERMS[name] for name in terms])
    kept = _selected_terms(z, truth, signs)
    intercept, coefficients = _fitted(z[:, kept], truth, signs[kept])
    names = [terms[i] for i in kept]
    return dataclasses.replace(
        without_terms,
        intercept=intercept,
        coefficients=dict(zip(names, coefficients, strict=True)),
        centres=dict(zip(names, centers[kept].tolist(), strict=True)),
        scales=dict(zip(names, scales[kept].tolist(), strict=True)),
    )


def _selected_terms(z: np.ndarray, truth: np.ndarray, signs: np.ndarray) -> list[int]:
    """Return the columns of the terms that lower the cross-validated squared error enough."""
    fold = np.arange(len(truth)) % N_FOLDS

    def cross_validated(columns: list[int]) -> float:
        errors = np.empty(len(truth))
        for k in range(N_FOLDS):
            intercept, coefficients = _fitted(z[fold != k][:, columns], truth[fold != k], signs[columns])
            predicted = _logistic(intercept + z[fold == k][:, columns] @ np.array(coefficients))
            errors[fold == k] = predicted - truth[fold == k]
        return float(np.mean(errors**2))

    kept: list[int] = []
    best = cross_validated(kept)
    for column in range(z.shape[1]):
        error = cross_validated([*kept, column])
        if error < (1 - MIN_IMPROVEMENT) * best:
            kept, best = [*kept, column], error
    return kept


def _logistic(logit: np.ndarray) -> np.ndarray:
    """Return the logistic function of a logit, 0 to 1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def _rows(table: pd.DataFrame) -> list[dict[str, float]]:
    """Return each row as a dictionary of numbers."""
    return [{str(name): float(value) for name, value in row.items()} for row in table.to_dict("records")]


def _ranges(familiar: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the range in training of each property that is known for any of the micrographs."""
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
    """Return intercept and coefficients of the logistic curve that fits the truth best."""

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        predicted = _logistic(x[0] + z @ x[1:])
        error = predicted - truth
        slope = 2 * error * predicted * (1 - predicted) / len(truth)
        gradient = np.append(slope.sum(), z.T @ slope + 2 * PENALTY * x[1:])
        return float(np.mean(error**2) + PENALTY * np.sum(x[1:] ** 2)), gradient

    bounds = [(-10.0, 10.0), *((0.0, 10.0) if sign > 0 else (-10.0, 0.0) for sign in signs)]
    start = np.append(0.0, 0.5 * signs)
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return float(best[0]), [float(c) for c in best[1:]]


def dice_model_errors(dice_model: DiceModel, table: pd.DataFrame) -> dict[str, float]:
    """Measure the errors of the predicted Dice coefficient on micrographs that were not used in the fit.

    Parameters
    ----------
    dice_model : DiceModel
        Model from `fit_dice_model`.
    table : pandas.DataFrame
        Rows of `dice_calibration.calibration_table`, of other micrographs than in the fit.

    Returns
    -------
    dict
        ``n``, number of micrographs; ``mae``, mean absolute error; ``mae_of_mean``, mean absolute error of a constant
        prediction, the mean Dice coefficient; ``rank_correlation``, Spearman's rank correlation, NaN if either side is
        constant; ``n_failures``, number of masks with a Dice coefficient below 0.5; ``failure_auroc``, area under the
        receiver operating characteristic, i.e. the probability that a failure has a lower prediction than a success,
        NaN without failures or without successes.
    """
    predicted = np.array([dice_model.predict(row, row) for row in _rows(table)])
    truth = table["dice"].to_numpy(float)
    failed = truth < FAILURE_DICE
    has_both = 0 < failed.sum() < len(failed)
    has_ranks = np.ptp(predicted) > 0 and np.ptp(truth) > 0
    return {
        "n": float(len(truth)),
        "mae": float(np.abs(predicted - truth).mean()),
        "mae_of_mean": float(np.abs(truth - truth.mean()).mean()),
        "rank_correlation": float(spearmanr(predicted, truth).statistic) if has_ranks else float("nan"),
        "n_failures": float(failed.sum()),
        "failure_auroc": float(roc_auc_score(failed, -predicted)) if has_both else float("nan"),
    }
