"""Instances: arrays that belong together, and masks that may overlap."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hrtem_dask.detection import InstanceMask, Instances
from hrtem_dask.detection.instance_masks import mask_of_box

SHAPE = (40, 60)
CROSS = np.array([[30, 20, 31, 5, 0], [30, 20, 31, 5, -90]])


def _cross() -> Instances:
    masks = [mask_of_box(box, SHAPE) for box in CROSS]
    return Instances.from_rotated_boxes(CROSS, shape=SHAPE, class_names="rod", masks=masks)


def test_crossing_rods_keep_their_own_masks() -> None:
    instances = _cross()
    images = np.zeros((2, *SHAPE), dtype=bool)
    for mask, image in zip(instances.masks or (), images, strict=True):
        mask.paint(image)
    assert images.all(axis=0).sum() == 5 * 5
    assert images.sum(axis=(1, 2)).tolist() == [31 * 5, 31 * 5]


def test_boxes_of_masks_are_those_of_their_pixels() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:7, 10:20] = True
    instances = Instances.from_masks([InstanceMask.from_image(mask)], shape=SHAPE, class_names=["rod"])
    assert_allclose(instances.boxes, [[9.5, 2.5, 19.5, 6.5]])
    assert_allclose(instances.rotated_boxes, [[14.5, 4.5, 10, 4, 0]], atol=1e-5)
    assert instances.scores.tolist() == [1.0]


def test_the_mask_of_a_box_has_its_area_and_stays_in_the_image() -> None:
    inside = mask_of_box(np.array([30, 20, 30, 8, 33.0]), SHAPE)
    assert inside.area_px == pytest.approx(240, rel=0.03)
    cut = mask_of_box(np.array([0, 20, 30, 8, 0.0]), SHAPE)
    assert (cut.x0_px, cut.crop.shape) == (0, (9, 16))
    assert mask_of_box(np.array([-80, 20, 30, 8, 0.0]), SHAPE).area_px == 0


def test_the_rotated_box_of_a_mask_is_that_of_the_object() -> None:
    box = np.array([300.2, 250.7, 200, 40, 27.0])
    found = mask_of_box(box, (600, 600)).rotated_box()
    assert_allclose(found[:2], box[:2], atol=0.5)
    assert 0 < found[2] - box[2] < 1.5
    assert 0 < found[3] - box[3] < 1.5
    assert found[4] == pytest.approx(27, abs=0.5)


def test_some_instances() -> None:
    chosen = _cross().select(np.array([False, True]))
    assert len(chosen) == 1
    assert_allclose(chosen.rotated_boxes, CROSS[1:])
    assert chosen.masks is not None
    assert chosen.masks[0].crop.shape == (31, 5)
    assert len(chosen.select(np.zeros(0, dtype=int))) == 0


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="each needs its own"):
        Instances.from_rotated_boxes(CROSS, shape=SHAPE, class_names="rod", masks=[])
    with pytest.raises(ValueError, match="scores of 2 instances"):
        Instances.from_rotated_boxes(CROSS, shape=SHAPE, class_names="rod", scores=np.ones(3))
    empty = InstanceMask.from_image(np.zeros(SHAPE, dtype=bool))
    with pytest.raises(ValueError, match="empty mask"):
        Instances.from_masks([empty], shape=SHAPE, class_names="rod")


def test_an_image_without_instances() -> None:
    none = Instances.from_masks([], shape=SHAPE, class_names="rod")
    assert len(none) == 0
    assert none.rotated_boxes.shape == (0, 5)
    assert none.masks == ()
