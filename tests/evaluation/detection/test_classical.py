"""The detector without learning: right on easy images, and not on hard ones."""

import cv2
import numpy as np
import pytest

from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.detection.instances import Instances
from hrtem_dask.evaluation.detection import (
    find_rods_classically,
    find_spots_classically,
    find_vesicles_classically,
    pair_detections,
    summarize_pairs,
)
from hrtem_dask.simulation.scenes import RodRanges, VesicleRanges, simulate_rod_scene, simulate_vesicle_scene

BOXES = np.array([[60.0, 50, 70, 20, 25], [190, 60, 50, 16, -70], [70, 180, 40, 24, 0], [190, 190, 90, 12, 60]])


@pytest.mark.parametrize("polarity", ["bright", "dark"])
@pytest.mark.parametrize("fit", ["rectangle", "ellipse"])
def test_separate_rods_are_found(polarity: str, fit: str) -> None:
    image = np.zeros((256, 256), np.float32)
    for box in BOXES:
        mask_of_box(box, image.shape).paint(image)
    noisy = cv2.GaussianBlur(image, (0, 0), 0.8) + np.random.default_rng(0).normal(0, 0.1, image.shape)
    found = find_rods_classically(noisy if polarity == "bright" else 5 - noisy, polarity=polarity, fit=fit, split=False)
    truth = Instances.from_rotated_boxes(BOXES, shape=image.shape, class_names="rod")
    row = summarize_pairs(pair_detections([truth], [found], min_score=0.0), n_images=1).iloc[-1]
    assert row["f1"] == 1
    assert row["length_bias"] == pytest.approx(0.15 if fit == "ellipse" else 0, abs=0.06)  # an ellipse: × 2/√3
    assert row["angle_error_deg"] < 2


def test_touching_particles_are_split_and_empty_images_are_empty() -> None:
    image = np.zeros((128, 128), np.float32)
    for x in (45, 78):
        cv2.circle(image, (x, 64), 18, 1.0, -1)
    assert len(find_rods_classically(image, polarity="bright")) == 2
    assert len(find_rods_classically(image, polarity="bright", split=False)) == 1
    assert len(find_rods_classically(np.zeros((64, 64)), polarity="dark")) == 0
    assert len(find_vesicles_classically(np.zeros((64, 64)))) == 0


def test_clear_vesicles_are_found() -> None:
    image = np.random.default_rng(1).normal(100, 1, (256, 256)).astype(np.float32)
    cv2.circle(image, (90, 90), 40, 104.0, -1)
    cv2.circle(image, (200, 60), 6, 80.0, -1)
    cv2.circle(image, (180, 200), 6, 125.0, -1)
    found = find_vesicles_classically(image)
    near = {}
    for name, (x, y) in {"large_vesicle": (90, 90), "small_vesicle": (200, 60), "hole": (180, 200)}.items():
        of_class = found.rotated_boxes[found.class_names == name]
        near[name] = bool((np.hypot(of_class[:, 0] - x, of_class[:, 1] - y) < 5).any())
    assert near == dict.fromkeys(near, True)


@pytest.mark.parametrize("polarity", ["bright", "dark"])
def test_spots_on_uneven_ground_are_found(polarity: str) -> None:
    y, x = np.mgrid[:256, :256]
    sign = 1 if polarity == "bright" else -1
    image = 100 + 40 * np.sin(x / 50) + 30 * np.cos(y / 60)
    places = [(40, 60), (120, 200), (200, 90), (220, 220)]
    for row, column in places:
        image += sign * 30 * (np.hypot(y - row, x - column) < 6)
    image += np.random.default_rng(0).normal(0, 3, image.shape)
    found = find_spots_classically(image, polarity=polarity, deviations=5, min_area_px=60)
    assert len(found) == 4
    assert sorted(found.rotated_boxes[:, 1].round().tolist()) == pytest.approx([40, 120, 200, 220], abs=1)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="polarity is bright or dark"):
        find_spots_classically(np.zeros((64, 64)), polarity="white")
    with pytest.raises(ValueError, match="polarity is bright or dark"):
        find_rods_classically(np.zeros((64, 64)), polarity="white")


def test_simulated_scenes_are_too_hard_for_it() -> None:
    rods = [simulate_rod_scene(RodRanges(), seed=900, index=i) for i in range(12)]
    dark = [s.conditions["imaging"] == "bright_field" for s in rods]
    found = [
        find_rods_classically(s.image, polarity="dark" if d else "bright", split=False)
        for s, d in zip(rods, dark, strict=True)
    ]
    truth = [s.instances for s in rods]
    row = summarize_pairs(pair_detections(truth, found, min_score=0.0, class_names=["rod"]), n_images=12).iloc[-1]
    assert 0.1 < row["f1"] < 0.5  # 0.34 in 50 scenes

    vesicles = [simulate_vesicle_scene(VesicleRanges(), seed=900, index=i) for i in range(12)]
    found = [find_vesicles_classically(s.image) for s in vesicles]
    pairs = pair_detections([s.instances for s in vesicles], found, kind="masks", min_score=0.0)
    f1 = summarize_pairs(pairs, n_images=12).set_index("class_name")["f1"]
    assert 0.2 < f1["all"] < 0.55  # 0.47 in 50 scenes
    assert f1["large_vesicle"] < 0.35  # 0.16 in 50 scenes
