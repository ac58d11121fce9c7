"""Rotated boxes: one convention, checked against rectangles painted and measured as particles are."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.detection.rotated_boxes import (
    angle_difference_deg,
    box_around_points,
    canonical,
    check_rotated_boxes,
    corners,
    hulls,
    rotate_boxes,
)
from hrtem_dask.particles.shape.descriptors import measure_particles

numbers = st.floats(-1000, 1000, width=32)
sides = st.floats(0.125, 500, width=32)
boxes = st.tuples(numbers, numbers, sides, sides, numbers).map(lambda b: canonical(np.array(b)))


@pytest.mark.parametrize("angle_deg", [-90, -67, -30, 0, 12, 45, 80])
def test_angle_is_the_orientation_of_the_particle_table(angle_deg: float) -> None:
    labels = np.zeros((120, 120), dtype=np.int32)
    box = np.array([61.3, 55.2, 80, 20, angle_deg])
    mask_of_box(box, labels.shape).paint(labels)
    row = measure_particles(labels, np.zeros(labels.shape), pixel_size_nm=None).iloc[0]
    assert angle_difference_deg(row["orientation_deg"], angle_deg) == pytest.approx(0, abs=0.2)
    assert (row["centroid_x_px"], row["centroid_y_px"]) == pytest.approx((61.3, 55.2), abs=0.3)
    assert row["area_px"] == pytest.approx(1600, rel=0.02)


@given(boxes)
def test_the_box_around_its_corners_is_the_box(box: np.ndarray) -> None:
    check_rotated_boxes(box[None])
    again = box_around_points(corners(box))
    assert again[:4] == pytest.approx(box[:4], abs=1e-3)  # the hull is found in float32
    if box[2] > 1.01 * box[3]:
        assert angle_difference_deg(again[4], box[4]) == pytest.approx(0, abs=0.1)


@example(np.array([[-0.0, 0.0], [0.0, 0.0]]))
@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-100, 100, width=32)))
def test_the_box_around_points_holds_them_and_is_no_larger_than_opencvs(points: np.ndarray) -> None:
    box = box_around_points(points)
    angle = np.deg2rad(box[4])
    u = (points - box[:2]) @ (np.cos(angle), -np.sin(angle))
    v = (points - box[:2]) @ (np.sin(angle), np.cos(angle))
    assert np.abs(u).max() <= box[2] / 2 + 1e-6
    assert np.abs(v).max() <= box[3] / 2 + 1e-6
    _, (length, width), _ = cv2.minAreaRect(points.astype(np.float32))
    assert box[2] * box[3] <= length * width * 1.001 + 0.01


@given(boxes, st.floats(-720, 720))
def test_turning_moves_the_corners(box: np.ndarray, angle_deg: float) -> None:
    turned = rotate_boxes(box[None], angle_deg, (3, -4))[0]
    check_rotated_boxes(turned[None])
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    expected = (corners(box) - (3, -4)) @ np.array([[cos, -sin], [sin, cos]]) + (3, -4)
    distances = np.hypot(*np.moveaxis(corners(turned)[:, None] - expected, -1, 0))
    assert distances.min(axis=0) == pytest.approx(0, abs=1e-6)


@given(boxes)
def test_hulls_are_those_of_the_corners(box: np.ndarray) -> None:
    expected = [*corners(box).min(axis=0), *corners(box).max(axis=0)]
    assert hulls(box) == pytest.approx(expected, abs=1e-9)


@given(numbers, numbers, st.sampled_from([90.0, 180.0]))
def test_differences_of_angles_know_the_period(first: float, second: float, period: float) -> None:
    difference = angle_difference_deg(np.float64(first), np.float64(second), period_deg=period)
    assert -period / 2 <= difference <= period / 2
    turns = (first - second - difference) / period
    assert turns == pytest.approx(round(turns), abs=1e-6)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 1, 2, 0), (0, 0, 2, 1, 90), (0, 0, 2, 1, -91), (0, 0, 2, 0, 0), (np.nan, 0, 2, 1, 0), (0, 0, 2, 1, np.inf)],
)
def test_boxes_outside_the_convention_are_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rotated box 0"):
        check_rotated_boxes(np.array([box]))


def test_tiny_negative_angles_stay_in_range() -> None:
    check_rotated_boxes(canonical(np.array([[0, 0, 2, 1, -90 - 1e-16], [0, 0, 1, 2, -1e-15], [0, 0, 2, 1, 90.0]])))


def test_points_are_needed() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        box_around_points(np.zeros((0, 2)))
