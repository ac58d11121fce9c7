"""How far predicted rotated boxes are from true ones."""

from __future__ import annotations

import torch
from torch.nn import functional

from hrtem_dask.detection.networks.box_coder import encode

__all__ = ["rotated_box_loss"]

_BETA = 0.05
"""Relative error below which the loss is quadratic."""


def rotated_box_loss(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the sum of the relative errors of each box, in the frame of the true one.

    For small errors each of the five is about what it takes from the intersection over union: an offset along the
    length over the length, an offset across over the width, relative errors of both, and an error of the angle times a
    third of the aspect ratio.

    Parameters
    ----------
    predicted, true : torch.Tensor
        Shape (n, 5), see `detection.rotated_boxes`; `predicted` need not be canonical.

    Returns
    -------
    torch.Tensor
        Shape (n,).
    """
    code = encode(true, predicted)
    aspect = (true[:, 2] / true[:, 3]).clamp(1, 12)
    error = torch.cat([code[:, :4], (code[:, 4] * aspect / 3)[:, None]], dim=1)
    return functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=_BETA).sum(dim=1)
