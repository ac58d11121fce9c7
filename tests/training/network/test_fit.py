"""Training learns bright disks, resumes to the same numbers, and stops at its limits."""

import dataclasses
import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.training.network.crops.training_image import make_training_image
from hrtem_dask.training.network.fit import FitResult, fit
from hrtem_dask.training.network.prepared_data import PreparedData
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.schedule import TrainingLimits
from hrtem_dask.training.network.trainer import uses_bfloat16
from hrtem_dask.training.network.validation import make_validation_image
from hrtem_dask.training.network.work_folder import WorkFolder


@pytest.fixture(scope="module")
def data(disk_micrographs: Any, tiny_recipe: TrainingRecipe) -> PreparedData:
    config = tiny_recipe.network
    training = [make_training_image(one.read(), config) for one in disk_micrographs[:15]]
    validation = [make_validation_image(one.micrograph_id, one.read(), config) for one in disk_micrographs[15:]]
    return PreparedData(training=training, validation=validation)


def train(data: PreparedData, recipe: TrainingRecipe, *, seed: int = 0, **options: Any) -> FitResult:
    torch.manual_seed(seed)
    return fit(UNet(recipe.network), data, recipe, seed=seed, **options)


def weights(model: UNet) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in model.state_dict().values()]


def test_bright_disks_are_learned(data: PreparedData, tiny_recipe: TrainingRecipe, tmp_path: Path) -> None:
    result = train(data, tiny_recipe, work_folder=WorkFolder(tmp_path))
    best = result.rows[result.best_epoch - 1]
    assert best["dice_mean"] > 0.9
    assert best["empty_false_share"] < 0.02
    assert result.rows[-1]["training_loss"] < result.rows[0]["training_loss"] / 2
    assert result.stopped == "4 epochs"
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,training_loss,validation_loss,dice_mean")
    assert len(lines) == 5
    assert "polyline" in (tmp_path / "curves.svg").read_text()


class InterruptedTrainingError(Exception):
    """Stands for a keyboard interrupt."""


def test_an_interrupted_training_resumes_to_the_same_weights(
    data: PreparedData, tiny_recipe: TrainingRecipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=32)
    whole = train(data, recipe)
    count = itertools.count(1)

    def interrupt(record: logging.LogRecord) -> bool:
        if next(count) == 3:
            raise InterruptedTrainingError
        return True

    log = logging.getLogger("hrtem_dask.training.network.fit")
    log.addFilter(interrupt)
    try:
        with pytest.raises(InterruptedTrainingError):  # when the third epoch is reported, before it is saved
            train(data, recipe, work_folder=WorkFolder(tmp_path))
    finally:
        log.removeFilter(interrupt)
    caplog.clear()
    torch.manual_seed(99)  # the initial weights no longer matter
    again = fit(UNet(recipe.network), data, recipe, work_folder=WorkFolder(tmp_path))
    assert caplog.messages[0].startswith("resuming after epoch 2")
    assert len(again.rows) == 4
    for a, b in zip(weights(whole.model), weights(again.model), strict=True):
        np.testing.assert_array_equal(a, b)
    other = train(data, recipe, seed=1)
    assert any((a != b).any() for a, b in zip(weights(whole.model), weights(other.model), strict=True))


def test_another_training_is_not_continued(data: PreparedData, tiny_recipe: TrainingRecipe, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=8, epochs=1)
    train(data, recipe, work_folder=WorkFolder(tmp_path, "one"))
    with pytest.raises(SettingsError, match=r"another --workdir"):
        train(data, recipe, work_folder=WorkFolder(tmp_path, "two"))
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(SettingsError, match="delete it"):
        train(data, recipe, work_folder=WorkFolder(tmp_path, "one"))


def test_time_ends_training(data: PreparedData, tiny_recipe: TrainingRecipe) -> None:
    result = train(data, tiny_recipe, limits=TrainingLimits(minutes=0.5 / 60))
    assert "minutes" in result.stopped
    assert result.rows[-1]["learning_rate"] < 0.5 * tiny_recipe.learning_rate
    assert result.rows[-1]["seconds"] < 20


