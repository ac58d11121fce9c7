"""The forest of the paper, and its patches of carbon."""

import numpy as np
import pytest

from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.training.forest.groschner2021 import carbon_patch, fit_forest


def test_the_first_half_is_fitted_and_the_last_quarter_scored(rng: np.random.Generator) -> None:
    """The notebook has 667 regions, 335 to fit and 166 to score; its out-of-bag score is a multiple of 1/335."""
    kinds = rng.choice(["misoriented", "stacking_fault"], 667)
    result = fit_forest(rng.normal((kinds == "misoriented")[:, None] * 1.0, 1, (667, 5)), kinds)
    assert (result.n_training, len(result.truth)) == (335, 166)
    assert result.out_of_bag * 335 == pytest.approx(round(result.out_of_bag * 335))
    # two normal distributions at a distance of 1 in each of five features: the best classifier reaches 87 %
    assert 0.75 < np.mean(np.array(result.truth) == result.predicted) < 0.92


def test_classes_without_a_difference_are_predicted_by_chance(rng: np.random.Generator) -> None:
    kinds = rng.choice(["misoriented", "stacking_fault"], 400)
    result = fit_forest(rng.normal(size=(400, 5)), kinds)
    assert abs(np.mean(np.array(result.truth) == result.predicted) - 0.5) < 0.2  # four standard deviations


def test_too_few_regions_are_refused() -> None:
    with pytest.raises(NothingToAnalyseError, match="3 labeled regions"):
        fit_forest(np.zeros((3, 5)), np.array(["misoriented"] * 3))


def test_a_patch_of_carbon_overlaps_no_particle(rng: np.random.Generator) -> None:
    y, x = np.indices((512, 512))
    found = 0
    for seed in range(40):
        cy, cx = rng.integers(0, 512, 2)
        mask = (y - cy) ** 2 + (x - cx) ** 2 < 60**2
        patch = carbon_patch(np.where(mask, 7.0, 0.0), mask, seed=seed)
        if patch is not None:
            found += 1
            assert patch.max() == 0
            assert min(patch.shape) >= 100
            assert max(patch.shape) <= 150
    assert 10 < found < 40
    assert carbon_patch(np.zeros((20, 20)), np.ones((20, 20), bool), seed=0) is None
