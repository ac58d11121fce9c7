"""Carry the prediction of a network's own Dice coefficient over to the network that was fine-tuned from it.

A few labeled micrographs are too few to fit the prediction again. It is inherited, and checked on masks of micrographs
that were not used to train the network that made them: those of the cross-validation. All that so few masks can tell is
whether the prediction is too high or too low on the whole, so its log-odds are shifted by one number. The shift is
drawn towards 0 when micrographs are few, and its error is measured on micrographs that did not decide it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from hrtem_dask.segmentation.quality.dice_model import DiceModel, comparable
from hrtem_dask.training.fine_tuning.scoring import PROPERTIES

__all__ = ["InheritedCalibration", "inherit_dice_model", "log_odds_shift"]

PRIOR_MICROGRAPHS = 4
"""Number of micrographs with which half of the observed shift is applied."""
LARGEST_SHIFT = 5.0
"""Largest shift of the log-odds."""
TOLERATED_ERROR = 0.15
"""Mean absolute error of the predicted Dice coefficient up to which it is of use, if the initial one was no worse."""


@dataclass(frozen=True, kw_only=True)
class InheritedCalibration:
    """A prediction that a fine-tuned network inherits, and how well it holds."""

    dice_model: DiceModel
    """The prediction with its shift; its `errors` are those on the micrographs of the fine-tuning, if checked."""
    n_images: int
    """Held-out images with a prediction; 0 means that it was not checked."""
    n_micrographs: int
    """Independent micrographs among them."""
    shift: float
    """Number that was added to the log-odds."""
    mae_unshifted: float
    """Mean absolute error without a shift."""
    bias_unshifted: float
    """Mean of predicted minus true coefficient without a shift."""
    mae: float
    """Mean absolute error with a shift that the other micrographs decided."""
    is_applicable: bool
    """False if `mae` is above both 0.15 and the error of the initial network: the prediction is then not to be used."""

    def to_dict(self) -> dict[str, object]:
        """Return the record of the calibration for the header of the model file.

        Returns
        -------
        dict
            All fields but the prediction; None where a number is not known.
        """
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "dice_model"}
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}


def inherit_dice_model(dice_model: DiceModel, held_out: pd.DataFrame) -> InheritedCalibration:
    """Check the prediction of the initial network on held-out masks of fine-tuned ones, and shift it.

    Parameters
    ----------
    dice_model : DiceModel
        Prediction of the initial network.
    held_out : pandas.DataFrame
        Rows of `score_network` of one regime; each mask is of a network that was not trained on its micrograph.

    Returns
    -------
    InheritedCalibration
        The prediction; unchanged if no row has quality terms.
    """
    rows = held_out[held_out["mask_fraction"].notna()] if "mask_fraction" in held_out else held_out.iloc[:0]
    groups = rows["group"].to_numpy()
    nan = float("nan")
    if not len(rows):
        return InheritedCalibration(
            dice_model=dice_model, n_images=0, n_micrographs=0, shift=0.0, mae_unshifted=nan, bias_unshifted=nan,
            mae=nan, is_applicable=True,
        )  # fmt: skip
    widened = _with_ranges_of(dice_model, rows)
    truth = rows["mask_dice"].to_numpy(float)
    predicted = _predict(widened, rows)
    filled = (rows["mask_fraction"] > 0).to_numpy()  # the prediction for an empty mask is a constant of its own

    def shift_from(use: np.ndarray) -> float:
        return log_odds_shift(predicted[use], truth[use], n_micrographs=len(set(groups[use])))

    checked = predicted.copy()
    for group in set(groups):
        mine = filled & (groups == group)
        checked[mine] = _shifted(predicted[mine], shift_from(filled & (groups != group)))
    shift = shift_from(filled)
    mae = float(np.abs(checked - truth).mean())
    errors = {"n": float(len(rows)), "mae": mae, "mae_of_mean": float(np.abs(truth - truth.mean()).mean())}
    limit = max(TOLERATED_ERROR, dice_model.errors.get("mae", 0.0))
    return InheritedCalibration(
        dice_model=dataclasses.replace(widened, intercept=widened.intercept + shift, errors=errors),
        n_images=len(rows),
        n_micrographs=len(set(groups)),
        shift=shift,
        mae_unshifted=float(np.abs(predicted - truth).mean()),
        bias_unshifted=float((predicted - truth).mean()),
        mae=mae,
        is_applicable=mae <= limit,
    )


def log_odds_shift(predicted: np.ndarray, truth: np.ndarray, *, n_micrographs: int) -> float:
    """Return the shift of the log-odds of predictions that makes their mean right, drawn towards 0.

    Parameters
    ----------
    predicted : numpy.ndarray
        Shape (n,): predicted Dice coefficients, between 0 and 1.
    truth : numpy.ndarray
        Shape (n,): true Dice coefficients, 0 to 1.
    n_micrographs : int
        Number m of independent micrographs among them.

    Returns
    -------
    float
        The share m / (m + 4) of the shift δ with mean(σ(logit(predicted) + δ)) = mean(truth), and |δ| at most 5; 0
        without any prediction. It is that of the mean of m observations whose prior has a quarter of their variance.

    Examples
    --------
    >>> import numpy as np
    >>> shift = log_odds_shift(np.full(4, 0.5), np.full(4, 0.8), n_micrographs=4)
    >>> round(float(shift / np.log(0.8 / 0.2)), 6)
    0.5
    """
    if not len(predicted):
        return 0.0

    def excess(shift: float) -> float:
        return float(_shifted(predicted, shift).mean() - truth.mean())

    if excess(-LARGEST_SHIFT) >= 0:
        full = -LARGEST_SHIFT
    elif excess(LARGEST_SHIFT) <= 0:
        full = LARGEST_SHIFT
    else:
        full = float(brentq(excess, -LARGEST_SHIFT, LARGEST_SHIFT, xtol=1e-9))
    return full * n_micrographs / (n_micrographs + PRIOR_MICROGRAPHS)


def _shifted(predicted: np.ndarray, shift: float) -> np.ndarray:
    """Return predictions with shifted log-odds."""
    odds = np.clip(predicted, 1e-9, 1 - 1e-9)
    return np.asarray(1 / (1 + (1 - odds) / odds * np.exp(-shift)))


def _predict(dice_model: DiceModel, rows: pd.DataFrame) -> np.ndarray:
    """Return the predicted Dice coefficient of each row."""
    records = rows.drop(columns=["group", "regime"]).to_dict("records")
    terms = [{str(name): float(value) for name, value in record.items()} for record in records]
    return np.array([dice_model.predict(one, one) for one in terms])


def _with_ranges_of(dice_model: DiceModel, rows: pd.DataFrame) -> DiceModel:
    """Return the prediction with ranges of training that include the micrographs of the fine-tuning."""
    if "distance_from_training" not in dice_model.coefficients:
        return dice_model
    ranges = dict(dice_model.ranges)
    for row in rows[list(PROPERTIES)].to_dict("records"):
        for name, value in comparable({str(k): float(v) for k, v in row.items()}).items():
            if name in ranges and np.isfinite(value):
                low, high = ranges[name]
                ranges[name] = (min(low, value), max(high, value))
    return dataclasses.replace(dice_model, ranges=ranges)
