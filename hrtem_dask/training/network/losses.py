"""Losses of the log-odds of the class particle, with a weight per pixel."""

from __future__ import annotations

import torch

__all__ = ["contact_loss", "cross_entropy", "segmentation_loss", "soft_dice"]

SMOOTHING_PX = 1.0
"""Added to numerator and denominator of the Dice coefficient, which is then 1 if mask and prediction are both empty."""


def cross_entropy(log_odds: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of particle against background.

    Parameters
    ----------
    log_odds : torch.Tensor
        Any shape, float32: ln(p / (1 − p)). For a softmax of two classes, it is the difference of their logits.
    mask : torch.Tensor
        Same shape, float: 1 on particles, 0 on background.
    weight : torch.Tensor
        Same shape, float, at least 0: 0 where the mask is unknown.

    Returns
    -------
    torch.Tensor
        Scalar (nat); 0 if all weights are 0.

    Examples
    --------
    >>> import torch
    >>> log_odds, mask = torch.zeros(4), torch.tensor([1.0, 1.0, 0.0, 0.0])
    >>> round(float(cross_entropy(log_odds, mask, torch.ones(4))), 4)  # ln 2
    0.6931
    """
    each = torch.nn.functional.binary_cross_entropy_with_logits(log_odds, mask, reduction="none")
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)


def soft_dice(log_odds: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the Dice coefficient of probabilities, pooled over the batch.

    Empty crops contribute by the area that is falsely predicted as particle.

    Parameters
    ----------
    log_odds : torch.Tensor
        Any shape, float32: log-odds of the class particle.
    mask : torch.Tensor
        Same shape, float: 1 on particles, 0 on background.
    weight : torch.Tensor
        Same shape, float: 0 where the mask is unknown; all other values count as 1.

    Returns
    -------
    torch.Tensor
        Scalar, 0 to 1: (2 Σpm + 1) / (Σp + Σm + 1) for probabilities p and mask m (F. Milletari et al., 3DV (2016) 565,
        without the squares in the denominator).

    Examples
    --------
    >>> import torch
    >>> mask = torch.tensor([1.0, 0.0])
    >>> round(float(soft_dice(torch.tensor([20.0, -20.0]), mask, torch.ones(2))), 4)
    1.0
    """
    known = (weight > 0).to(log_odds.dtype)
    probability, truth = torch.sigmoid(log_odds) * known, mask * known
    common = (probability * truth).sum()
    return (2 * common + SMOOTHING_PX) / (probability.sum() + truth.sum() + SMOOTHING_PX)


def segmentation_loss(
    log_odds: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor, *, dice: bool = True
) -> torch.Tensor:
    """Return the loss that training minimizes.

    Parameters
    ----------
    log_odds, mask, weight : torch.Tensor
        As for `cross_entropy`.
    dice : bool
        Whether 1 − `soft_dice` is added to the cross-entropy.

    Returns
    -------
    torch.Tensor
        Scalar, at least 0.
    """
    loss = cross_entropy(log_odds, mask, weight)
    return loss + 1 - soft_dice(log_odds, mask, weight) if dice else loss


def contact_loss(
    logits: torch.Tensor, contacts: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the loss of the output for contacts, which is learned on particles alone.

    Parameters
    ----------
    logits : torch.Tensor
        Any shape, float32: log-odds that another particle touches here.
    contacts : torch.Tensor
        Same shape, float: 1 where particles touch, 0 elsewhere, −1 where it is unknown.
    mask, weight : torch.Tensor
        As for `cross_entropy`.

    Returns
    -------
    torch.Tensor
        Scalar, at least 0: cross-entropy plus one minus the soft Dice coefficient, over pixels of particles where the
        contacts are known; 0 if there are none.
    """
    known = (mask > 0) & (contacts >= 0) & (weight > 0)
    if not bool(known.any()):
        return logits.sum() * 0
    return segmentation_loss(logits, contacts.clamp(min=0), known.to(logits.dtype))
