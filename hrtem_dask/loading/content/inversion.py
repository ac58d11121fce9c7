"""Fourier transforms of real images: their noise is symmetric under inversion, which no camera's noise is."""

from __future__ import annotations

import numpy as np

__all__ = ["inversion_symmetry"]

SIDE_PX = 256
"""Side of the part that is compared, around the center (px)."""
MIN_SIDE_PX = 48
MIN_FINITE = 0.9
"""Smallest share of finite pixels; more holes have a pattern of their own, which may be symmetric."""
MAX_EQUAL = 0.3
"""Largest share of neighbors of equal value: where most are equal, there is no noise to compare."""
MIN_ROUGHNESS = 1.9
"""Smallest median of fourth over second differences: 3.4 in noise, (2π/p)² in fringes of the period p."""
MAX_COHERENCE = 0.6
"""Largest correlation of noise with that some pixels away."""
MIN_CORRELATION = 0.1
"""Correlations below it are those of noise with other noise, and are not looked at any closer."""
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
    finite = np.isfinite(part)
    if not finite.all():
        if finite.mean() < MIN_FINITE:
            return 0.0
        part = np.where(finite, part, np.nan)  # no sign is known beside it
    equal = np.mean(part[:, 1:] == part[:, :-1])
    if equal > MAX_EQUAL:
        return 0.0
    signs = _signs(part)
    best = 0.0
    for shift in _CENTERS:
        inverted = np.roll(signs[::-1, ::-1], (shift[0] % 2, shift[1] % 2), axis=(0, 1))
        products = signs[2:-2, 2:-2] * inverted[2:-2, 2:-2]
        known = np.count_nonzero(products)
        best = max(best, float(products.sum(dtype=np.int64)) / known if known else 0.0)
    # shapes and lattices without noise may be symmetric too
    is_noise = best > MIN_CORRELATION and _roughness(part) >= MIN_ROUGHNESS and _coherence(signs) <= MAX_COHERENCE
    return best if is_noise else 0.0


def _roughness(part: np.ndarray) -> float:
    """Return how much larger fourth differences are than second ones: less in shapes and fringes than in noise."""
    ratios = []
    for axis in (0, 1):
        second = np.diff(part, 2, axis=axis)
        middle = float(np.nanmedian(np.abs(second)))
        ratios.append(float(np.nanmedian(np.abs(np.diff(second, 2, axis=axis)))) / middle if middle > 0 else 0.0)
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
    return np.asarray(image[y - rows : y + rows, x - columns : x + columns], np.float32)


def _signs(part: np.ndarray) -> np.ndarray:
    """Return the signs of second differences, in which only noise is left."""
    second = np.zeros_like(part)
    second[1:-1, 1:-1] = 4 * part[1:-1, 1:-1] - part[:-2, 1:-1] - part[2:, 1:-1] - part[1:-1, :-2] - part[1:-1, 2:]
    signs: np.ndarray = np.sign(np.nan_to_num(second, nan=0.0)).astype(np.int8)
    return signs
