"""Quality terms from a network's own output: agreement under rotation and mirroring, certainty, sharp outlines.

A rotated or mirrored micrograph is as valid as the original, so its mask should be rotated or mirrored in the same way.
Where a network has learned nothing about an image, the masks disagree. A flip commutes with a network that pools only
approximately, and only where it maps the blocks of the pooling onto themselves. Therefore the copies are made of a
square window of whole blocks, not of the padded image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hrtem_dask import backend
from hrtem_dask.segmentation.networks.output import sigmoid
from hrtem_dask.segmentation.quality.blocks import block_means

__all__ = ["COPIES", "WINDOW_PX", "judge_mask", "mask_agreement", "mask_confidence", "turned", "turned_back"]

WINDOW_PX = 512
"""Side (px) of the window that is segmented again: the window of the image with the least certain pixels."""
COPIES = ((1, False), (2, True), (3, False))
"""For each copy: the number of quarter turns counter-clockwise, and whether the rows are reversed before."""
OUTLINE_PX = 2
"""Pixels within this distance (px) of the outline, on either side, belong to it."""


def judge_mask(
    image: np.ndarray,
    probability: np.ndarray,
    network: Callable[[np.ndarray], np.ndarray],
    *,
    threshold: float,
    stride_px: int,
    window_px: int = WINDOW_PX,
    turn: bool = True,
) -> dict[str, float] | None:
    """Compute the terms that predict the quality of a network's mask of one image.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x): the input of the network.
    probability : numpy.ndarray or cupy.ndarray
        Shape (y, x), 0 to 1: the particle probability that the network predicted.
    network : callable
        Takes images of shape (n, y, x) and returns log-odds of the same shape.
    threshold : float
        Probability from which a pixel is particle.
    stride_px : int
        Total stride of the network.
    window_px : int
        Largest side (px) of the window that is segmented again.
    turn : bool
        Whether to compute ``mask_agreement``, which takes three or four passes of the network over the window.

    Returns
    -------
    dict or None
        ``mask_confidence``
            Expected Dice coefficient if the probabilities p are calibrated: 2 Σ_mask p / (Σ p + area of the mask);
            for an empty mask 1 − the largest p.
        ``mask_fraction``
            Fraction of the image that the mask covers.
        ``outline_entropy``
            Mean binary entropy (bit) of the window's pixels within 2 px of the outline; 0 for an empty mask.
        ``mask_agreement``
            Only with `turn`: mean Dice coefficient of all pairs among the masks of the window and of its copies, turned
            back; 0 to 1.

        None where the image is smaller than one block of the network.
    """
    p = probability
    window = _most_doubtful(p, window_px=window_px, stride_px=stride_px)
    if window is None:
        return None
    mask = p >= threshold
    terms = {
        "mask_confidence": mask_confidence(p, mask),
        "mask_fraction": float(mask.sum()) / mask.size,
        "outline_entropy": _outline_entropy(p[window], mask[window]),
    }
    if turn:
        crop = image[window]
        # near its border a window gives another mask than the whole image, so all masks compared are of the window
        masks = [mask if crop.shape == p.shape else _mask(crop, network, threshold)]
        for quarters, mirrored in COPIES:
            copy = _mask(turned(crop, quarters, mirrored), network, threshold)
            masks.append(turned_back(copy, quarters, mirrored))
        terms["mask_agreement"] = mask_agreement(backend.array_namespace(image).stack(masks))
    return terms


def turned(image: np.ndarray, quarters: int, mirrored: bool) -> np.ndarray:
    """Rotate an image by quarter turns, after mirroring it where that is asked for.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x).
    quarters : int
        Number of quarter turns, counter-clockwise.
    mirrored : bool
        Whether the order of the rows is reversed first.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        The rotated copy.
    """
    copy: np.ndarray = backend.array_namespace(image).rot90(image[::-1] if mirrored else image, quarters)
    return copy


def turned_back(image: np.ndarray, quarters: int, mirrored: bool) -> np.ndarray:
    """Undo `turned`.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x).
    quarters : int
        As for `turned`.
    mirrored : bool
        As for `turned`.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        The image in its original orientation.
    """
    back: np.ndarray = backend.array_namespace(image).rot90(image, -quarters)
    return back[::-1] if mirrored else back


def mask_agreement(masks: np.ndarray) -> float:
    """Return the mean Dice coefficient of all pairs of masks.

    Parameters
    ----------
    masks : numpy.ndarray or cupy.ndarray of bool
        Shape (n, y, x), n at least 2.

    Returns
    -------
    float
        0 to 1; two empty masks agree (1), an empty and a non-empty mask do not (0).

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.quality.agreement import mask_agreement
    >>> masks = np.array([[[True, True, False]], [[True, False, False]]])
    >>> round(mask_agreement(masks), 3)  # 2 × 1 / (2 + 1)
    0.667
    """
    flat = masks.reshape(len(masks), -1).astype("float32")  # exact up to 16 million pixels
    common = backend.to_numpy(flat @ flat.T)
    areas = common.diagonal()
    total = areas[:, None] + areas[None]
    dice = np.where(total > 0, 2 * common / np.maximum(total, 1), 1.0)
    return float(dice[np.triu_indices(len(masks), 1)].mean())


def mask_confidence(probability: np.ndarray, mask: np.ndarray) -> float:
    """Return the expected Dice coefficient of a mask if the probabilities are calibrated.

    Parameters
    ----------
    probability : numpy.ndarray or cupy.ndarray
        Shape (y, x), 0 to 1.
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x).

    Returns
    -------
    float
        2 Σ_mask p / (Σ p + area of the mask), 0 to 1; for an empty mask 1 − the largest p.

    Examples
    --------
    >>> import numpy as np
    >>> probability = np.array([[0.9, 0.6, 0.1]])
    >>> round(mask_confidence(probability, probability >= 0.5), 3)
    0.833
    """
    area = int(mask.sum())
    if not area:
        return 1 - float(probability.max())
    return 2 * float((probability * mask).sum()) / (float(probability.sum()) + area)


def _most_doubtful(probability: np.ndarray, *, window_px: int, stride_px: int) -> tuple[slice, slice] | None:
    """Return the square of whole blocks with the largest sum of p (1 − p); None where not even one block fits."""
    side = min(window_px, *probability.shape) // stride_px
    if side == 0:
        return None
    blocks = block_means(probability * (1 - probability), stride_px).astype("float64")
    xp = backend.array_namespace(blocks)
    until = xp.pad(blocks.cumsum(axis=0).cumsum(axis=1), [(1, 0), (1, 0)])
    sums = until[side:, side:] - until[:-side, side:] - until[side:, :-side] + until[:-side, :-side]
    first = divmod(int(sums.argmax()), sums.shape[1])
    y, x = (slice(start * stride_px, (start + side) * stride_px) for start in first)
    return y, x


def _mask(image: np.ndarray, network: Callable[[np.ndarray], np.ndarray], threshold: float) -> np.ndarray:
    """Return the network's mask of one image of whole blocks."""
    xp = backend.array_namespace(image)
    return sigmoid(network(xp.ascontiguousarray(image)[None])[0]) >= threshold


def _outline_entropy(probability: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean binary entropy (bit) around the outline of a mask."""
    near = probability[_grown(mask) & _grown(~mask)].astype("float64").clip(1e-7, 1 - 1e-7)
    if not near.size:
        return 0.0
    xp = backend.array_namespace(near)
    return float(-(near * xp.log2(near) + (1 - near) * xp.log2(1 - near)).mean())


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return where a pixel of the mask is within the reach of an outline; along one axis after the other."""
    for axis in (0, 1):
        # views with the axis first
        before, grown = mask.swapaxes(0, axis), mask.copy()
        after = grown.swapaxes(0, axis)
        n = len(before)
        for k in range(1, min(OUTLINE_PX, n - 1) + 1):
            after[k:] |= before[: n - k]
            after[: n - k] |= before[k:]
        mask = grown
    return mask
