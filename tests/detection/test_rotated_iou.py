"""Overlap of rotated boxes against shapely's polygons, and suppression of duplicates."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hrtem_dask.detection.rotated_boxes import canonical, corners, rotate_boxes
from hrtem_dask.detection.rotated_iou import lowered_scores, rotated_intersections, rotated_iou, rotated_nms

box = st.tuples(
    st.floats(-60, 60), st.floats(-60, 60), st.floats(0.5, 120), st.floats(0.5, 120), st.floats(-90, 89.9)
).map(lambda b: canonical(np.array(b)))


def _shapely_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the oracle's intersection over union of all pairs."""
    a, b = shapely.polygons(corners(first))[:, None], shapely.polygons(corners(second))[None]
    shared = shapely.area(shapely.intersection(a, b))
    return np.asarray(shared / (shapely.area(a) + shapely.area(b) - shared))


@given(st.lists(box, min_size=1, max_size=5), st.lists(box, min_size=1, max_size=5))
@settings(deadline=None)
def test_iou_is_shapelys(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    a, b = np.array(first), np.array(second)
    assert_allclose(rotated_iou(a, b), _shapely_iou(a, b), atol=1e-6)


@given(box, st.integers(-12, 0), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_nearly_identical_boxes(one: np.ndarray, exponent: int, seed: int) -> None:
    other = canonical(one + np.random.default_rng(seed).uniform(-1, 1, 5) * 10.0**exponent * [1, 1, 0.1, 0.1, 1])
    a, b = one[None], np.abs(other[None]) * [0, 0, 1, 1, 0] + other[None] * [1, 1, 0, 0, 1]
    b[:, 2:4] = np.maximum(b[:, 2:4], 0.1)
    iou = rotated_iou(a, b)
    assert_allclose(iou, rotated_iou(b, a).T, atol=1e-9)
    assert_allclose(iou, _shapely_iou(a, b), atol=1e-6)
    assert rotated_iou(a, a) == pytest.approx(1, abs=1e-12)


@given(st.lists(box, min_size=1, max_size=5), st.lists(box, min_size=1, max_size=5), st.floats(0.01, 1))
@settings(deadline=None)
def test_pairs_that_reach_a_least_value_are_exact(
    first: list[np.ndarray], second: list[np.ndarray], least: float
) -> None:
    a, b = np.array(first), np.array([*second, first[0]])
    exact, limited = rotated_iou(a, b), rotated_iou(a, b, least=least)
    reached = exact >= least
    assert_allclose(limited[reached], exact[reached], atol=1e-12)
    assert (limited[~reached] <= exact[~reached] + 1e-12).all()


@given(box, box, st.floats(-180, 180))
@settings(deadline=None)
def test_turning_both_changes_nothing(one: np.ndarray, other: np.ndarray, angle_deg: float) -> None:
    turned = rotate_boxes(np.stack([one, other]), angle_deg, (7, -3))
    assert_allclose(rotated_iou(turned[:1], turned[1:]), rotated_iou(one[None], other[None]), atol=1e-9)


def test_axis_aligned_boxes_by_hand() -> None:
    a, b = np.array([[0, 0, 4, 2, 0.0]]), np.array([[1, 1, 4, 2, 0.0], [0, 0, 4, 2, -90], [2, 2, 1, 1, 0]])
    assert_allclose(rotated_intersections(a, b), [[3, 4, 0]])
    assert_allclose(rotated_iou(a, b), [[3 / 13, 4 / 12, 0]])
    assert rotated_iou(a, np.zeros((0, 5))).shape == (1, 0)


def test_suppression_keeps_crossing_rods_and_the_best_of_duplicates() -> None:
    boxes = np.array([[0, 0, 40, 6, 0], [0, 0, 40, 6, 60], [1, 0, 40, 6, 2], [0.5, 0, 39, 6, 61], [90, 0, 4, 2, 0]])
    kept = rotated_nms(boxes, np.array([0.8, 0.5, 0.9, 0.7, 0.1]), iou_threshold=0.5)
    assert kept.tolist() == [2, 3, 4]
    grouped = rotated_nms(boxes, np.ones(5), iou_threshold=0.5, groups=np.array([0, 0, 1, 1, 0]))
    assert grouped.tolist() == [0, 1, 2, 3, 4]
    assert rotated_nms(np.zeros((0, 5)), np.zeros(0), iou_threshold=0.5).size == 0


def test_kept_boxes_do_not_overlap_and_suppressed_ones_do() -> None:
    rng = np.random.default_rng(3)
    boxes = canonical(
        np.column_stack([rng.uniform(0, 60, (80, 2)), rng.uniform(5, 50, (80, 2)), rng.uniform(0, 180, 80)])
    )
    scores = rng.random(80)
    kept = rotated_nms(boxes, scores, iou_threshold=0.3)
    assert (np.diff(scores[kept]) <= 0).all()
    iou = _shapely_iou(boxes[kept], boxes)
    assert (iou[:, kept] - np.eye(len(kept))).max() <= 0.3
    better = scores[kept][:, None] > scores[None]
    assert ((iou > 0.3) & better).any(axis=0)[np.setdiff1d(np.arange(80), kept)].all()


def test_scores_are_lowered_by_the_overlap_with_a_surer_box_of_the_class() -> None:
    long = np.array([50.0, 50, 60, 12, 0])
    beside = long + np.array([12, 0, 0, 0, 0])  # shares 48 of 72 px along the length
    crossing = np.array([50.0, 50, 60, 12, 90])
    boxes, scores = np.stack([long, beside, crossing, beside]), np.array([0.9, 0.8, 0.7, 0.6])
    lowered = lowered_scores(boxes, scores, from_iou=0.45, groups=np.array([0, 0, 0, 1]))
    assert_allclose(lowered, [0.9, 0.8 / 3, 0.7, 0.6])
    assert_allclose(lowered_scores(boxes, scores, from_iou=0.7, groups=np.array([0, 0, 0, 1])), scores)
    nothing = lowered_scores(np.zeros((0, 5)), np.zeros(0), from_iou=0.45, groups=np.zeros(0, int))
    assert nothing.shape == (0,)
