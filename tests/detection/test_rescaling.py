"""Images with other numbers of pixels: positions and sizes of boxes and masks stay those of the field."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hrtem_dask.detection import InstanceMask, Instances
from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.detection.rescaling import rescale_boxes, rescale_image, rescale_instances, rescale_mask
from hrtem_dask.detection.rotated_boxes import corners

SHAPE = (120, 160)
BOXES = np.array([[60.3, 50.2, 61, 22, 35.0], [100, 80.5, 40, 39, -90], [5, 5, 30, 8, 0]])


def _disk(middle: tuple[float, float], diameter: float) -> InstanceMask:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return InstanceMask.from_image((y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= diameter**2 / 4)


@pytest.mark.parametrize("scale", [0.25, 0.37, 0.5, 1.0, 1.7, 2.0, 4.0])
def test_a_ramp_stays_where_it_was(scale: float) -> None:
    """The value of each new pixel is that of its place in the old image, to a twentieth of a new pixel."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    seen = rescale_image(2 * y + x, scale)
    rows = (np.arange(seen.shape[0]) + 0.5) * SHAPE[0] / seen.shape[0] - 0.5
    columns = (np.arange(seen.shape[1]) + 0.5) * SHAPE[1] / seen.shape[1] - 0.5
    inner = (slice(9, -9), slice(9, -9))  # borders are interpolated from one side
    assert_allclose(seen[inner], (2 * rows[:, None] + columns)[inner], atol=0.05 * 2 / scale)


@pytest.mark.parametrize("stretch", [(0.5, 0.5), (4.0, 4.0), (0.3, 0.302)])
def test_boxes_go_where_their_corners_go(stretch: tuple[float, float]) -> None:
    moved = rescale_boxes(BOXES, stretch)
    expected = (corners(BOXES) + 0.5) * np.array([stretch[1], stretch[0]]) - 0.5
    found = corners(moved)
    # a box has its corners in any order
    nearest = np.linalg.norm(found[:, :, None] - expected[:, None], axis=-1).min(axis=2)
    assert nearest.max() < 0.4 * abs(stretch[0] - stretch[1]) * 61 + 1e-9
    assert_allclose(moved[:, 2] * moved[:, 3], BOXES[:, 2] * BOXES[:, 3] * stretch[0] * stretch[1])


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_masks_keep_size_and_place_there_and_back(factor: int) -> None:
    mask = _disk((50.25, 70.5), 60.0)
    large = (SHAPE[0] * factor, SHAPE[1] * factor)
    there = rescale_mask(mask, (factor, factor), large)
    assert there.area_px == pytest.approx(mask.area_px * factor**2, rel=0.01)
    y, x = np.nonzero(there.crop)
    assert y.mean() + there.y0_px == pytest.approx((50.25 + 0.5) * factor - 0.5, abs=0.2 * factor)
    assert x.mean() + there.x0_px == pytest.approx((70.5 + 0.5) * factor - 0.5, abs=0.2 * factor)
    back = rescale_mask(there, (1 / factor, 1 / factor), SHAPE)
    images = np.zeros((2, *SHAPE), dtype=bool)
    for image, one in zip(images, (mask, back), strict=True):
        one.paint(image)
    assert (images[0] ^ images[1]).sum() <= 0.02 * mask.area_px


def test_masks_at_the_border_reach_it() -> None:
    mask = InstanceMask(np.ones((10, 12), dtype=bool), SHAPE[0] - 10, 0)
    there = rescale_mask(mask, (3.0, 3.0), (SHAPE[0] * 3, SHAPE[1] * 3))
    assert there.area_px == pytest.approx(10 * 12 * 9, rel=0.05)
    assert (there.x0_px, there.window[0].stop) == (0, SHAPE[0] * 3)


def test_instances_with_masks_and_without() -> None:
    masks = [mask_of_box(box, SHAPE) for box in BOXES]
    for given in (masks, None):
        before = Instances.from_rotated_boxes(
            BOXES, shape=SHAPE, class_names="rod", scores=np.array([0.9, 0.8, 0.7]), masks=given
        )
        after = rescale_instances(before, (240, 320))
        assert after.shape == (240, 320)
        assert (after.masks is None) == (given is None)
        assert after.scores.tolist() == [0.9, 0.8, 0.7]
        assert_allclose(after.boxes, (before.boxes + 0.5) * 2 - 0.5, atol=1e-9 if given is None else 1.0)
        assert rescale_instances(before, SHAPE) is before
    tiny = rescale_instances(before, (1, 1))
    assert tiny.masks is None
    assert len(tiny) == 3


def test_masks_that_vanish_are_empty() -> None:
    small = InstanceMask(np.ones((2, 2), dtype=bool), 30, 41)
    assert rescale_mask(small, (1 / 16, 1 / 16), (8, 10)).area_px == 0
