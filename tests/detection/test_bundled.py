"""The detectors that come with the package, on simulated scenes that they were not trained on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.detection.detector import Detector, make_detector
from hrtem_dask.detection.rescaling import rescale_image, rescale_instances
from hrtem_dask.detection.rotated_boxes import rotate_boxes
from hrtem_dask.detection.rotated_iou import rotated_iou
from hrtem_dask.evaluation.detection import (
    find_rods_classically,
    find_vesicles_classically,
    pair_detections,
    summarize_pairs,
)
from hrtem_dask.settings import Settings
from hrtem_dask.simulation.scenes import (
    VESICLE_CLASSES,
    RodRanges,
    VesicleRanges,
    simulate_rod_scene,
    simulate_vesicle_scene,
)

RANGES = RodRanges(size_px=384, imaging={"haadf": 1.0}, contrast_to_noise=(6.0, 20.0), end_on_fraction=0.0)
N = 4


@pytest.fixture(scope="module")
def detector() -> Detector:
    file = Settings().updated({"segmentation": {"method": "rotated_rcnn"}}).segmentation.model_file
    assert file is not None
    assert Path(file).stat().st_size <= 8_000_000
    return make_detector(file, "rotated_rcnn")


def test_it_finds_more_rods_than_a_classical_detector(detector: Detector) -> None:
    scenes = [simulate_rod_scene(RANGES, seed=900, index=i) for i in range(N)]
    truth = [scene.instances for scene in scenes]
    f1 = {}
    for name, found in {
        "classical": [find_rods_classically(scene.image, polarity="bright") for scene in scenes],
        "network": [detector(scene.image) for scene in scenes],
    }.items():
        pairs = pair_detections(truth, found, min_score=0.0, class_names=["rod"])
        f1[name] = summarize_pairs(pairs, n_images=N, n_resamples=2).iloc[-1]["f1"]
    assert f1["network"] > f1["classical"] + 0.1


def test_boxes_turn_with_the_image(detector: Detector) -> None:
    scene = simulate_rod_scene(RANGES, seed=900, index=1)
    upright = detector(scene.image, min_score=0.5)
    turned = detector(np.rot90(scene.image).copy(), min_score=0.3)
    assert len(upright) > 3
    expected = rotate_boxes(upright.rotated_boxes, 90, (191.5, 191.5))
    assert np.mean(rotated_iou(expected, turned.rotated_boxes).max(axis=1) > 0.5) >= 0.8


def test_enlarged_copies_are_seen_at_a_smaller_scale(detector: Detector) -> None:
    """Rods of some hundred pixels, which the pixels as they are show in pieces, are found as in the original."""
    long = replace(RANGES, length_px=(90.0, 250.0))
    scenes = [simulate_rod_scene(long, seed=900, index=i) for i in range(2)]
    shape = (3 * RANGES.size_px, 3 * RANGES.size_px)
    found, scales = zip(*(detector.at_found_scale(rescale_image(s.image, 3)) for s in scenes), strict=True)
    truth = [rescale_instances(scene.instances, shape) for scene in scenes]
    f1 = {}
    for name, true, boxes in (
        ("copies", truth, found),
        ("originals", [scene.instances for scene in scenes], [detector(scene.image) for scene in scenes]),
    ):
        pairs = pair_detections(true, boxes, min_score=0.0, class_names=["rod"])
        f1[name] = summarize_pairs(pairs, n_images=2, n_resamples=2).iloc[-1]["f1"]
    assert max(scales) <= 0.5
    assert f1["copies"] > f1["originals"] - 0.1


def test_vesicles_and_holes_are_found_better_than_by_a_classical_detector() -> None:
    file = Settings().updated({"segmentation": {"method": "mask_rcnn"}}).segmentation.model_file
    assert file is not None
    assert Path(file).stat().st_size <= 8_000_000
    detector = make_detector(file, "mask_rcnn")
    scenes = [simulate_vesicle_scene(VesicleRanges(size_px=320), seed=900, index=i) for i in range(3)]
    truth = [scene.instances for scene in scenes]
    f1 = {}
    for name, found in {
        "classical": [find_vesicles_classically(scene.image) for scene in scenes],
        "network": [detector(scene.image, min_score=0.5) for scene in scenes],
    }.items():
        pairs = pair_detections(truth, found, kind="masks", min_score=0.0)
        f1[name] = summarize_pairs(pairs, n_images=3, n_resamples=2).set_index("class_name")["f1"]
    for name in VESICLE_CLASSES:
        assert f1["network"][name] > f1["classical"][name] + 0.1
        assert f1["network"][name] > 0.7
