"""Masks and label images: few values in large connected pieces, without any noise."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["is_mask"]

MAX_SIDE_PX = 1024
"""Side of the part in the middle that is looked at (px)."""
MAX_VALUES = 3
"""A mask has a value for the particles, one for the background, and perhaps one for what is unknown."""
MAX_GAPS = 4
"""Labels are numbered from 0 or 1, with few gaps, which programs leave that remove small particles."""
_FULL = (255, 65535)
"""Value of the particles in masks that are saved as pictures."""
MIN_EQUAL = 0.8
"""Smallest share of neighbors of equal value in a mask; in frames of counted electrons it is the chance."""
MAX_PIECES = 1.5
"""Largest number of pieces per label; the levels of a smooth shape are many pieces, or rings within rings."""


def is_mask(image: np.ndarray) -> bool:
    """Return whether an image is a mask or a label image, not one of a microscope.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.

    Returns
    -------
    bool
        True for two or three values such as 0 and 255 in connected pieces, and for numbers from 0 that are each one
        connected piece beside a background. A constant image is none, and so are floating-point values, as simulations
        without noise have them.
    """
    if image.dtype.kind == "f":
        return False
    part = _middle(image)
    if _share_equal(part[:: max(1, part.shape[0] // 64)]) < MIN_EQUAL:  # most images end here
        return False
    values = np.unique(part)
    if len(values) < 2 or not _are_codes(values):
        return False
    if len(values) <= MAX_VALUES:
        return _is_beyond_chance(part, values)
    return _is_beyond_chance(part, values) and _are_labels(part, values)


def _are_codes(values: np.ndarray) -> bool:
    """Return whether values are those that programs give to masks and labels; a drawing has any gray values."""
    first, last = int(values[0]), int(values[-1])
    is_numbered = first in (0, 1) and last - first < MAX_GAPS * len(values)
    return is_numbered or (first == 0 and last in _FULL and len(values) <= MAX_VALUES)


def _middle(image: np.ndarray) -> np.ndarray:
    """Return the part around the middle of an image."""
    rows, columns = (max(0, (n - MAX_SIDE_PX) // 2) for n in image.shape)
    return image[rows : rows + MAX_SIDE_PX, columns : columns + MAX_SIDE_PX]


def _share_equal(rows: np.ndarray) -> float:
    """Return the share of pixels that are equal to the next one in their row."""
    return float(np.mean(rows[:, 1:] == rows[:, :-1])) if rows.shape[1] > 1 else 0.0


def _is_beyond_chance(part: np.ndarray, values: np.ndarray) -> bool:
    """Return whether neighbors are equal far more often than in noise of the same values."""
    shares = np.bincount(np.searchsorted(values, part).ravel()) / part.size
    chance = float((shares**2).sum())
    different = 1 - _share_equal(part)
    return different < 0.25 * (1 - chance)


def _are_labels(part: np.ndarray, values: np.ndarray) -> bool:
    """Return whether each value but the most frequent one is one piece, and most pieces touch the background alone."""
    codes = np.searchsorted(values, part).astype(np.int32)
    counts = np.bincount(codes.ravel(), minlength=len(values))
    background = int(np.argmax(counts))
    if len(values) > 4096 or counts[background] < 0.05 * part.size:
        return False
    # pieces of equal value: a pixel that differs from its left and upper neighbors begins a new one
    edges = codes[:, 1:] != codes[:, :-1]
    with_background = edges & ((codes[:, 1:] == background) | (codes[:, :-1] == background))
    if with_background.sum() < 0.5 * edges.sum():
        return False
    pieces = sum(
        cv2.connectedComponents((codes == code).astype(np.uint8), connectivity=8)[0] - 1
        for code in _sample(len(values), background)
    )
    return bool(pieces <= MAX_PIECES * len(_sample(len(values), background)))


def _sample(n: int, background: int) -> list[int]:
    """Return at most 32 labels, spread over all of them."""
    return [code for code in np.unique(np.linspace(0, n - 1, 33).astype(int)).tolist() if code != background]
