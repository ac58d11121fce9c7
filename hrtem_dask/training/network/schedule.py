"""When training ends, and the learning rate on the way there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.training_log import Row

__all__ = ["TrainingLimits", "last_improvement", "learning_rate_factor"]


@dataclass(frozen=True, kw_only=True)
class TrainingLimits:
    """Limits of the duration of a training."""

    minutes: float | None = None
    """Longest training time (min), without interruptions; the learning rate follows it. None sets no limit."""
    epochs: int | None = None
    """Largest number of epochs. By default it is the number of the recipe, or unlimited if `minutes` is given."""

    @property
    def seconds(self) -> float:
        """Longest training time (s); infinite without a limit."""
        return math.inf if self.minutes is None else self.minutes * 60

    def max_epochs(self, recipe: TrainingRecipe) -> float:
        """Return the largest number of epochs.

        Parameters
        ----------
        recipe : TrainingRecipe
            Recipe with the default number.

        Returns
        -------
        float
            Number of epochs; infinite without a limit.

        Examples
        --------
        >>> TrainingLimits().max_epochs(TrainingRecipe(epochs=60))
        60
        >>> TrainingLimits(minutes=30).max_epochs(TrainingRecipe(epochs=60))
        inf
        """
        return self.epochs or (recipe.epochs if self.minutes is None else math.inf)


def learning_rate_factor(progress: float, recipe: TrainingRecipe) -> float:
    """Return the learning rate relative to its maximum: a linear warm-up, then half a cosine.

    Parameters
    ----------
    progress : float
        Completed share of the training, 0 to 1.
    recipe : TrainingRecipe
        Recipe with the `warmup_share`.

    Returns
    -------
    float
        Rises from 0.04 to 1 in the warm-up, then falls to 0.001.

    Examples
    --------
    >>> recipe = TrainingRecipe(warmup_share=0.1)
    >>> [round(learning_rate_factor(progress, recipe), 3) for progress in (0.0, 0.1, 0.55, 1.0)]
    [0.04, 1.0, 0.5, 0.001]
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < recipe.warmup_share:
        return 0.04 + 0.96 * progress / recipe.warmup_share
    rest = (progress - recipe.warmup_share) / (1 - recipe.warmup_share)
    return 0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * rest))


def last_improvement(rows: Sequence[Row], recipe: TrainingRecipe) -> int:
    """Return the last epoch that improved on all epochs before it.

    Parameters
    ----------
    rows : sequence of mapping
        One row per epoch, with ``dice_mean`` and ``validation_loss``.
    recipe : TrainingRecipe
        Recipe with the monitored score `early_stop_on` and the smallest improvement `early_stop_delta`.

    Returns
    -------
    int
        Epoch, counted from 1. If all validation micrographs are empty, the loss is monitored, because the Dice
        coefficient is undefined. Without validation micrographs, every epoch counts as an improvement.

    Examples
    --------
    >>> rows = [{"dice_mean": dice, "validation_loss": 1.0} for dice in (0.5, 0.8, 0.7)]
    >>> last_improvement(rows, TrainingRecipe(early_stop_on="dice"))
    2
    """
    sign, name = (1, "dice_mean") if recipe.early_stop_on == "dice" else (-1, "validation_loss")
    if all(math.isnan(row[name]) for row in rows):
        sign, name = -1, "validation_loss"
    values = [sign * row[name] for row in rows]
    if all(math.isnan(value) for value in values):
        return len(rows)
    best, last = -math.inf, 0
    for epoch, value in enumerate(values, start=1):
        if value > best + recipe.early_stop_delta:
            best, last = value, epoch
    return last
