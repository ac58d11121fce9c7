"""The guess of Dice: found again where it is known, and fitted on a store by the whole way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from hrtem_dask import analysis
from hrtem_dask.cli import main
from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.dice_model import TERMS
from hrtem_dask.segmentation.unet import UNet, UNetConfig
from hrtem_dask.segmentation.weights import load_dice_model, save_model
from hrtem_dask.settings import Settings
from hrtem_dask.storage import simulated
from hrtem_dask.storage.location import Location
from hrtem_dask.training.network.dice_calibration import (
    calibrate_quality,
    fit_dice_model,
    judge_micrographs,
    quality_errors,
)

CPU = {"execution": {"device": "cpu"}}


def made_up(n: int, seed: int, *, noise: float = 0.0) -> pd.DataFrame:
    """Terms at random, and a Dice coefficient that is a logistic curve of two of them and of the pixel size.

    Every tenth mask is empty, and of these, every other one is right.
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


def test_a_known_curve_is_found_again() -> None:
    model = fit_dice_model(made_up(600, 0, noise=0.05), familiar=familiar())
    slopes = {name: c / model.scales[name] for name, c in model.coefficients.items()}
    assert slopes.keys() == {"mask_confidence", "outline_entropy", "distance_from_training"}
    assert slopes["mask_confidence"] == pytest.approx(0.8, rel=0.2)
    assert slopes["outline_entropy"] == pytest.approx(-0.5, rel=0.2)
    assert slopes["distance_from_training"] == pytest.approx(-1.5, rel=0.2)
    assert model.empty_dice == pytest.approx(0.5)
    other = made_up(600, 1, noise=0.05)
    errors = quality_errors(model, other[other["mask_fraction"] > 0])
    assert errors["mae"] < 0.06 < errors["mae_of_mean"]
    assert errors["failure_auroc"] > 0.95
    assert errors["rank_correlation"] > 0.95
    assert quality_errors(model, other)["mae"] == pytest.approx(0.9 * errors["mae"] + 0.1 * 0.5)
    # a term that says the opposite of what it should is not believed
    wrong = made_up(600, 0).eval("mask_confidence = 1 - mask_confidence")
    assert fit_dice_model(wrong, familiar=familiar()).coefficients.get("mask_confidence", 0) == 0


def test_errors_of_a_useless_guess_are_said() -> None:
    table = made_up(300, 0)
    rng = np.random.default_rng(0)
    model = fit_dice_model(table.assign(dice=rng.permutation(table["dice"])), familiar=familiar())
    errors = quality_errors(model, made_up(300, 1))
    assert errors["mae"] > 0.9 * errors["mae_of_mean"]
    assert abs(errors["failure_auroc"] - 0.5) < 0.3
    good = quality_errors(model, table.assign(dice=0.9))
    assert np.isnan(good["failure_auroc"])
    assert good["n_failures"] == 0
    with pytest.raises(ValueError, match=r"at least 20.*got 19"):
        fit_dice_model(table[:19], familiar=familiar())


def dark_detector(path: Path) -> Path:
    """A network that takes the dark for particle: averaged three times."""
    model = UNet(UNetConfig(widths=(1,), centre_width=1, encoder_convs=1)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        model.encoders[0].convs[0].conv.weight[0, 0] = 1 / 9
        model.decoders[0].convs[0].conv.weight[0, 0] = 1 / 9
        model.decoders[0].convs[1].conv.weight[0, 0] = 1 / 9
        model.final.weight[1, 0] = -60.0
        model.final.bias[1] = 26.0
    save_model(model, path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_toy: Callable[..., Any], toy_ranges: Any) -> Any:
    place = Location.of(tmp_path_factory.mktemp("sim"))
    ranges = toy_ranges(n_particles=4)
    simulated.create_simulated(place, ranges={}, seed=0, code_version="1")
    for index in range(48):
        simulated.write_simulated(place, make_toy(ranges, 0, index))
    simulated.gather_truth(place)
    return simulated.open_simulated(place)


def test_the_whole_way_from_a_store_to_a_guess_in_the_table(store: Any, tmp_path: Path) -> None:
    path = dark_detector(tmp_path / "dark.safetensors")
    settings = Settings().updated(CPU)
    judged = judge_micrographs(store, path, settings=settings)
    assert list(judged.index) == list(store.micrographs["micrograph_id"])
    empty = store.micrographs.set_index("micrograph_id")["n_particles"] == 0
    assert set(judged["dice"][empty.to_numpy()]) <= {0.0, 1.0}
    calibrated = calibrate_quality(path, [store], familiar=[store], settings=settings)
    assert calibrated.errors["n"] == 24
    assert load_dice_model(path) == calibrated

    name = str(judged.index[4])
    unet = settings.updated({"segmentation": {"model": str(path)}})
    found = analysis.analyse(
        store.image(name), pixel_size_nm=(0.05, 0.05), settings=unet,
        segmenter=make_segmenter(unet.segmentation, unet.execution),
    ).micrograph  # fmt: skip
    assert found["mask_agreement"] is None
    assert found["predicted_dice"] == pytest.approx(calibrated.predict(judged.loc[name], judged.loc[name]))
    asked = unet.updated({"segmentation": {"mask_agreement": True}})
    assert analysis.analyse(
        store.image(name), pixel_size_nm=(0.05, 0.05), settings=asked,
        segmenter=make_segmenter(asked.segmentation, asked.execution),
    ).micrograph["mask_agreement"] == judged.loc[name, "mask_agreement"]  # fmt: skip
    off = unet.updated({"segmentation": {"predict_quality": False}})
    without = analysis.analyse(
        store.image(name), pixel_size_nm=(0.05, 0.05), settings=off,
        segmenter=make_segmenter(off.segmentation, off.execution),
    ).micrograph  # fmt: skip
    assert "predicted_dice" not in without
    with pytest.raises(ModelError, match="cannot keep a calibration"):
        calibrate_quality(tmp_path / "paper.h5", [store], familiar=[store])


def test_the_command_calibrates(store: Any, tmp_path: Path) -> None:
    path = dark_detector(tmp_path / "dark.safetensors")
    place = str(store.folder.url)
    result = CliRunner().invoke(main, ["train", "quality", str(path), place, "--familiar", place])
    assert result.exit_code == 0, result.output
    fitted = load_dice_model(path)
    assert fitted is not None
    assert all(name in result.output for name in fitted.coefficients)
    missing = CliRunner().invoke(main, ["train", "quality", str(path), str(tmp_path / "no"), "--familiar", place])
    assert missing.exit_code == 1
    assert "no" in missing.output
