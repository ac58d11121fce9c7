"""The baselines against scenes whose truth is known, and against SciPy and scikit-image."""

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hrtem_dask.errors import CalibrationError
from hrtem_dask.filtering import prepare
from hrtem_dask.segmentation.threshold import fourier_mask, fourier_mask_px, gaussian, otsu_mask
from hrtem_dask.simulation import simulate_scene


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def lattice_scene(
    *, pixel_size_nm: tuple[float, float], spacing_nm: float = 0.3, angle_deg: float = 30, noise: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """A disk of 5 nm with lattice fringes, off centre in a field of 14 nm of noise; and the truth."""
    y, x = (np.arange(round(14 / p)) * p for p in pixel_size_nm)
    y, x = y[:, None], x[None]
    inside = (y - 6) ** 2 + (x - 8) ** 2 < 2.5**2
    angle = np.deg2rad(angle_deg)
    fringes = np.cos(2 * np.pi / spacing_nm * (np.cos(angle) * x + np.sin(angle) * y))
    image = 0.5 + 0.1 * inside * fringes
    image += np.random.default_rng(0).normal(0, 0.1 * noise, image.shape)
    return image.astype(np.float32), inside


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 200), (64, 50)])
@pytest.mark.parametrize("sigma_px", [(0.0, 0.0), (2.0, 2.0), (2.2, 3.3), (0.0, 2.5), (20.0, 7.5)])
def test_gaussian_equals_scipy(xp_array: Any, shape: tuple[int, int], sigma_px: tuple[float, float]) -> None:
    image = xp_array(np.random.default_rng(0).random(shape, dtype=np.float32))
    truth = scipy.ndimage.gaussian_filter(image.astype(float), sigma_px, truncate=8)
    ours = gaussian(image, sigma_px=sigma_px)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, truth, atol=3e-6)


@pytest.mark.parametrize("sigma_px", [0.3, 1.0, 7.0])
def test_gaussian_damps_a_wave_as_it_must(sigma_px: float) -> None:
    n, half_waves = 120, 8
    wave = np.cos(np.pi * half_waves / n * (np.arange(n) + 0.5))[None].repeat(5, axis=0).astype(np.float32)
    damped = wave * np.exp(-0.5 * (sigma_px * np.pi * half_waves / n) ** 2)
    np.testing.assert_allclose(gaussian(wave, sigma_px=(1.0, sigma_px)), damped, atol=1e-6)


@pytest.mark.parametrize("pixel_size_nm", [0.03, 0.05])
def test_an_annulus_in_cycles_per_pixel_is_the_same_filter_at_one_pixel_size(pixel_size_nm: float) -> None:
    image, inside = lattice_scene(pixel_size_nm=(pixel_size_nm, pixel_size_nm))
    in_nm = fourier_mask(image, pixel_size_nm=(pixel_size_nm, pixel_size_nm), annulus_per_nm=(2.4, 6.0), sigma_nm=0.8)
    annulus = (2.4 * pixel_size_nm, 6.0 * pixel_size_nm)
    in_px = fourier_mask_px(image, annulus_per_px=annulus, sigma_px=0.8 / pixel_size_nm)
    assert dice(in_nm, inside) > 0.8
    assert (in_nm == in_px).mean() > 0.999


def test_an_annulus_in_cycles_per_pixel_misses_the_lattice_at_another_pixel_size() -> None:
    image, inside = lattice_scene(pixel_size_nm=(0.02, 0.02))
    assert dice(fourier_mask_px(image, annulus_per_px=(0.12, 0.3), sigma_px=16), inside) < 0.5
    for annulus in ((0.3, 0.1), (-0.1, 0.2), (0.5, 0.6)):
        with pytest.raises(ValueError, match="cycles per pixel"):
            fourier_mask_px(image, annulus_per_px=annulus)


