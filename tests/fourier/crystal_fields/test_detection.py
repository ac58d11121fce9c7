"""Which fields one crystal fills: simulated crystals yes, everything with a support no."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.ndimage

from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier.crystal_fields.detection import MIN_FIELD_NM, crystal_cover
from hrtem_dask.simulation import SceneContrast, SimulationRanges, simulate_micrograph, simulate_scene

PIXEL = (0.03, 0.03)


def is_one(image: np.ndarray, pixel: tuple[float, float] | None = PIXEL) -> bool:
    return crystal_cover(image, pixel_size_nm=pixel).is_one_crystal


@pytest.mark.parametrize("kind", [None, "intrinsic", "twin"])
@pytest.mark.parametrize("material", ["Au", "CdTe"])
def test_simulated_crystals_fill_their_field(make_crystal: Callable[..., Any], material: str, kind: str | None) -> None:
    for counts in (8.0, 50.0):
        assert is_one(make_crystal(material, kind, counts=counts).image)


def test_no_particle_field_is_called_one_crystal() -> None:
    wrong = []
    for seed in range(24):
        size = (3.0, 5.0) if seed % 2 else (6.0, 9.0)  # the larger ones cover most of a field
        strong = SceneContrast(darkness=0.1, fringes=0.5, carbon=0.03)
        scene = simulate_scene(seed=seed, shape=(300, 300), n_particles=10, diameter_nm=size, contrast=strong)
        cover = crystal_cover(scene.image, pixel_size_nm=scene.pixel_size_nm)
        assert cover.n_windows > 0
        if cover.is_one_crystal:
            wrong.append(seed)
    print(f"particle fields called one crystal: {len(wrong)} of 24")  # noqa: T201
    assert not wrong


def test_no_empty_field_is_called_one_crystal() -> None:
    for seed in range(10):
        carbon = SceneContrast(carbon=0.3)
        assert not is_one(simulate_scene(seed=seed, n_particles=0, contrast=carbon).image)


@pytest.mark.slow
def test_no_field_of_the_simulator_is_called_one_crystal() -> None:
    ranges = SimulationRanges(size_px=320, pixel_size_nm=(0.026, 0.05), coverage=(0.2, 0.7), diameter_limits_nm=(2, 9))
    judged = [
        crystal_cover(m.image, pixel_size_nm=(m.pixel_size_nm,) * 2)
        for m in (simulate_micrograph(ranges, seed=77, index=i) for i in range(10))
    ]
    assert all(j.n_windows > 0 for j in judged)
    assert not any(j.is_one_crystal for j in judged)


def test_a_crystal_beside_support_does_not_fill_the_field(
    make_crystal: Callable[..., Any], rng: np.random.Generator
) -> None:
    image = make_crystal("Au").image.copy()
    assert is_one(image)
    half = image.copy()
    half[:, 200:] = rng.poisson(50, half[:, 200:].shape)
    assert not is_one(half)


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="half a window of support in a corner is not noticed; see docs/defects.md")
def test_support_in_a_corner_is_noticed(make_crystal: Callable[..., Any], rng: np.random.Generator) -> None:
    corner = make_crystal("Au").image.copy()
    corner[-110:, -110:] = rng.poisson(50, (110, 110))
    assert not is_one(corner)


def test_crystals_side_by_side_are_not_one(make_crystal: Callable[..., Any]) -> None:
    image = np.empty((320, 320), np.float32)
    for n, normal in enumerate((0.0, 17.0, 35.0, 52.0)):
        part = np.s_[160 * (n // 2) : 160 * (n // 2 + 1), 160 * (n % 2) : 160 * (n % 2 + 1)]
        image[part] = make_crystal("Au", normal_deg=normal).image[part]
    assert not is_one(image)


def test_fringes_of_one_direction_and_long_periods_are_no_crystal(rng: np.random.Generator) -> None:
    y, x = np.mgrid[:320, :320]
    noise = rng.normal(0, 0.3, (320, 320))
    assert not is_one(np.cos(2 * np.pi * x * PIXEL[1] / 0.25) + noise)  # interference, one set of planes
    # a superlattice of nanocrystals, 6 nm apart
    spots = np.cos(2 * np.pi * x * 0.1 / 6) + np.cos(2 * np.pi * y * 0.1 / 6)
    assert not is_one(spots + noise, (0.1, 0.1))
    film = scipy.ndimage.gaussian_filter(rng.normal(size=(320, 320)), 2)
    assert not is_one(film)


def test_without_a_pixel_size_that_resolves_lattices_nothing_is_judged(make_crystal: Callable[..., Any]) -> None:
    image = make_crystal("Au").image
    for pixel in (None, (0.11, 0.11), (0.03, 0.2)):
        assert crystal_cover(image, pixel_size_nm=pixel).n_windows == 0
    small = image[: int(MIN_FIELD_NM / PIXEL[0]) - 2]
    assert not is_one(small)
    with pytest.raises(CalibrationError):
        crystal_cover(image, pixel_size_nm=(0.03, -1.0))
    with pytest.raises(ValueError, match="spacing_range_nm"):
        crystal_cover(image, pixel_size_nm=PIXEL, spacing_range_nm=(0.4, 0.1))


def test_input_is_not_modified(make_crystal: Callable[..., Any], xp_array: Callable[[Any], np.ndarray]) -> None:
    assert is_one(xp_array(make_crystal("Au").image))


def test_real_micrographs(data: Path) -> None:
    cdte = iio.imread(data / "cdte_stacking_fault" / "CdTe_micrograph_768.png")
    assert crystal_cover(cdte, pixel_size_nm=(0.027, 0.027)).is_one_crystal
    # particles on a support, and superlattices, even at a pixel size that would resolve a lattice
    others = sorted((data / "tem_sintering" / "images").glob("*"))[:6]
    others += [data / "unlabelled" / name for name in ("C3.tif", "hexagonal_example.Tif", "square_example.Tif")]
    for path in others:
        image = np.asarray(iio.imread(path))
        gray = image if image.ndim == 2 else image[..., 0]
        assert not is_one(gray, (0.05, 0.05)), path
