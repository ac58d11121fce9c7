"""From labeled files to a model that analysis loads, with its training recorded in the file."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.evaluation import dice
from hrtem_dask.filtering.prepare import prepare
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.weights import load_model, model_metadata
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings
from hrtem_dask.training.network.recipes import RECIPES, TrainingRecipe
from hrtem_dask.training.network.train_unet import train_segmentation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_disks: Any) -> Path:
    root = tmp_path_factory.mktemp("labelled")
    for part in ("images", "masks"):
        (root / part).mkdir()
    for i in range(12):
        image, labels = make_disks(i, n=0 if i == 5 else 3)
        assert cv2.imwrite(str(root / f"images/{i}.tif"), image)
        assert cv2.imwrite(str(root / f"masks/{i}.png"), (255 * (labels > 0)).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def trained(folder: Path, tiny_recipe: TrainingRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "disks.safetensors"
    recipe = dataclasses.replace(tiny_recipe, test_share=0.2)
    result = train_segmentation([folder], out, recipe, pixel_size_nm=0.04, seed=3)
    assert len(result.validation.table) == 2
    assert result.test is not None
    assert len(result.test.table) == 2
    return out


def test_analysis_can_use_the_model(trained: Path, make_disks: Any) -> None:
    segmenter = make_segmenter(SegmentationSettings(model=str(trained)), ExecutionSettings(device="cpu"))
    scores = []
    for seed in range(100, 106):
        image, labels = make_disks(seed, shape=(100, 90))
        prepared, _ = prepare(image)
        scores.append(dice(segmenter(prepared, pixel_size_nm=(0.04, 0.04)).mask, labels > 0))
    assert np.mean(scores) > 0.9


def test_the_model_records_its_training(trained: Path, tiny_recipe: TrainingRecipe) -> None:
    header = model_metadata(trained)
    data, recipe = json.loads(header["data"]), json.loads(header["recipe"])
    assert (header["seed"], data["places"], data["training"]) == ("3", ["labelled0"], 8)
    assert len(set(data["validation"]) | set(data["test"])) == 4
    assert (recipe["learning_rate"], recipe["network"]["widths"]) == (2e-2, [4, 8])
    assert json.loads(header["validation"])["dice_mean"] > 0.9
    assert json.loads(header["test"])["dice_mean"] > 0.8
    assert {"code_version", "stopped", "epoch"} <= set(header)
    work = trained.with_name("disks.training")
    assert sorted(p.name for p in work.iterdir()) == ["checkpoint.pt", "curves.svg", "log.csv", "recipe.toml"]
    assert TrainingRecipe.from_toml((work / "recipe.toml").read_text()) == dataclasses.replace(
        tiny_recipe, test_share=0.2
    )


def assert_same_model(one: Path, other: Path) -> None:
    # the bytes may differ: the order of the header of a safetensors file is not fixed
    assert model_metadata(one) == model_metadata(other)
    first, second = load_model(one).state_dict(), load_model(other).state_dict()
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name], err_msg=name)


def test_running_again_gives_the_same_model(
    trained: Path, folder: Path, tiny_recipe: TrainingRecipe, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(tiny_recipe, test_share=0.2)
    options: dict[str, Any] = {"pixel_size_nm": 0.04, "seed": 3}
    train_segmentation([folder], tmp_path / "a.safetensors", recipe, **options)
    assert_same_model(tmp_path / "a.safetensors", trained)
    # a finished training only writes its model again
    train_segmentation([folder], tmp_path / "b.safetensors", recipe, workdir=tmp_path / "a.training", **options)
    assert_same_model(tmp_path / "b.safetensors", trained)
    with pytest.raises(SettingsError, match="another --workdir"):
        train_segmentation([folder], tmp_path / "a.safetensors", recipe, **(options | {"seed": 4}))


def test_validation_data_must_differ_from_training_data(
    folder: Path, tiny_recipe: TrainingRecipe, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="choose other micrographs"):
        train_segmentation([folder], tmp_path / "m.safetensors", tiny_recipe, validation_places=[folder])


@pytest.mark.slow
def test_the_recipe_of_the_paper_runs_completely(tmp_path: Path, make_disks: Any) -> None:
    """A stack like the published data set, but with 24 images; learning rate and epochs are those of the paper."""
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        pairs = [make_disks(i, shape=(512, 512), n=0 if i % 6 == 5 else 8) for i in range(24)]
        file["images"] = np.stack([image for image, _ in pairs])[..., None]
        particle = np.stack([labels > 0 for _, labels in pairs])
        file["maps"] = np.stack([~particle, particle], axis=-1).astype(np.float32)
    recipe = dataclasses.replace(RECIPES["groschner2021"], crops_per_epoch=40)
    result = train_segmentation([tmp_path / "stack.h5"], tmp_path / "m.safetensors", recipe)
    assert 3 <= len(result.fit.rows) <= 10
    assert {row["learning_rate"] for row in result.fit.rows} == {1e-4}
    losses = [row["training_loss"] for row in result.fit.rows]
    assert losses[-1] < losses[0]
    data = json.loads(model_metadata(tmp_path / "m.safetensors")["data"])
    assert (data["training"], len(data["validation"]), len(data["test"])) == (14, 4, 6)
    # empty images are dropped, as in the paper
    assert result.test is not None
    assert result.test.table["dice"].notna().all()
    assert load_model(tmp_path / "m.safetensors").config == RECIPES["groschner2021"].network
