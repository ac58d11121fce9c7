"""Random views: boxes and masks move with what is seen of them."""

import numpy as np
import pytest

from hrtem_dask.detection import Instances
from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.detection.rotated_iou import rotated_iou
from hrtem_dask.training.detection.recipes import Variation
from hrtem_dask.training.detection.samples import Sample
from hrtem_dask.training.detection.variation import AnnotatedSamples, random_view

SHAPE = (200, 260)
BOXES = np.array([[60, 60, 70, 16, 25.0], [180, 120, 90, 20, -70], [100, 150, 40, 30, 80]])
PLAIN = Variation(gamma=(1, 1), noise=(0, 0), blur_px=(0, 0), gradient=(0, 0), scale=1.3)


def _sample() -> Sample:
    masks = [mask_of_box(box, SHAPE) for box in BOXES]
    image = np.zeros(SHAPE, dtype=np.float32)
    for i, mask in enumerate(masks, 1):
        mask.paint(image, i)
    truth = Instances.from_rotated_boxes(BOXES, shape=SHAPE, class_names=["a", "b", "c"], masks=masks)
    return Sample(image, truth)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_and_masks_are_where_the_view_shows_them(seed: int) -> None:
    sample = _sample()
    view = random_view(sample, 160, PLAIN, np.random.default_rng(seed))
    assert view.instances.masks is not None
    for name, box, mask in zip(
        view.instances.class_names, view.instances.rotated_boxes, view.instances.masks, strict=True
    ):
        seen = np.zeros((160, 160), dtype=bool)
        mask.paint(seen)
        inner = view.image[seen]
        assert np.ptp(np.round(np.median(inner) - inner[np.abs(inner - np.median(inner)) < 0.05], 1)) == 0
        painted = np.zeros((160, 160), dtype=bool)
        mask_of_box(box, (160, 160)).paint(painted)
        assert (painted & seen).sum() >= 0.85 * seen.sum()
        assert name in "abc"


def test_a_whole_instance_keeps_its_size_but_for_the_scale() -> None:
    sample = _sample()
    for seed in range(10):
        view = random_view(sample, 160, PLAIN, np.random.default_rng(seed))
        for name, box in zip(view.instances.class_names, view.instances.rotated_boxes, strict=True):
            true = BOXES["abc".index(name)]
            inside = (np.abs(box[:2] - 79.5) + box[2] / 2 < 78).all()
            if inside:
                assert box[2] / box[3] == pytest.approx(true[2] / true[3], rel=1e-6)
                assert 1 / 1.31 < box[2] / true[2] < 1.31


def test_without_turns_and_scale_a_view_is_a_crop() -> None:
    sample = Sample(standardize(_sample().image), _sample().instances)
    plain = Variation(turns=False, scale=1, gamma=(1, 1), noise=(0, 0), blur_px=(0, 0), gradient=(0, 0))
    view = random_view(sample, 200, plain, np.random.default_rng(0))
    matched = rotated_iou(
        view.instances.rotated_boxes, BOXES - [BOXES[0, 0] - view.instances.rotated_boxes[0, 0], 0, 0, 0, 0]
    )
    whole = ~view.instances.ignored & (view.instances.rotated_boxes[:, 2] > 39)
    assert matched.max(axis=1)[whole] == pytest.approx(1, abs=0.02)


def test_the_same_number_gives_the_same_view() -> None:
    source = AnnotatedSamples([_sample()], 96, Variation(), seed=3)
    first, again, other = source(5), source(5), source(6)
    np.testing.assert_array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert first.image.std() == pytest.approx(1, abs=1e-3)
