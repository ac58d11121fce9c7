"""What several tests need: the real data where it is, and arrays that refuse to be modified."""

import dataclasses
import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
import tomli_w

from hrtem_dask import backend
from hrtem_dask.batch.cluster import local
from hrtem_dask.crystals.materials import ATOMIC_NUMBERS
from hrtem_dask.simulation import simulate_scene
from hrtem_dask.simulation.atoms import build_crystal, layer_index
from hrtem_dask.simulation.crystals import find_crystal
from hrtem_dask.simulation.stacking import Fault, fault_middle
from hrtem_dask.simulation.truth import TRUTH_MICROGRAPHS, TRUTH_PARTICLES, TRUTH_REGIONS, SimulatedMicrograph
from hrtem_dask.tables import conform

# a first call imports or plans something: how long an example takes says nothing here
hypothesis.settings.register_profile("hrtem_dask", deadline=None, max_examples=50)
hypothesis.settings.load_profile("hrtem_dask")

REPOSITORY = Path(__file__).parents[1]
# two processes of pytest would take the same port, which Dask warns of
local.DASHBOARD_PORT = 0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of array code with a stand-in for CuPy, and on a CUDA device where there is one (``-m gpu``)."""
    if metafunc.definition.get_closest_marker("gpu_arrays") is not None:
        libraries = ["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)]
        metafunc.parametrize("gpu_library", libraries, indirect=True)


@pytest.fixture(autouse=True)
def gpu_library(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """CuPy itself, or the strict stand-in for it; None in tests that are not marked ``gpu_arrays``."""
    library = getattr(request, "param", None)
    if library != "stand-in":
        yield library
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, module in _strict_cupy().modules().items():
            patch.setitem(sys.modules, name, module)
        backend.gpu_available.cache_clear()
        yield library
    backend.gpu_available.cache_clear()


@pytest.fixture
def transfers(gpu_library: str | None) -> Any:
    """Number of arrays that crossed to and from the stand-in, by direction and shape."""
    return _strict_cupy().transfers


@functools.cache
def _strict_cupy() -> Any:
    """Load the stand-in, which stands beside this file."""
    path = Path(__file__).with_name("strict_cupy.py")
    specification = importlib.util.spec_from_file_location("strict_cupy", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


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
class CrystalImage:
    """A simulated field that one crystal fills, seen along a close-packed row."""

    image: np.ndarray
    pixel_size_nm: tuple[float, float]
    trace_deg: float
    offset_nm: float
    """Distance of the fault from the middle of the image, positive 90° counter-clockwise of the trace."""


def crystal_image(
    material: str,
    kind: Any = None,
    *,
    shape: tuple[int, int] = (320, 320),
    pixel_size_nm: float = 0.03,
    normal_deg: float = 20.0,
    height_nm: float = 0.8,
    counts: float = 50.0,
    seed: int = 1,
) -> CrystalImage:
    """Image the atoms of a crystal as in HAADF-STEM: incoherent, with Poisson noise.

    The stacking normal points to ``normal_deg``; a fault of the kind lies about ``height_nm`` along it.
    """
    rng = np.random.default_rng(seed)
    crystal = find_crystal(material)
    radius = float(np.hypot(*shape)) * pixel_size_nm / 2 + 1
    origin = rng.uniform(-0.5, 0.5, 3) * crystal.row_nm
    layer = layer_index(crystal, radius, height_nm, origin[2])
    faults = [Fault(kind, layer)] if kind else []
    atoms, kinds = build_crystal(crystal, radius, origin_nm=origin, faults=faults)
    thin = np.abs(atoms[:, 0]) < 1.5  # along the beam
    atoms, kinds = atoms[thin] + rng.normal(0, crystal.displacement_nm, (int(thin.sum()), 3)), kinds[thin]
    angle = np.deg2rad(normal_deg)
    normal, along = np.array([-np.sin(angle), np.cos(angle)]), np.array([-np.cos(angle), -np.sin(angle)])
    places = np.outer(atoms[:, 2], normal) + np.outer(atoms[:, 1], along)
    weight = np.array([ATOMIC_NUMBERS[e] for e in crystal.elements])[kinds] ** 1.7
    edges = [(np.arange(-20, n + 21) - n / 2) * pixel_size_nm for n in shape]
    columns, _, _ = np.histogram2d(*places.T, bins=edges, weights=weight)
    blurred = scipy.ndimage.gaussian_filter(columns, 0.05 / pixel_size_nm)[20:-20, 20:-20]
    image = rng.poisson(counts * (0.3 + 0.7 * blurred / blurred.mean()))
    offset = 0.0
    if kind:
        first = layer_index(crystal, radius, origin[2], origin[2])
        # layers count from their first atom; their middle is the mean of their atoms
        middle = fault_middle(crystal, faults[0]) + float(np.mean([height for _, height, _ in crystal.basis]))
        offset = (middle - first) * crystal.layer_nm + float(origin[2])
    trace = (normal_deg + 90) % 180
    same = np.cos(np.deg2rad(trace + 90 - normal_deg)) > 0
    return CrystalImage(image.astype(np.float32), (pixel_size_nm,) * 2, trace, offset if same else -offset)


@pytest.fixture(scope="session")
def make_crystal() -> Callable[..., CrystalImage]:
    """A simulated field of one crystal, with or without a fault."""
    return functools.cache(crystal_image)


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
