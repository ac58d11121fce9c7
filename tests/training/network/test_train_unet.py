"""The whole way: labelled files in, a model out that analysis loads, with all that made it written in it."""

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
from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.weights import load_model, model_hash, model_metadata, save_model
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings
from hrtem_dask.training.labelled.labelled_micrograph import make_labelled
from hrtem_dask.training.network.recipes import RECIPES, TrainingRecipe
from hrtem_dask.training.network.train_unet import train_segmentation
from hrtem_dask.training.network.validation import make_validation_image, score_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_disks: Any) -> Path:
    place = tmp_path_factory.mktemp("labelled")
    for part in ("images", "masks"):
        (place / part).mkdir()
    for i in range(12):
        image, labels = make_disks(i, n=0 if i == 5 else 3)
        assert cv2.imwrite(str(place / f"images/{i}.tif"), image)
        assert cv2.imwrite(str(place / f"masks/{i}.png"), (255 * (labels > 0)).astype(np.uint8))
    return place


@pytest.fixture(scope="module")
def trained(folder: Path, tiny_recipe: TrainingRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "disks.safetensors"
    recipe = dataclasses.replace(tiny_recipe, test_share=0.2)
    said: list[str] = []
    result = train_segmentation([folder], out, recipe, pixel_size_nm=0.04, seed=3, say=said.append)
    assert said[0].startswith("reading")
    assert (len(result.validation.table), result.before) == (2, None)
    assert result.test is not None
    assert len(result.test.table) == 2
    return out


def test_the_model_is_one_that_analysis_uses(trained: Path, make_disks: Any) -> None:
    segmenter = make_segmenter(SegmentationSettings(model=str(trained)), ExecutionSettings(device="cpu"))
    scores = []
    for seed in range(100, 106):
        image, labels = make_disks(seed, shape=(100, 90))
        prepared, _ = prepare(image)
        scores.append(dice(segmenter(prepared, pixel_size_nm=(0.04, 0.04)).mask, labels > 0))
    assert np.mean(scores) > 0.9


def test_the_model_says_how_it_was_made(trained: Path, tiny_recipe: TrainingRecipe) -> None:
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
    # not the bytes: safetensors writes its header in any order
    assert model_metadata(one) == model_metadata(other)
    first, second = load_model(one).state_dict(), load_model(other).state_dict()
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name], err_msg=name)


