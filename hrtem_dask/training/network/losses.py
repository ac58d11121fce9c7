"""Losses on the particle's log-odds, with a weight per pixel."""

from __future__ import annotations

import torch

__all__ = ["cross_entropy", "segmentation_loss", "soft_dice"]

SMOOTHING_PX = 1.0
"""Added to both sides of the Dice ratio, so that an empty batch with an empty mask is right: Dice 1."""


def cross_entropy(log_odds: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of particle against background.

    Parameters
    ----------
    log_odds : torch.Tensor
        Any shape, float32: ln(p / (1 − p)); of a softmax of two classes their difference.
    mask : torch.Tensor
        Same shape, float: 1 is particle, 0 background.
    weight : torch.Tensor
        Same shape, float: 0 where the truth is not known.

    Returns
    -------
    torch.Tensor
        Scalar (nat); 0 where every weight is 0.
    """
    each = torch.nn.functional.binary_cross_entropy_with_logits(log_odds, mask, reduction="none")
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)


def soft_dice(log_odds: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the Dice coefficient of probabilities, pooled over the batch: empty crops count by their false area.

    Parameters
    ----------
    log_odds : torch.Tensor
        Any shape, float32.
    mask : torch.Tensor
        Same shape, float: 1 is particle.
    weight : torch.Tensor
        Same shape, float: where it is 0 the truth is not known; other values count as 1.

    Returns
    -------
    torch.Tensor
        Scalar, 0 to 1: (2 Σpm + 1) / (Σp + Σm + 1), Milletari et al., 3DV (2016) 565, without its squares.
    """
    known = (weight > 0).to(log_odds.dtype)
    probability, truth = torch.sigmoid(log_odds) * known, mask * known
    common = (probability * truth).sum()
    return (2 * common + SMOOTHING_PX) / (probability.sum() + truth.sum() + SMOOTHING_PX)


def segmentation_loss(
    log_odds: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor, *, dice: bool = True
) -> torch.Tensor:
    """Return what training minimises.

    Parameters
    ----------
    log_odds, mask, weight : torch.Tensor
        As for `cross_entropy`.
    dice : bool
        Whether 1 − soft Dice is added.

    Returns
    -------
    torch.Tensor
        Scalar.
    """
    loss = cross_entropy(log_odds, mask, weight)
    return loss + 1 - soft_dice(log_odds, mask, weight) if dice else loss