def test_otsu_parts_dark_from_bright(xp_array: Any) -> None:
    y, x = np.ogrid[:200, :220]
    inside = (y - 90) ** 2 + (x - 120) ** 2 < 50**2
    image = np.where(inside, 0.3, 0.7) + np.random.default_rng(0).normal(0, 0.05, (200, 220))
    image = xp_array(image.astype(np.float32))
    dark, bright = (otsu_mask(image, particles_are=side) for side in ("dark", "bright"))
    assert dark.dtype == bool
    assert dice(dark, inside) > 0.99
    np.testing.assert_array_equal(bright, image > skimage.filters.threshold_otsu(image))
    np.testing.assert_array_equal(dark, ~bright)


def test_otsu_smoothing_wins_over_noise() -> None:
    y, x = np.ogrid[:200, :220]
    inside = (y - 90) ** 2 + (x - 120) ** 2 < 50**2
    image = np.where(inside, 0.4, 0.6) + np.random.default_rng(0).normal(0, 0.3, (200, 220))
    smooth = otsu_mask(image, sigma_px=(3.0, 3.0))
    assert dice(otsu_mask(image), inside) < 0.7
    assert dice(smooth, inside) > 0.95


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (60, 40)])
def test_a_constant_image_holds_no_particle(value: float, shape: tuple[int, int]) -> None:
    image = np.full(shape, value, np.float32)
    for mask in (
        otsu_mask(image),
        otsu_mask(image, particles_are="bright", sigma_px=(2, 2)),
        fourier_mask(image, pixel_size_nm=(0.02, 0.02)),
        fourier_mask(image, pixel_size_nm=(0.02, 0.02), sigma_nm=0),
    ):
        assert mask.shape == shape
        assert mask.dtype == bool
        assert not mask.any()


def test_otsu_side_is_checked() -> None:
    with pytest.raises(ValueError, match="'dark' or 'bright', got 'grey'"):
        otsu_mask(np.zeros((4, 4)), particles_are="grey")  # type: ignore[arg-type]


@pytest.mark.parametrize("pixel_size_nm", [(0.03, 0.03), (0.05, 0.05), (0.03, 0.06), (0.06, 0.03)])
@pytest.mark.parametrize("angle_deg", [0, 30, 90])
def test_fourier_finds_the_crystal(xp_array: Any, pixel_size_nm: tuple[float, float], angle_deg: float) -> None:
    image, inside = lattice_scene(pixel_size_nm=pixel_size_nm, angle_deg=angle_deg)
    mask = fourier_mask(xp_array(image), pixel_size_nm=pixel_size_nm, sigma_nm=0.4)
    assert dice(mask, inside) > 0.9


def test_fourier_takes_the_frequencies_of_the_annulus_only() -> None:
    # fringes of 0.3 nm are 3.33 1/nm
    image, inside = lattice_scene(pixel_size_nm=(0.03, 0.04))
    for annulus, finds in [((3.0, 3.7), True), ((3.6, 5.0), False), ((1.0, 3.1), False)]:
        mask = fourier_mask(image, pixel_size_nm=(0.03, 0.04), annulus_per_nm=annulus, sigma_nm=0.4)
        assert (dice(mask, inside) > 0.85) is finds


def test_the_rim_is_no_crystal() -> None:
    # a gradient does not match itself at the border: its step must not pass the annulus
    y, x = np.mgrid[:300, :200] / 300
    gradient = 0.6 * y + 0.3 * x
    image, inside = lattice_scene(pixel_size_nm=(0.04, 0.04), noise=0.2)
    image[:300, :200] += gradient.astype(np.float32)
    image, inside = image[:300, :200], inside[:300, :200]
    mask = fourier_mask(image, pixel_size_nm=(0.04, 0.04), sigma_nm=0.3)
    assert not mask[:, :4].any()
    assert not mask[-4:].any()
    assert dice(mask, inside) > 0.85


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(0.2, 5))
def test_only_the_product_of_pixel_size_and_frequency_counts(scale: float) -> None:
    image, _ = lattice_scene(pixel_size_nm=(0.08, 0.07))
    reference = fourier_mask(image, pixel_size_nm=(0.08, 0.07), annulus_per_nm=(2.41, 6.03), sigma_nm=0.5)
    scaled = fourier_mask(
        image,
        pixel_size_nm=(0.08 * scale, 0.07 * scale),
        annulus_per_nm=(2.41 / scale, 6.03 / scale),
        sigma_nm=0.5 * scale,
    )
    assert (reference != scaled).mean() < 1e-3  # a frequency at the rim of the annulus may round to either side


