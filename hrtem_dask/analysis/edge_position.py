"""How well the position of outlines is known, by the slope of the network's probability across them."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["edge_position_px"]

_LOW, _HIGH = 0.25, 0.75
_REACH_PX = 3
"""Pixels farther from every outline are other doubts than those about its position."""


def edge_position_px(probability: np.ndarray | None, labels: np.ndarray) -> float | None:
    """Return by how many pixels outlines may lie further in or out.

    Parameters
    ----------
    probability : numpy.ndarray or None
        Shape (y, x), 0 to 1.
    labels : numpy.ndarray of int
        Shape (y, x): particles, 0 = background.

    Returns
    -------
    float or None
        Half of the mean distance over which the probability falls from 3/4 to 1/4 across the outlines: the number of
        pixels between these values, at most 3 px from an outline, over twice the length of the outlines. None without
        a probability or a particle.

    Examples
    --------
    A straight edge across which the probability falls by 0.25 per pixel; its steps are not longer than it:

    >>> probability = np.tile(np.clip(0.5 - 0.25 * (np.arange(40) - 19.5), 0, 1), (30, 1))
    >>> round(edge_position_px(probability, (probability > 0.5).astype(int)), 1)
    1.3
    """
    if probability is None or not labels.any():
        return None
    inside = (labels > 0).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    # a step between neighbors is 1 px of outline; at a slope the steps are longer than it by 4/π on average
    steps = np.count_nonzero(inside[:, 1:] != inside[:, :-1]) + np.count_nonzero(inside[1:] != inside[:-1])
    if not steps:
        return None
    near = cv2.dilate(inside, square, iterations=_REACH_PX) > cv2.erode(inside, square, iterations=_REACH_PX)
    doubtful = near & (probability > _LOW) & (probability < _HIGH)
    return float(np.count_nonzero(doubtful) / (2 * steps * np.pi / 4))
