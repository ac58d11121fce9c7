"""Fine-tuning from files to a model file: held-out networks, unknown pixels, the scale, the inherited prediction."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.segmentation.weights import (
    load_dice_model,
    load_model,
    model_hash,
    model_metadata,
    save_model,
    with_dice_model,
)
from hrtem_dask.training.fine_tuning import fine_tune as module
from hrtem_dask.training.fine_tuning import other_images
from hrtem_dask.training.fine_tuning.fine_tune import fine_tune
from hrtem_dask.training.fine_tuning.held_out import FineTuneOptions
from hrtem_dask.training.fine_tuning.material import prepare_material
from hrtem_dask.training.fine_tuning.result import FineTuningResult
from hrtem_dask.training.fine_tuning.scoring import network_settings
from hrtem_dask.training.labelled.sources import list_labelled
from hrtem_dask.training.network.recipes import NO_AUGMENTATION, RECIPES, TrainingRecipe
from hrtem_dask.training.network.train_unet import train_segmentation

CALIBRATION = DiceModel(
    intercept=1.0,
    coefficients={"mask_confidence": 1.0},
    centres={"mask_confidence": 3.0},
    scales={"mask_confidence": 1.0},
    empty_dice=0.5,
    ranges={},
    errors={"mae": 0.1},
)


@pytest.fixture(autouse=True)
def _one_other_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score one simulated image only, to save time."""
    monkeypatch.setattr(module, "simulated_lattice", lambda: other_images.simulated_lattice(1))
    monkeypatch.setattr(module, "simulated_contrast", lambda: other_images.simulated_contrast(0))


@pytest.fixture(scope="module")
def initial(
    tmp_path_factory: pytest.TempPathFactory, make_disks: Callable[..., Any], tiny_recipe: TrainingRecipe
) -> Path:
    """Return a network that finds bright disks, with a calibration of the lattice regime."""
    folder = tmp_path_factory.mktemp("initial")
    write_folder(folder, make_disks, range(10))
    train_segmentation([folder], folder / "m.safetensors", tiny_recipe, pixel_size_nm=0.04)
    with_dice_model(folder / "m.safetensors", CALIBRATION, folder / "m.safetensors")
    return folder / "m.safetensors"


def write_folder(folder: Path, make_disks: Callable[..., Any], seeds: range, *, dark: bool = False) -> None:
    for seed in seeds:
        image, labels = make_disks(seed)
        assert cv2.imwrite(str(folder / f"{seed}.tif"), 250 - image if dark else image)
        assert cv2.imwrite(str(folder / f"{seed}_mask.png"), (labels > 0).astype(np.uint8))


def recipe_for(model: Path, **changes: Any) -> TrainingRecipe:
    values = {"crop_px": 48, "epochs": 8, "learning_rate": 3e-2, "precision": "float32", **changes}
    values["augmentation"] = NO_AUGMENTATION
    return dataclasses.replace(RECIPES["fine_tune"], network=load_model(model).config, **values)


@pytest.fixture(scope="module")
def tuned(
    initial: Path, tmp_path_factory: pytest.TempPathFactory, make_disks: Callable[..., Any]
) -> tuple[Path, FineTuningResult]:
    """Fine-tune to disks that are dark instead of bright, with four micrographs."""
    folder = tmp_path_factory.mktemp("dark")
    write_folder(folder, make_disks, range(50, 54), dark=True)
    out = tmp_path_factory.mktemp("tuned") / "tuned.safetensors"
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "simulated_lattice", lambda: other_images.simulated_lattice(1))
    patch.setattr(module, "simulated_contrast", lambda: other_images.simulated_contrast(1))
    options = FineTuneOptions(folds=2, pixel_size_nm=0.04, device="cpu")
    result = fine_tune([folder], out, recipe_for(initial), start_from=initial, options=options)
    patch.undo()
    return out, result


def test_held_out_micrographs_improve_in_every_fold(tuned: tuple[Path, FineTuningResult], initial: Path) -> None:
    out, result = tuned
    assert result.n_folds == 2
    assert sorted(result.held_out.index) == ["50", "51", "52", "53"]
    assert sorted(result.held_out["fold"]) == [1, 1, 2, 2]
    assert result.held_out["before"].max() < 0.3
    assert result.change.after > 0.7
    assert result.change.low > 0
    assert set(result.held_out["regime"]) == {"lattice"}
    assert result.held_out["training_scale"].isna().all()
    header = model_metadata(out)
    assert header["start_from"] == model_hash(initial)
    record = json.loads(header["held_out"])
    assert record["folds"] == 2
    assert record["after"] == pytest.approx(result.change.after, abs=1e-4)
    assert record["micrographs"]["50"][1:] == pytest.approx(
        result.held_out.loc["50", ["before", "after"]].tolist(), abs=1e-4
    )
    assert json.loads(header["data"])["training"] == 4
    assert sorted(p.name for p in out.with_name("tuned.training").glob("fold-*")) == ["fold-1", "fold-2"]


