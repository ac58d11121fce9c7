"""What several tests need: the real data where it is, and arrays that refuse to be modified."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

# a first call imports or plans something: how long an example takes says nothing here
hypothesis.settings.register_profile("hrtem_dask", deadline=None, max_examples=50)
hypothesis.settings.load_profile("hrtem_dask")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real micrographs, which is not part of this repository."""
    folder = Path(os.environ.get("HRTEM_DASK_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set HRTEM_DASK_DATA)")
    return folder


@pytest.fixture(scope="session")
def xp_array() -> Callable[[Any], np.ndarray]:
    """A read-only copy: a kernel that modifies its input fails on it."""

    def make(array: Any) -> np.ndarray:
        copy = np.array(array)
        copy.flags.writeable = False
        return copy

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every run."""
    return np.random.default_rng(20211)
