"""Spacings and angles of lattices that are known; no reflection where there is none."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hrtem_dask.fourier import find_reflections, measure_lattice, stronger_reflections

Copy = Callable[[object], np.ndarray]
Plane = tuple[float, float]  # spacing in nm, direction of the wave vector in degrees, counter-clockwise from +x

GOLD_110: list[Plane] = [(0.23546, 35.26), (0.23546, -35.26), (0.20391, 90.0)]
CDSE_1120: list[Plane] = [(0.3505, 90.0), (0.3723, 0.0), (0.3288, 27.97)]
NULL = {
    "n_reflections", "peak_snr", "spacing_1_nm", "spacing_2_nm", "angle_12_deg", "lattice_orientation_deg",
}  # fmt: skip


def particle(
    planes: list[Plane],
    *,
    diameter_nm: float = 5.0,
    pixel_size_nm: tuple[float, float] = (0.03, 0.03),
    rotation_deg: float = 0.0,
    noise: float = 0.5,
    seed: int = 0,
) -> np.ndarray:
    """Return a dark disk with fringes of amplitude 0.3 each, and white noise."""
    rng = np.random.default_rng(seed)
    n_y, n_x = (int(1.2 * diameter_nm / size) for size in pixel_size_nm)
    y, x = np.mgrid[:n_y, :n_x].astype(float)
    y, x = (y - n_y / 2) * pixel_size_nm[0], (x - n_x / 2) * pixel_size_nm[1]
    inside = np.hypot(y, x) < diameter_nm / 2
    image = rng.normal(0, noise, (n_y, n_x)) - 1.0 * inside
    for spacing, direction in planes:
        angle = np.radians(direction + rotation_deg)
        phase = 2 * np.pi / spacing * (np.cos(angle) * x - np.sin(angle) * y) + rng.uniform(0, 2 * np.pi)
        image += 0.3 * np.cos(phase) * inside
    return image


def direction_difference(a: float, b: float) -> float:
    return abs((a - b + 90) % 180 - 90)


@pytest.mark.parametrize("diameter_nm", [3.0, 5.0, 10.0])
@pytest.mark.parametrize("pixel_size", [0.02, 0.05])
@pytest.mark.parametrize("planes", [GOLD_110, CDSE_1120])
def test_spacings_and_angles(planes: list[Plane], pixel_size: float, diameter_nm: float, xp_array: Copy) -> None:
    for seed in range(5):
        rotation = 37.0 * seed
        crop = particle(
            planes, diameter_nm=diameter_nm, pixel_size_nm=(pixel_size, pixel_size), rotation_deg=rotation,
            noise=0.2, seed=seed,
        )  # fmt: skip
        found = find_reflections(
            xp_array(crop), pixel_size_nm=(pixel_size, pixel_size), spacing_range_nm=(0.1, 0.42), min_peak_snr=20
        )
        assert len(found) >= len(planes)
        for spacing, direction in planes:
            nearest = min(
                found, key=lambda r, d=direction: direction_difference(r.direction_deg, d + rotation)
            )  # fmt: skip
            assert nearest.spacing_nm == pytest.approx(spacing, rel=0.005)
            assert direction_difference(nearest.direction_deg, direction + rotation) < 0.5
        lattice = measure_lattice(crop, pixel_size_nm=(pixel_size, pixel_size))
        angles = {round(direction_difference(a, b), 2) for i, (_, a) in enumerate(planes) for _, b in planes[i + 1 :]}
        assert min(abs(lattice["angle_12_deg"] - angle) for angle in angles) < 1


def test_gold_110_angle() -> None:
    # {111} strongest, then {200}: 54.74° between them
    crop = particle([GOLD_110[0], GOLD_110[2]], diameter_nm=8)
    lattice = measure_lattice(crop, pixel_size_nm=(0.03, 0.03))
    assert lattice["n_reflections"] == 2
    assert sorted([lattice["spacing_1_nm"], lattice["spacing_2_nm"]]) == pytest.approx([0.20391, 0.23546], rel=0.003)
    assert lattice["angle_12_deg"] == pytest.approx(54.74, abs=0.3)


@given(rotation=st.floats(0, 180))
@settings(max_examples=20, deadline=None)
def test_rotation_turns_the_orientation_and_nothing_else(rotation: float) -> None:
    crop = particle([(0.23546, 0.0)], diameter_nm=8, rotation_deg=rotation, noise=0.1)
    lattice = measure_lattice(crop, pixel_size_nm=(0.03, 0.03))
    assert lattice["spacing_1_nm"] == pytest.approx(0.23546, rel=0.002)
    assert direction_difference(lattice["lattice_orientation_deg"], rotation) < 0.3
    assert 0 <= lattice["lattice_orientation_deg"] < 180


def test_a_quarter_turn_of_the_pixels() -> None:
    crop = particle(GOLD_110, diameter_nm=6, rotation_deg=20)
    here = measure_lattice(crop, pixel_size_nm=(0.03, 0.03))
    turned = measure_lattice(np.rot90(crop), pixel_size_nm=(0.03, 0.03))  # counter-clockwise
    assert turned["spacing_1_nm"] == pytest.approx(here["spacing_1_nm"], rel=1e-3)
    assert turned["angle_12_deg"] == pytest.approx(here["angle_12_deg"], abs=0.1)
    expected = here["lattice_orientation_deg"] + 90
    assert direction_difference(turned["lattice_orientation_deg"], expected) < 0.1


def test_non_square_pixels() -> None:
    for pixel_size_nm in ((0.02, 0.04), (0.045, 0.025)):
        crop = particle([GOLD_110[0], GOLD_110[2]], diameter_nm=8, pixel_size_nm=pixel_size_nm, rotation_deg=10)
        lattice = measure_lattice(crop, pixel_size_nm=pixel_size_nm)
        assert sorted([lattice["spacing_1_nm"], lattice["spacing_2_nm"]]) == pytest.approx(
            [0.20391, 0.23546], rel=0.005
        )
        assert lattice["angle_12_deg"] == pytest.approx(54.74, abs=0.5)


@given(scale=st.floats(0.5, 2), gain=st.floats(1e-3, 1e5))
@settings(max_examples=20, deadline=None)
def test_scaling(scale: float, gain: float) -> None:
    crop = particle([(0.25, 30.0)], diameter_nm=6, noise=0.2)
    here = measure_lattice(crop, pixel_size_nm=(0.03, 0.03))
    there = measure_lattice(
        gain * crop + gain, pixel_size_nm=(0.03 * scale, 0.03 * scale), spacing_range_nm=(0.1 * scale, 0.42 * scale)
    )
    assert there["spacing_1_nm"] == pytest.approx(scale * here["spacing_1_nm"], rel=1e-3)
    assert there["peak_snr"] == pytest.approx(here["peak_snr"], rel=0.2)


def test_harmonics_are_no_second_direction() -> None:
    crop = particle([(0.4, 25.0), (0.2, 25.0), (0.4 / 3, 25.0)], diameter_nm=8, noise=0.1)
    lattice = measure_lattice(crop, pixel_size_nm=(0.03, 0.03))
    assert lattice["n_reflections"] == 3
    assert lattice["spacing_2_nm"] is None
    assert lattice["angle_12_deg"] is None


@pytest.mark.parametrize("direction", [0.0, 90.0, 0.7, 89.4, 179.5])
def test_friedel_mates_on_the_seam_of_the_half_plane_count_once(direction: float) -> None:
    for seed in range(3):
        crop = particle([(0.25, direction)], diameter_nm=6, noise=0.2, seed=seed)
        assert measure_lattice(crop, pixel_size_nm=(0.03, 0.03))["n_reflections"] == 1


def carbon(rng: np.random.Generator, n: int, pixel_size: float) -> np.ndarray:
    """Return an amorphous support: white phases with a defocused contrast transfer function, and shot noise."""
    frequency = np.hypot(np.fft.fftfreq(n, pixel_size)[:, None], np.fft.rfftfreq(n, pixel_size))
    transfer = np.sin(np.pi * 0.00197 * 60 * frequency**2 + 0.1) * np.exp(-((frequency / 7) ** 2))
    image = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(n, n))) * transfer, (n, n))
    return image / image.std() + rng.normal(0, 0.3, (n, n))


@pytest.mark.parametrize("support", ["white", "carbon"])
@pytest.mark.parametrize(("side", "pixel_size"), [(64, 0.03), (100, 0.05), (256, 0.03)])
def test_noise_has_no_reflections(support: str, side: int, pixel_size: float) -> None:
    n = 120
    false = 0
    for seed in range(n):
        rng = np.random.default_rng([7, seed])
        crop = rng.normal(size=(side, side)) if support == "white" else carbon(rng, side, pixel_size)
        false += measure_lattice(crop, pixel_size_nm=(pixel_size, pixel_size))["n_reflections"] > 0
    # 5 % and twice the binomial deviation
    assert false <= 0.05 * n + 2 * np.sqrt(n * 0.05 * 0.95)


def test_power_of_noise_is_exponential_about_its_median() -> None:
    # the threshold is based on P(snr > s) = 2^−s
    from hrtem_dask.fourier.lattice import _snr
    from hrtem_dask.fourier.spectrum import frequencies_per_nm, power_spectrum

    axes = frequencies_per_nm((256, 256), (0.03, 0.03))
    snr = [_snr(power_spectrum(np.random.default_rng(i).normal(size=(256, 256))), *axes, (2.4, 10)) for i in range(10)]
    values = np.concatenate([s[s > 0] for s in snr])
    for threshold in (2, 4, 6):
        # the larger of two medians lies a little above the median
        assert (values > threshold).mean() == pytest.approx(2.0**-threshold, rel=0.35)


def test_without_pixel_size_nothing_is_measured() -> None:
    lattice = measure_lattice(particle(GOLD_110), pixel_size_nm=None)
    assert set(lattice) == NULL
    assert all(value is None for value in lattice.values())


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (15, 90), (16, 16), (17, 200)])
def test_small_and_constant_crops(shape: tuple[int, int], xp_array: Copy) -> None:
    lattice = measure_lattice(xp_array(np.full(shape, 7, np.uint16)), pixel_size_nm=(0.03, 0.03))
    assert set(lattice) == NULL
    assert lattice["n_reflections"] == 0


def test_spacing_below_two_pixels_is_not_invented() -> None:
    lattice = measure_lattice(
        particle([(0.35, 0.0)], pixel_size_nm=(0.3, 0.3), diameter_nm=30), pixel_size_nm=(0.3, 0.3)
    )
    assert lattice["n_reflections"] == 0


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i4", ">f4", "<f8"])
def test_any_dtype(dtype: str, xp_array: Copy) -> None:
    crop = (particle([(0.25, 30.0)], noise=0.1) * 30 + 120).astype(dtype)
    assert measure_lattice(xp_array(crop), pixel_size_nm=(0.03, 0.03))["spacing_1_nm"] == pytest.approx(0.25, rel=0.004)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.4, 0\.1"):
        measure_lattice(np.zeros((40, 40)), pixel_size_nm=(0.03, 0.03), spacing_range_nm=(0.4, 0.1))


@pytest.mark.gpu_arrays
def test_gpu_crops_are_measured_on_the_cpu() -> None:
    cupy = pytest.importorskip("cupy")
    crop = particle(GOLD_110)
    assert measure_lattice(cupy.asarray(crop), pixel_size_nm=(0.03, 0.03)) == measure_lattice(
        crop, pixel_size_nm=(0.03, 0.03)
    )


@settings(max_examples=30, deadline=None)
@example(seed=0, noise=1.0, min_peak_snr=13.0, share=0.0)  # differed in the last digit
@given(
    seed=st.integers(0, 100),
    noise=st.floats(0.2, 2.0),
    min_peak_snr=st.floats(8, 60),
    share=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_a_stricter_search_is_a_filter_of_a_lenient_one(
    seed: int, noise: float, min_peak_snr: float, share: float
) -> None:
    crop = particle(GOLD_110, noise=noise, seed=seed)
    limits = {"pixel_size_nm": (0.03, 0.03), "spacing_range_nm": (0.1, 0.42)}
    lenient = find_reflections(crop, **limits, min_peak_snr=8, min_share_of_strongest=0)
    strict = find_reflections(crop, **limits, min_peak_snr=min_peak_snr, min_share_of_strongest=share)
    kept = stronger_reflections(lenient, min_peak_snr=min_peak_snr, min_share_of_strongest=share)
    assert kept == strict
