"""The mean change and its interval against scipy, and the warnings that follow."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.training.fine_tuning.comparison import Change, mean_change, plain_warnings, scale_warnings
from hrtem_dask.training.fine_tuning.inherited_calibration import InheritedCalibration


def table(before: list[float], after: list[float], groups: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"group": groups or [str(i) for i in range(len(before))], "before": before, "after": after})


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0.6, 0.9, 6), rng.uniform(0.8, 0.95, 6)
    change = mean_change(table(before.tolist(), after.tolist()))
    interval = scipy.stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (change.low, change.high) == pytest.approx((interval.low, interval.high))
    assert change.change == pytest.approx(float((after - before).mean()))


def test_patches_of_a_micrograph_are_averaged_and_empty_ones_left_out() -> None:
    nan = float("nan")
    change = mean_change(table([0.5, 0.7, 0.8, nan], [0.7, 0.9, 0.8, nan], ["a", "a", "b", "c"]))
    assert (change.n, change.before, change.after) == pytest.approx((2, 0.7, 0.8))
    assert mean_change(table([nan], [nan])).n == 0
    assert mean_change(table([nan], [nan])).to_dict()["change"] is None


def calibration(mae: float, *, is_applicable: bool) -> InheritedCalibration:
    model = DiceModel(intercept=0.0, coefficients={}, centres={}, scales={}, empty_dice=0.5, ranges={})
    return InheritedCalibration(
        dice_model=model, n_images=4, n_micrographs=4, shift=0.0, mae_unshifted=mae, bias_unshifted=0.0, mae=mae,
        is_applicable=is_applicable,
    )  # fmt: skip


def change(mean: float, half: float, n: int = 6) -> Change:
    return Change(n=n, before=0.8, after=0.8 + mean, change=mean, low=mean - half, high=mean + half)


def test_a_clear_gain_without_losses_needs_no_warning() -> None:
    assert not plain_warnings(
        change(0.1, 0.05), {"a": change(0.0, 0.02)}, {"lattice": calibration(0.02, is_applicable=True)}
    )


@pytest.mark.parametrize(
    ("held_out", "says"),
    [
        (change(0.07, 0.08), "may be chance"),
        (change(-0.07, 0.02), "became worse by 0.070"),
        (change(0.07, float("nan"), n=1), "one micrograph has no interval"),
    ],
)
def test_gains_that_are_none(held_out: Change, says: str) -> None:
    (text,) = plain_warnings(held_out, {}, {})
    assert says in text


@pytest.mark.parametrize("loss", [change(-0.02, 0.01), change(-0.06, 0.2)])
def test_losses_on_other_images(loss: Change) -> None:
    (text,) = plain_warnings(change(0.1, 0.05), {"gold": loss, "fine": change(0.0, 0.01)}, {})
    assert "images of another kind became worse: gold" in text


def test_a_prediction_that_fails_is_warned_of() -> None:
    (text,) = plain_warnings(change(0.1, 0.05), {}, {"contrast": calibration(0.31, is_applicable=False)})
    assert "predicted_dice (contrast regime) is wrong by 0.31" in text


def test_another_scale_than_in_training_is_warned_of() -> None:
    nan = float("nan")
    held_out = pd.DataFrame({"training_scale": [0.5, 0.5, nan], "scale_after": [0.5, 0.7, 3.0]})
    assert scale_warnings(held_out) == []
    (text,) = scale_warnings(held_out.assign(scale_after=[0.5, 1.0, 3.0]))
    assert text.startswith("1 of 2 held-out micrographs")
    assert "--diameter-px 160 " in text  # 80 network pixels at half the scale
