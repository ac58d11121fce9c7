"""Particles matched: by hand, by an assignment solver, and by pycocotools."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from hrtem_dask.evaluation import compare_objects, count_objects
from hrtem_dask.evaluation.objects import IOU_THRESHOLDS, overlaps

label_images = hnp.arrays(np.int32, (6, 8), elements=st.integers(0, 4))


def blocks(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    """Label image of boxes (y0, x0, y1, x1)."""
    labels = np.zeros(shape, np.int32)
    for number, (y0, x0, y1, x1) in enumerate(boxes, 1):
        labels[y0:y1, x0:x1] = number
    return labels


def scored(predicted: np.ndarray, truth: np.ndarray, min_area_px: float = 0) -> dict[str, Any]:
    return count_objects(*compare_objects(predicted, truth, min_area_px=min_area_px))


def iou_table(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Every pair's intersection over union, the plain way."""
    pairs = [[(truth == t, predicted == p) for p in np.unique(predicted) if p] for t in np.unique(truth) if t]
    return np.array([[(a & b).sum() / (a | b).sum() for a, b in row] for row in pairs])


@given(predicted=label_images, truth=label_images)
def test_as_many_match_as_an_assignment_solver_finds(predicted: np.ndarray, truth: np.ndarray) -> None:
    table, counts = iou_table(predicted, truth), scored(predicted, truth)
    for threshold in IOU_THRESHOLDS:
        reached = table >= threshold - 1e-9 if table.size else np.zeros((0, 0), bool)
        rows, columns = linear_sum_assignment(reached, maximize=True) if table.size else ((), ())
        assert counts[f"n_matched_iou{round(100 * threshold)}"] == int(reached[rows, columns].sum())


@given(predicted=label_images, truth=label_images, seed=st.integers(0, 1000))
def test_names_of_particles_do_not_matter(predicted: np.ndarray, truth: np.ndarray, seed: int) -> None:
    new = np.random.default_rng(seed).permutation(np.arange(1, 30))
    one, two = (np.concatenate([[0], part]).astype(np.int32) for part in (new[:10], new[10:20]))
    assert scored(one[predicted], two[truth], 4) == scored(predicted, truth, 4)


@given(predicted=label_images, truth=label_images)
def test_turning_and_exchanging_sides(predicted: np.ndarray, truth: np.ndarray) -> None:
    counts = scored(predicted, truth)
    assert scored(predicted[::-1].T, truth[::-1].T) == counts
    other = scored(truth, predicted)
    assert (other["n_true"], other["n_splits"]) == (counts["n_predicted"], counts["n_merges"])
    assert other["n_matched_iou50"] == counts["n_matched_iou50"]


@given(truth=label_images)
def test_truth_itself_is_perfect(truth: np.ndarray) -> None:
    counts = scored(truth, truth)
    assert counts["n_matched_iou95"] == counts["n_true"] == counts["n_judged"] == len(np.unique(truth[truth > 0]))
    assert counts["n_merges"] == counts["n_splits"] == 0


@given(predicted=label_images, truth=label_images)
def test_overlaps_are_counted_as_they_are(predicted: np.ndarray, truth: np.ndarray) -> None:
    for row in overlaps(truth, predicted).itertuples():
        a, b = truth == row.true_label, predicted == row.predicted_label
        assert (row.shared_px, row.true_px, row.predicted_px) == ((a & b).sum(), a.sum(), b.sum())
        assert row.iou == pytest.approx((a & b).sum() / (a | b).sum())


def test_by_hand() -> None:
    truth = blocks((0, 0, 10, 10), (0, 20, 10, 30), (20, 0, 30, 10), (20, 11, 30, 21))
    # the first exactly, the second by 60 of 140 px, the last two in one, and one found in vain
    predicted = blocks((0, 0, 10, 10), (0, 24, 10, 34), (20, 0, 30, 21), (30, 40, 38, 48))
    counts = scored(predicted, truth)
    assert {k: counts[k] for k in ("n_true", "n_predicted", "n_judged", "n_merges", "n_splits")} == {
        "n_true": 4, "n_predicted": 4, "n_judged": 4, "n_merges": 1, "n_splits": 0,
    }  # fmt: skip
    assert counts["n_matched_iou50"] == counts["n_matched_iou95"] == 1
    assert scored(truth, predicted)["n_splits"] == 1


def test_two_exact_halves_match_once() -> None:
    truth, halves = blocks((0, 0, 10, 20)), blocks((0, 0, 10, 10), (0, 10, 10, 20))
    for counts in (scored(halves, truth), scored(truth, halves)):
        assert counts["n_matched_iou50"] == 1
        assert counts["n_matched_iou55"] == 0


def test_small_particles_are_nobodys_fault() -> None:
    truth = blocks((5, 5, 15, 15), (25, 5, 30, 10), (25, 25, 30, 30), (5, 40, 15, 49))
    # of the small ones, one missed and one found; of the large ones, one found as just too small; a small false one
    predicted = blocks((5, 5, 15, 15), (25, 25, 30, 30), (5, 41, 15, 49), (33, 50, 36, 53))
    counts = scored(predicted, truth, min_area_px=85)
    assert (counts["n_true"], counts["n_matched_iou50"], counts["n_judged"]) == (2, 2, 2)
    # a particle found where a small one lies is neither right nor false
    counts = scored(blocks((20, 20, 30, 29)), blocks((20, 20, 30, 28)), min_area_px=85)
    assert (counts["n_true"], counts["n_predicted"], counts["n_judged"]) == (0, 1, 0)


def test_the_border_is_noticed() -> None:
    objects, _ = compare_objects(blocks((1, 0, 9, 10), (5, 20, 12, 59)), blocks((1, 1, 9, 10), (5, 20, 12, 60)))
    edges = objects.set_index(["side", "label"])
    assert dict(edges["touches_edge"]) == {
        ("true", 1): False, ("true", 2): True, ("predicted", 1): True, ("predicted", 2): False,
    }  # fmt: skip
    assert dict(edges["partner_touches_edge"]) == {
        ("true", 1): True, ("true", 2): False, ("predicted", 1): False, ("predicted", 2): True,
    }  # fmt: skip


def test_matching_is_that_of_pycocotools(rng: np.random.Generator) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    truth, predicted = np.zeros((2, 200, 200), np.int32)
    y, x = np.indices(truth.shape)
    for number, (cy, cx, r) in enumerate(zip(*rng.uniform(10, 190, (2, 30)), rng.uniform(4, 16, 30), strict=True), 1):
        truth[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = number
        dy, dx, grown = rng.normal(0, 3, 3)
        predicted[(y - cy - dy) ** 2 + (x - cx - dx) ** 2 < (r + grown) ** 2] = number
    masks = [
        [coco.encode(np.asfortranarray(labels == v, dtype=np.uint8)) for v in np.unique(labels) if v]
        for labels in (truth, predicted)
    ]
    table = coco.iou(masks[0], masks[1], [0] * len(masks[1]))
    counts = scored(predicted, truth)
    expected = [int((table >= t).any(axis=1).sum()) for t in IOU_THRESHOLDS]
    assert 5 < expected[0] < 30
    assert [counts[f"n_matched_iou{round(100 * t)}"] for t in IOU_THRESHOLDS] == expected
