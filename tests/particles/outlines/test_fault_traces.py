"""Traces of faults are drawn where the geometric phase finds them."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.fourier import find_reflections, phase_step
from hrtem_dask.particles import draw_overlay, fault_trace


def disk(size: int, radius: float) -> np.ndarray:
    y, x = np.ogrid[:size, :size]
    return np.asarray(np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) <= radius)


@pytest.mark.parametrize("pixel_size_nm", [(0.05, 0.05), (0.05, 0.08)])
@pytest.mark.parametrize(("trace_deg", "offset_nm"), [(0.0, 0.5), (90.0, 0.5), (30.0, -0.7), (151.0, 0.0)])
def test_a_trace_is_a_chord(pixel_size_nm: tuple[float, float], trace_deg: float, offset_nm: float) -> None:
    inside = np.ones((81, 61), bool)
    ends = fault_trace(inside, trace_deg=trace_deg, offset_nm=offset_nm, pixel_size_nm=pixel_size_nm)
    assert ends is not None
    (y0, x0), (y1, x1) = (np.subtract(end, (40, 30)) * pixel_size_nm for end in ends)
    # its direction on the screen, y upwards, and its distance along the normal, which is 90° further
    assert np.degrees(np.arctan2(-(y1 - y0), x1 - x0)) % 180 == pytest.approx(trace_deg, abs=1e-6)
    normal = np.radians(trace_deg + 90)
    assert np.cos(normal) * x0 - np.sin(normal) * y0 == pytest.approx(offset_nm, abs=1e-9)


def test_it_ends_where_the_particle_ends() -> None:
    inside = disk(101, 40)
    ends = fault_trace(inside, trace_deg=0, offset_nm=0.0, pixel_size_nm=(0.03, 0.03))
    assert ends is not None
    assert sorted(round(end[1]) for end in ends) == [10, 90]
    assert fault_trace(inside, trace_deg=0, offset_nm=2.0, pixel_size_nm=(0.03, 0.03)) is None


def test_the_trace_lies_on_the_step_of_an_image() -> None:
    """A fault 0.6 nm above the middle, fringes inclined to it: found by the phase, drawn where it is."""
    size, pixel = 120, 0.04
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2) * pixel
    inside = disk(size, 50)
    above = -y > 0.6
    rng = np.random.default_rng(0)
    image = rng.normal(0, 0.3, (size, size))
    for angle, shift in ((90.0, 0.0), (19.5, 2 * np.pi / 3), (160.5, -2 * np.pi / 3)):
        wave = 2 * np.pi / 0.2355 * (np.cos(np.radians(angle)) * x - np.sin(np.radians(angle)) * y)
        image += 0.4 * np.cos(wave + shift * above) * inside
    found = find_reflections(image, pixel_size_nm=(pixel, pixel), spacing_range_nm=(0.1, 0.42), min_peak_snr=12)
    step = phase_step(image, inside, found, pixel_size_nm=(pixel, pixel))
    assert step is not None
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ends = fault_trace(box, trace_deg=step.angle_deg, offset_nm=step.offset_nm, pixel_size_nm=(pixel, pixel))
    assert ends is not None
    drawn = [(end[0] + rows[0] - (size - 1) / 2) * pixel for end in ends]
    np.testing.assert_allclose(drawn, -0.6, atol=0.15)


def test_an_overlay_shows_it() -> None:
    labels = np.zeros((120, 120), np.int32)
    labels[10:111, 10:111][disk(101, 40)] = 1
    table = pd.DataFrame(
        {"particle_id": [1], "exclusion_reason": [None], "fault_trace_deg": [0.0], "fault_offset_nm": [0.0]}
    )
    plain = draw_overlay(np.zeros((120, 120)), labels, table=table.iloc[:, :2], pixel_size_nm=(0.03, 0.03))
    traced = draw_overlay(np.zeros((120, 120)), labels, table=table, pixel_size_nm=(0.03, 0.03))
    changed = np.argwhere((plain != traced).any(axis=-1))
    assert 55 <= changed[:, 0].min() <= changed[:, 0].max() <= 65  # a level line through the middle
    assert np.ptp(changed[:, 1]) >= 70
