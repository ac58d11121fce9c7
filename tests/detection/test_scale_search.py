"""The search for the scale of a detector, with a detector that knows disks of 30 to 100 px only."""

import cv2
import numpy as np
import pytest

from hrtem_dask.detection import Instances
from hrtem_dask.detection.rescaling import rescale_image
from hrtem_dask.detection.scale_search import WINDOW_PX, evidence, search_scale


class _Disks:
    """Finds bright disks; surely those of 30 to 100 px, hardly any others."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, image: np.ndarray) -> Instances:
        self.shapes.append(image.shape)
        bright = (image > (image.max() + image.min()) / 2).astype(np.uint8) if np.ptp(image) > 1 else image * 0
        stats = cv2.connectedComponentsWithStats(bright.astype(np.uint8), connectivity=8)
        boxes, scores = [], []
        for k in range(1, stats[0]):
            diameter = 2 * np.sqrt(stats[2][k, cv2.CC_STAT_AREA] / np.pi)
            if diameter < 6:
                continue
            boxes.append([*stats[3][k], diameter, diameter, 0])
            scores.append(0.9 - 0.5 * min(abs(np.log(np.clip(diameter, 30, 100) / diameter)), 1.2))
        return Instances.from_rotated_boxes(
            np.array(boxes).reshape(-1, 5), shape=image.shape, class_names="disk", scores=np.array(scores, float)
        )


def _disks(side: int, diameter: int, *, n: int = 6, seed: int = 0) -> np.ndarray:
    """Disks on a grid, with a little noise."""
    image = np.zeros((side, side), dtype=np.float32)
    step = max(side // n, int(1.4 * diameter))
    for y in range(step // 2, side - diameter // 2, step):
        for x in range(step // 2, side - diameter // 2, step):
            cv2.circle(image, (x, y), diameter // 2, 100.0, -1)
    return image + np.random.default_rng(seed).normal(0, 1, image.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("side", "diameter", "scales"),
    [
        (512, 50, {1.0}),
        (512, 160, {0.5, 0.25}),
        (1024, 400, {0.25, 0.125}),
        (2048, 60, {1.0, 0.5}),
        (2048, 200, {0.5, 0.25}),
        (512, 12, {2.0}),
    ],
)
def test_disks_are_seen_at_a_size_that_the_detector_knows(side: int, diameter: int, scales: set[float]) -> None:
    detect = _Disks()
    found = search_scale(_disks(side, diameter), detect)
    assert found.scale in scales
    assert 20 <= diameter * found.scale <= 101
    assert max(max(shape) for shape in detect.shapes) <= WINDOW_PX
    if found.whole is not None:
        assert found.whole.shape == (round(side * found.scale),) * 2


def test_copies_of_a_micrograph_are_seen_at_the_same_size() -> None:
    image = _disks(400, 40)
    scales = {
        factor: search_scale(rescale_image(image, factor), _Disks()).scale * factor for factor in (0.5, 1.0, 2.0, 4.0)
    }
    assert set(scales.values()) <= {1.0, 2.0}


def test_an_empty_micrograph_is_seen_as_it_is() -> None:
    noise = np.random.default_rng(0).normal(100, 5, (300, 500))
    nothing = Instances.from_rotated_boxes(np.zeros((0, 5)), shape=(1, 1), class_names="")

    def detect(image: np.ndarray) -> Instances:
        return Instances.from_rotated_boxes(nothing.rotated_boxes, shape=image.shape, class_names="")

    found = search_scale(noise, detect)
    assert (found.scale, found.whole) == (1.0, None)
    assert search_scale(noise[:20, :30], detect).scale == 1.0


def test_sure_instances_speak_for_a_scale_and_unsure_ones_against_it() -> None:
    boxes = np.array([[20, 20, 20, 5, 0], [20, 60, 20, 5, 0], [60, 60, 20, 5, 0]])
    found = Instances.from_rotated_boxes(boxes, shape=(80, 80), class_names="rod", scores=np.array([0.85, 0.32, 0.1]))
    assert evidence(found) == pytest.approx([4.5, -0.8, 0.0])
