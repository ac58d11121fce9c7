"""COCO's average precision: our sums against pycocotools' own, and rotated boxes against axis-aligned ones."""

import contextlib
import io

import numpy as np
import pytest

from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import canonical
from hrtem_dask.evaluation.detection.average_precision import precision_table, weighted_average_precision
from hrtem_dask.evaluation.detection.coco_matching import make_evaluation, match_by_class

pytest.importorskip("pycocotools")
SHAPE = (200, 240)
CLASSES = np.array(["rod", "cube"])


def random_images(
    seed: int, *, n: int = 8, turned: bool = True, ignored: float = 0.15
) -> tuple[list[Instances], list[Instances]]:
    """True boxes, and found ones that are shifted copies, some missing, some invented."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(n):
        k = int(rng.integers(0, 12))
        boxes = np.column_stack(
            [rng.uniform(20, 220, k), rng.uniform(20, 180, k), rng.uniform(15, 60, k), rng.uniform(6, 14, k),
             rng.uniform(-90, 90, k) if turned else np.zeros(k)]
        )  # fmt: skip
        names = rng.choice(CLASSES, k)
        truth.append(make(canonical(boxes), names, ignored=rng.random(k) < ignored))
        kept = rng.random(k) < 0.85
        moved = boxes[kept] + rng.normal(0, [1.5, 1.5, 2, 1, 3 if turned else 0], (int(kept.sum()), 5))
        extra = int(rng.integers(0, 4))
        invented = boxes[rng.integers(0, k, extra)] + [30, 0, 0, 0, 0] if k else np.zeros((0, 5))
        all_found = np.concatenate([moved, invented])
        all_found[:, 2:4] = np.maximum(all_found[:, 2:4], 3)
        if turned:
            all_found = canonical(all_found)
        else:
            all_found = np.column_stack([all_found[:, :2], np.sort(all_found[:, 2:4])[:, ::-1], all_found[:, 4]])
        found_names = np.concatenate([names[kept], rng.choice(CLASSES, len(invented))])
        # equal scores occur
        found.append(make(all_found, found_names, scores=rng.integers(0, 20, len(all_found)) / 20))
    return truth, found


def make(boxes: np.ndarray, names: np.ndarray, **more: np.ndarray) -> Instances:
    """Instances with masks; boxes without a pixel in the image are left out."""
    masks = [mask_of_box(box, SHAPE) for box in boxes]
    keep = np.array([m.area_px > 0 for m in masks], dtype=bool)
    return Instances.from_rotated_boxes(
        boxes[keep], shape=SHAPE, class_names=names[keep], masks=[m for m, k in zip(masks, keep, strict=True) if k],
        **{name: values[keep] for name, values in more.items()},
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["boxes", "masks", "rotated_boxes"])
@pytest.mark.parametrize("seed", range(4))
def test_sums_are_those_of_pycocotools(kind: str, seed: int) -> None:
    truth, found = random_images(seed)
    evaluation, names = make_evaluation(truth, found, kind=kind)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    for k, matches in enumerate(match_by_class(truth, found, kind=kind)):
        assert matches.class_name == names[k]
        reference = evaluation.eval["precision"][:, :, k, 0, 0].mean(axis=1)
        assert weighted_average_precision(matches, np.ones(len(truth))) == pytest.approx(reference, abs=1e-12)
        recall = evaluation.eval["recall"][:, k, 0, 0]
        assert matches.is_found.mean(axis=1) == pytest.approx(recall, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_unturned_rotated_boxes_score_as_boxes_do_in_pycocotools(seed: int) -> None:
    truth, found = random_images(seed, turned=False)
    # boxes of the masks are whole pixels; here the boxes themselves are compared
    truth, found = ([without_masks(i) for i in side] for side in (truth, found))
    rotated = precision_table(truth, found, kind="rotated_boxes", n_resamples=2)
    straight = precision_table(truth, found, kind="boxes", n_resamples=2)
    columns = ["map", "ap50", "ap75", "recall50"]
    assert rotated[columns].to_numpy() == pytest.approx(straight[columns].to_numpy(), abs=1e-9)
    assert rotated["map"].iloc[-1] > 0.05


def without_masks(instances: Instances) -> Instances:
    return Instances.from_rotated_boxes(
        instances.rotated_boxes, shape=instances.shape, class_names=instances.class_names, scores=instances.scores,
        ignored=instances.ignored,
    )  # fmt: skip


def test_weights_count_images_as_often_as_copies_would() -> None:
    truth, found = random_images(5)
    weights = np.array([2, 0, 1, 1, 3, 0, 1, 0])
    copies = [i for i, w in enumerate(weights) for _ in range(w)]
    once = match_by_class(truth, found, kind="boxes")
    copied = match_by_class([truth[i] for i in copies], [found[i] for i in copies], kind="boxes")
    for a, b in zip(once, copied, strict=True):
        # equal scores may come in another order
        assert weighted_average_precision(a, weights) == pytest.approx(
            weighted_average_precision(b, np.ones(len(copies))), abs=0.02
        )


def test_the_truth_itself_scores_1_and_nothing_scores_0() -> None:
    truth, _ = random_images(1)
    for kind in ("boxes", "masks", "rotated_boxes"):
        table = precision_table(truth, truth, kind=kind, n_resamples=20)
        assert table["map"].tolist() == pytest.approx([1.0] * 3)
        assert table["recall50"].tolist() == pytest.approx([1.0] * 3)
        assert table[["map_low", "map_high"]].to_numpy() == pytest.approx(np.ones((3, 2)))
    nothing = [t.select(np.zeros(len(t), bool)) for t in truth]
    assert precision_table(truth, nothing, kind="masks", n_resamples=20)["map"].tolist() == [0.0] * 3


def test_turning_by_half_the_width_of_a_square_lowers_the_rotated_score_only() -> None:
    """A square and its copy turned by 45° share 83 % of their union; their hulls differ much more."""
    square = make(np.array([[100.0, 100, 40, 40, 0]]), np.array(["cube"]))
    turned = make(np.array([[100.0, 100, 40, 40, 45]]), np.array(["cube"]))
    rotated = precision_table([square], [turned], kind="rotated_boxes", n_resamples=2)
    # the intersection is a regular octagon: 2 (√2 − 1) of the square's area, so 0.7071 of the union
    assert rotated["map"].iloc[0] == pytest.approx(5 / 10)
    hulls = precision_table([without_masks(square)], [without_masks(turned)], kind="boxes", n_resamples=2)
    assert hulls["map"].iloc[0] == pytest.approx(1 / 10)  # 40² / (40√2)² = 0.5


def test_ignored_instances_are_neither_missed_nor_false() -> None:
    boxes = np.array([[50.0, 50, 40, 10, 20], [150, 120, 40, 10, 20]])
    truth = make(boxes, np.array(["rod", "rod"]), ignored=np.array([False, True]))
    for found in (boxes, boxes[:1]):
        table = precision_table([truth], [make(found, np.full(len(found), "rod"))], kind="rotated_boxes", n_resamples=2)
        assert table["map"].iloc[0] == pytest.approx(1)
        assert table["n_true"].iloc[0] == 1


def test_more_than_100_instances_are_judged() -> None:
    boxes = np.array([[10.0 * i, 10.0 * j, 7, 5, 30] for i in range(1, 16) for j in range(1, 16)])
    truth = make(boxes, np.full(len(boxes), "rod"))
    table = precision_table([truth], [truth], kind="rotated_boxes", n_resamples=2)
    assert table["recall50"].iloc[0] == 1
    fewer = precision_table([truth], [truth], kind="rotated_boxes", n_resamples=2, max_detections=100)
    assert fewer["recall50"].iloc[0] == pytest.approx(100 / 225)


def test_recall_by_size() -> None:
    sizes = [10.0, 50.0, 150.0]
    truth = make(np.array([[100.0, 90, s, s, 0] for s in sizes]), np.full(3, "cube"))
    found = truth.select(np.array([0, 2]))
    row = precision_table([truth], [found], kind="masks", n_resamples=2).iloc[0]
    assert [row[f"recall50_{n}"] for n in ("small", "medium", "large")] == [1, 0, 1]


def test_intervals_hold_the_value_and_need_five_micrographs() -> None:
    truth, found = random_images(2, n=12)
    row = precision_table(truth, found, kind="boxes").iloc[-1]
    assert row["map_low"] < row["map"] < row["map_high"]
    assert np.isnan(precision_table(truth[:4], found[:4], kind="boxes").iloc[-1]["map_low"])


def test_lists_that_do_not_fit_together_are_refused() -> None:
    truth, found = random_images(0, n=3)
    with pytest.raises(ValueError, match="3 images have truth, 2 have predictions"):
        precision_table(truth, found[:2], kind="boxes")
    with pytest.raises(ValueError, match="kind 'circles' is unknown"):
        precision_table(truth, found, kind="circles")
    other = Instances.from_rotated_boxes(np.zeros((0, 5)), shape=(9, 9), class_names="rod")
    with pytest.raises(ValueError, match=r"image 0: truth is of \(200, 240\)"):
        precision_table(truth, [other, *found[1:]], kind="boxes")


def test_without_any_instance_there_is_no_score() -> None:
    nothing = make(np.zeros((0, 5)), np.zeros(0, dtype=str))
    mean = precision_table([nothing], [nothing], kind="rotated_boxes", n_resamples=0).iloc[-1]
    assert (mean["class_name"], mean["n_true"]) == ("mean", 0)
    assert np.isnan(mean.get("ap50", np.nan))