def test_the_network_of_a_fold_has_not_seen_its_micrographs(
    tuned: tuple[Path, FineTuningResult], initial: Path, tmp_path: Path, make_disks: Callable[..., Any]
) -> None:
    """Another mask of a held-out micrograph changes its score, but not the network that it is scored with."""
    folder = tmp_path / "dark"
    folder.mkdir()
    write_folder(folder, make_disks, range(50, 54), dark=True)
    assert cv2.imwrite(str(folder / "50_mask.png"), np.ones((96, 112), np.uint8))
    options = FineTuneOptions(folds=2, pixel_size_nm=0.04, device="cpu")
    result = fine_tune([folder], tmp_path / "t.safetensors", recipe_for(initial), start_from=initial, options=options)
    fold = tuned[1].held_out.loc["50", "fold"]
    assert result.held_out.loc["50", "fold"] == fold
    checkpoints = [
        torch.load(place / f"fold-{fold}" / "checkpoint.pt", weights_only=True)["state"]["best"]
        for place in (tuned[0].with_name("tuned.training"), tmp_path / "t.training")
    ]
    for name, tensor in checkpoints[0].items():
        torch.testing.assert_close(tensor, checkpoints[1][name], rtol=0, atol=0)
    assert result.held_out.loc["50", "after"] < tuned[1].held_out.loc["50", "after"] - 0.2


def test_the_prediction_is_inherited_with_its_shift(tuned: tuple[Path, FineTuningResult], initial: Path) -> None:
    out, result = tuned
    inherited = load_dice_model(out)
    assert inherited is not None
    (record,) = json.loads(model_metadata(out)["calibration"]).values()
    assert record["inherited_from"] == model_hash(initial)
    assert record["n_images"] == record["n_micrographs"] == 4
    assert inherited.intercept == pytest.approx(CALIBRATION.intercept + record["shift"])
    assert inherited.coefficients == CALIBRATION.coefficients
    assert inherited.errors["mae"] == pytest.approx(record["mae"])
    # half of the shift that would make the mean of the four predictions right
    predicted, truth = result.held_out["predicted_dice"].to_numpy(float), result.held_out["after"].to_numpy(float)
    full = np.exp(2 * record["shift"])
    assert (1 / (1 + (1 - predicted) / predicted / full)).mean() == pytest.approx(truth.mean(), abs=1e-4)
    assert load_dice_model(out, "contrast") is None


def test_images_of_another_kind_are_scored(tuned: tuple[Path, FineTuningResult]) -> None:
    out, result = tuned
    assert list(result.other_changes) == ["simulated, lattice regime", "simulated, contrast regime"]
    assert set(json.loads(model_metadata(out)["other_images"])) == set(result.other_changes)
    regimes = result.others.groupby("set", sort=False)["regime"].first()
    assert list(regimes) == ["lattice", "contrast"]


def test_a_diameter_sets_the_scale_of_training_and_of_inference(
    initial: Path, tmp_path: Path, make_disks: Callable[..., Any]
) -> None:
    write_folder(tmp_path, make_disks, range(20, 22))
    options = FineTuneOptions(device="cpu", diameter_px=50.0)
    result = fine_tune(
        [tmp_path], tmp_path / "o.safetensors", recipe_for(initial, epochs=1), start_from=initial, options=options
    )
    assert set(result.held_out["regime"]) == {"contrast"}
    for column in ("training_scale", "scale_before", "scale_after"):
        assert result.held_out[column].to_numpy(float) == pytest.approx([1.6, 1.6], rel=0.01)  # 80 network pixels
    assert not any("another scale" in text for text in result.warnings)


def test_particles_that_the_initial_network_does_not_see_set_the_scale(
    initial: Path, tmp_path: Path, make_disks: Callable[..., Any]
) -> None:
    write_folder(tmp_path, make_disks, range(20, 22), dark=True)
    material = prepare_material(list_labelled([tmp_path]), network_settings(initial), load_model(initial).config)
    assert material.before["dice"].max() < 0.5
    assert {scale.source for scale in material.scales.values()} == {"masks"}
    for name, scale in material.scales.items():
        assert scale.scale is not None
        assert 80 / 28 * 0.95 < scale.scale < 80 / 16 * 1.05  # disks of 16 to 28 px
        assert material.images[name].image.shape == (round(96 * scale.scale), round(112 * scale.scale))


def test_a_network_without_a_prediction_gets_none(
    initial: Path, tmp_path: Path, make_disks: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    save_model(load_model(initial), tmp_path / "bare.safetensors")
    (tmp_path / "data").mkdir()
    write_folder(tmp_path / "data", make_disks, range(2))
    recipe = recipe_for(initial, epochs=1)
    options = FineTuneOptions(device="cpu", diameter_px=20.0)
    out = tmp_path / "out.safetensors"
    result = fine_tune([tmp_path / "data"], out, recipe, start_from=tmp_path / "bare.safetensors", options=options)
    assert result.calibrations == {}
    assert load_dice_model(out) is None
    assert set(result.held_out["regime"]) == {"lattice"}  # seen unscaled, as in inference
    assert "the diameter is not used" in caplog.text


def test_divisions_that_are_impossible(initial: Path, tmp_path: Path, make_disks: Callable[..., Any]) -> None:
    write_folder(tmp_path, make_disks, range(2))
    recipe = recipe_for(initial)

    def run(**options: Any) -> None:
        fine_tune(
            [tmp_path], tmp_path / "o.safetensors", recipe, start_from=initial, options=FineTuneOptions(**options)
        )

    with pytest.raises(SettingsError, match="3 folds need"):
        run(folds=3)
    with pytest.raises(SettingsError, match="give one of them"):
        run(folds=2, validation_places=[tmp_path])
    with pytest.raises(SettingsError, match="choose other micrographs"):
        run(validation_places=[tmp_path])
