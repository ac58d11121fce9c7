"""The loss of rotated boxes: zero where the rectangles are the same, and about what the overlap loses."""

import numpy as np
import pytest
import torch

from hrtem_dask.detection.networks.box_loss import rotated_box_loss
from hrtem_dask.detection.rotated_iou import rotated_iou

ROD = np.array([[10.0, 20.0, 60.0, 15.0, 30.0]])


@pytest.mark.parametrize("other", [[10, 20, 60, 15, 210], [10, 20, 60, 15, -150]])
def test_another_description_of_a_rod_costs_nothing(other: list[float]) -> None:
    assert rotated_box_loss(torch.tensor([other], dtype=torch.float64), torch.from_numpy(ROD)).item() < 1e-12


def test_another_description_of_a_square_costs_nothing() -> None:
    square = torch.tensor([[10.0, 20, 30, 30, 30]])
    assert rotated_box_loss(square + torch.tensor([[0.0, 0, 0, 0, 90]]), square).item() < 1e-10


@pytest.mark.parametrize(
    "error", [[12, 0, 0, 0, 0], [0, 3, 0, 0, 0], [0, 0, 12, 0, 0], [0, 0, 0, 3, 0], [0, 0, 0, 0, 8]]
)
def test_errors_that_cost_overlap_cost_loss(error: list[float]) -> None:
    flat = ROD * [1, 1, 1, 1, 0]
    wrong = flat + np.array(error)
    loss = rotated_box_loss(torch.from_numpy(wrong), torch.from_numpy(flat)).item()
    lost = 1 - rotated_iou(wrong, flat)[0, 0]
    assert 0.4 * lost < loss < 2 * lost


def test_the_gradient_leads_to_the_true_box() -> None:
    true = torch.from_numpy(ROD)
    found = torch.tensor([[14.0, 17, 48, 18, 12]], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([1.0, 1, 1, 1, 1], dtype=torch.float64)
    for step in range(2000):
        loss = rotated_box_loss(found, true).sum()
        (gradient,) = torch.autograd.grad(loss, found)
        found = (found - 0.3 * 0.997**step * scale * gradient.sign()).detach().requires_grad_(True)
    assert rotated_iou(found.detach().numpy(), ROD)[0, 0] > 0.97
