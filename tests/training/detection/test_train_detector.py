"""Training of a detector: it learns, it can be interrupted, and its file says how it was made."""

import csv
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hrtem_dask.detection.detector import make_detector
from hrtem_dask.detection.model_file import load_detector
from hrtem_dask.detection.networks.backbones import BackboneName
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.training.detection.recipes import RECIPES, DetectionRecipe, read_recipe
from hrtem_dask.training.detection.samples import SimulatedSamples
from hrtem_dask.training.detection.train_detector import train_detector

TINY = DetectionRecipe(
    channels=16, crop_px=64, batch=2, images=8, images_per_epoch=4, validation_scenes=1, validation_px=96
)


def _interrupt(*_: object, **__: object) -> None:
    """Stop a training after its first checkpoint."""
    raise KeyboardInterrupt


def test_an_interrupted_training_gives_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_detector(tmp_path / "a.safetensors", TINY, seed=1)
    partial = train_detector(tmp_path / "b.safetensors", TINY, seed=1, minutes=1e-6)
    assert partial.rows[-1]["images"] == 2
    (tmp_path / "b.training" / "checkpoint.pt").unlink()

    with monkeypatch.context() as patch:
        patch.setattr("hrtem_dask.training.detection.train_detector.save_detector", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_detector(tmp_path / "b.safetensors", TINY, seed=1)
    resumed = train_detector(tmp_path / "b.safetensors", TINY, seed=1)
    for one, other in zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    with (tmp_path / "b.training" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["images"] for row in rows] == ["4", "8"]
    loss, *scores = ET.parse(tmp_path / "b.training" / "curves.svg").findall("{*}polyline")
    ends = [float(point.split(",")[0]) for point in loss.attrib["points"].split()]
    assert len(scores) == 2
    assert ends[1] - 46 == pytest.approx(2 * (ends[0] - 46), abs=0.2)  # the axis begins at 46 with no image
    with pytest.raises(SettingsError, match="another recipe, seed or network"):
        train_detector(tmp_path / "b.safetensors", TINY, seed=2)


def test_the_file_holds_network_and_training(tmp_path: Path) -> None:
    result = train_detector(tmp_path / "a.safetensors", TINY, seed=0)
    model, config = load_detector(tmp_path / "a.safetensors")
    assert config.class_names == ("rod", "end_on_rod")
    half = {k: v.half().float() for k, v in result.model.state_dict().items()}
    assert all(torch.equal(value, half[name]) for name, value in model.state_dict().items())
    image = SimulatedSamples("rods", 96, 5)(0).image
    found = make_detector(tmp_path / "a.safetensors", "rotated_rcnn")(image, min_score=0.01)
    assert found.masks is not None
    assert all(mask.area_px > 0 for mask in found.masks)
    with pytest.raises(SettingsError, match="choose --method rotated_rcnn"):
        make_detector(tmp_path / "a.safetensors", "mask_rcnn")


def test_a_frozen_backbone_keeps_its_weights_and_annotated_images_are_used(tmp_path: Path) -> None:
    annotated = [SimulatedSamples("rods", 128, 3)(i) for i in range(4)]
    first = train_detector(tmp_path / "a.safetensors", TINY, seed=0)
    recipe = replace(TINY, frozen="backbone", simulated_share=0.0, images=4)
    second = train_detector(
        tmp_path / "b.safetensors",
        recipe,
        initial=tmp_path / "a.safetensors",
        annotated=annotated,
        validation=annotated,
    )
    before, after = load_detector(tmp_path / "a.safetensors")[0].state_dict(), second.model.state_dict()
    changed = {name for name in before if not torch.allclose(before[name], after[name], atol=1e-6)}
    assert changed
    assert not [name for name in changed if name.startswith("pyramid.trunk")]
    assert first.rows[-1]["loss"] > 0


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "mobilenet_v2", "resnet50"])
def test_early_layers_keep_their_weights(tmp_path: Path, backbone: BackboneName) -> None:
    recipe = replace(TINY, backbone=backbone, images=2, images_per_epoch=2)
    train_detector(tmp_path / "a.safetensors", recipe, seed=0)
    second = train_detector(
        tmp_path / "b.safetensors", replace(recipe, frozen="early"), initial=tmp_path / "a.safetensors", seed=1
    )
    before, after = load_detector(tmp_path / "a.safetensors")[0], second.model
    early = {id(p) for layer in after.pyramid.trunk.early_layers for p in layer.parameters()}
    old = dict(before.named_parameters())
    changed = {name for name, p in after.named_parameters() if not torch.equal(p.half(), old[name].half())}
    kept = {name for name, p in after.named_parameters() if id(p) in early}
    assert early
    assert not changed & kept
    assert any(name.startswith("pyramid.trunk") for name in changed)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        load_detector(tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="train one"):
        make_detector(tmp_path / "none.safetensors", "rotated_rcnn")


def test_recipes_are_read_back() -> None:
    for recipe in RECIPES.values():
        assert DetectionRecipe.from_toml(recipe.to_toml()) == recipe
    with pytest.raises(SettingsError, match="there is no recipe"):
        read_recipe("nothing")
    with pytest.raises(SettingsError, match="multiple of 32"):
        DetectionRecipe(crop_px=100)
