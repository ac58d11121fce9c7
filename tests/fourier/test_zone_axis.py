"""Zone axes of atoms projected along them, rotated, mirrored and stretched; none in noise."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask import filtering
from hrtem_dask.crystals import MATERIALS, find_material, low_index_zone_axes, zone_pattern
from hrtem_dask.fourier import ZONE_AXIS_COLUMNS, Reflection, measure_zone_axis, zone_axis_candidates
from hrtem_dask.particles import crop_particle
from hrtem_dask.simulation.micrographs import simulate_micrograph
from hrtem_dask.simulation.ranges import SimulationRanges

# three-index symbols written out by hand: [uvtw] = [u - t, v - t, w]
THREE_INDICES = {
    "[100]": (1, 0, 0), "[110]": (1, 1, 0), "[111]": (1, 1, 1), "[112]": (1, 1, 2),
    "[0001]": (0, 0, 1), "[11-20]": (1, 1, 0), "[10-10]": (2, 1, 0), "[11-23]": (1, 1, 1), "[10-11]": (2, 1, 1),
}  # fmt: skip
CASES = [(name, axis) for name in MATERIALS for axis in low_index_zone_axes(name)]


def cell(name: str) -> np.ndarray:
    crystal = find_material(name)
    a, c = crystal.a_nm, crystal.c_nm or crystal.a_nm
    if crystal.c_nm is None:
        return a * np.eye(3)
    return np.array([[a, 0, 0], [a * np.cos(2 * np.pi / 3), a * np.sin(2 * np.pi / 3), 0], [0, 0, c]])


def frame(name: str, uvw: tuple[int, int, int], rotation_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions right and up on the screen of an observer towards whom [uvw] points."""
    beam = np.array(uvw) @ cell(name)
    beam /= np.linalg.norm(beam)
    right = np.cross(beam, [0.3, -0.5, 0.81])
    right /= np.linalg.norm(right)
    up = np.cross(beam, right)
    angle = np.radians(rotation_deg)
    return np.cos(angle) * right - np.sin(angle) * up, np.sin(angle) * right + np.cos(angle) * up


