"""Mask R-CNN: masks lie where their boxes do, losses are finite, and a few objects can be learned by heart."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from hrtem_dask.detection import InstanceMask, Instances
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.detection.networks.mask_rcnn import MaskRCNN, place_mask
from hrtem_dask.errors import ModelError


def _disk(y: float, x: float, radius: float, side: int = 128) -> InstanceMask:
    rows, columns = np.mgrid[:side, :side]
    return InstanceMask.from_image((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def _truth(masks: list[InstanceMask], ignored: list[bool] | None = None) -> Instances:
    return Instances.from_masks(
        masks, shape=(128, 128), class_names="hole", ignored=None if ignored is None else np.array(ignored)
    )


@pytest.mark.parametrize("box", [(10.0, 20, 38, 48), (10.4, 20.3, 90.7, 50.9), (-8, 90, 30, 140), (50, 50, 53, 54)])
def test_a_full_mask_fills_its_box_and_a_half_one_half_of_it(box: tuple[float, ...]) -> None:
    full = place_mask(np.ones((28, 28)), np.array(box), (128, 128))
    painted = np.zeros((128, 128))
    full.paint(painted)
    y, x = np.mgrid[:128, :128] + 0.5
    np.testing.assert_array_equal(painted > 0, (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3]))
    left = place_mask(np.repeat([[1.0] * 14 + [0.0] * 14], 28, axis=0), np.array(box), (128, 128))
    half = np.zeros((128, 128))
    left.paint(half)
    expected = (painted > 0) & (x < (box[0] + box[2]) / 2)
    assert ((half > 0) != expected).sum() <= (painted > 0).sum(axis=1).astype(bool).sum()


def test_a_box_outside_the_image_has_no_pixel() -> None:
    assert place_mask(np.ones((28, 28)), np.array([200, 10, 220, 20.0]), (128, 128)).area_px == 0


def test_losses_are_finite_with_and_without_instances() -> None:
    torch.manual_seed(0)
    model = MaskRCNN(["hole"], channels=16)
    losses = model.losses(torch.randn(2, 1, 128, 128), [_truth([]), _truth([_disk(60, 60, 20), _disk(20, 30, 5)])])
    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}
    assert all(torch.isfinite(value) for value in losses.values())


def test_targets_are_in_torchvisions_coordinates_without_ignored_ones() -> None:
    square = np.zeros((128, 128), bool)
    square[10:20, 30:50] = True
    model = MaskRCNN(["hole"], channels=16)
    truth = _truth([InstanceMask.from_image(square), _disk(80, 80, 9)], [False, True])
    target = model._target(truth, torch.device("cpu"))
    assert target["boxes"].tolist() == [[30, 10, 50, 20]]
    assert target["labels"].tolist() == [1]
    np.testing.assert_array_equal(target["masks"][0].numpy() > 0, square)


def test_boxes_without_masks_are_refused() -> None:
    truth = Instances.from_rotated_boxes(np.array([[50, 50, 20, 10, 0.0]]), shape=(128, 128), class_names="hole")
    with pytest.raises(ModelError, match="learns from masks"):
        MaskRCNN(["hole"], channels=16).losses(torch.randn(1, 1, 128, 128), [truth])


@pytest.mark.parametrize("least", [0.05, 0.4, 0.99])
def test_second_stage_is_torchvisions_without_what_is_less_sure(least: float) -> None:
    torch.manual_seed(1)
    model = MaskRCNN(["hole", "vesicle"], channels=16).eval()
    image, size = torch.randn(1, 1, 128, 128), [(128, 128)]
    with torch.no_grad():
        levels = model.pyramid(image)
        proposals, _ = model.rpn(ImageList(image, size), levels)
        [whole], _ = model.roi_heads(levels, proposals, size)
        boxes, scores, labels, masks = model._second_stage(levels, proposals, size, least)
    sure = whole["scores"] >= least
    assert len(whole["scores"]) > 0
    assert not (least == 0.99 and sure.any())
    for name, found in (("boxes", boxes), ("scores", scores), ("labels", labels), ("masks", masks)):
        torch.testing.assert_close(found, whole[name][sure])


@pytest.mark.slow
def test_disks_learned_by_heart_are_found_with_their_masks() -> None:
    torch.manual_seed(0)
    masks = [_disk(40, 40, 22), _disk(90, 85, 30), _disk(30, 100, 8)]
    image = np.random.default_rng(0).normal(0, 0.1, (128, 128)).astype(np.float32)
    for mask in masks:
        one = np.zeros((128, 128), np.float32)
        mask.paint(one)
        image += one
    images = torch.from_numpy(standardize(image))[None, None].repeat(2, 1, 1, 1)
    model = MaskRCNN(["hole"], channels=32)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for step in range(120):
        loss = torch.stack(list(model.losses(images, [_truth(masks)] * 2).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / 120)
    found = model.eval().detect(images[0], shape=(128, 128), min_score=0.5)
    assert found.masks is not None
    for mask in masks:
        whole = np.zeros((128, 128), bool)
        mask.paint(whole)
        best = 0.0
        for other in found.masks:
            seen = np.zeros((128, 128), bool)
            other.paint(seen)
            best = max(best, (seen & whole).sum() / (seen | whole).sum())
        assert best > 0.6