def test_early_stopping_waits_for_the_number_of_epochs(data: PreparedData, tiny_recipe: TrainingRecipe) -> None:
    recipe = dataclasses.replace(
        tiny_recipe, learning_rate=1e-9, crops_per_epoch=8, epochs=9, early_stop_on="loss", early_stop_epochs=2,
        ema_decay=0.0,
    )  # fmt: skip
    # without frozen statistics of batch normalization, the loss would change although nothing is learned
    frozen = dataclasses.replace(recipe, freeze_norm=True)
    result = train(data, frozen)
    assert len(result.rows) == 3
    assert "no improvement of the validation loss for 2 epochs" in result.stopped


@pytest.mark.parametrize("on", ["loss", "dice"])
def test_without_validation_training_is_not_stopped_early(
    data: PreparedData, tiny_recipe: TrainingRecipe, on: Any
) -> None:
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=8, early_stop_on=on, early_stop_epochs=1, epochs=3)
    assert train(PreparedData(training=data.training), recipe).stopped == "3 epochs"


def test_the_loss_is_monitored_if_all_validation_micrographs_are_empty(
    data: PreparedData, tiny_recipe: TrainingRecipe
) -> None:
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=32, early_stop_epochs=1, epochs=3)
    empty = [one for one in data.validation if not one.truth.any()]
    assert empty
    rows = train(PreparedData(training=data.training, validation=empty), recipe).rows
    assert len(rows) > 1, "the second epoch is the first one that may not improve"


def test_frozen_parts_stay_unchanged(data: PreparedData, tiny_recipe: TrainingRecipe) -> None:
    recipe = dataclasses.replace(
        tiny_recipe, crops_per_epoch=16, epochs=1, freeze_encoder=True, freeze_norm=True, ema_decay=0.0
    )
    torch.manual_seed(0)
    model = UNet(recipe.network)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = fit(model, data, recipe).model.state_dict()
    for name, tensor in after.items():
        is_frozen = name.startswith("encoders") or "running" in name or "num_batches" in name
        assert torch.equal(tensor, before[name]) == is_frozen, name


def test_divergence_is_reported(data: PreparedData, tiny_recipe: TrainingRecipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, learning_rate=1e30, clip_norm=0.0, optimiser="adam")
    with pytest.raises(ModelError, match="lower learning_rate"):
        train(data, recipe)


def test_bfloat16_learns_as_well(data: PreparedData, tiny_recipe: TrainingRecipe) -> None:
    result = train(data, dataclasses.replace(tiny_recipe, precision="bfloat16"))
    assert max(row["dice_mean"] for row in result.rows) > 0.85
    assert all(tensor.dtype != torch.bfloat16 for tensor in result.model.state_dict().values())
    assert (uses_bfloat16("float32", "cpu"), uses_bfloat16("bfloat16", "cpu")) == (False, True)


def test_what_is_drawn_in_unknown_pixels_has_no_influence(disk_micrographs: Any, tiny_recipe: TrainingRecipe) -> None:
    """Not even through crops that are resampled, whose pixels are interpolated from several."""
    recipe = dataclasses.replace(
        tiny_recipe, crops_per_epoch=64, epochs=1, augmentation=dataclasses.replace(tiny_recipe.augmentation, scale=1.5)
    )

    def trained(*, drawn: bool, marked: bool) -> list[np.ndarray]:
        images = []
        for one in disk_micrographs[:3]:
            labelled = one.read()
            mask, valid = labelled.mask.copy(), np.ones(labelled.mask.shape, bool)
            mask[50:, 40:], valid[50:, 40:] = drawn, not marked
            images.append(make_training_image(dataclasses.replace(labelled, mask=mask, valid=valid), recipe.network))
        return weights(train(PreparedData(training=images), recipe).model)

    empty, drawn = trained(drawn=False, marked=True), trained(drawn=True, marked=True)
    for one, other in zip(empty, drawn, strict=True):
        np.testing.assert_array_equal(one, other)
    unmarked = trained(drawn=True, marked=False)
    assert any(not np.array_equal(one, other) for one, other in zip(empty, unmarked, strict=True))
