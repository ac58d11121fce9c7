"""The rotated Faster R-CNN: it learns a few rods by heart, and found boxes turn with the image."""

import numpy as np
import pytest
import torch

from hrtem_dask.detection import Instances
from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.detection.networks import refinement
from hrtem_dask.detection.networks.refinement import sample_proposals
from hrtem_dask.detection.networks.rotated_rcnn import RotatedRCNN
from hrtem_dask.detection.rotated_boxes import rotate_boxes
from hrtem_dask.detection.rotated_iou import rotated_iou
from hrtem_dask.errors import ModelError

BOXES = np.array([[40, 40, 60, 12, 20], [90, 90, 50, 14, -50], [92, 88, 52, 12, 35], [35, 100, 30, 10, 80.0]])


def _image(boxes: np.ndarray) -> np.ndarray:
    """Return rods of which overlaps are brighter, as in HAADF-STEM."""
    image = np.random.default_rng(0).normal(0, 0.1, (128, 128)).astype(np.float32)
    for box in boxes:
        one = np.zeros((128, 128), dtype=np.float32)
        mask_of_box(box, (128, 128)).paint(one)
        image += one
    return standardize(image)


def _truth(boxes: np.ndarray) -> Instances:
    """Return boxes as what is true of an image."""
    return Instances.from_rotated_boxes(boxes, shape=(128, 128), class_names="rod")


@pytest.mark.slow
def test_rods_learned_by_heart_are_found_in_every_quarter_turn() -> None:
    torch.manual_seed(0)
    model = RotatedRCNN(["rod"], channels=32)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    turns = [rotate_boxes(BOXES, 90 * k, (63.5, 63.5)) for k in range(4)]
    images = torch.from_numpy(np.stack([_image(boxes) for boxes in turns]))[:, None]
    truth = [_truth(boxes) for boxes in turns]
    first = last = 0.0
    for step in range(150):
        loss = torch.stack(list(model.losses(images, truth).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        first, last = first or float(loss.detach()), float(loss.detach())
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / 150)
    assert last < first / 4
    model.eval()
    for image, boxes in zip(images, turns, strict=True):
        found = model.detect(image, shape=(128, 128), min_score=0.3)
        assert rotated_iou(boxes, found.rotated_boxes).max(axis=1).min() > 0.6
        assert set(found.class_names) == {"rod"}
        assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("shift", [0.0, 4.0, 15.0, 25.0, 55.0])
def test_the_score_that_is_learned_follows_the_fit_of_the_corrected_box(shift: float) -> None:
    """From 1 where it overlaps its true box by 0.8 or more, to 0 at 0.2."""
    true = torch.tensor([[60.0, 60, 60, 12, 0]])
    boxes = true + torch.tensor([[shift, 0, 0, 0, 0]])
    overlap = float(rotated_iou(true.double().numpy(), boxes.double().numpy())[0, 0])
    expected = np.clip((overlap - 0.2) / 0.6, 0, 1)
    scores = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([scores], 0.2)
    for _ in range(200):
        loss = refinement.Refinement.losses(scores, boxes, torch.tensor([2]), true)["class"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = scores.detach().softmax(dim=1)[0]
    assert float(learned[2]) == pytest.approx(expected, abs=0.03)
    assert float(learned[1]) < 0.03


def test_losses_of_images_without_instances_are_finite() -> None:
    torch.manual_seed(0)
    model = RotatedRCNN(["rod", "cube"], channels=16)
    losses = model.losses(torch.randn(2, 1, 64, 64), [_truth(np.zeros((0, 5))), _truth(BOXES[:1] / 2)])
    assert set(losses) == {"proposal_score", "proposal_box", "class", "box"}
    assert all(torch.isfinite(value) for value in losses.values())


def test_sampled_proposals_know_their_true_box() -> None:
    torch.manual_seed(0)
    true = torch.tensor(BOXES, dtype=torch.float32)
    near = true + torch.tensor([1.0, 0, 0, 0, 2])
    far = torch.tensor([[10.0, 10, 5, 5, 0]]).repeat(200, 1)
    ignored = torch.tensor([False, False, False, True])
    sampled, labels, match = sample_proposals(
        torch.cat([near, far]), true, torch.tensor([1, 2, 1, 1]), ignored, most=64
    )
    assert len(sampled) == 64
    positive = labels > 0
    # three near ones, and copies of the three true ones with errors; those on the ignored box are neither
    assert positive.sum() == 3 + 3 * refinement._COPIES
    assert not (rotated_iou(sampled.numpy(), BOXES[3:]) > 0.5).any()
    assert labels[positive].tolist() == torch.tensor([1, 2, 1])[match[positive]].tolist()
    assert (torch.from_numpy(rotated_iou(sampled[positive].numpy(), BOXES)).argmax(dim=1) == match[positive]).all()


def test_a_class_that_the_network_does_not_know_is_refused() -> None:
    with pytest.raises(ModelError, match="'rod' is annotated, but the detector knows cube"):
        RotatedRCNN(["cube"], channels=16).losses(torch.randn(1, 1, 64, 64), [_truth(BOXES)])
