"""The result of a fine-tuning: scores of held-out micrographs and of others, and their record in the model file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hrtem_dask.segmentation.weights import ScaleRegime
from hrtem_dask.training.fine_tuning.comparison import Change, mean_change, plain_warnings, scale_warnings
from hrtem_dask.training.fine_tuning.inherited_calibration import InheritedCalibration
from hrtem_dask.training.fine_tuning.material import Material
from hrtem_dask.training.network.fit import FitResult

__all__ = ["FineTuningResult", "held_out_table", "scores_record"]


@dataclass(frozen=True, kw_only=True)
class FineTuningResult:
    """A fine-tuned network with its scores."""

    fit: FitResult
    """The network and the log of its training."""
    n_folds: int
    """Number of folds of the cross-validation; 0 if micrographs were held out once."""
    held_out: pd.DataFrame
    """A row per held-out micrograph: ``group``; ``fold``, counted from 1; Dice coefficient of the labels ``before`` and
    ``after`` (NaN without particles), the latter of a network that was not trained on the micrograph;
    ``false_share_before`` and ``false_share_after``; ``regime``; ``training_scale``, NaN where the pixel size decides;
    ``scale_before`` and ``scale_after``, found in inference; and ``predicted_dice``, without a shift."""
    others: pd.DataFrame
    """A row per micrograph of another kind: ``set``, ``group``, ``before``, ``after``, ``regime``, and the
    ``predicted_dice`` of the new network."""
    calibrations: Mapping[ScaleRegime, InheritedCalibration]
    """Predictions of the Dice coefficient by regime; empty if the initial network has none."""

    @property
    def change(self) -> Change:
        """Mean change on held-out micrographs."""
        return mean_change(self.held_out)

    @property
    def other_changes(self) -> dict[str, Change]:
        """Mean change on each set of images of another kind."""
        return {str(name): mean_change(rows) for name, rows in self.others.groupby("set", sort=False)}

    @property
    def warnings(self) -> list[str]:
        """What the numbers mean for the use of the new network, in plain words."""
        return [
            *plain_warnings(self.change, self.other_changes, self.calibrations),
            *scale_warnings(self.held_out),
        ]


def held_out_table(material: Material, scored: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the scores before and after of all held-out micrographs.

    Parameters
    ----------
    material : Material
        The micrographs with the scores of the initial network.
    scored : sequence of pandas.DataFrame
        For each fold, the rows of `score_network` of a network that was not trained on it.

    Returns
    -------
    pandas.DataFrame
        `FineTuningResult.held_out`.
    """
    after = pd.concat([rows.assign(fold=k) for k, rows in enumerate(scored, start=1)])
    before = material.before.loc[after.index]
    return pd.DataFrame(
        {
            "group": after["group"],
            "fold": after["fold"],
            "before": before["dice"].astype(float),
            "after": after["dice"].astype(float),
            "false_share_before": before["false_share"].astype(float),
            "false_share_after": after["false_share"].astype(float),
            "regime": after["regime"],
            "training_scale": [material.scales[name].scale for name in after.index],
            "scale_before": before["scale"],
            "scale_after": after["scale"],
            "predicted_dice": after["predicted_dice"],
        }
    )


def scores_record(result: FineTuningResult, inherited_from: str) -> dict[str, str]:
    """Return the record of the scores for the header of the model file.

    Parameters
    ----------
    result : FineTuningResult
        The result.
    inherited_from : str
        Hash of the initial model file.

    Returns
    -------
    dict of str to str
        JSON texts: ``held_out`` (mean change, and fold, Dice before and after of each micrograph), ``other_images``,
        ``calibration`` (by regime: what became of the predicted Dice coefficient, and its errors) and ``warnings``.
    """
    shown = result.held_out[["fold", "before", "after"]].round(5).astype(object)
    held_out = {
        "folds": result.n_folds,
        **result.change.to_dict(),
        "micrographs": {str(name): row for name, row in shown.where(shown.notna(), None).T.to_dict("list").items()},
    }
    calibration = {
        regime: {**one.to_dict(), "inherited_from": inherited_from, **_errors_on_others(result.others, regime)}
        for regime, one in result.calibrations.items()
    }
    return {
        "held_out": json.dumps(held_out),
        "other_images": json.dumps({name: change.to_dict() for name, change in result.other_changes.items()}),
        "calibration": json.dumps(calibration),
        "warnings": json.dumps(result.warnings),
    }


def _errors_on_others(others: pd.DataFrame, regime: str) -> dict[str, float | int | None]:
    """Return the error of the prediction on images of another kind, in one regime."""
    rows = others[(others["regime"] == regime) & others["predicted_dice"].notna() & others["after"].notna()]
    error = float((rows["predicted_dice"] - rows["after"]).abs().mean())
    return {"n_other_images": len(rows), "mae_on_other_images": None if math.isnan(error) else round(error, 5)}
