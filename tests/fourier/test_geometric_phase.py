"""Amplitude and phase of lattices whose shift is known."""

from collections.abc import Callable

import numpy as np
import pytest

from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier import find_reflections, geometric_phase

Copy = Callable[[object], np.ndarray]

PIXEL = (0.03, 0.03)
CDTE_PIXEL = (0.027, 0.027)


def line_difference(a: float, b: float) -> float:
    return abs((a - b + 90) % 180 - 90)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("pixel_size_nm", [(0.03, 0.03), (0.025, 0.04)])
def test_amplitude_and_phase_of_a_wave(dtype: str, pixel_size_nm: tuple[float, float], xp_array: Copy) -> None:
    shape = (150, 170)
    i, j = np.mgrid[: shape[0], : shape[1]]
    g = (1.7, -3.1)
    image = 50 + 2 * 0.7 * np.cos(2 * np.pi * (g[0] * i * pixel_size_nm[0] + g[1] * j * pixel_size_nm[1]) + 1.1)
    stack = xp_array(np.stack([image, 2 * image]).astype(dtype))
    amplitude, phase = geometric_phase(stack, reflection_per_nm=g, pixel_size_nm=pixel_size_nm, sigma_per_nm=0.4)
    assert amplitude.dtype == phase.dtype == dtype
    inner = np.s_[:, 60:-60, 60:-60]  # the array is not a multiple of the wave: borders are wrong
    np.testing.assert_allclose(amplitude[0][inner[1:]], 0.7, rtol=0.02)
    np.testing.assert_allclose(amplitude[1][inner[1:]], 1.4, rtol=0.02)
    np.testing.assert_allclose(phase[inner], 1.1, atol=0.02)
    # the Friedel mate is the conjugate
    _, mate = geometric_phase(
        stack, reflection_per_nm=(-g[0], -g[1]), pixel_size_nm=pixel_size_nm, sigma_per_nm=0.4
    )  # fmt: skip
    np.testing.assert_allclose(mate[inner], -phase[inner], atol=1e-4)


def test_a_displacement_is_a_phase_of_minus_two_pi_g_u() -> None:
    y, x = PIXEL[0] * (np.mgrid[:200, :200] - 99.5)
    g = (2.5, 3.0)
    u_y, u_x = 0.05 * np.exp(-(x**2) / 2), 0.03 * np.exp(-(y**2) / 2)
    image = np.cos(2 * np.pi * (g[0] * (y - u_y) + g[1] * (x - u_x)))
    perfect = np.cos(2 * np.pi * (g[0] * y + g[1] * x))
    phase, reference = (
        geometric_phase(i, reflection_per_nm=g, pixel_size_nm=PIXEL, sigma_per_nm=1.0)[1] for i in (image, perfect)
    )
    shift = np.angle(np.exp(1j * (phase - reference)))[40:-40, 40:-40]
    np.testing.assert_allclose(shift, (-2 * np.pi * (g[0] * u_y + g[1] * u_x))[40:-40, 40:-40], atol=0.03)


def test_wrong_arguments_are_refused() -> None:
    image = np.zeros((32, 32))
    with pytest.raises(ValueError, match="Nyquist"):
        geometric_phase(image, reflection_per_nm=(0, 17), pixel_size_nm=PIXEL, sigma_per_nm=0.4)
    with pytest.raises(ValueError, match=r"sigma_per_nm.*0"):
        geometric_phase(image, reflection_per_nm=(0, 4), pixel_size_nm=PIXEL, sigma_per_nm=0)
    with pytest.raises(CalibrationError):
        geometric_phase(image, reflection_per_nm=(0, 4), pixel_size_nm=(0.03, 0), sigma_per_nm=0.4)


@pytest.mark.gpu_arrays
def test_gpu_agrees() -> None:
    cupy = pytest.importorskip("cupy")
    image = np.random.default_rng(0).normal(size=(150, 170))
    arguments = {"reflection_per_nm": (-4.2, 0.3), "pixel_size_nm": PIXEL, "sigma_per_nm": 0.5}
    here = geometric_phase(image, **arguments)
    there = geometric_phase(cupy.asarray(image), **arguments)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b.get(), a, atol=1e-6)


def test_phase_maps_of_cdte(cdte: np.ndarray) -> None:
    right = find_reflections(cdte[:, 400:], pixel_size_nm=CDTE_PIXEL, spacing_range_nm=(0.3, 0.5), min_peak_snr=20)
    across = {
        "upright": ((120, 290), (120, 390)),
        "inclined": ((220, 150), (330, 150)),
        "none": ((500, 420), (500, 600)),
    }
    steps, kept = {}, {}
    for direction in (1, 72):  # the {111}; the inclined fault and the twin boundary are normal to 72°
        r = min(right, key=lambda r, d=direction: line_difference(r.direction_deg, d))
        g = (r.frequency_y_per_nm, r.frequency_x_per_nm)
        amplitude, phase = geometric_phase(cdte, reflection_per_nm=g, pixel_size_nm=CDTE_PIXEL, sigma_per_nm=0.35)
        for name, ends in across.items():
            first, second = (np.exp(1j * phase[y - 12 : y + 12, x - 12 : x + 12]).mean() for y, x in ends)
            steps[name, direction] = abs(np.angle(second / first))
        kept[direction] = amplitude[730:745, 50:70].mean() / amplitude[600:615, 50:70].mean()
    assert steps["upright", 72] == pytest.approx(2 * np.pi / 3, abs=0.4)
    assert steps["inclined", 1] == pytest.approx(2 * np.pi / 3, abs=0.6)  # bent by the dislocation at its end
    for perfect in (("upright", 1), ("none", 1), ("none", 72)):
        assert steps[perfect] < 0.15
    assert steps["inclined", 72] < 0.5
    assert kept[1] < 0.2
    assert kept[72] > 0.8
