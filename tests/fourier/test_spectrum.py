"""Power spectra: units, windows, rings, and frequencies of waves that are known."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier import frequencies_per_nm, power_spectrum, radial_power_spectrum

Copy = Callable[[object], np.ndarray]


def wave(shape: tuple[int, int], pixel_size_nm: tuple[float, float], y_per_nm: float, x_per_nm: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.cos(2 * np.pi * (y_per_nm * y * pixel_size_nm[0] + x_per_nm * x * pixel_size_nm[1]))


@given(
    shape=st.tuples(st.integers(48, 90), st.integers(48, 90)),
    pixel_size_nm=st.tuples(st.floats(0.02, 0.06), st.floats(0.02, 0.06)),
    y=st.floats(-6, 6),
    x=st.floats(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_a_wave_is_where_its_frequency_is(
    shape: tuple[int, int], pixel_size_nm: tuple[float, float], y: float, x: float
) -> None:
    # the lobes of a Hann window are two frequencies wide on each side: that of the Friedel mate must not reach the wave
    assume(2 * x * shape[1] * pixel_size_nm[1] >= 5)
    power = power_spectrum(wave(shape, pixel_size_nm, y, x))
    frequency_y, frequency_x = frequencies_per_nm(shape, pixel_size_nm)
    assert power.shape == (frequency_y.size, frequency_x.size)
    row, column = np.unravel_index(power.argmax(), power.shape)
    assert abs(frequency_y[row] - y) <= 0.51 * frequency_y[1]
    assert abs(frequency_x[column] - x) <= 0.51 * frequency_x[1]


@pytest.mark.parametrize("window", ["hann", "none"])
def test_white_noise_has_its_variance(window: str, xp_array: Copy) -> None:
    noise = np.random.default_rng(0).normal(5, 3, (8, 128, 128))
    power = power_spectrum(xp_array(noise), window=window)
    assert power[:, 5:60, 5:].mean() == pytest.approx(9, rel=0.02)
    np.testing.assert_allclose(power[3], power_spectrum(noise[3], window=window), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["?", "u1", ">u2", "<i4", "<f4", ">f8"])
def test_constant_has_no_power(dtype: str, xp_array: Copy) -> None:
    assert power_spectrum(xp_array(np.ones((32, 31), dtype))).max() < 1e-10


def test_parseval_without_window() -> None:
    image = np.random.default_rng(1).normal(size=(20, 30))
    power = power_spectrum(image, window="none")
    both_halves = power.sum() + power[:, 1:-1].sum()
    assert both_halves / image.size == pytest.approx(image.var())


def test_hann_suppresses_the_border() -> None:
    # a ramp has a step at the border: a cross in the spectrum without window
    ramp = np.mgrid[:64, :64][1].astype(float)
    assert power_spectrum(ramp)[0, 20] < 1e-3 * power_spectrum(ramp, window="none")[0, 20]


@pytest.mark.parametrize("pixel_size_nm", [(0.03, 0.03), (0.02, 0.05)])
def test_radial_spectrum_peaks_at_the_spacing(pixel_size_nm: tuple[float, float], xp_array: Copy) -> None:
    shape = (200, 160)
    for y, x in ((4.0, 1.0), (-2.0, 3.0)):
        frequency, power = radial_power_spectrum(
            xp_array(wave(shape, pixel_size_nm, y, x)), pixel_size_nm=pixel_size_nm
        )
        assert frequency[np.nanargmax(power)] == pytest.approx(np.hypot(y, x), abs=0.2)
        assert frequency[-1] <= 0.5 / max(pixel_size_nm)


def test_radial_spectrum_is_the_mean_over_full_rings() -> None:
    image = np.random.default_rng(2).normal(size=(41, 50))
    values = image - image.mean()
    full = np.abs(np.fft.fft2(values)) ** 2 / image.size
    radius = np.hypot(np.fft.fftfreq(41, 0.1)[:, None], np.fft.fftfreq(50, 0.1))
    frequency, power = radial_power_spectrum(image, pixel_size_nm=(0.1, 0.1), bin_width_per_nm=0.7, window="none")
    for middle, mean in zip(frequency, power, strict=True):
        ring = (radius >= middle - 0.35) & (radius < middle + 0.35)
        assert mean == pytest.approx(full[ring].mean())


@given(scale=st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_scaling_the_pixel_scales_the_frequency(scale: float) -> None:
    image = np.random.default_rng(3).normal(size=(30, 30))
    frequency, power = radial_power_spectrum(image, pixel_size_nm=(1.0, 1.0))
    scaled, same = radial_power_spectrum(image, pixel_size_nm=(scale, scale))
    n = min(power.size, same.size)  # the outermost ring may fall to either side of Nyquist
    assert abs(power.size - same.size) <= 1
    np.testing.assert_allclose(scaled[:n] * scale, frequency[:n])


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_pixel_sizes(size: float) -> None:
    with pytest.raises(CalibrationError, match="positive"):
        frequencies_per_nm((10, 10), (0.1, size))


@pytest.mark.gpu_arrays
def test_gpu_equals_cpu() -> None:
    cupy = pytest.importorskip("cupy")
    image = np.random.default_rng(0).normal(100, 5, (64, 71)).astype(np.float32)
    np.testing.assert_allclose(power_spectrum(cupy.asarray(image)).get(), power_spectrum(image), rtol=1e-3, atol=1e-3)
    _, on_gpu = radial_power_spectrum(cupy.asarray(image), pixel_size_nm=(0.1, 0.1))
    _, on_cpu = radial_power_spectrum(image, pixel_size_nm=(0.1, 0.1))
    np.testing.assert_allclose(on_gpu.get(), on_cpu, rtol=1e-3)
