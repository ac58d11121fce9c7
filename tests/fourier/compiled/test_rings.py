"""Medians of rings against NumPy."""

import numpy as np
import pytest

from hrtem_dask.fourier.compiled.rings import ring_median, ring_signal_to_noise, squared_modulus
from hrtem_dask.fourier.spectrum import frequencies_per_nm


@pytest.mark.parametrize("shape", [(40, 50), (41, 33)])
def test_median_of_a_ring(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    y, x = frequencies_per_nm(shape, (0.03, 0.04))
    power = squared_modulus(np.fft.rfft2(values).astype(np.complex64))
    frequency = np.hypot(y[:, None], x)
    for low, high in ((0.0, 2.0), (1.3, 4.1), (5.0, 5.9)):
        expected = np.median(power[(frequency >= low) & (frequency <= high)])
        assert ring_median(power, y[1], x[1], low, high) == pytest.approx(expected, rel=1e-6)
    assert ring_median(power, y[1], x[1], 1e3, 2e3) == 0


@pytest.mark.parametrize("shape", [(60, 64), (63, 71)])
def test_signal_to_noise_of_staggered_rings(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    y, x = frequencies_per_nm(shape, (0.03, 0.03))
    power = rng.exponential(size=(shape[0], x.size)).astype(np.float32)
    frequency = np.hypot(y[:, None], x)
    width = 1.5 * max(y[1], x[1])
    radius = (frequency - 2.4) / width
    inside = (frequency >= 2.4) & (frequency <= 9.0)
    inside &= (np.abs(y) < 0.97 * np.abs(y).max())[:, None] & (x < 0.97 * x[-1])
    background = np.zeros_like(frequency)
    for shift in (0.0, 0.5):
        ring = (radius + shift).astype(int)
        for number in np.unique(ring[inside]):
            members = inside & (ring == number)
            upper = np.sort(power[members])[members.sum() // 2]
            background[members] = np.maximum(background[members], upper)
    expected = np.divide(power, background, out=np.zeros_like(frequency), where=inside)
    np.testing.assert_allclose(ring_signal_to_noise(power, y[1], x[1], 2.4, 9.0, width), expected, rtol=1e-6)
