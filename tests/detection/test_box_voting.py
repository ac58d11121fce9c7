"""Boxes are moved to where all boxes of one instance say that it is."""

import numpy as np
import pytest

from hrtem_dask.detection.box_voting import vote_boxes
from hrtem_dask.detection.rotated_iou import rotated_iou

TRUE = np.array([100.0, 80.0, 60.0, 15.0, 30.0])


def noisy(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return TRUE + rng.normal(0, [1.5, 1.5, 3.0, 0.8, 1.5], (n, 5))


@pytest.mark.parametrize("angle", [-90.0, -60.0, 0.0, 45.0, 88.0])
def test_the_mean_of_many_boxes_is_nearer_to_the_truth(angle: float) -> None:
    """Also across the end of the range of angles."""
    boxes = noisy(40)
    boxes[:, 4] = (boxes[:, 4] - 30 + angle + 90) % 180 - 90
    true = np.array([*TRUE[:4], angle])
    before = rotated_iou(true[None], boxes).mean()
    moved = vote_boxes(boxes, np.full(40, 0.9), np.zeros(40, int), np.array([0, 1]), min_iou=0.5)
    after = rotated_iou(true[None], moved)[0]
    assert (after > before).all()
    assert after.min() > 0.9
    assert ((moved[:, 4] >= -90) & (moved[:, 4] < 90)).all()


def test_a_box_alone_stays() -> None:
    far = TRUE + np.array([200, 0, 0, 0, 0])
    crossing = TRUE + np.array([0, 0, 0, 0, 55])
    other_class = TRUE + np.array([1, 0, 0, 0, 0])
    boxes, groups = np.stack([TRUE, far, crossing, other_class]), np.array([0, 0, 0, 1])
    moved = vote_boxes(boxes, np.ones(4), groups, np.array([0]), min_iou=0.2)
    assert moved[0] == pytest.approx(TRUE)


def test_surer_boxes_have_more_weight() -> None:
    boxes = np.stack([TRUE, TRUE + np.array([4, 0, 0, 0, 0])])
    near, far = (
        vote_boxes(boxes, np.array([1.0, score]), np.zeros(2, int), np.array([0]), min_iou=0.5)[0, 0]
        for score in (0.2, 0.9)
    )
    assert 100 < near < far < 102


def test_boxes_without_a_vote_move_nothing() -> None:
    boxes = np.stack([TRUE, TRUE + np.array([4, 0, 0, 0, 0])])
    moved = vote_boxes(boxes, np.zeros(2), np.zeros(2, int), np.array([1]), min_iou=0.5)
    assert moved[0] == pytest.approx(boxes[1])


def test_nothing_kept() -> None:
    assert vote_boxes(np.zeros((0, 5)), np.zeros(0), np.zeros(0, int), np.zeros(0, int), min_iou=0.5).shape == (0, 5)
