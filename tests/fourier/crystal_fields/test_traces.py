"""Joined fault traces, against the position and direction of simulated faults, and on a real micrograph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from hrtem_dask.fourier.crystal_fields.measurement import MIN_GAIN, measure_windows
from hrtem_dask.fourier.crystal_fields.traces import FaultTrace, joined_traces
from hrtem_dask.fourier.pattern import between_deg


def traces_of(image: np.ndarray, pixel: tuple[float, float]) -> list[FaultTrace]:
    return joined_traces(measure_windows(image, pixel_size_nm=pixel), pixel_size_nm=pixel)


def distance_nm(trace: FaultTrace, field: Any) -> float:
    """Largest distance of the ends of a trace from the true plane."""
    angle = np.deg2rad(field.trace_deg)
    middle = (np.array(field.image.shape) - 1) / 2
    ends = (np.array(trace.ends_px) - middle) * field.pixel_size_nm
    return float(np.abs(ends @ [-np.cos(angle), -np.sin(angle)] - field.offset_nm).max())


@pytest.mark.parametrize(("kind", "name"), [("intrinsic", "stacking_fault"), ("twin", "twin_boundary")])
@pytest.mark.parametrize("material", ["Au", "CdTe"])
def test_one_trace_from_border_to_border(make_crystal: Callable[..., Any], material: str, kind: str, name: str) -> None:
    for normal, height, shape in ((20.0, 0.8, (320, 320)), (115.0, -1.2, (300, 380))):
        field = make_crystal(material, kind, normal_deg=normal, height_nm=height, shape=shape)
        (trace,) = traces_of(field.image, field.pixel_size_nm)
        assert trace.kind == name
        assert between_deg(trace.trace_deg, field.trace_deg) < 2
        assert distance_nm(trace, field) < 0.25  # 8 px
        # both ends are at the border, as far as windows can tell
        y, x = np.array(trace.ends_px).T
        for a, b in zip(y, x, strict=True):
            assert min(a, shape[0] - a, b, shape[1] - b) * 0.03 < 1.4
        assert trace.length_nm == pytest.approx(float(np.hypot(np.ptp(y), np.ptp(x))) * 0.03, rel=1e-6)
        if kind == "intrinsic":
            assert trace.step_rad == pytest.approx(2 * np.pi / 3, abs=0.35)
            assert trace.amplitude_asymmetry < 0.4


def test_turned_images_give_turned_traces(make_crystal: Callable[..., Any]) -> None:
    field = make_crystal("Au", "intrinsic")
    (trace,) = traces_of(field.image, field.pixel_size_nm)
    (turned,) = traces_of(np.rot90(field.image), field.pixel_size_nm)  # counter-clockwise
    assert between_deg(turned.trace_deg, trace.trace_deg + 90) < 1
    places = {(round(319 - x), round(y)) for y, x in trace.ends_px}
    for y, x in turned.ends_px:
        assert min(np.hypot(y - a, x - b) for a, b in places) < 12


def test_no_trace_in_a_perfect_crystal(make_crystal: Callable[..., Any]) -> None:
    for material in ("Au", "CdTe"):
        field = make_crystal(material)
        assert traces_of(field.image, field.pixel_size_nm) == []


def near(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> float:
    """Distance (px) of a point from the segment between two others."""
    share = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return float(np.linalg.norm(point - a - share * (b - a)))


def length_inside(a: np.ndarray, b: np.ndarray, box: tuple[int, int, int, int]) -> float:
    """Length (px) of a segment inside of a box."""
    points = a + (b - a) * np.linspace(0, 1, 2001)[:, np.newaxis]
    inside = ((points >= box[:2]) & (points < box[2:])).all(1)
    return float(np.linalg.norm(b - a) * inside.mean())


SEEN = {
    "upright": ("stacking_fault", (0, 331), (352, 335)),
    "inclined": ("stacking_fault", (252, 0), (352, 332)),
    "twin": ("twin_boundary", (688, 0), (767, 262)),
}
"""Ends (y, x), read off the micrograph of CdTe by eye: two faults that meet in a dislocation core, and a twin at the
lower left."""


def micrograph_of_cdte(data: Path) -> np.ndarray:
    return np.asarray(iio.imread(data / "cdte_stacking_fault" / "CdTe_micrograph_768.png"), np.float32)


def test_the_faults_of_cdte(data: Path) -> None:
    image = micrograph_of_cdte(data)
    lines = {name: (np.array(a, float), np.array(b, float)) for name, (_, a, b) in SEEN.items()}
    windows = measure_windows(image, pixel_size_nm=(0.027, 0.027))
    found = joined_traces(windows, pixel_size_nm=(0.027, 0.027))
    assert len(found) == 3
    for name, (kind, *_) in SEEN.items():
        a, b = lines[name]
        (trace,) = [t for t in found if max(near(a, b, np.array(end)) for end in t.ends_px) < 40]
        assert trace.kind == kind, name
        assert trace.length_nm > 0.75 * np.linalg.norm(b - a) * 0.027
    # windows with at least 0.8 of their side of a fault must see one; those without any must not
    side = windows[0].window.box[2] - windows[0].window.box[0]
    lengths = [max(length_inside(a, b, w.window.box) for a, b in lines.values()) / side for w in windows]
    kept = [(length, w.fault_kind) for length, w in zip(lengths, windows, strict=True) if length == 0 or length >= 0.8]
    hits = sum(kind is not None for length, kind in kept if length)
    false = sum(kind is not None for length, kind in kept if not length)
    n_faulted = sum(length > 0 for length, _ in kept)
    print(f"CdTe: faults in {hits} of {n_faulted} windows, false alarms in {false} of {len(kept) - n_faulted}")  # noqa: T201
    assert n_faulted >= 8
    assert false == 0
    assert hits >= n_faulted - 2
    assert max(w.step.gain for w, length in zip(windows, lengths, strict=True) if not length and w.step) < MIN_GAIN / 2


@pytest.mark.slow
@pytest.mark.parametrize("stride", [33, 41])
def test_windows_of_cdte_wherever_they_lie(data: Path, stride: int) -> None:
    image, side, margin = micrograph_of_cdte(data), 185, 24
    lines = {name: (np.array(a, float), np.array(b, float)) for name, (_, a, b) in SEEN.items()}
    seen, of_faults, false, perfect = 0, [], 0, 0
    for y in range(0, 768 - side + 1, stride):
        for x in range(0, 768 - side + 1, stride):
            (window,) = measure_windows(image[y : y + side, x : x + side], pixel_size_nm=(0.027, 0.027))
            around, core = (y - 8, x - 8, y + side + 8, x + side + 8), (y + margin, x + margin)
            core = (*core, y + side - margin, x + side - margin)
            held = [name for name, line in lines.items() if length_inside(*line, around)]
            if not held:
                perfect += 1
                false += window.fault_kind is not None
            elif len(held) == 1 and length_inside(*lines[held[0]], core) >= side / 2:
                seen += window.fault_kind is not None
                of_faults.append((SEEN[held[0]][0], window.fault_kind))
    right = sum(kind == true for true, kind in of_faults)
    unknown = sum(kind == "unknown" for _, kind in of_faults)
    print(  # noqa: T201
        f"CdTe, windows every {stride} px: {seen} of {len(of_faults)} faults, {right} kinds right, {unknown} unknown; "
        f"false alarms in {false} of {perfect}"
    )
    assert (seen, false) == (len(of_faults), 0)
    assert right + unknown == len(of_faults)
    assert perfect > 100
    assert len(of_faults) >= 20
