"""The inherited prediction against shifts that are planted, and against the algebra of the logistic curve."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.training.fine_tuning.inherited_calibration import inherit_dice_model, log_odds_shift

MODEL = DiceModel(
    intercept=2.0,
    coefficients={"mask_confidence": 1.5},
    centres={"mask_confidence": 3.0},
    scales={"mask_confidence": 1.0},
    empty_dice=0.6,
    ranges={},
    errors={"mae": 0.1, "n": 80.0},
)


def rows(n: int, shift: float, *, noise: float = 0.0, per_group: int = 1, seed: int = 0) -> pd.DataFrame:
    """Return held-out masks whose true log-odds are those of the model plus a shift."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.85, 0.99, n)
    predicted = np.array([MODEL.predict({"mask_confidence": c, "mask_fraction": 0.2}, {}) for c in confidence])
    logit = np.log(predicted / (1 - predicted)) + shift + rng.normal(0, noise, n)
    return pd.DataFrame(
        {
            "group": [f"g{i // per_group}" for i in range(n)],
            "regime": "contrast",
            "dice": 1 / (1 + np.exp(-logit)),
            "mask_dice": 1 / (1 + np.exp(-logit)),
            "mask_confidence": confidence,
            "mask_fraction": 0.2,
        },
        index=[f"m{i}" for i in range(n)],
    )


@pytest.mark.parametrize(("n", "shift"), [(4, -1.5), (8, 0.7), (400, -0.5)])
def test_a_planted_shift_is_found_and_drawn_towards_zero(n: int, shift: float) -> None:
    inherited = inherit_dice_model(MODEL, rows(n, shift))
    assert inherited.shift == pytest.approx(shift * n / (n + 4), rel=1e-6)
    assert inherited.dice_model.intercept == pytest.approx(MODEL.intercept + inherited.shift)
    assert inherited.dice_model.coefficients == MODEL.coefficients
    assert np.sign(inherited.bias_unshifted) == -np.sign(shift)
    assert inherited.mae < inherited.mae_unshifted
    assert inherited.dice_model.errors["mae"] == inherited.mae
    assert inherited.dice_model.errors["n"] == n


def test_the_error_is_that_of_shifts_from_other_micrographs() -> None:
    table = rows(6, -1.0, noise=0.8)
    truth = table["mask_dice"].to_numpy()
    terms = [{"mask_confidence": c, "mask_fraction": 0.2} for c in table["mask_confidence"]]
    errors = []
    for i in range(6):
        without = inherit_dice_model(MODEL, table.drop(index=f"m{i}")).dice_model
        errors.append(abs(without.predict(terms[i], {}) - truth[i]))
    assert inherit_dice_model(MODEL, table).mae == pytest.approx(np.mean(errors))


def test_images_of_one_micrograph_count_once() -> None:
    patches = inherit_dice_model(MODEL, rows(8, -1.0, per_group=4))
    assert patches.n_images == 8
    assert patches.n_micrographs == 2
    assert patches.shift == pytest.approx(-1.0 * 2 / 6, rel=1e-6)


def test_an_unbiased_prediction_is_hardly_changed() -> None:
    inherited = inherit_dice_model(MODEL, rows(400, 0.0, noise=0.5))
    assert abs(inherited.shift) < 0.1
    assert inherited.is_applicable


def test_empty_masks_do_not_shift_the_others() -> None:
    table = rows(8, -0.8)
    empty = table.iloc[:2].assign(mask_fraction=0.0, mask_dice=[1.0, 0.0])
    empty.index = ["e0", "e1"]
    inherited = inherit_dice_model(MODEL, pd.concat([table, empty]))
    assert inherited.shift == pytest.approx(inherit_dice_model(MODEL, table).shift)
    assert inherited.dice_model.empty_dice == MODEL.empty_dice
    assert inherited.n_images == 10


def test_without_held_out_masks_the_prediction_is_unchanged() -> None:
    inherited = inherit_dice_model(MODEL, rows(4, 1.0).iloc[:0])
    assert inherited.dice_model == MODEL
    assert inherited.n_images == 0
    assert inherited.to_dict()["mae"] is None


def test_a_prediction_that_does_not_hold_is_called_inapplicable() -> None:
    table = rows(8, 0.0)
    table["mask_dice"] = [0.05, 0.95] * 4  # masks that the network cannot tell apart
    inherited = inherit_dice_model(MODEL, table)
    assert inherited.mae > 0.3
    assert not inherited.is_applicable


def test_micrographs_of_the_fine_tuning_are_no_longer_unlike_the_training() -> None:
    names = ("mask_confidence", "distance_from_training")
    far = DiceModel(
        intercept=2.0,
        coefficients={"mask_confidence": 1.0, "distance_from_training": -1.0},
        centres=dict.fromkeys(names, 0.0),
        scales=dict.fromkeys(names, 1.0),
        empty_dice=0.5,
        ranges={"log_pixel_size": (np.log(0.02), np.log(0.04))},
    )
    table = rows(4, 0.0).assign(pixel_size_nm=0.08, sharpness=np.nan, mass_contrast=np.nan, peak_snr=np.nan)
    inherited = inherit_dice_model(far, table).dice_model
    assert far.distance_from_training({"pixel_size_nm": 0.08}) > 1
    assert inherited.distance_from_training({"pixel_size_nm": 0.08}) == pytest.approx(0, abs=1e-9)
    assert inherited.distance_from_training({"pixel_size_nm": 0.02}) == pytest.approx(0, abs=1e-9)


def test_the_shift_is_bounded() -> None:
    assert log_odds_shift(np.full(5, 0.9), np.zeros(5), n_micrographs=5) == pytest.approx(-5 * 5 / 9)
    assert log_odds_shift(np.full(5, 0.9), np.ones(5), n_micrographs=5) == pytest.approx(5 * 5 / 9)
    assert log_odds_shift(np.array([]), np.array([]), n_micrographs=0) == 0
