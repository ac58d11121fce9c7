"""Fourier transforms of real images: their noise is symmetric under inversion, which no camera's noise is."""

from __future__ import annotations

import numpy as np

__all__ = ["inversion_symmetry"]

SIDE_PX = 256
"""Side of the part that is compared, around the center (px)."""
MIN_SIDE_PX = 48
MAX_EQUAL = 0.3
"""Largest share of neighbors of equal value: where most are equal, there is no noise to compare."""
MIN_ROUGHNESS = 2.0
"""Smallest median of fourth over second differences: 3.4 in noise, (2π/p)² in fringes of the period p."""
MAX_COHERENCE = 0.6
"""Largest correlation of noise with that some pixels away."""
_LAGS = (6, 8, 11, 15, 20)
_CENTERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))
"""Shift of the inverted image (px): an even number of pixels has its zero frequency at n/2, an odd one or a resized one
may have it between pixels."""


def inversion_symmetry(image: np.ndarray) -> float:
    """Measure how far the noise of an image is symmetric under inversion at its center.

    The power spectrum P of real values is symmetric, P(−k) = P(k), with all of its noise.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.

    Returns
    -------
    float
        Correlation of the signs of second differences with those of the inverted image, 0 for micrographs (± 0.01) and
        1 for spectra; 0 where the image has no noise to compare, as a simulated crystal without noise.
    """
    part = _around_center(image)
    if min(part.shape) < MIN_SIDE_PX:
        return 0.0
    equal = np.mean(part[:, 1:] == part[:, :-1])
    if equal > MAX_EQUAL:
        return 0.0
    if _roughness(part) < MIN_ROUGHNESS or _coherence(_signs(part)) > MAX_COHERENCE:
        return 0.0
    best = 0.0
    for shift in _CENTERS:
        inverted = np.roll(part[::-1, ::-1], (shift[0] % 2, shift[1] % 2), axis=(0, 1))
        trimmed = slice(2, -2), slice(2, -2)
        first, second = _signs(part)[trimmed], _signs(inverted)[trimmed]
        # the line and the column through the center are their own inversions
        known = np.abs(first * second).sum()
        best = max(best, float((first * second).sum() / known) if known else 0.0)
    return best


def _roughness(part: np.ndarray) -> float:
    """Return how much larger fourth differences are than second ones: less in shapes and fringes than in noise."""
    ratios = []
    for axis in (0, 1):
        second = np.diff(part, 2, axis=axis)
        middle = float(np.median(np.abs(second)))
        ratios.append(float(np.median(np.abs(np.diff(second, 2, axis=axis)))) / middle if middle > 0 else 0.0)
    return min(ratios)


def _coherence(signs: np.ndarray) -> float:
    """Return the largest correlation of signs with those some pixels away: high in shapes and lattices."""
    largest = 0.0
    for lag in _LAGS:
        for first, second in ((signs[lag:], signs[:-lag]), (signs[:, lag:], signs[:, :-lag])):
            largest = max(largest, abs(float((first * second).mean())))
    return largest


def _around_center(image: np.ndarray) -> np.ndarray:
    """Return the pixels around n/2, the same on both sides, so that they stay centered."""
    height, width = image.shape
    rows, columns = min(height // 2, SIDE_PX // 2), min(width // 2, SIDE_PX // 2)
    y, x = height // 2, width // 2
    part = np.asarray(image[y - rows : y + rows, x - columns : x + columns], np.float32)
    return np.where(np.isfinite(part), part, 0)


def _signs(part: np.ndarray) -> np.ndarray:
    """Return the signs of second differences, in which only noise is left."""
    second = np.zeros_like(part)
    second[1:-1, 1:-1] = 4 * part[1:-1, 1:-1] - part[:-2, 1:-1] - part[2:, 1:-1] - part[1:-1, :-2] - part[1:-1, 2:]
    signs: np.ndarray = np.sign(second)
    return signs
