"""Each effect of the augmentation against its definition."""

from typing import Any

import numpy as np
import pytest

from hrtem_dask.training.network.crops import augmentation


@pytest.fixture
def crop(rng: np.random.Generator, xp_array: Any) -> np.ndarray:
    """Fringes of 8 px on noise, of zero mean and unit standard deviation."""
    wave = np.cos(2 * np.pi * np.arange(128) / 8)[None] + 0.5 * rng.standard_normal((128, 128))
    array: np.ndarray = xp_array(((wave - wave.mean()) / wave.std()).astype(np.float32))
    return array


def power(image: np.ndarray, period_px: float) -> float:
    """Power of fringes along x."""
    spectrum = abs(np.fft.rfft(image, axis=1)) ** 2
    return float(spectrum[:, round(image.shape[1] / period_px)].mean())


def test_turns_are_the_eight_symmetries_of_a_square(rng: np.random.Generator) -> None:
    image = rng.random((5, 5))
    turned = [augmentation.turn(image, quarters=q, mirrored=m) for q in range(4) for m in (False, True)]
    assert len({t.tobytes() for t in turned}) == 8
    assert all(sorted(t.ravel()) == sorted(image.ravel()) for t in turned)
    # counter-clockwise: the right column becomes the top row
    np.testing.assert_array_equal(augmentation.turn(image, quarters=1, mirrored=False)[0], image[:, -1])
    np.testing.assert_array_equal(augmentation.turn(image, quarters=0, mirrored=True)[0], image[-1])


@pytest.mark.parametrize("correlation_px", [0.0, 0.8])
@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (0.4, 0.1)])
def test_noise_lowers_the_signal_to_noise_ratio_as_stated(
    crop: np.ndarray, correlation_px: float, mean: float, spread: float
) -> None:
    image = crop * np.float32(spread) + np.float32(mean)
    noisy = augmentation.add_noise(
        image, noise_to_spread=0.7, correlation_px=correlation_px, rng=np.random.default_rng(0), mean=mean,
        spread=spread,
    )  # fmt: skip
    assert noisy.dtype == np.float32
    gain = np.sqrt(1 + 0.7**2)
    added = (noisy - mean) * gain - (image - mean)
    assert added.std() == pytest.approx(0.7 * spread, rel=0.03)
    assert abs(np.corrcoef(added.ravel(), image.ravel())[0, 1]) < 0.03
    assert noisy.std() == pytest.approx(spread, rel=0.03)  # the network sees an unchanged spread
    neighbours = np.corrcoef(added[:, 1:].ravel(), added[:, :-1].ravel())[0, 1]
    # white noise blurred by a Gaussian of sigma s has the correlation exp(−1 / 4s²)
    assert neighbours == pytest.approx(np.exp(-1 / (4 * 0.8**2)) if correlation_px else 0, abs=0.05)


def test_blur_damps_fine_fringes_more_than_coarse_ones(crop: np.ndarray) -> None:
    x = np.arange(128)[None].repeat(128, axis=0)
    both = (np.cos(2 * np.pi * x / 4) + np.cos(2 * np.pi * x / 32)).astype(np.float32)
    blurred = augmentation.blur(both, sigma_px=1.0)
    ratio = np.sqrt(power(blurred, 4) / power(blurred, 32))
    assert ratio == pytest.approx(np.exp(-2 * np.pi**2 / 4**2) / np.exp(-2 * np.pi**2 / 32**2), rel=0.1)
    assert blurred.std() == pytest.approx(both.std(), rel=1e-4)
    assert augmentation.blur(crop, sigma_px=0.8).mean() == pytest.approx(crop.mean(), abs=1e-5)


@pytest.mark.parametrize("period", [4, 8, 16])
def test_band_filter_has_its_transfer_function(period: int, rng: np.random.Generator) -> None:
    image = rng.standard_normal((128, 128)).astype(np.float32)
    filtered = augmentation.band_filter(image, share=0.6, turn_over_per_px=0.2, phase_rad=0.3)
    ratio = np.fft.rfft(filtered.mean(axis=0)) / np.fft.rfft(image.mean(axis=0))
    expected = [0.4 + 0.6 * np.cos(np.pi * (1 / p / 0.2) ** 2 + 0.3) for p in (period, 32)]
    i, j = 128 // period, 128 // 32
    assert (ratio[i] / ratio[j]).real == pytest.approx(expected[0] / expected[1], abs=0.02)
    assert filtered.std() == pytest.approx(image.std(), rel=1e-4)


def test_inversion_gamma_gradient_background(crop: np.ndarray) -> None:
    np.testing.assert_allclose(augmentation.invert(crop, mean=0.3), 0.6 - crop, atol=1e-6)
    bent = augmentation.change_gamma(crop, gamma=1.4)
    assert (np.argsort(bent.ravel()) == np.argsort(crop.ravel())).mean() > 0.99  # the order of the gray values is kept
    assert bent.std() == pytest.approx(crop.std(), rel=1e-3)
    assert np.median(bent) < np.median(crop)
    constant = np.full((8, 8), 2.0, np.float32)
    np.testing.assert_array_equal(augmentation.change_gamma(constant, gamma=1.4), constant)
    plane = augmentation.add_gradient(crop, rise=0.5, direction_rad=np.pi / 2, spread=2.0) - crop
    assert plane[-1, 0] - plane[0, 0] == pytest.approx(1.0, abs=1e-4)
    assert abs(np.diff(plane, axis=1)).max() < 1e-5
    assert plane.mean() == pytest.approx(0, abs=1e-5)
    fields = [
        augmentation.add_background(
            np.zeros((64, 64), np.float32), amplitude=0.5, cells=4, rng=np.random.default_rng(i)
        )
        for i in range(50)
    ]
    assert 0.25 < np.std(fields) < 0.6
    assert abs(np.diff(fields, axis=2)).max() < 0.2  # smooth


def test_restored_keeps_a_constant_finite(crop: np.ndarray) -> None:
    np.testing.assert_allclose(augmentation.restored(np.full((4, 4), 7.0), crop), crop.mean(), atol=1e-6)
