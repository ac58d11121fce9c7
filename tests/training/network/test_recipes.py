"""Recipes: the values of the paper, writing and reading TOML, errors that name the value."""

import dataclasses
from pathlib import Path

import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.networks.config import groschner2021_config
from hrtem_dask.training.network.recipes import RECIPES, TrainingRecipe, read_recipe


def test_the_recipe_of_the_paper() -> None:
    """All values are those of Groschner, Choi & Scott (2021), "Network Training"."""
    recipe = RECIPES["groschner2021"]
    assert recipe.network == groschner2021_config()
    assert (recipe.optimiser, recipe.learning_rate, recipe.schedule, recipe.weight_decay) == (
        "adam",
        1e-4,
        "constant",
        0,
    )
    assert (recipe.loss, recipe.batch, recipe.epochs, recipe.crop_px) == ("cross_entropy", 20, 10, 512)
    assert (recipe.early_stop_on, recipe.early_stop_delta, recipe.early_stop_epochs) == ("loss", 0.001, 2)
    assert not recipe.keep_empty
    # 172 images: 43 for the test, and a fifth of the others for validation
    assert (round(recipe.test_share * 172), recipe.validation_share) == (43, 0.2)
    ranges = recipe.augmentation
    assert ranges.turns
    assert ranges.scale == 1
    assert not any(v for k, v in vars(ranges).items() if k.endswith("_probability"))
    assert (recipe.ema_decay, recipe.clip_norm) == (0, 0)


@pytest.mark.parametrize("name", RECIPES)
def test_toml_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPES[name].to_toml())
    assert read_recipe(str(path)) == RECIPES[name] == read_recipe(name)


def test_values_missing_in_toml_keep_their_defaults() -> None:
    recipe = TrainingRecipe.from_toml("batch = 4\n[augmentation]\nscale = 1.5\ngamma = [0.9, 1.1]\n")
    expected = TrainingRecipe()
    ranges = dataclasses.replace(expected.augmentation, scale=1.5, gamma=(0.9, 1.1))
    assert recipe == dataclasses.replace(expected, batch=4, augmentation=ranges)
    native = TrainingRecipe.from_toml("[network]\nwidths = [4, 8]\n").network
    assert (native.widths, native.pixel_size_nm) == ((4, 8), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch = 0", "need batch >= 1, got 0"),
        ("bath = 4", "unknown setting bath"),
        ("[augmentation]\nfog = 1", r"unknown setting augmentation\.fog"),
        ("[augmentation]\nblur_probability = 2", r"blur_probability <= 1, got 2"),
        ("[augmentation]\ngamma = [2, 1]", r"gamma is a range"),
        ("[augmentation]\nscale = 0.5", r"1 <= augmentation\.scale"),
        ("crop_px = 100", "multiple of the network's total stride"),
        ("learning_rate = 0", "learning_rate > 0"),
        ('loss = "focal"', "loss must be one of"),
        ("validation_share = 1.0", "validation_share must be"),
        ("[network]\nkernel_px = 4", "kernel_px must be odd"),
        ("[network]\ndepth = 4", r"unknown setting network\.depth"),
        ("batch = ", "not valid TOML"),
    ],
)
def test_impossible_recipes_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=rf"recipe\.toml: .*{message}"):
        read_recipe(str(path))


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"neither a recipe .*default, groschner2021"):
        read_recipe("best")


def test_the_recipe_of_the_bundled_network_differs_by_its_contacts() -> None:
    recipe = read_recipe(str(Path(__file__).parents[3] / "pipelines" / "training" / "bundled.toml"))
    assert recipe.name == "bundled"
    assert recipe.network == dataclasses.replace(RECIPES["default"].network, contact_output=True)
    assert (recipe.boundary_weight, recipe.augmentation.scale, recipe.contact_weight) == (1.0, 1.5, 0.5)
