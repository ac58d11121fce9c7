"""Features inside rotated boxes, averaged on a grid that turns with the box.

At 0° it is torchvision's `roi_align(aligned=True)`: sample points per cell, bilinear interpolation, values at the
border continued by one pixel and zero beyond. torchvision has no rotated one.
"""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["rotated_roi_align"]


def rotated_roi_align(
    features: torch.Tensor,
    boxes: torch.Tensor,
    *,
    stride_px: float,
    cells: tuple[int, int] = (5, 9),
    samples: int = 2,
) -> torch.Tensor:
    """Average the features of one image in the cells of rotated boxes.

    Parameters
    ----------
    features : torch.Tensor
        Shape (channels, y, x).
    boxes : torch.Tensor
        Shape (n, 5), see `detection.rotated_boxes`, in pixels of the image.
    stride_px : float
        Pixels of the image per pixel of the features.
    cells : tuple of int
        Number of cells across and along the box.
    samples : int
        Sample points per cell and direction.

    Returns
    -------
    torch.Tensor
        Shape (n, channels, *cells); the last axis goes along the length.
    """
    channels, height, width = features.shape
    n = len(boxes)
    if not n:
        return features.new_zeros((0, channels, *cells))
    across, along = (
        (torch.arange(count * samples, device=boxes.device, dtype=boxes.dtype) + 0.5) / (count * samples) - 0.5
        for count in cells
    )
    angle = torch.deg2rad(boxes[:, 4])
    u, v = along[None, None, :] * boxes[:, 2, None, None], across[None, :, None] * boxes[:, 3, None, None]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    # pixel (0, 0) of the features covers the stride's pixels, whose middle is not the center of pixel (0, 0)
    x = (boxes[:, 0, None, None] + u * cos + v * sin + 0.5) / stride_px - 0.5
    y = (boxes[:, 1, None, None] - u * sin + v * cos + 0.5) / stride_px - 0.5
    inside = (x >= -1) & (x <= width) & (y >= -1) & (y <= height)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    sampled = functional.grid_sample(
        features[None], grid.reshape(1, -1, along.numel(), 2), padding_mode="border", align_corners=False
    )
    sampled = sampled.reshape(channels, *inside.shape).transpose(0, 1) * inside[:, None]
    return functional.avg_pool2d(sampled, samples)