def projected(
    name: str,
    uvw: tuple[int, int, int],
    *,
    rotation_deg: float = 0.0,
    diameter_nm: float = 4.0,
    pixel_size_nm: tuple[float, float] = (0.04, 0.04),
    tilt_deg: float = 0.0,
    noise: float = 0.3,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return the atoms of a sphere seen along [uvw], as Gaussians of their atomic number; and right and up."""
    crystal, edges = find_material(name), cell(name)
    n = int(diameter_nm / 2 / np.linalg.norm(edges, axis=1).min() * 1.3) + 2
    cells = np.array(list(itertools.product(range(-n, n + 1), repeat=3)))
    numbers = np.repeat([a[0] for a in crystal.basis], len(cells)).astype(float)
    atoms = np.concatenate([cells + np.array(a[1:]) for a in crystal.basis]) @ edges
    inside = np.linalg.norm(atoms, axis=1) < diameter_nm / 2
    atoms, numbers = atoms[inside], numbers[inside]
    right, up = frame(name, uvw, rotation_deg)
    seen_right = np.cos(np.radians(tilt_deg)) * right + np.sin(np.radians(tilt_deg)) * np.cross(right, up)
    sides = [int(1.05 * diameter_nm / step) for step in pixel_size_nm]
    y, x = ((np.arange(side) - side / 2) * step for side, step in zip(sides, pixel_size_nm, strict=True))
    along_y = np.exp(-np.square(y[:, None] + atoms @ up) / (2 * 0.04**2))  # y points down
    along_x = np.exp(-np.square(x[:, None] - atoms @ seen_right) / (2 * 0.04**2))
    image = (along_y * numbers) @ along_x.T
    return image + np.random.default_rng(0).normal(0, noise * image.std(), image.shape), (right, up)


def direction_deg(name: str, hkl: tuple[int, int, int], screen: tuple[np.ndarray, np.ndarray]) -> float:
    wave = np.linalg.inv(cell(name)) @ np.array(hkl)
    right, up = screen
    return float(np.degrees(np.arctan2(wave @ up, wave @ right)))


def turned_by(a: float, b: float, period: float) -> float:
    return abs((a - b + period / 2) % period - period / 2)


def pattern_reflections(name: str, axis: str, rotation_deg: float, *, scale: float = 1.0) -> list[Reflection]:
    """Return the reflections of a pattern, with an SNR that increases with their strength."""
    pattern = zone_pattern(name, axis, max_frequency_per_nm=9.0)
    turned = pattern.frequency_per_nm @ [1, 1j] * np.exp(1j * np.radians(rotation_deg)) * scale
    order = np.argsort(-pattern.weight, kind="stable")
    return [
        Reflection(float(-turned[i].imag), float(turned[i].real), float(20 + 1000 * pattern.weight[i]))
        for i in order
        if pattern.weight[i] > 0.01
    ]


@pytest.mark.parametrize(("name", "axis"), CASES)
def test_projected_atoms(name: str, axis: str) -> None:
    rotation = 37.0 * CASES.index((name, axis))
    crop, screen = projected(name, THREE_INDICES[axis], rotation_deg=rotation, tilt_deg=2)
    measured = measure_zone_axis(crop, pixel_size_nm=(0.04, 0.04), material=name)
    assert measured["zone_axis"] == axis, measured
    if (name, axis) == ("Fe", "[112]"):  # only the row of {110} lies within the resolution, and fixes no axis
        assert measured["zone_axis_confidence"] < 0.5
    else:
        assert measured["zone_axis_confidence"] > (0.6 if axis == "[112]" else 0.95)
    # a single row of fringes leaves nothing to average the noise over
    assert measured["zone_axis_spacing_ratio"] == pytest.approx(1, abs=0.01 if axis == "[112]" else 0.005)
    pattern = zone_pattern(name, axis)
    expected = direction_deg(name, pattern.reference_hkl, screen)
    assert turned_by(measured["zone_axis_rotation_deg"], expected, pattern.period_deg) < 1


@settings(max_examples=60, deadline=None)
@given(case=st.sampled_from(CASES), rotation=st.floats(0, 360), scale=st.floats(0.985, 1.015))
def test_exact_lattices_at_any_rotation_and_scale(case: tuple[str, str], rotation: float, scale: float) -> None:
    name, axis = case
    best, *others = zone_axis_candidates(pattern_reflections(name, axis, rotation, scale=scale), name, size_nm=4.0)
    assert best.zone_axis == axis
    assert best.score > max((other.score for other in others), default=-np.inf) + (0.5 if axis == "[112]" else 2)
    assert turned_by(best.rotation_deg, rotation, best.period_deg) < 1e-6
    assert best.spacing_ratio == pytest.approx(1 / scale, rel=1e-6)
    assert best.residual is None or best.residual == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("name", "axis"), [("Au", "[110]"), ("Au", "[112]"), ("CdSe", "[11-20]"), ("CdSe", "[11-23]")])
def test_mirrored_scaled_and_non_square(name: str, axis: str) -> None:
    crop, _ = projected(name, THREE_INDICES[axis], rotation_deg=25)
    plain = measure_zone_axis(crop, pixel_size_nm=(0.04, 0.04), material=name)
    period = zone_pattern(name, axis).period_deg
    mirrored = measure_zone_axis(crop[:, ::-1], pixel_size_nm=(0.04, 0.04), material=name)
    assert mirrored["zone_axis"] == axis
    assert turned_by(-mirrored["zone_axis_rotation_deg"], plain["zone_axis_rotation_deg"], period) < 0.5
    larger = measure_zone_axis(crop, pixel_size_nm=(0.0404, 0.0404), material=name)
    assert larger["zone_axis"] == axis
    assert larger["zone_axis_spacing_ratio"] == pytest.approx(1.01 * plain["zone_axis_spacing_ratio"], rel=1e-3)
    stretched, _ = projected(name, THREE_INDICES[axis], rotation_deg=25, pixel_size_nm=(0.03, 0.045))
    other = measure_zone_axis(stretched, pixel_size_nm=(0.03, 0.045), material=name)
    assert other["zone_axis"] == axis
    assert turned_by(other["zone_axis_rotation_deg"], plain["zone_axis_rotation_deg"], period) < 0.5


def test_a_missing_ring_is_forgiven_and_a_missing_mate_is_not() -> None:
    # gold [110] behind a lens that has a zero at {200}: still [110]; one {111} of two gone: no longer
    whole = pattern_reflections("Au", "[110]", 10)
    without_200 = [r for r in whole if abs(r.spacing_nm - 0.20391) > 0.001]
    assert zone_axis_candidates(without_200, "Au", size_nm=4.0)[0].zone_axis == "[110]"
    both = zone_axis_candidates(whole, "Au", size_nm=4.0)[0]
    one = [r for r in whole if abs(r.spacing_nm - 0.23546) > 0.001 or r is whole[0]]
    fewer = {c.zone_axis: c for c in zone_axis_candidates(one, "Au", size_nm=4.0)}["[110]"]
    lens = {c.zone_axis: c for c in zone_axis_candidates(without_200, "Au", size_nm=4.0)}["[110]"]
    assert fewer.score < lens.score < both.score


def test_noise_has_no_confident_zone_axis() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        measured = measure_zone_axis(rng.normal(size=(90, 110)), pixel_size_nm=(0.04, 0.04), material="CdSe")
        assert (measured["zone_axis_confidence"] or 0) < 0.9
        assert measured["on_zone_score"] < 0.5


def test_what_is_not_known_is_null() -> None:
    crop, _ = projected("Au", (1, 1, 0))
    assert measure_zone_axis(crop, pixel_size_nm=None, material="Au") == dict.fromkeys(ZONE_AXIS_COLUMNS)
    without = measure_zone_axis(crop, pixel_size_nm=(0.04, 0.04), material=None)
    assert without["on_zone_score"] > 0.8
    assert all(value is None for key, value in without.items() if key != "on_zone_score")


def test_fringes_in_one_direction_are_not_on_zone() -> None:
    x = np.arange(100) * 0.04
    fringes = np.broadcast_to(np.cos(2 * np.pi * x / 0.2355), (100, 100))
    image = fringes + np.random.default_rng(1).normal(0, 1, (100, 100))
    assert measure_zone_axis(image, pixel_size_nm=(0.04, 0.04), material=None)["on_zone_score"] < 0.2


def test_one_row_of_fringes_does_not_fix_an_axis() -> None:
    """A crystal tilted about the row shows the same row: the confidence was 0.91 for [112]."""
    q = 1 / 0.23546
    one_row = [Reflection(0.0, q, 200.0), Reflection(0.0, 2 * q, 40.0)]
    best = zone_axis_candidates(one_row, "Au", size_nm=5.0)[0]
    assert best.confidence <= 0.5
    for name, axis in (("Au", "[110]"), ("Au", "[100]"), ("CdSe", "[0001]")):
        assert zone_axis_candidates(pattern_reflections(name, axis, 10), name, size_nm=5.0)[0].confidence > 0.95


def test_a_size_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="size_nm must be positive"):
        zone_axis_candidates([], "Au", size_nm=0)


@pytest.mark.slow
def test_clear_simulated_particles_by_multislice() -> None:
    # the measure: at least 95 % of clear on-zone particles; one particle per region, none cut by the border
    ranges = SimulationRanges(
        size_px=384, empty_fraction=0, misoriented_fraction=0, between_fraction=0, touching_fraction=0,
        carbon_thickness_nm=(2, 4), dose_per_nm2=(1e5, 6e5), defocus_nm=(20, 60),
    )  # fmt: skip
    right = []
    for index in range(40):
        simulated = simulate_micrograph(ranges, seed=84, index=index)
        image, step = filtering.prepare(simulated.image)[0], simulated.pixel_size_nm
        clear = simulated.regions.query("is_clear and n_particles == 1 and not touches_edge")["region_id"]
        for particle in simulated.particles[simulated.particles["region_id"].isin(clear)].itertuples():
            crop, _ = crop_particle(image, simulated.labels, particle.particle_id)
            measured = measure_zone_axis(crop, pixel_size_nm=(step, step), material=particle.material)
            right.append(measured["zone_axis"] == particle.zone_axis)
    assert len(right) >= 40
    assert np.mean(right) >= 0.95
