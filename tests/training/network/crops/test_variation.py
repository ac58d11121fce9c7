"""Random variation of intensity: each probability controls one effect."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from hrtem_dask.training.network.crops.variation import vary_intensity
from hrtem_dask.training.network.recipes import NO_AUGMENTATION, Augmentation


@pytest.fixture
def crop(rng: np.random.Generator, xp_array: Any) -> np.ndarray:
    """Fringes of 8 px on noise, of zero mean and unit standard deviation."""
    wave = np.cos(2 * np.pi * np.arange(128) / 8)[None] + 0.5 * rng.standard_normal((128, 128))
    array: np.ndarray = xp_array(((wave - wave.mean()) / wave.std()).astype(np.float32))
    return array


ONE_BY_ONE = [name for name in vars(NO_AUGMENTATION) if name.endswith("_probability")]


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_each_probability_turns_its_effect_on(name: str, crop: np.ndarray) -> None:
    on = dataclasses.replace(NO_AUGMENTATION, **{name: 1.0})
    changed = vary_intensity(crop, on, np.random.default_rng(0))
    assert changed.shape == crop.shape
    assert changed.dtype == np.float32
    assert np.abs(changed - crop).max() > 0.01
    np.testing.assert_array_equal(changed, vary_intensity(crop, on, np.random.default_rng(0)))
    np.testing.assert_array_equal(vary_intensity(crop, NO_AUGMENTATION, np.random.default_rng(0)), crop)


def test_all_together_stays_finite(crop: np.ndarray) -> None:
    everything = dataclasses.replace(Augmentation(), **dict.fromkeys(ONE_BY_ONE, 1.0))
    for seed in range(20):
        varied = vary_intensity(crop, everything, np.random.default_rng(seed))
        assert np.isfinite(varied).all()
        assert 0.2 < varied.std() < 5
