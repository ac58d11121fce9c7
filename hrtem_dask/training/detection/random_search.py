"""Random search over the settings of a training, with successive halving (K. Jamieson and A. Talwalkar, AISTATS 2016).

All trials train for a short time; the better half of them goes on for twice that, and so on, until the best ones have
seen as many images as the recipe states. The learning rate of each follows the whole training from the beginning, and
the weights that are scored are averages, so trials can be compared before their end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.detection.recipes import DetectionRecipe

__all__ = ["SEARCHED", "Round", "best_trials", "draw_recipe", "rounds", "searched_values"]

SEARCHED = (
    "learning_rate", "backbone_factor", "weight_decay", "average_decay", "warmup_share", "frozen", "variation_scale",
    "variation_noise",
)  # fmt: skip
"""What is drawn; the last two are those of `Variation`, and matter for annotated micrographs only."""
LEARNING_RATE, BACKBONE_FACTOR, WEIGHT_DECAY = (0.3, 3.0), (0.25, 2.5), (0.1, 100.0)
"""Least and largest multiple of the recipe's own value, drawn in the logarithm."""


@dataclass(frozen=True)
class Round:
    """One round of successive halving."""

    n_trials: int
    """Trials that take part, the best ones of the round before."""
    images: int
    """Training images that each of them has seen at the end of it."""


def rounds(n_trials: int, recipe: DetectionRecipe) -> list[Round]:
    """Plan the rounds of a search.

    Parameters
    ----------
    n_trials : int
        Trials, at least 2.
    recipe : DetectionRecipe
        Its `images` are those of the last round, and its `images_per_epoch` the least of a round.

    Returns
    -------
    list of Round
        Each has half of the trials of the one before, rounded up, and twice its images.

    Raises
    ------
    SettingsError
        If there are fewer than two trials.

    Examples
    --------
    >>> [(r.n_trials, r.images) for r in rounds(5, DetectionRecipe(images=1600, images_per_epoch=200))]
    [(5, 400), (3, 800), (2, 1600)]
    """
    if n_trials < 2:
        raise SettingsError(f"a search compares trials: need at least 2, got {n_trials}")
    halvings = min(int(math.log2(n_trials)), max(int(math.log2(max(recipe.images // recipe.images_per_epoch, 1))), 0))
    made, left = [], n_trials
    for k in range(halvings + 1):
        epochs = math.ceil(recipe.images / 2 ** (halvings - k) / recipe.images_per_epoch)
        made.append(Round(left, min(epochs * recipe.images_per_epoch, recipe.images)))
        left = math.ceil(left / 2)
    return made


def draw_recipe(recipe: DetectionRecipe, *, seed: int, trial: int) -> DetectionRecipe:
    """Draw the settings of a trial.

    Parameters
    ----------
    recipe : DetectionRecipe
        Settings that the ranges lie around; trial 0 has exactly these.
    seed : int
        Seed of the search.
    trial : int
        Number of the trial, from 0: with `recipe` and `seed` it decides everything.

    Returns
    -------
    DetectionRecipe
        Its settings.
    """
    if trial == 0:
        return recipe
    rng = np.random.default_rng([seed, trial])

    def around(value: float, limits: tuple[float, float]) -> float:
        return float(f"{value * math.exp(rng.uniform(*np.log(limits))):.3g}")

    variation = replace(
        recipe.variation,
        scale=round(float(rng.uniform(1.0, 2.0)), 3),
        noise=(recipe.variation.noise[0], round(recipe.variation.noise[0] + float(rng.uniform(0.0, 1.0)), 3)),
    )
    return replace(
        recipe,
        learning_rate=around(recipe.learning_rate, LEARNING_RATE),
        backbone_factor=around(recipe.backbone_factor, BACKBONE_FACTOR),
        weight_decay=around(recipe.weight_decay, WEIGHT_DECAY),
        average_decay=round(1 - around(1 - recipe.average_decay, LEARNING_RATE), 6),
        warmup_share=round(float(rng.uniform(0.0, 0.15)), 3),
        frozen="backbone" if rng.random() < 0.2 else "nothing",
        variation=variation,
    )


def searched_values(recipe: DetectionRecipe) -> dict[str, object]:
    """Return what a trial drew.

    Parameters
    ----------
    recipe : DetectionRecipe
        Settings of the trial.

    Returns
    -------
    dict
        Values of `SEARCHED`.
    """
    plain = {name: getattr(recipe, name) for name in SEARCHED if not name.startswith("variation_")}
    return {**plain, "variation_scale": recipe.variation.scale, "variation_noise": recipe.variation.noise[1]}


def best_trials(scores: Mapping[int, float], n: int) -> Sequence[int]:
    """Return the trials that go on.

    Parameters
    ----------
    scores : mapping of int to float
        Trial → its score; NaN, like a missing one, is worst.
    n : int
        How many go on.

    Returns
    -------
    sequence of int
        At most n trials, the best first; of equal ones the first.
    """
    known = [trial for trial, score in scores.items() if not math.isnan(score)]
    return sorted(known, key=lambda trial: (-scores[trial], trial))[:n]
