"""The fit of the predicted Dice coefficient, on tables of which the curve is known."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.quality.dice_model import TERMS
from hrtem_dask.training.network.dice_model_fit import dice_model_errors, fit_dice_model


def simulated_table(n: int, seed: int, *, noise: float = 0.0) -> pd.DataFrame:
    """Random terms, and a Dice coefficient that is a logistic curve of two of them and of the pixel size.

    Every tenth mask is empty, and every other one of these is correct.
    """
    rng = np.random.default_rng(seed)
    names = [name for name in TERMS if name != "distance_from_training"]
    table = pd.DataFrame(rng.uniform(0.02, 0.98, (n, 4)), columns=names)
    table["pixel_size_nm"] = np.exp(rng.uniform(np.log(0.02), np.log(0.2), n))
    table["sharpness"], table["mass_contrast"], table["peak_snr"] = 0.5, np.nan, 20.0
    outside = np.maximum(0, np.log(table["pixel_size_nm"] / 0.06)) / (np.log(3) / 2)
    confidence, entropy = table["mask_confidence"], table["outline_entropy"]
    logit = 0.8 * np.log(confidence / (1 - confidence)) + 0.5 * np.log(1 - entropy) + 0.5 - 1.5 * outside
    table["dice"] = np.clip(1 / (1 + np.exp(-logit)) + noise * rng.normal(size=n), 0, 1)
    table.loc[::10, "mask_fraction"] = 0.0
    table.loc[::10, "dice"] = 1.0
    table.loc[::20, "dice"] = 0.0
    return table


def familiar() -> pd.DataFrame:
    size = np.exp(np.linspace(np.log(0.02), np.log(0.06), 2001))
    return pd.DataFrame({"pixel_size_nm": size, "sharpness": 0.5, "mass_contrast": np.nan, "peak_snr": 20.0})


def test_a_known_curve_is_recovered() -> None:
    model = fit_dice_model(simulated_table(600, 0, noise=0.05), familiar=familiar())
    slopes = {name: c / model.scales[name] for name, c in model.coefficients.items()}
    assert slopes.keys() == {"mask_confidence", "outline_entropy", "distance_from_training"}
    assert slopes["mask_confidence"] == pytest.approx(0.8, rel=0.2)
    assert slopes["outline_entropy"] == pytest.approx(-0.5, rel=0.2)
    assert slopes["distance_from_training"] == pytest.approx(-1.5, rel=0.2)
    assert model.empty_dice == pytest.approx(0.5)
    other = simulated_table(600, 1, noise=0.05)
    errors = dice_model_errors(model, other[other["mask_fraction"] > 0])
    assert errors["mae"] < 0.06 < errors["mae_of_mean"]
    assert errors["failure_auroc"] > 0.95
    assert errors["rank_correlation"] > 0.95
    assert dice_model_errors(model, other)["mae"] == pytest.approx(0.9 * errors["mae"] + 0.1 * 0.5)
    # a term with the wrong sign is not used
    wrong = simulated_table(600, 0).eval("mask_confidence = 1 - mask_confidence")
    assert fit_dice_model(wrong, familiar=familiar()).coefficients.get("mask_confidence", 0) == 0


def test_errors_of_a_useless_prediction_are_large() -> None:
    table = simulated_table(300, 0)
    rng = np.random.default_rng(0)
    model = fit_dice_model(table.assign(dice=rng.permutation(table["dice"])), familiar=familiar())
    errors = dice_model_errors(model, simulated_table(300, 1))
    assert errors["mae"] > 0.9 * errors["mae_of_mean"]
    assert abs(errors["failure_auroc"] - 0.5) < 0.3
    good = dice_model_errors(model, table.assign(dice=0.9))
    assert np.isnan(good["failure_auroc"])
    assert good["n_failures"] == 0
    with pytest.raises(ValueError, match=r"at least 20.*got 19"):
        fit_dice_model(table[:19], familiar=familiar())


def test_empty_masks_alone_are_not_enough() -> None:
    row = {"mask_confidence": 0.9, "mask_fraction": 0.0, "outline_entropy": 0.0, "mask_agreement": 1.0,
           "pixel_size_nm": 0.03, "sharpness": 0.1, "mass_contrast": 0.1, "peak_snr": 9.0, "dice": 1.0}  # fmt: skip
    table = pd.DataFrame([row] * 30)
    with pytest.raises(SettingsError, match="got 30, 0 and 30"):
        fit_dice_model(table, familiar=table)