def test_running_again_gives_the_same_model(
    trained: Path, folder: Path, tiny_recipe: TrainingRecipe, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(tiny_recipe, test_share=0.2)
    options: dict[str, Any] = {"pixel_size_nm": 0.04, "seed": 3, "say": str}
    train_segmentation([folder], tmp_path / "a.safetensors", recipe, **options)
    assert_same_model(tmp_path / "a.safetensors", trained)
    # what is finished is only written again
    train_segmentation([folder], tmp_path / "b.safetensors", recipe, workdir=tmp_path / "a.training", **options)
    assert_same_model(tmp_path / "b.safetensors", trained)
    with pytest.raises(SettingsError, match="another --workdir"):
        train_segmentation([folder], tmp_path / "a.safetensors", recipe, **(options | {"seed": 4}))


def test_fine_tuning_mends_what_is_other(trained: Path, tmp_path: Path, make_disks: Any) -> None:
    """The same disks, dark instead of bright: missed before, found afterwards, on micrographs not trained on."""
    for i in range(8):
        image, labels = make_disks(50 + i)
        assert cv2.imwrite(str(tmp_path / f"{i}.tif"), 250 - image)
        assert cv2.imwrite(str(tmp_path / f"{i}_mask.png"), (labels > 0).astype(np.uint8))
    recipe = dataclasses.replace(
        RECIPES["fine_tune"], network=load_model(trained).config, crop_px=48, epochs=25, learning_rate=2e-2
    )
    out = tmp_path / "out" / "tuned.safetensors"
    out.parent.mkdir()
    result = train_segmentation([tmp_path], out, recipe, start_from=trained, pixel_size_nm=0.04, say=str)
    assert result.before is not None
    assert list(result.before.table.index) == list(result.validation.table.index)
    assert result.before.table["dice"].mean() < 0.3
    assert result.validation.table["dice"].mean() > 0.75
    assert result.fit.best_epoch == 25  # the micrographs held out have chosen nothing
    assert load_model(out).config == load_model(trained).config
    header = model_metadata(out)
    assert header["start_from"] == model_hash(trained)


def test_validation_data_must_be_others(folder: Path, tiny_recipe: TrainingRecipe, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="name other micrographs"):
        train_segmentation([folder], tmp_path / "m.safetensors", tiny_recipe, validation_places=[folder], say=str)


def test_scores_are_in_native_pixels_and_empty_ones_apart(random_network: Any, make_disks: Any) -> None:
    config = random_network.config
    engine = make_engine(random_network, engine="torch")
    images = []
    for seed, n in ((0, 3), (1, 0)):
        image, labels = make_disks(seed, shape=(90, 130), n=n)
        labelled = make_labelled(image, labels, pixel_size_nm=(0.02, 0.02))
        images.append(make_validation_image(str(seed), labelled, config))
    half = np.zeros((90, 130), bool)
    half[:, :65] = True
    images.append(dataclasses.replace(images[0], micrograph_id="half", valid=half))
    scores = score_images(images, engine, config, threshold=0.3)
    assert images[0].seen.image.shape == (45, 65)
    # the mask that analysis makes, scored by hand
    segmenter_mask = score_mask(random_network, *make_disks(0, shape=(90, 130))[:1])
    truth = make_disks(0, shape=(90, 130))[1] > 0
    assert scores.table.loc["0", "dice"] == pytest.approx(dice(segmenter_mask, truth), abs=0.01)
    assert scores.table.loc["half", "dice"] == pytest.approx(dice(segmenter_mask & half, truth & half), abs=0.01)
    empty = scores.table.loc["1"]
    assert np.isnan(empty["dice"])
    assert empty["false_positive_nm2"] == pytest.approx(empty["false_positive_share"] * 90 * 130 * 0.02**2)
    summary = scores.summary()
    assert summary["dice_mean"] == pytest.approx(scores.table["dice"].mean())
    assert summary["empty_false_share"] == pytest.approx(empty["false_positive_share"])


@pytest.fixture
def random_network(tiny_recipe: TrainingRecipe) -> Any:
    import torch

    from hrtem_dask.segmentation.unet import UNet

    torch.manual_seed(5)
    return UNet(tiny_recipe.network).eval()


def score_mask(model: Any, image: np.ndarray) -> np.ndarray:
    """The mask of the segmenter that analysis uses."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "m.safetensors"
        save_model(model, path)
        settings = SegmentationSettings(model=str(path), threshold=0.3)
        segmenter = make_segmenter(settings, ExecutionSettings(device="cpu"))
    return np.asarray(segmenter(prepare(image)[0], pixel_size_nm=(0.02, 0.02)).mask)


@pytest.mark.slow
def test_the_papers_recipe_runs_its_whole_way(tmp_path: Path, make_disks: Any) -> None:
    """On a stack as the paper's data set is published, but of 24 images; its rate and epochs are as they are."""
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        pairs = [make_disks(i, shape=(512, 512), n=0 if i % 6 == 5 else 8) for i in range(24)]
        file["images"] = np.stack([image for image, _ in pairs])[..., None]
        particle = np.stack([labels > 0 for _, labels in pairs])
        file["maps"] = np.stack([~particle, particle], axis=-1).astype(np.float32)
    recipe = dataclasses.replace(RECIPES["groschner2021"], crops_per_epoch=40)
    said: list[str] = []
    result = train_segmentation([tmp_path / "stack.h5"], tmp_path / "m.safetensors", recipe, say=said.append)
    assert 3 <= len(result.fit.rows) <= 10
    assert {row["learning_rate"] for row in result.fit.rows} == {1e-4}
    losses = [row["training_loss"] for row in result.fit.rows]
    assert losses[-1] < losses[0]
    data = json.loads(model_metadata(tmp_path / "m.safetensors")["data"])
    assert (data["training"], len(data["validation"]), len(data["test"])) == (14, 4, 6)
    # empty ones are dropped, as in the paper
    assert result.test is not None
    assert result.test.table["dice"].notna().all()
    assert load_model(tmp_path / "m.safetensors").config == RECIPES["groschner2021"].network
