"""The table before and after fine-tuning, as the command line shows it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrtem_dask.segmentation.weights import ScaleRegime
    from hrtem_dask.training.fine_tuning.comparison import Change
    from hrtem_dask.training.fine_tuning.inherited_calibration import InheritedCalibration
    from hrtem_dask.training.fine_tuning.result import FineTuningResult

__all__ = ["fine_tuning_table"]

NAME_WIDTH = 34


def fine_tuning_table(result: FineTuningResult) -> str:
    """Return the scores before and after, with what they mean.

    Parameters
    ----------
    result : FineTuningResult
        Result of `fine_tune`.

    Returns
    -------
    str
        Lines of text: each held-out micrograph by its fold, means with intervals, images of another kind, the state of
        the predicted Dice coefficient, and warnings.
    """
    how = f"{result.n_folds} folds" if result.n_folds else "not trained on"
    lines = [f"{f'held out, {how}':{NAME_WIDTH}}{'Dice before':>12}{'after':>9}{'change':>9}"]
    for fold, rows in result.held_out.groupby("fold"):
        if result.n_folds:
            lines.append(f"fold {fold}")
        for name, before, after in zip(rows.index, rows["before"], rows["after"], strict=True):
            lines.append(_line(f"  {name}", before, after))
    lines.append(_mean_line("mean", result.change))
    empty = result.held_out[result.held_out["before"].isna()]
    if len(empty):
        before, after = (100 * empty[f"false_share_{when}"].mean() for when in ("before", "after"))
        lines.append(f"{_cut('falsely found on empty ones')}{before:11.2f}%{after:8.2f}%")
    lines.append("images of another kind")
    lines += [_mean_line(f"  {name}", change) for name, change in result.other_changes.items()]
    lines += _calibration_lines(result.calibrations)
    return "\n".join([*lines, *(f"warning: {text}" for text in result.warnings)])


def _line(name: str, before: float, after: float) -> str:
    """Return the line of one micrograph."""
    if math.isnan(before):
        return f"{_cut(name)}{'empty':>12}{'empty':>9}"
    return f"{_cut(name)}{before:12.4f}{after:9.4f}{after - before:+9.4f}"


def _mean_line(name: str, change: Change) -> str:
    """Return the line of a mean change."""
    if not change.n:
        return f"{_cut(name)}   no micrograph with particles"
    interval = "" if math.isnan(change.low) else f"  [{change.low:+.4f}, {change.high:+.4f}]"
    return f"{_cut(name)}{change.before:12.4f}{change.after:9.4f}{change.change:+9.4f}{interval}  n = {change.n}"


def _cut(name: str) -> str:
    """Return a name in the width of its column."""
    return f"{name:{NAME_WIDTH}.{NAME_WIDTH}}"


def _calibration_lines(calibrations: Mapping[ScaleRegime, InheritedCalibration]) -> list[str]:
    """Return what became of the predicted Dice coefficient."""
    if not calibrations:
        return ["predicted_dice: none, because the initial network has no calibration"]
    lines = []
    for regime, one in calibrations.items():
        if one.n_images:
            lines.append(
                f"predicted_dice, {regime} regime: inherited, log-odds shifted by {one.shift:+.2f}; mean error "
                f"{one.mae:.3f} on {one.n_images} held-out images ({one.mae_unshifted:.3f} without the shift)"
            )
        else:
            lines.append(f"predicted_dice, {regime} regime: inherited, not checked, because no held-out image is in it")
    return lines
