"""Losses against their formulas in NumPy."""

import numpy as np
import pytest
import torch

from hrtem_dask.training.network.losses import contact_loss, cross_entropy, segmentation_loss, soft_dice


@pytest.fixture
def case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    log_odds = rng.normal(0, 3, (2, 16, 16))
    return log_odds, (rng.random((2, 16, 16)) < 0.3).astype(float), (rng.random((2, 16, 16)) < 0.8).astype(float)


def test_formulas(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    log_odds, mask, weight = case
    tensors = [torch.from_numpy(a) for a in case]
    p = 1 / (1 + np.exp(-log_odds))
    each = -(mask * np.log(p) + (1 - mask) * np.log(1 - p))
    entropy = (each * weight).sum() / weight.sum()
    dice = (2 * (p * mask * weight).sum() + 1) / ((p * weight).sum() + (mask * weight).sum() + 1)
    assert float(cross_entropy(*tensors)) == pytest.approx(entropy, rel=1e-9)
    assert float(soft_dice(*tensors)) == pytest.approx(dice, rel=1e-9)
    assert float(segmentation_loss(*tensors)) == pytest.approx(entropy + 1 - dice, rel=1e-9)
    assert float(segmentation_loss(*tensors, dice=False)) == pytest.approx(entropy, rel=1e-9)


def test_two_classes_of_a_softmax_are_the_same_cross_entropy(rng: np.random.Generator) -> None:
    logits = torch.from_numpy(rng.normal(0, 2, (3, 2, 8, 8)))
    classes = torch.from_numpy(rng.integers(0, 2, (3, 8, 8)))
    loss = cross_entropy(logits[:, 1] - logits[:, 0], classes.double(), torch.ones(3, 8, 8))
    assert float(loss) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, classes)), rel=1e-9)


def test_pixels_of_unknown_truth_have_no_gradient(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    log_odds, mask, weight = (torch.from_numpy(a) for a in case)
    log_odds.requires_grad_(True)
    segmentation_loss(log_odds, mask, weight).backward()
    assert log_odds.grad is not None
    assert (log_odds.grad[weight == 0] == 0).all()
    assert (log_odds.grad[weight > 0] != 0).all()


def test_false_particles_in_empty_crops_raise_the_loss() -> None:
    empty = torch.zeros(1, 8, 8)
    losses = [
        float(segmentation_loss(torch.full((1, 8, 8), v), empty, torch.ones(1, 8, 8))) for v in (-20.0, -2.0, 2.0)
    ]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses[0] < losses[1] < losses[2]
    nothing_known = segmentation_loss(torch.ones(1, 8, 8), empty, torch.zeros(1, 8, 8))
    assert float(nothing_known) == 0


def test_contacts_are_learned_on_particles_where_they_are_known(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    logits, mask, weight = (torch.from_numpy(a) for a in case)
    logits.requires_grad_(True)
    contacts = torch.from_numpy(np.random.default_rng(1).choice([-1.0, 0.0, 1.0], logits.shape))
    contact_loss(logits, contacts, mask, weight).backward()
    assert logits.grad is not None
    learned = (mask > 0) & (weight > 0) & (contacts >= 0)
    np.testing.assert_array_equal((logits.grad != 0).numpy(), learned.numpy())
    assert float(contact_loss(logits.detach(), torch.full_like(contacts, -1), mask, weight)) == 0.0
