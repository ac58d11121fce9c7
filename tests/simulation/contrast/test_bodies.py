"""Each shape's outline, distance and thickness belong together, and its size is what was asked for."""

import cv2
import numpy as np
import pytest

from hrtem_dask.simulation.contrast import SHAPES
from hrtem_dask.simulation.contrast.bodies import Body, ellipsoid, scaled, with_core
from hrtem_dask.simulation.contrast.polygons import moments, rounded, segment_distance
from hrtem_dask.simulation.contrast.shapes import Habit, make_body


def grid(body: Body) -> tuple[np.ndarray, np.ndarray]:
    half = np.ceil(body.reach) + 2
    line = np.arange(-half, half + 1, dtype=np.float32)
    return line[:, None], line[None, :]


@pytest.mark.parametrize("diameter_px", [9.0, 40.0, 160.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_outline_and_distance_are_one_figure(shape: str, diameter_px: float) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        habit = Habit(aspect=float(rng.uniform(1.2, 8)), roundness=float(rng.random()), tilt_deg=20.0)
        body = make_body(rng, shape, habit, diameter_px, float(rng.uniform(0, 6)))
        assert body.equivalent_diameter == pytest.approx(diameter_px, rel=1e-6)
        y, x = grid(body)
        inside = body.distance(y, x) < 0
        perimeter = np.hypot(*(body.outline - np.roll(body.outline, 1, axis=0)).T).sum()
        assert abs(inside.sum() - body.moments.area_px) < max(0.25 * perimeter, 3)
        # on its own outline the distance is 0
        points = body.outline.astype(np.float32)
        assert np.abs(body.distance(points[:, 0], points[:, 1])).max() < 0.05 + 0.002 * diameter_px
        thickness = body.thickness(y, x)
        assert thickness.shape == inside.shape
        assert np.isfinite(thickness).all()
        assert thickness[inside].min() >= 0
        assert thickness[inside].mean() > 0.02 * diameter_px
        assert thickness.dtype == np.float32


@pytest.mark.parametrize("shape", SHAPES)
def test_the_filled_outline_is_the_label(shape: str) -> None:
    """Rings and cores too: the outer outline filled, as OpenCV fills it."""
    body = make_body(np.random.default_rng(3), shape, Habit(), 70.0, 0.4)
    y, x = grid(body)
    inside = body.distance(y, x) < 0
    canvas = np.zeros(inside.shape, np.uint8)
    points = np.round((body.outline[:, ::-1] - [x.min(), y.min()]) * 256).astype(np.int32)
    cv2.fillPoly(canvas, [points], 1, shift=8)
    differing = (canvas > 0) != inside
    # OpenCV's fill takes the pixels on the border in as well
    edge = np.abs(body.distance(y, x)) < 1.2
    assert not (differing & ~edge).any()


def test_moments_are_those_of_a_rectangle_and_an_ellipse() -> None:
    rectangle = moments(np.array([[1.0, 2.0], [1.0, 8.0], [4.0, 8.0], [4.0, 2.0]]))
    assert rectangle.area_px == pytest.approx(18)
    assert rectangle.centroid_px == pytest.approx((2.5, 5.0))
    assert rectangle.major_axis_px == pytest.approx(4 * 6 / 12**0.5)
    assert rectangle.minor_axis_px == pytest.approx(4 * 3 / 12**0.5)
    ellipse = ellipsoid(20, 10, 10, 0.7).moments
    assert ellipse.area_px == pytest.approx(np.pi * 200, rel=1e-9)
    assert ellipse.major_axis_px == pytest.approx(40, rel=1e-3)
    assert ellipse.minor_axis_px == pytest.approx(20, rel=1e-3)


def test_a_rounded_square_has_its_area_and_distances() -> None:
    square = np.array([[-10.0, -10.0], [-10.0, 10.0], [10.0, 10.0], [10.0, -10.0]])
    assert moments(rounded(square, 3.0, n_per_corner=64)).area_px == pytest.approx(400 + 4 * 60 + 9 * np.pi, rel=1e-4)
    y, x = np.array([0.0, 13.0, 0.0]), np.array([0.0, 14.0, 12.0])
    assert segment_distance(square, y, x) == pytest.approx([-10, 5, 2], abs=1e-5)


def test_a_hollow_sphere_is_thin_in_its_middle_and_whole_in_its_outline() -> None:
    whole = scaled(ellipsoid(1, 1, 1), 60.0)
    hollow = with_core(whole, ratio=0.8, density=0.0)
    zero = np.zeros(1, np.float32)
    assert hollow.thickness(zero, zero)[0] == pytest.approx(60 * 0.2, rel=1e-3)
    np.testing.assert_array_equal(hollow.outline, whole.outline)
    near = np.array([27.0], np.float32)
    assert hollow.thickness(zero, near)[0] == pytest.approx(whole.thickness(zero, near)[0])