@settings(max_examples=10, deadline=None)
@example(height=74, width=73)  # two neighbouring bins of Otsu's histogram part these amplitudes equally well
@example(height=58, width=37)
@given(height=st.integers(1, 90), width=st.integers(1, 90))
def test_axes_are_equal(height: int, width: int) -> None:
    image = np.random.default_rng(height).random((height, width), dtype=np.float32)
    mask = fourier_mask(image, pixel_size_nm=(0.05, 0.08), sigma_nm=0.2)
    turned = fourier_mask(np.ascontiguousarray(image.T), pixel_size_nm=(0.08, 0.05), sigma_nm=0.2)
    assert mask.shape == image.shape
    assert (mask != turned.T).sum() <= max(1, 0.002 * mask.size)


def test_above_nyquist_there_is_nothing_to_keep() -> None:
    image, _ = lattice_scene(pixel_size_nm=(0.1, 0.1))
    reference = fourier_mask(image, pixel_size_nm=(0.1, 0.1), annulus_per_nm=(2.4, 8.0))
    np.testing.assert_array_equal(
        fourier_mask(image, pixel_size_nm=(0.1, 0.1), annulus_per_nm=(2.4, 1000.0)), reference
    )


def test_errors_say_value_limit_and_remedy() -> None:
    image = np.random.default_rng(0).random((20, 20))
    with pytest.raises(CalibrationError, match=r"has none.*--pixel-size.*Otsu"):
        fourier_mask(image, pixel_size_nm=None)
    with pytest.raises(ValueError, match=r"low < 25 1/nm \(Nyquist for pixel_size=0.02 nm\).* got low=6, high=2"):
        fourier_mask(image, pixel_size_nm=(0.02, 0.01), annulus_per_nm=(6, 2))
    with pytest.raises(ValueError, match="sigma_nm=-1"):
        fourier_mask(image, pixel_size_nm=(0.02, 0.02), sigma_nm=-1)
    with pytest.raises(CalibrationError, match=r"low < 1.279 1/nm .*0.391 nm.*got low=2.4.*too coarse"):
        fourier_mask(image, pixel_size_nm=(0.391, 0.391))


@pytest.mark.gpu_arrays
def test_cupy_equals_numpy() -> None:
    import cupy

    image, _ = lattice_scene(pixel_size_nm=(0.03, 0.04))
    on_device = cupy.asarray(image)
    for cpu, gpu in [
        (otsu_mask(image, sigma_px=(2, 3)), otsu_mask(on_device, sigma_px=(2, 3))),
        (fourier_mask(image, pixel_size_nm=(0.03, 0.04)), fourier_mask(on_device, pixel_size_nm=(0.03, 0.04))),
    ]:
        assert isinstance(gpu, cupy.ndarray)
        assert (cupy.asnumpy(gpu) != cpu).mean() < 1e-4


@pytest.mark.parametrize("dose_per_px", [200, 900])
@pytest.mark.parametrize("pixel_size_nm", [0.02, 0.04])
def test_a_field_without_a_crystal_gives_an_empty_fourier_mask(pixel_size_nm: float, dose_per_px: float) -> None:
    for n_particles, expected in ((0, False), (6, True)):
        scene = simulate_scene(
            seed=(11, int(dose_per_px)), n_particles=n_particles, pixel_size_nm=pixel_size_nm, dose_per_px=dose_per_px
        )
        mask = fourier_mask(prepare(scene.image)[0], pixel_size_nm=scene.pixel_size_nm)
        assert mask.any() == expected
