"""What a network's own output says about its mask: agreement under turns and mirrors, certainty, sharp outlines.

Turned or mirrored, a micrograph is as good a micrograph, and its mask should turn with it; where a network has
learned nothing about an image, it does not. Flips commute with a pooled network only roughly, and only where they map
its blocks onto themselves: so copies are made of a square window of whole blocks, not of the padded image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from hrtem_dask.segmentation.tensors import as_array, as_tensor

__all__ = ["COPIES", "WINDOW_PX", "judge_mask", "mask_agreement", "turned", "turned_back"]

WINDOW_PX = 512
"""Side of the window that is looked at again, the most doubtful one of the image."""
COPIES = ((1, False), (2, True), (3, False))
"""Quarter turns counter-clockwise, and whether rows were reversed before: a copy each."""
OUTLINE_PX = 2
"""The outline reaches this far to either side."""


def judge_mask(
    seen: Any,
    probability: Any,
    network: Callable[[Any], Any],
    *,
    threshold: float,
    stride_px: int,
    window_px: int = WINDOW_PX,
    turn: bool = True,
) -> dict[str, float] | None:
    """Measure how far a network agrees with itself on one image.

    Parameters
    ----------
    seen : numpy.ndarray or cupy.ndarray
        Shape (y, x): what the network saw.
    probability : numpy.ndarray or cupy.ndarray
        Shape (y, x): the particle's probability that it gave.
    network : callable
        From images (n, y, x) to log-odds (n, y, x).
    threshold : float
        Probability from which a pixel is particle.
    stride_px : int
        Total stride of the network.
    window_px : int
        Largest side of the window that is looked at again.
    turn : bool
        Whether it is looked at again: three or four passes of the network over the window, for `mask_agreement`.

    Returns
    -------
    dict or None
        ``mask_confidence``
            The Dice coefficient to be expected if the probabilities p are right: 2 Σ_mask p / (Σ p + area of mask);
            for an empty mask 1 − the largest p.
        ``mask_fraction``
            Share of the image that is mask.
        ``outline_entropy``
            Mean binary entropy (bit) of the window's pixels within 2 px of the outline; 0 for an empty mask.
        ``mask_agreement``
            If asked for: mean Dice of each pair among the masks of the window and of its copies, turned back; 0 to 1.

        None where the image is smaller than one block of the network.
    """
    p = as_tensor(probability)
    window = _most_doubtful(p, window_px=window_px, stride_px=stride_px)
    if window is None:
        return None
    mask = p >= threshold
    terms = {
        "mask_confidence": _confidence(p, mask),
        "mask_fraction": float(mask.sum()) / mask.numel(),
        "outline_entropy": _outline_entropy(p[window], mask[window]),
    }
    if turn:
        image = as_tensor(seen)[window]
        # of a window the network sees the border, so the masks to be compared all end there
        masks = [mask if image.shape == p.shape else _mask(image, network, threshold, like=seen)]
        for quarters, mirrored in COPIES:
            copy = _mask(turned(image, quarters, mirrored), network, threshold, like=seen)
            masks.append(turned_back(copy, quarters, mirrored))
        terms["mask_agreement"] = mask_agreement(torch.stack(masks))
    return terms


def turned(image: torch.Tensor, quarters: int, mirrored: bool) -> torch.Tensor:
    """Turn an image, or mirror and then turn it.

    Parameters
    ----------
    image : torch.Tensor
        Shape (y, x).
    quarters : int
        Quarter turns, counter-clockwise.
    mirrored : bool
        Whether the order of its rows is reversed first.

    Returns
    -------
    torch.Tensor
        The copy.
    """
    return torch.rot90(image.flip(0) if mirrored else image, quarters)


def turned_back(image: torch.Tensor, quarters: int, mirrored: bool) -> torch.Tensor:
    """Undo `turned`.

    Parameters
    ----------
    image : torch.Tensor
        Shape (y, x).
    quarters : int
        As for `turned`.
    mirrored : bool
        As for `turned`.

    Returns
    -------
    torch.Tensor
        The image as it was.
    """
    back = torch.rot90(image, -quarters)
    return back.flip(0) if mirrored else back


def mask_agreement(masks: torch.Tensor) -> float:
    """Return the mean Dice coefficient of all pairs of masks.

    Parameters
    ----------
    masks : torch.Tensor of bool
        Shape (n, y, x), n at least 2.

    Returns
    -------
    float
        0 to 1; two empty masks agree (1), an empty one and another do not (0).
    """
    flat = masks.flatten(1).float()  # exact up to 16 million pixels
    common = flat @ flat.T
    areas = common.diagonal()
    total = areas[:, None] + areas[None]
    dice = torch.where(total > 0, 2 * common / total.clamp(min=1), torch.ones_like(common))
    upper = torch.triu_indices(len(masks), len(masks), offset=1)
    return float(dice[upper[0], upper[1]].mean())


def _most_doubtful(probability: torch.Tensor, *, window_px: int, stride_px: int) -> tuple[slice, slice] | None:
    """Choose the square of whole blocks where p (1 − p) sums up to most; None where not even one block fits."""
    side = min(window_px, *probability.shape) // stride_px
    if side == 0:
        return None
    doubt = (probability * (1 - probability))[None, None]
    blocks = torch.nn.functional.avg_pool2d(doubt, stride_px)
    sums = torch.nn.functional.avg_pool2d(blocks, side, stride=1)[0, 0]
    first = divmod(int(sums.argmax()), sums.shape[1])
    y, x = (slice(start * stride_px, (start + side) * stride_px) for start in first)
    return y, x


def _mask(image: torch.Tensor, network: Callable[[Any], Any], threshold: float, *, like: Any) -> torch.Tensor:
    """Run the network over one image of whole blocks."""
    logits = network(as_array(image[None].contiguous(), like=like))
    return torch.sigmoid(as_tensor(logits)[0]) >= threshold


def _confidence(probability: torch.Tensor, mask: torch.Tensor) -> float:
    """Return the Dice coefficient to be expected of a mask if the probabilities are right."""
    area = int(mask.sum())
    if not area:
        return 1 - float(probability.max())
    return 2 * float((probability * mask).sum()) / (float(probability.sum()) + area)


def _outline_entropy(probability: torch.Tensor, mask: torch.Tensor) -> float:
    """Return the mean binary entropy (bit) around the outline of a mask."""
    # largest value and least one around each pixel, along one axis after the other
    reach = torch.stack([mask, ~mask]).float()[None]
    for axis in (0, 1):
        size, padding = [1, 1], [0, 0]
        size[axis], padding[axis] = 2 * OUTLINE_PX + 1, OUTLINE_PX
        reach = torch.nn.functional.max_pool2d(reach, size, stride=1, padding=padding)
    near = probability[(reach[0, 0] > 0) & (reach[0, 1] > 0)].double().clamp(1e-7, 1 - 1e-7)
    if not len(near):
        return 0.0
    return float(-(near * near.log2() + (1 - near) * (1 - near).log2()).mean())
