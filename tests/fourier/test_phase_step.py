"""Phase steps of lattices whose shift is known; no step where there is none."""

from collections.abc import Callable

import numpy as np
import pytest

from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier import PHASE_STEP_COLUMNS, PhaseStep, find_reflections, phase_step, region_features
from hrtem_dask.simulation import SimulationRanges, simulate_micrograph

Copy = Callable[[object], np.ndarray]
Plane = tuple[float, float]  # spacing in nm, direction of the wave vector in degrees, counter-clockwise from +x

PIXEL = (0.03, 0.03)
GOLD_110: list[Plane] = [(0.23546, 90.0), (0.23546, 90.0 - 70.53), (0.20391, 90.0 + 54.74)]
"""(111), (11-1) and (002) of [110]: the first is that of the plane itself."""
FAULT = (0.0, 2 * np.pi / 3, -2 * np.pi / 3)
"""2π g·R of an intrinsic fault on (111), R = a/6 [11-2]."""
CDTE_PIXEL = (0.027, 0.027)


def waves(
    shape: tuple[int, int], pixel_size_nm: tuple[float, float], planes: list[Plane], rotation_deg: float = 0.0
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return coordinates (nm) from the middle of the array, and the ideal phase of every reflection."""
    i, j = np.mgrid[: shape[0], : shape[1]]
    y, x = (i - (shape[0] - 1) / 2) * pixel_size_nm[0], (j - (shape[1] - 1) / 2) * pixel_size_nm[1]
    phases = []
    for spacing, direction in planes:
        angle = np.radians(direction + rotation_deg)
        phases.append(2 * np.pi / spacing * (np.cos(angle) * x - np.sin(angle) * y))
    return y, x, phases


def faulted(
    *,
    shift_rad: tuple[float, ...] = FAULT,
    offset_nm: float = 0.0,
    rotation_deg: float = 0.0,
    diameter_nm: float = 5.0,
    noise: float = 0.5,
    seed: int = 0,
    pixel_size_nm: tuple[float, float] = PIXEL,
    twin: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a dark disk with fringes, which are shifted or replaced beyond a plane normal to the first reflection."""
    rng = np.random.default_rng(seed)
    shape = (int(1.2 * diameter_nm / pixel_size_nm[0]), int(1.2 * diameter_nm / pixel_size_nm[1]))
    planes = [*GOLD_110, (0.23546, 90.0 + 70.53), (0.20391, 90.0 - 54.74)] if twin else GOLD_110
    y, x, phases = waves(shape, pixel_size_nm, planes, rotation_deg)
    mask = np.hypot(y, x) < diameter_nm / 2
    normal = np.radians(90 + rotation_deg)
    behind = np.cos(normal) * x - np.sin(normal) * y > offset_nm
    image = rng.normal(0, noise, shape) - 1.0 * mask
    start = rng.uniform(0, 2 * np.pi, len(phases))
    for i, phase in enumerate(phases):
        shift = 0.0 if twin else shift_rad[i] * behind
        there = np.ones(shape) if not twin or i == 0 else behind if i > 2 else ~behind
        image += 0.3 * np.cos(phase + start[i] + shift) * mask * there
    return image, mask


def find_step(image: np.ndarray, mask: np.ndarray, pixel_size_nm: tuple[float, float] = PIXEL) -> PhaseStep:
    found = find_reflections(image, pixel_size_nm=pixel_size_nm, spacing_range_nm=(0.1, 0.42), min_peak_snr=12)
    step = phase_step(image, mask, found, pixel_size_nm=pixel_size_nm)
    assert step is not None
    return step


def gain_of(image: np.ndarray, mask: np.ndarray, **arguments: object) -> float:
    """Return the gain; 0 without a step."""
    _, step = region_features(image, mask, pixel_size_nm=PIXEL, **arguments)
    return 0.0 if step is None else step.gain


def line_difference(a: float, b: float) -> float:
    return abs((a - b + 90) % 180 - 90)


@pytest.mark.parametrize("pixel_size_nm", [(0.03, 0.03), (0.025, 0.04)])
def test_a_known_fault(pixel_size_nm: tuple[float, float]) -> None:
    for seed in range(8):
        rotation, offset = 37.0 * seed, 0.15 * (seed - 4)
        image, mask = faulted(rotation_deg=rotation, offset_nm=offset, seed=seed, pixel_size_nm=pixel_size_nm)
        step = find_step(image, mask, pixel_size_nm)
        assert line_difference(step.angle_deg, rotation) < 1.5
        assert 0 <= step.angle_deg < 180
        same = abs((step.angle_deg - rotation + 180) % 360 - 180) < 90  # same sense of the trace
        assert (step.offset_nm if same else -step.offset_nm) == pytest.approx(offset, abs=0.236)  # one fringe
        assert step.gain > 0.2
        assert step.own_gain < 0.05
        assert step.step_rad == pytest.approx(2 * np.pi / 3, abs=0.2)
        assert step.amplitude_asymmetry < 0.3
        for one in step.reflections:
            g = one.reflection
            vector = np.degrees(np.arctan2(-g.frequency_y_per_nm, g.frequency_x_per_nm)) - rotation
            truth, plane = min(zip(FAULT, GOLD_110, strict=True), key=lambda t, v=vector: line_difference(t[1][1], v))
            # the Friedel mate turns the sign, and so does crossing the plane in the other sense
            mate = np.cos(np.radians(vector - plane[1])) < 0
            expected = truth * (1 if same else -1) * (-1 if mate else 1)
            if one.reflection.snr > 0.1 * step.reflections[0].reflection.snr:
                assert np.angle(np.exp(1j * (one.step_rad - expected))) == pytest.approx(0, abs=0.4)


@pytest.mark.parametrize("height_rad", [1.0, 1.6, 2.6])
def test_the_height_of_a_step(height_rad: float) -> None:
    image, mask = faulted(shift_rad=(0.0, height_rad, -height_rad), diameter_nm=6, rotation_deg=20, noise=0.3)
    step = find_step(image, mask)
    assert line_difference(step.angle_deg, 20) < 1.5
    assert step.step_rad == pytest.approx(height_rad, abs=0.2)


def test_a_twin_boundary_is_a_step_of_amplitude() -> None:
    image, mask = faulted(twin=True, offset_nm=0.4, rotation_deg=130, diameter_nm=6)
    step = find_step(image, mask)
    assert line_difference(step.angle_deg, 130) < 1.5
    assert step.offset_nm == pytest.approx(0.4, abs=0.236)
    assert step.gain > 0.3
    assert step.amplitude_asymmetry > 0.7
    signs = {np.sign(r.amplitude_asymmetry) for r in step.reflections[:5] if not r.is_own}
    assert signs == {-1, 1}  # some reflections end where others begin


def test_perfect_lattices_have_no_step() -> None:
    n = 60
    gains = []
    for seed in range(n):
        image, mask = faulted(
            shift_rad=(0, 0, 0), rotation_deg=11.0 * seed, seed=seed, noise=0.3 + 0.02 * seed, diameter_nm=3 + seed % 4
        )
        gains.append(gain_of(image, mask))
    # at the threshold that separates faults best on simulated particles (0.13), fewer than 5 % are false
    assert np.mean(np.array(gains) > 0.13) <= 0.05


def test_a_quarter_turn_of_the_pixels() -> None:
    image, mask = faulted(rotation_deg=20, offset_nm=0.5)
    here = find_step(image, mask)
    there = find_step(np.rot90(image), np.rot90(mask))  # counter-clockwise
    assert line_difference(there.angle_deg, here.angle_deg + 90) < 0.1
    assert there.offset_nm == pytest.approx(here.offset_nm, abs=0.11)
    assert there.gain == pytest.approx(here.gain, abs=0.02)


def test_scale_and_level_of_the_image_do_not_matter() -> None:
    image, mask = faulted(rotation_deg=70, offset_nm=-0.3)
    here, _ = region_features(image, mask, pixel_size_nm=PIXEL)
    there, _ = region_features((100 * image + 5000).astype(np.float32), mask, pixel_size_nm=PIXEL)
    assert set(here) == set(there) >= set(PHASE_STEP_COLUMNS)
    same = {name: value for name, value in here.items() if name != "relative_contrast"}  # relative to the level
    assert same == pytest.approx({name: there[name] for name in same}, rel=0.01, abs=1e-3, nan_ok=True)


def test_no_step_without_reflections(xp_array: Copy) -> None:
    noise = np.random.default_rng(0).normal(size=(60, 60))
    everywhere, nowhere = np.ones((60, 60), bool), np.zeros((60, 60), bool)
    assert phase_step(xp_array(noise), everywhere, [], pixel_size_nm=PIXEL) is None
    image, mask = faulted()
    found = find_reflections(image, pixel_size_nm=PIXEL, spacing_range_nm=(0.1, 0.42), min_peak_snr=20)
    assert phase_step(image, np.zeros_like(mask), found, pixel_size_nm=PIXEL) is None
    assert phase_step(image, mask, found[:1], pixel_size_nm=PIXEL) is None  # one row of planes has no inclined one
    flat, step = region_features(xp_array(np.full((60, 60), 7, np.uint16)), everywhere, pixel_size_nm=PIXEL)
    assert step is None
    assert all(np.isnan(flat[name]) for name in PHASE_STEP_COLUMNS)
    with pytest.raises(ValueError, match="mask"):
        region_features(noise, nowhere, pixel_size_nm=PIXEL)
    one_pixel = np.zeros_like(mask)
    one_pixel[40, 40] = True
    assert phase_step(image, one_pixel, found, pixel_size_nm=PIXEL) is None


def test_wrong_arguments_are_refused() -> None:
    image, mask = faulted()
    with pytest.raises(ValueError, match="shape"):
        phase_step(image, mask[1:], [], pixel_size_nm=PIXEL)
    with pytest.raises(CalibrationError):
        phase_step(image, mask, [], pixel_size_nm=(0.0, 0.03))


@pytest.mark.parametrize(
    ("box", "trace_deg", "gain"),
    [
        (np.s_[20:260, 220:460], 90.0, (0.13, 1.0)),
        (np.s_[180:380, 20:220], 161.0, (0.13, 1.0)),
        (np.s_[400:640, 440:680], None, (0.0, 0.05)),
    ],
)
def test_phase_steps_of_cdte(
    cdte: np.ndarray, box: tuple[slice, slice], trace_deg: float | None, gain: tuple[float, float]
) -> None:
    crop = cdte[box]
    _, step = region_features(
        crop, np.ones(crop.shape, bool), pixel_size_nm=CDTE_PIXEL, spacing_range_nm=(0.15, 0.5)
    )  # fmt: skip
    assert step is not None
    assert gain[0] <= step.gain <= gain[1]
    if trace_deg is not None:
        assert line_difference(step.angle_deg, trace_deg) < 4


@pytest.mark.slow
def test_faults_of_simulated_particles() -> None:
    ranges = SimulationRanges(
        size_px=384, misoriented_fraction=0, between_fraction=0, empty_fraction=0, touching_fraction=0,
        materials={"Au": 0.5, "CdSe": 0.35, "CdSe-zb": 0.15}, carbon_thickness_nm=(2, 6), dose_per_nm2=(5e4, 6e5),
        pixel_size_nm=(0.02, 0.045), median_diameter_nm=(3, 6.5), coverage=(0.15, 0.4), n_spikes=(0, 0),
    )  # fmt: skip
    gains: dict[bool, list[float]] = {True: [], False: []}
    angles = []
    for index in range(70):
        micrograph = simulate_micrograph(ranges, seed=501, index=index)
        for row in micrograph.particles.to_dict("records"):
            if row["touches_edge"] or row["is_agglomerated"] or row["visibility"] < 1.7:
                continue
            mask = micrograph.labels == row["particle_id"]
            y, x = np.nonzero(mask)
            box = np.s_[max(y.min() - 8, 0) : y.max() + 9, max(x.min() - 8, 0) : x.max() + 9]
            _, step = region_features(micrograph.image[box], mask[box], pixel_size_nm=(micrograph.pixel_size_nm,) * 2)
            gains[row["fault"] != "none"].append(0.0 if step is None else step.gain)
            if row["fault"] != "none" and step is not None:
                angles.append(line_difference(step.angle_deg, row["fault_trace_deg"]))
    assert min(map(len, gains.values())) >= 15
    above = np.subtract.outer(gains[True], gains[False])
    assert (above > 0).mean() + (above == 0).mean() / 2 > 0.9  # area under the ROC curve, one feature alone
    assert np.mean(np.array(angles) < 3) > 0.85
