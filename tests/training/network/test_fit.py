"""Training learns what can be learned, resumes to the same numbers, and stops when told."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.training.network.crops import make_training_image
from hrtem_dask.training.network.fit import Fit, fit, learning_rate_factor, uses_bfloat16
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.validation import make_validation_image
from hrtem_dask.training.network.weight_average import WeightAverage


@pytest.fixture(scope="module")
def data(disk_micrographs: Any, tiny_recipe: TrainingRecipe) -> tuple[list[Any], list[Any]]:
    config = tiny_recipe.network
    training = [make_training_image(one.read(), config) for one in disk_micrographs[:15]]
    return training, [make_validation_image(one.micrograph_id, one.read(), config) for one in disk_micrographs[15:]]


def train(data: Any, recipe: TrainingRecipe, *, seed: int = 0, **options: Any) -> Fit:
    torch.manual_seed(seed)
    return fit(UNet(recipe.network), *data, recipe, seed=seed, **{"say": str, **options})


def weights(model: UNet) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in model.state_dict().values()]


def test_bright_disks_are_learned(data: Any, tiny_recipe: TrainingRecipe, tmp_path: Path) -> None:
    result = train(data, tiny_recipe, workdir=tmp_path)
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
    """As by ctrl-C."""


def test_an_interrupted_training_goes_on_to_the_same_weights(
    data: Any, tiny_recipe: TrainingRecipe, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=32)
    whole = train(data, recipe)
    count = itertools.count(1)

    def interrupt(line: str) -> None:
        if next(count) == 3:
            raise InterruptedTrainingError

    with pytest.raises(InterruptedTrainingError):  # while the third epoch is being said, before it is saved
        train(data, recipe, workdir=tmp_path, say=interrupt)
    said: list[str] = []
    torch.manual_seed(99)  # what it begins with no longer matters
    again = fit(UNet(recipe.network), *data, recipe, workdir=tmp_path, say=said.append)
    assert said[0].startswith("going on after epoch 2")
    assert len(again.rows) == 4
    for a, b in zip(weights(whole.model), weights(again.model), strict=True):
        np.testing.assert_array_equal(a, b)
    other = train(data, recipe, seed=1)
    assert any((a != b).any() for a, b in zip(weights(whole.model), weights(other.model), strict=True))


def test_another_training_is_not_continued(data: Any, tiny_recipe: TrainingRecipe, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=8, epochs=1)
    train(data, recipe, workdir=tmp_path, fingerprint="one")
    with pytest.raises(SettingsError, match=r"another --workdir"):
        train(data, recipe, workdir=tmp_path, fingerprint="two")
    (tmp_path / "checkpoint.pt").write_bytes(b"not one")
    with pytest.raises(SettingsError, match="delete it"):
        train(data, recipe, workdir=tmp_path, fingerprint="one")


def test_time_ends_training(data: Any, tiny_recipe: TrainingRecipe) -> None:
    result = train(data, tiny_recipe, minutes=0.5 / 60)
    assert "minutes" in result.stopped
    assert result.rows[-1]["learning_rate"] < 0.5 * tiny_recipe.learning_rate
    assert result.rows[-1]["seconds"] < 20


def test_early_stopping_waits_for_its_epochs(data: Any, tiny_recipe: TrainingRecipe) -> None:
    recipe = dataclasses.replace(
        tiny_recipe, learning_rate=1e-9, crops_per_epoch=8, epochs=9, early_stop_on="loss", early_stop_epochs=2,
        ema_decay=0.0,
    )  # fmt: skip
    # nothing is learned, but the statistics of batch normalisation move the loss in the first epochs
    frozen = dataclasses.replace(recipe, freeze_norm=True)
    result = train(data, frozen)
    assert len(result.rows) == 3
    assert "no improvement of the validation loss for 2 epochs" in result.stopped


@pytest.mark.parametrize("on", ["loss", "dice"])
def test_what_is_not_measured_stops_nothing(data: Any, tiny_recipe: TrainingRecipe, on: Any) -> None:
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=8, early_stop_on=on, early_stop_epochs=1, epochs=3)
    assert train((data[0], []), recipe).stopped == "3 epochs"


def test_where_all_validation_is_empty_the_loss_stops(data: Any, tiny_recipe: TrainingRecipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, crops_per_epoch=32, early_stop_epochs=1, epochs=3)
    empty = [one for one in data[1] if not one.truth.any()]
    assert empty
    rows = train((data[0], empty), recipe).rows
    assert len(rows) > 1, "the loss of the second epoch is the first that can be no improvement"


def test_what_is_frozen_stays(data: Any, tiny_recipe: TrainingRecipe) -> None:
    recipe = dataclasses.replace(
        tiny_recipe, crops_per_epoch=16, epochs=1, freeze_encoder=True, freeze_norm=True, ema_decay=0.0
    )
    torch.manual_seed(0)
    model = UNet(recipe.network)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = fit(model, *data, recipe, say=str).model.state_dict()
    for name, tensor in after.items():
        stays = name.startswith("encoders") or "running" in name or "num_batches" in name
        assert torch.equal(tensor, before[name]) == stays, name


def test_divergence_is_said(data: Any, tiny_recipe: TrainingRecipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, learning_rate=1e30, clip_norm=0.0, optimiser="adam")
    with pytest.raises(ModelError, match="lower learning_rate"):
        train(data, recipe)


def test_bfloat16_learns_too(data: Any, tiny_recipe: TrainingRecipe) -> None:
    result = train(data, dataclasses.replace(tiny_recipe, precision="bfloat16"))
    assert max(row["dice_mean"] for row in result.rows) > 0.85
    assert all(tensor.dtype != torch.bfloat16 for tensor in result.model.state_dict().values())
    assert (uses_bfloat16("float32", "cpu"), uses_bfloat16("bfloat16", "cpu")) == (False, True)


def test_schedule_rises_and_falls(tiny_recipe: TrainingRecipe) -> None:
    factors = [learning_rate_factor(p, tiny_recipe) for p in np.linspace(0, 1, 101)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == pytest.approx(1)
    assert int(np.argmax(factors)) == 10
    assert (np.diff(factors[:11]) > 0).all()
    assert (np.diff(factors[11:]) < 0).all()
    assert factors[-1] == pytest.approx(0.001)


def test_average_is_that_of_its_definition(tiny_recipe: TrainingRecipe) -> None:
    torch.manual_seed(0)
    model = UNet(tiny_recipe.network)
    average = WeightAverage(model, 0.5)
    expected = model.final.weight.detach().clone()
    for step in range(4):
        with torch.no_grad():
            model.final.weight += step + 1.0
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.final.weight.detach()
        average.update(model)
    torch.testing.assert_close(average.model.final.weight, expected)
    again = WeightAverage(UNet(tiny_recipe.network), 0.5)
    again.load_state_dict(average.state_dict())
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.model.state_dict().values(), average.model.state_dict().values(), strict=True)
    )
