"""Maps of reflections whose areas are known."""

import numpy as np
import pytest
import scipy.fft
from scipy import ndimage

from hrtem_dask.fourier import Reflection
from hrtem_dask.fourier.bragg_maps import RESOLUTION_NM, bragg_features, bragg_maps, sampled
from hrtem_dask.fourier.flattening import flattened
from hrtem_dask.fourier.fringes import Fringes

PIXEL = (0.03, 0.03)
ALONG_X, ALONG_Y = Reflection(0.0, 1 / 0.23, 100.0), Reflection(1 / 0.23, 0.0, 100.0)


def two_halves(
    noise: float, seed: int = 0, pixel_size_nm: tuple[float, float] = PIXEL
) -> tuple[np.ndarray, np.ndarray]:
    """Return a disk of 5 nm whose left half has fringes along x, and whose right half has fringes along y."""
    height, width = (int(6 / size) for size in pixel_size_nm)
    y, x = (np.arange(height) - height / 2) * pixel_size_nm[0], (np.arange(width) - width / 2) * pixel_size_nm[1]
    mask = np.hypot(y[:, None], x) < 2.5
    fringes = np.where(x < 0, np.cos(2 * np.pi * x / 0.23), np.cos(2 * np.pi * y / 0.23)[:, None])
    return np.random.default_rng(seed).normal(0, noise, mask.shape) + fringes * mask - 2.0 * mask, mask


@pytest.mark.parametrize("pixel_size_nm", [PIXEL, (0.025, 0.04)])
def test_each_reflection_is_mapped_where_it_is(pixel_size_nm: tuple[float, float]) -> None:
    image, mask = two_halves(0.3, pixel_size_nm=pixel_size_nm)
    fringes = Fringes.of(image, mask, pixel_size_nm)
    maps = bragg_maps(fringes, [ALONG_X, ALONG_Y])
    right = sampled(fringes, (1, 1))[:, 1] * pixel_size_nm[1] > 2.5
    assert maps[0, ~right].mean() > 5 * maps[0, right].mean()
    assert maps[1, right].mean() > 5 * maps[1, ~right].mean()
    features = bragg_features(fringes, [ALONG_X, ALONG_Y])
    assert features["bragg_coverage"] > 0.95
    assert features["bragg_separation"] * 5 == pytest.approx(2 * 4 * 2.5 / (3 * np.pi), abs=0.4)  # centroids of halves
    assert features["bragg_overlap"] < 0.4


def test_maps_equal_the_filtered_image() -> None:
    """The same by a Gaussian mask over the whole transform, and a blurred mask from SciPy."""
    image, mask = two_halves(0.5)
    fringes = Fringes.of(image, mask, PIXEL)
    found = bragg_maps(fringes, [ALONG_X])[0]
    rows, columns = sampled(fringes, (1, 1)).T
    height, width = fringes.shape
    y, x = np.fft.fftfreq(height, PIXEL[0])[:, None], np.fft.fftfreq(width, PIXEL[1])
    sigma = 1 / (2 * np.pi * RESOLUTION_NM)
    near = np.exp(-((y**2 + (x - ALONG_X.frequency_x_per_nm) ** 2) / (2 * sigma**2)))
    wave = scipy.fft.ifft2(scipy.fft.fft2(fringes.flat, s=fringes.shape) * near)[rows, columns]
    inside = ndimage.gaussian_filter(fringes.mask.astype(float), RESOLUTION_NM / PIXEL[0], mode="constant", truncate=4)
    power = np.abs(wave / np.maximum(inside[rows, columns], 0.2)) ** 2
    noise = fringes.noise_power(np.array([1 / 0.23]))[0] * (near**2).mean()
    np.testing.assert_allclose(found, power / noise, rtol=2e-3, atol=1e-3)


def test_fewer_pixels_give_the_same_features() -> None:
    image, mask = two_halves(0.5)
    fringes = Fringes.of(image, mask, PIXEL)
    every, some = sampled(fringes, (1, 1)), sampled(fringes, (5, 5))
    at = {tuple(position): i for i, position in enumerate(every.tolist())}
    chosen = [at[tuple(position)] for position in some.tolist()]
    assert len(some) == pytest.approx(len(every) / 25, rel=0.1)
    np.testing.assert_allclose(
        bragg_maps(fringes, [ALONG_X, ALONG_Y], step_px=(5, 5)),
        bragg_maps(fringes, [ALONG_X, ALONG_Y])[:, chosen],
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_region_that_no_sampled_pixel_meets_is_mapped_in_full() -> None:
    mask = np.zeros((20, 20), bool)
    mask[7, 3:17] = True
    mask[7:16, 3] = True
    fringes = Fringes.of(np.random.default_rng(0).normal(size=mask.shape), mask, (0.01, 0.01))
    assert len(sampled(fringes, (15, 15))) == mask.sum()


def test_power_of_noise() -> None:
    rng = np.random.default_rng(1)
    mask = np.hypot(*np.mgrid[-60:61, -60:61]) < 55
    found = [Fringes.of(rng.normal(0, 3, mask.shape), mask, PIXEL).noise_power(np.array([4.0, 8.0])) for _ in range(20)]
    np.testing.assert_allclose(np.mean(found, axis=0), 9, rtol=0.05)


def test_fringes_are_cut_to_the_mask_and_hold_its_transform() -> None:
    image, mask = two_halves(0.3)
    wide = np.pad(mask, 9)
    fringes = Fringes.of(np.pad(image, 9), wide, PIXEL)
    assert fringes.flat.shape == (mask.any(1).sum(), mask.any(0).sum())
    np.testing.assert_allclose(
        fringes.flat, flattened(image.astype(np.float32), mask, PIXEL)[np.ix_(mask.any(1), mask.any(0))], atol=1e-5
    )
    back = scipy.fft.irfft2(fringes.spectrum, s=fringes.shape)
    np.testing.assert_allclose(back[: fringes.flat.shape[0], : fringes.flat.shape[1]], fringes.flat, atol=1e-5)
    assert np.abs(back[fringes.flat.shape[0] :]).max() < 1e-5
