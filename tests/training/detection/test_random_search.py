"""Draws and rounds of the random search."""

import math
from itertools import pairwise

import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.detection.random_search import SEARCHED, best_trials, draw_recipe, rounds, searched_values
from hrtem_dask.training.detection.recipes import RECIPES, DetectionRecipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_trials_differ_and_can_be_repeated(recipe: DetectionRecipe) -> None:
    drawn = [draw_recipe(recipe, seed=1, trial=i) for i in range(40)]
    assert drawn[0] == recipe
    assert drawn == [draw_recipe(recipe, seed=1, trial=i) for i in range(40)]
    assert draw_recipe(recipe, seed=2, trial=3) != drawn[3]
    assert len({one.to_toml() for one in drawn}) == 40
    rates = [one.learning_rate / recipe.learning_rate for one in drawn[1:]]
    assert 0.29 < min(rates) < 0.6
    assert 1.5 < max(rates) < 3.1
    assert 0.05 < sum(one.frozen == "backbone" for one in drawn) / 40 < 0.45
    kept = {(one.kind, one.crop_px, one.images, one.batch, one.simulated_share) for one in drawn}
    assert len(kept) == 1
    assert set(searched_values(recipe)) == set(SEARCHED)


@pytest.mark.parametrize("n", [2, 3, 7, 16, 33])
@pytest.mark.parametrize("images", [100, 250, 900, 20000])
def test_rounds_end_with_the_whole_training(n: int, images: int) -> None:
    plan = rounds(n, DetectionRecipe(images=images, images_per_epoch=100))
    assert plan[0].n_trials == n
    assert plan[-1].images == images
    for before, after in pairwise(plan):
        assert after.n_trials == math.ceil(before.n_trials / 2)
        assert before.images < after.images <= 2 * before.images + 100
    # halving costs less than the same number of whole trainings
    trained = plan[0].n_trials * plan[0].images + sum(b.n_trials * (b.images - a.images) for a, b in pairwise(plan))
    assert trained <= n * images
    with pytest.raises(SettingsError, match="at least 2"):
        rounds(1, DetectionRecipe())


def test_the_best_go_on() -> None:
    assert best_trials({0: 0.2, 1: math.nan, 2: 0.5, 3: 0.5, 4: 0.1}, 3) == [2, 3, 0]
    assert best_trials({1: math.nan}, 2) == []
