"""Proposals: every true box has references that should find it, and crossing ones have their own."""

import numpy as np
import pytest
import torch

from hrtem_dask.detection.networks.backbones import STRIDES_PX
from hrtem_dask.detection.networks.proposals import RotatedProposals, assign, reference_boxes


def _targets(boxes: list[list[float]], ignored: list[bool] | None = None) -> dict[int, torch.Tensor]:
    """Return the assignment at each stride in an image of 512² px."""
    true = torch.tensor(boxes)
    flags = torch.tensor(ignored or [False] * len(boxes))
    return {s: assign(reference_boxes(512 // s, 512 // s, s), true, flags, s) for s in STRIDES_PX}


@pytest.mark.parametrize("angle", np.linspace(-90, 87, 13))
@pytest.mark.parametrize(("length", "width"), [(8, 5), (15, 3), (40, 8), (90, 12), (300, 25), (200, 150)])
def test_every_box_has_a_reference(length: float, width: float, angle: float) -> None:
    targets = _targets([[200.7, 300.1, length, width, float(angle)]])
    assert sum(int((t == 0).sum()) for t in targets.values()) >= 1
    assert sum(bool((t == 0).any()) for t in targets.values()) == 1  # one level


def test_rods_that_cross_in_one_point_are_both_found() -> None:
    targets = _targets([[250.0, 250.0, 90, 15, 5], [250.0, 250.0, 90, 15, 65]])
    found = torch.cat(list(targets.values()))
    assert (found == 0).any()
    assert (found == 1).any()


def test_references_near_an_angle_are_neither_and_others_negative() -> None:
    stride = 8
    references = reference_boxes(64, 64, stride)
    target = _targets([[251.5, 251.5, 60, 15, 15.0]])[stride]
    middle = (references[:, :2] == 251.5).all(dim=1)
    by_angle = {round(float(b[4])): int(t) for b, t in zip(references[middle], target[middle], strict=True)}
    assert by_angle == {-75: -1, -45: -1, -15: -1, 15: 0, 45: -1, 75: -1}
    between = _targets([[251.5, 251.5, 60, 15, 37.0]])[stride]
    by_angle = {round(float(b[4])): int(t) for b, t in zip(references[middle], between[middle], strict=True)}
    assert by_angle == {-75: -1, -45: -1, -15: -1, 15: -2, 45: 0, 75: -1}


def test_ignored_boxes_are_neither() -> None:
    targets = _targets([[250.0, 250.0, 90, 15, 5]], [True])
    found = torch.cat(list(targets.values()))
    assert not (found >= 0).any()
    assert (found == -2).any()


def test_a_square_may_be_found_at_two_angles() -> None:
    targets = _targets([[250.0, 250.0, 40, 39, 15.0]])
    references = torch.cat([reference_boxes(512 // s, 512 // s, s) for s in STRIDES_PX])
    found = references[torch.cat(list(targets.values())) == 0]
    assert sorted({round(float(a)) for a in found[:, 4]}) == [-75, 15]


def test_without_true_boxes_the_loss_is_finite_and_lowers_scores() -> None:
    torch.manual_seed(0)
    stage = RotatedProposals(8)
    levels = {str(s): torch.randn(1, 8, 64 // s, 64 // s) for s in STRIDES_PX}
    scores, codes = stage(levels)
    losses = stage.losses(scores, codes, [(torch.zeros(0, 5), torch.zeros(0, dtype=torch.bool))])
    assert losses["proposal_box"].item() == 0
    losses["proposal_score"].backward()
    assert stage.score.bias is not None
    assert stage.score.bias.grad is not None
    assert (stage.score.bias.grad > 0).all()


def test_proposals_come_by_falling_score_without_duplicates() -> None:
    torch.manual_seed(1)
    stage = RotatedProposals(8)
    levels = {str(s): 30 * torch.randn(1, 8, 64 // s, 64 // s) for s in STRIDES_PX}
    boxes, scores = stage.propose(*stage(levels), 0, most=20)
    assert 1 <= len(boxes) <= 20
    assert (scores.diff() <= 0).all()
    assert (boxes[:, 2] >= boxes[:, 3]).all()
