"""Learning rate, limits and improvement over the epochs of a training."""

import numpy as np
import pytest

from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.schedule import learning_rate_factor


def test_schedule_rises_and_falls(tiny_recipe: TrainingRecipe) -> None:
    factors = [learning_rate_factor(p, tiny_recipe) for p in np.linspace(0, 1, 101)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == pytest.approx(1)
    assert int(np.argmax(factors)) == 10
    assert (np.diff(factors[:11]) > 0).all()
    assert (np.diff(factors[11:]) < 0).all()
    assert factors[-1] == pytest.approx(0.001)
