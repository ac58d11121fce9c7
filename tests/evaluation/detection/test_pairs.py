"""Pairs of found and true instances, and what their differences say."""

import numpy as np
import pytest

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import canonical
from hrtem_dask.evaluation.detection import pair_detections, summarize_pairs
from hrtem_dask.evaluation.detection.overlaps import overlap_matrix
from tests.evaluation.detection.test_average_precision import SHAPE, make, random_images

BOXES = np.array([[40.0, 40, 60, 12, 30], [120, 60, 50, 10, -80], [60, 140, 20, 19, 10], [180, 150, 40, 8, 89]])


def rods(boxes: np.ndarray, **more: np.ndarray) -> Instances:
    return Instances.from_rotated_boxes(canonical(boxes), shape=SHAPE, class_names="rod", **more)


def test_known_errors_are_measured() -> None:
    found = BOXES * [1, 1, 1.1, 0.95, 1] + [1, 0, 0, 0, 4]
    summary = summarize_pairs(pair_detections([rods(BOXES)], [rods(found)]), n_images=1).iloc[-1]
    assert summary["f1"] == 1
    assert summary["length_bias"] == pytest.approx(0.1)
    assert summary["width_bias"] == pytest.approx(-0.05)
    assert summary["angle_error_deg"] == pytest.approx(4)  # also across 90°, and not of the box that is nearly square
    assert len(pair_detections([rods(BOXES)], [rods(found)]).pairs["angle_error_deg"].dropna()) == 3


def test_counts_precision_and_recall() -> None:
    truth = [rods(BOXES, ignored=np.array([False, False, True, False])), rods(BOXES[:1])]
    found = [rods(BOXES[[0, 2]]), rods(BOXES[:2])]
    result = pair_detections(truth, found)
    assert result.counts[["n_true", "n_predicted", "n_matched"]].to_numpy().tolist() == [[3, 1, 1], [1, 2, 1]]
    row = summarize_pairs(result, n_images=2).iloc[-1]
    assert (row["precision"], row["recall"], row["count_bias"]) == pytest.approx((2 / 3, 2 / 4, -1 / 4))


def test_low_scores_and_other_classes_do_not_match() -> None:
    cubes = Instances.from_rotated_boxes(BOXES[:1], shape=SHAPE, class_names="cube")
    assert pair_detections([rods(BOXES)], [cubes]).counts["n_matched"].sum() == 0
    unsure = rods(BOXES, scores=np.array([0.9, 0.4, 0.6, 0.1]))
    assert pair_detections([rods(BOXES)], [unsure]).counts["n_matched"].sum() == 2
    assert pair_detections([rods(BOXES)], [unsure], min_score=0.0).counts["n_matched"].sum() == 4


def test_two_found_ones_on_one_true_one_are_one_match() -> None:
    twice = rods(np.concatenate([BOXES, BOXES + np.array([1, 0, 0, 0, 0])]))
    row = summarize_pairs(pair_detections([rods(BOXES)], [twice]), n_images=1).iloc[-1]
    assert (row["precision"], row["recall"]) == (0.5, 1)


@pytest.mark.parametrize("kind", ["rotated_boxes", "boxes", "masks"])
def test_overlaps_are_those_of_painted_pixels(kind: str) -> None:
    boxes = np.array([[60.0, 60, 80, 30, 0], [70, 65, 60, 40, 0], [65, 60, 70, 22, 90]])
    one = make(canonical(boxes), np.full(3, "rod"))
    expected = np.zeros((3, 3))
    images = np.zeros((3, *SHAPE), bool)
    for image, mask in zip(images, one.masks or (), strict=True):
        mask.paint(image)
    for i in range(3):
        for j in range(3):
            expected[i, j] = (images[i] & images[j]).sum() / (images[i] | images[j]).sum()
    # the edges of these boxes lie within half a pixel of pixel edges
    assert overlap_matrix(one, one, kind) == pytest.approx(expected, abs=0.03)


def test_matches_are_those_of_pycocotools() -> None:
    pytest.importorskip("pycocotools")
    from hrtem_dask.evaluation.detection.coco_matching import match_by_class

    for seed in range(6):
        truth, found = random_images(seed)
        mine = pair_detections(truth, found, min_score=0.0).counts.groupby("class_name").sum()
        for matches in match_by_class(truth, found, kind="rotated_boxes"):
            row = mine.loc[matches.class_name]
            assert row["n_matched"] == matches.is_found[0].sum()
            assert row["n_true"] == len(matches.true_image)
            assert row["n_predicted"] == (~matches.is_ignored[0]).sum()


def test_intervals_of_the_summary() -> None:
    truth, found = random_images(3, n=20)
    table = summarize_pairs(pair_detections(truth, found, min_score=0.0), n_images=20)
    row = table.iloc[-1]
    for name in ("precision", "recall", "f1", "count_bias", "length_bias", "width_bias", "angle_error_deg"):
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert table["class_name"].tolist() == ["cube", "rod", "all"]


def test_nothing_found_has_no_sizes() -> None:
    row = summarize_pairs(pair_detections([rods(BOXES)], [rods(np.zeros((0, 5)))]), n_images=1).iloc[-1]
    assert row["recall"] == 0
    assert np.isnan([row["precision"], row["length_bias"], row["angle_error_deg"]]).all()
