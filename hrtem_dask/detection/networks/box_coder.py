"""Rotated boxes relative to reference boxes: the five numbers that a network predicts.

Of a target (x, y, length, width, angle) and a reference, the code is: the offset of the centers along the reference's
length over that length, the offset across (90° clockwise of it on the screen) over its width, the logarithms of the
ratios of lengths and of widths, and the angle between them in radians. Turning both boxes changes nothing.
"""

from __future__ import annotations

import math

import torch

__all__ = ["SQUARE_ASPECT", "canonical_boxes", "decode", "encode"]

SQUARE_ASPECT = 1.15
"""Aspect ratio below which a rectangle counts as a square, whose sides may be exchanged: its period is 90°."""
_LARGEST_LOG_RATIO = math.log(8)
"""Of a predicted size to that of the reference."""


def _wrap(angle: torch.Tensor, period: float) -> torch.Tensor:
    """Return angles between −period / 2 and period / 2."""
    return torch.remainder(angle + period / 2, period) - period / 2


def _is_square(boxes: torch.Tensor) -> torch.Tensor:
    """Return which boxes, with sides in any order, are nearly squares."""
    sides = boxes[:, 2:4]
    return sides.amax(dim=1) < SQUARE_ASPECT * sides.amin(dim=1)


def canonical_boxes(boxes: torch.Tensor) -> torch.Tensor:
    """Return the same rectangles with length ≥ width and −90 ≤ angle < 90.

    Parameters
    ----------
    boxes : torch.Tensor
        Shape (n, 5).

    Returns
    -------
    torch.Tensor
        Shape (n, 5).
    """
    length, width = boxes[:, 2], boxes[:, 3]
    angle = _wrap(boxes[:, 4] + 90 * (length < width), 180)
    angle = torch.where(angle >= 90, angle - 180, angle)
    return torch.stack(
        [boxes[:, 0], boxes[:, 1], torch.maximum(length, width), torch.minimum(length, width), angle], dim=1
    )


def encode(reference: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return targets relative to references.

    A rectangle has two descriptions, which differ by 90° and exchanged sides. Where one of both boxes is nearly a
    square, that one is taken whose angle is nearer to the reference; of rods, the one whose length is the longer side.

    Parameters
    ----------
    reference, target : torch.Tensor
        Shape (n, 5), see `detection.rotated_boxes`.

    Returns
    -------
    torch.Tensor
        Shape (n, 5); the angle is between −π/2 and π/2.
    """
    difference = _wrap(target[:, 4] - reference[:, 4], 180)
    is_square = _is_square(target) | _is_square(reference)
    swap = is_square & (difference.abs() > 45)
    difference = torch.where(swap, _wrap(difference + 90, 180), difference)
    length = torch.where(swap, target[:, 3], target[:, 2])
    width = torch.where(swap, target[:, 2], target[:, 3])
    angle = torch.deg2rad(reference[:, 4])
    dx, dy = target[:, 0] - reference[:, 0], target[:, 1] - reference[:, 1]
    u, v = dx * angle.cos() - dy * angle.sin(), dx * angle.sin() + dy * angle.cos()
    return torch.stack(
        [
            u / reference[:, 2],
            v / reference[:, 3],
            torch.log(length / reference[:, 2]),
            torch.log(width / reference[:, 3]),
            torch.deg2rad(difference),
        ],
        dim=1,
    )


def decode(reference: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """Return the boxes that codes describe; the reverse of `encode`.

    Parameters
    ----------
    reference : torch.Tensor
        Shape (n, 5).
    code : torch.Tensor
        Shape (n, 5); sizes are limited to 8 times more or less than the reference's.

    Returns
    -------
    torch.Tensor
        Shape (n, 5); not made canonical, so that it can be differentiated: see `canonical_boxes`.
    """
    angle = torch.deg2rad(reference[:, 4])
    u, v = code[:, 0] * reference[:, 2], code[:, 1] * reference[:, 3]
    ratio = torch.exp(code[:, 2:4].clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO))
    return torch.stack(
        [
            reference[:, 0] + u * angle.cos() + v * angle.sin(),
            reference[:, 1] - u * angle.sin() + v * angle.cos(),
            reference[:, 2] * ratio[:, 0],
            reference[:, 3] * ratio[:, 1],
            reference[:, 4] + torch.rad2deg(code[:, 4]),
        ],
        dim=1,
    )
