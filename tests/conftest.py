"""What several tests need: the real data where it is, and arrays that refuse to be modified."""

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
import tomli_w

from hrtem_dask.simulation import simulate_scene
from hrtem_dask.simulation.truth import TRUTH_MICROGRAPHS, TRUTH_PARTICLES, TRUTH_REGIONS, SimulatedMicrograph
from hrtem_dask.tables import conform

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


@dataclass(frozen=True)
class ToyRanges:
    """What the toy simulator draws from."""

    n_particles: int = 3
    shape: tuple[int, int] = (96, 128)
    diameter_nm: tuple[float, float] = (1.0, 1.4)

    def to_toml(self) -> str:
        return tomli_w.dumps(dataclasses.asdict(self))


def toy_micrograph(ranges: ToyRanges, seed: int, index: int) -> SimulatedMicrograph:
    """A micrograph in milliseconds: an analytic scene, of which every third is empty."""
    n = 0 if index % 3 == 2 else ranges.n_particles
    scene = simulate_scene(
        seed=(seed, index), shape=ranges.shape, pixel_size_nm=0.05, n_particles=n, diameter_nm=ranges.diameter_nm
    )
    name = f"sim-{seed}-{index:06d}"
    particles = scene.truth.assign(micrograph_id=name, material="Au", fault_visible=False)
    if not n:
        particles = pd.DataFrame({"micrograph_id": [], "particle_id": []})
    regions = pd.DataFrame(
        {"micrograph_id": name, "region_id": particles["particle_id"], "region_class": "no_stacking_fault"}
    )
    micrograph = {"micrograph_id": name, "seed": seed, "index": index, "pixel_size_nm": 0.05, "voltage_kv": 300.0}
    micrograph |= {
        "material": "Au" if n else None,
        "n_particles": len(particles),
        "coverage": (scene.labels > 0).mean(),
    }
    return SimulatedMicrograph(
        micrograph_id=name,
        image=scene.image,
        pixel_size_nm=0.05,
        labels=scene.labels,
        region_labels=scene.labels,
        micrograph=conform(pd.DataFrame([micrograph]), TRUTH_MICROGRAPHS),
        particles=conform(particles, TRUTH_PARTICLES),
        regions=conform(regions, TRUTH_REGIONS),
    )


@pytest.fixture(scope="session")
def toy_ranges() -> type[ToyRanges]:
    return ToyRanges


@pytest.fixture(scope="session")
def make_toy() -> Callable[[ToyRanges, int, int], SimulatedMicrograph]:
    return toy_micrograph


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A headless Chromium with an empty profile: the `Browser` of tests/browser.py."""
    # the folder of tests is no package: import mode importlib finds no neighbour by name
    specification = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    executable = module.find_chromium()
    if executable is None:
        pytest.skip("no browser: chromium is not installed (Debian: apt-get install chromium)")
    with module.Browser(executable, tmp_path / "profile") as opened:
        yield opened
