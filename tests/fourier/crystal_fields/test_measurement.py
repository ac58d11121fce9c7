"""Lattice and faults of windows, against the crystal that was simulated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrtem_dask.crystals import find_material
from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier.crystal_fields.measurement import measure_windows, phase_maps
from hrtem_dask.fourier.lattice import measure_lattice
from hrtem_dask.fourier.pattern import between_deg


def known_spacings(material: str) -> np.ndarray:
    """Spacings of the reflections of a cubic crystal with indices that are all odd or all even."""
    a = find_material(material).a_nm
    squares = [3, 4, 8, 11, 12, 16, 19, 20, 24, 27]
    return a / np.sqrt(squares)


@pytest.mark.parametrize("material", ["Au", "CdTe"])
def test_spacings_and_zone_axis_are_those_of_the_material(make_crystal: Callable[..., Any], material: str) -> None:
    for kind in (None, "intrinsic"):
        field = make_crystal(material, kind)
        windows = measure_windows(field.image, pixel_size_nm=field.pixel_size_nm, material=material)
        known = known_spacings(material)
        for window in windows:
            assert window.zone_axis["zone_axis"] == "[110]"
            assert window.zone_axis["zone_axis_spacing_ratio"] == pytest.approx(1, abs=0.01)
            for name in ("spacing_1_nm", "spacing_2_nm"):
                assert np.abs(window.lattice[name] / known - 1).min() < 0.01


def test_perfect_crystals_have_no_fault(make_crystal: Callable[..., Any]) -> None:
    gains = []
    for material in ("Au", "CdTe"):
        for counts, seed in ((5.0, 2), (20.0, 3), (200.0, 4)):
            field = make_crystal(material, counts=counts, seed=seed, normal_deg=30.0 * seed)
            windows = measure_windows(field.image, pixel_size_nm=field.pixel_size_nm)
            assert [w.fault_kind for w in windows] == [None] * len(windows)
            gains += [w.step.gain for w in windows if w.step is not None]
    print(f"faults in windows of perfect simulated crystals: 0 of {len(gains)}, largest gain {max(gains):.3f}")  # noqa: T201
    assert len(gains) >= 50
    assert max(gains) < 0.05


@pytest.mark.parametrize("material", ["Au", "CdTe"])
def test_windows_that_hold_a_fault_see_it_and_others_do_not(make_crystal: Callable[..., Any], material: str) -> None:
    for kind, name in (("intrinsic", "stacking_fault"), ("twin", "twin_boundary")):
        field = make_crystal(material, kind)
        angle = np.deg2rad(field.trace_deg)
        found = missed = false = 0
        for window in measure_windows(field.image, pixel_size_nm=field.pixel_size_nm):
            y0, x0, y1, x1 = window.window.box
            middle = np.array([y0 + y1 - 320, x0 + x1 - 320]) / 2 * 0.03
            away = abs(middle @ [-np.cos(angle), -np.sin(angle)] - field.offset_nm)
            if away < 0.9:  # the fault passes well inside of the window of 5 nm
                found += window.fault_kind == name
                missed += window.fault_kind != name
                assert window.step is not None
                assert between_deg(window.step.angle_deg, field.trace_deg) < 3
            elif away > 3.6:  # beyond its corners
                false += window.fault_kind is not None
        assert found >= 2
        assert (missed, false) == (0, 0)


def kinds_beside_the_border(field: Any, margin_nm: float) -> set[str | None]:
    """Kinds that the windows at a fault name if the field ends so far beyond it; its trace must be upright."""
    column = round((field.image.shape[1] - 1) / 2 - (field.offset_nm + margin_nm) / field.pixel_size_nm[1])
    cut = np.ascontiguousarray(field.image[:, column:])
    windows = measure_windows(cut, pixel_size_nm=field.pixel_size_nm)
    return {w.fault_kind for w in windows if w.window.box[1] == 0}


@pytest.mark.parametrize(("kind", "name"), [("intrinsic", "stacking_fault"), ("extrinsic", "stacking_fault")])
def test_at_the_border_the_kind_of_a_fault_is_unknown_and_not_wrong(
    make_crystal: Callable[..., Any], kind: str, name: str
) -> None:
    seen = set()
    for material in ("Au", "CdTe"):
        field = make_crystal(material, kind, normal_deg=0.0, height_nm=0.0, seed=5)
        for margin_nm in (0.2, 0.4, 0.6, 0.8, 1.0):
            seen |= kinds_beside_the_border(field, margin_nm)
        assert kinds_beside_the_border(field, 2.4) == {name}
    assert "unknown" in seen
    assert "twin_boundary" not in seen


@pytest.mark.slow
@pytest.mark.parametrize("material", ["Au", "CdTe"])
@pytest.mark.parametrize("counts", [8.0, 30.0, 300.0])
def test_kinds_of_faults_wherever_they_lie_in_a_window(
    make_crystal: Callable[..., Any], material: str, counts: float
) -> None:
    right = []
    for kind, name in (("intrinsic", "stacking_fault"), ("extrinsic", "stacking_fault"), ("twin", "twin_boundary")):
        field = make_crystal(material, kind, normal_deg=0.0, height_nm=0.0, seed=7, counts=counts)
        for margin_nm in np.arange(0.2, 4.9, 0.2):
            known = kinds_beside_the_border(field, margin_nm) - {None, "unknown"}
            right += [found == name for found in known]
    print(f"kinds at {counts:g} counts: {sum(right)} of {len(right)} right")  # noqa: T201
    assert len(right) >= 30
    assert np.mean(right) > 0.95


def test_lattice_columns_are_those_of_a_crop(make_crystal: Callable[..., Any]) -> None:
    field = make_crystal("Au")
    for window in measure_windows(field.image, pixel_size_nm=field.pixel_size_nm)[:4]:
        alone = measure_lattice(field.image[window.window.part], pixel_size_nm=field.pixel_size_nm)
        assert window.lattice == alone


def test_fine_pixels_give_the_same_spacings_and_boxes_in_pixels_of_the_image(make_crystal: Callable[..., Any]) -> None:
    fine = make_crystal("Au", shape=(448, 432), pixel_size_nm=0.0125)
    windows = measure_windows(fine.image, pixel_size_nm=fine.pixel_size_nm, material="Au")
    assert max(w.window.box[2] for w in windows) == 448
    assert max(w.window.core[3] for w in windows) == 432
    assert all(w.zone_axis["zone_axis_spacing_ratio"] == pytest.approx(1, abs=0.01) for w in windows)


def test_nothing_is_invented_without_a_lattice(rng: np.random.Generator) -> None:
    for window in measure_windows(rng.normal(size=(200, 200)), pixel_size_nm=(0.04, 0.04)):
        assert window.lattice["spacing_1_nm"] is None
        assert window.fault_kind is None
    assert phase_maps(rng.normal(size=(200, 200)), pixel_size_nm=(0.04, 0.04)) == []


@pytest.mark.parametrize("pixel", [(0.0, 0.03), (0.03, np.nan)])
def test_an_impossible_pixel_size_is_refused(pixel: tuple[float, float]) -> None:
    with pytest.raises(CalibrationError, match="pixel size"):
        measure_windows(np.zeros((200, 200)), pixel_size_nm=pixel)


@pytest.mark.slow
def test_phase_jumps_by_a_third_of_a_turn_at_an_intrinsic_fault(make_crystal: Callable[..., Any]) -> None:
    field = make_crystal("Au", "intrinsic")
    angle = np.deg2rad(field.trace_deg)
    normal = np.array([-np.cos(angle), -np.sin(angle)])
    own, inclined = [], []
    for one in phase_maps(field.image, pixel_size_nm=field.pixel_size_nm):
        fits = []
        for sides_nm in (np.arange(-3, -0.9, 0.25), np.arange(1, 3.1, 0.25)):
            places = ((field.offset_nm + sides_nm)[:, np.newaxis] * normal / 0.03 + 159.5).astype(int)
            waves = np.exp(1j * one.phase_rad)
            phase = [np.angle(waves[y - 6 : y + 7, x - 6 : x + 7].mean()) for y, x in places]
            fits.append(np.polyfit(sides_nm, np.unwrap(phase), 1)[1])  # extrapolated to the plane
        step = abs(np.angle(np.exp(1j * (fits[1] - fits[0]))))
        parallel = between_deg(one.reflection.direction_deg, field.trace_deg + 90) < 8
        (own if parallel else inclined).append(step)
    assert inclined
    assert all(step == pytest.approx(2 * np.pi / 3, abs=0.35) for step in inclined)
    assert all(step < 0.2 for step in own)
