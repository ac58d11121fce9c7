"""How micrographs enter the networks: gray values with mean 0 and standard deviation 1, sides multiples of 32 px."""

from __future__ import annotations

import numpy as np

__all__ = ["pad_to_stride", "standardize"]

STRIDE_PX = 32
"""Largest stride of the backbones (px)."""


def standardize(image: np.ndarray) -> np.ndarray:
    """Return an image with mean 0 and standard deviation 1, as the U-Nets of this package see it.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, finite.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x); an image of one value gives zeros.
    """
    values = np.asarray(image, dtype=np.float32)
    spread = float(values.std(dtype=np.float64))
    mean = float(values.mean(dtype=np.float64))
    if not spread > 1e-6 * max(abs(mean), 1e-30):
        return np.zeros_like(values)
    return np.asarray((values - np.float32(mean)) / np.float32(spread))


def pad_to_stride(image: np.ndarray) -> np.ndarray:
    """Continue an image at its right and lower side, to sides that are multiples of 32 px.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), at least one pixel.

    Returns
    -------
    numpy.ndarray
        Mirrored at the border, so that no new edge appears; positions of pixels stay.
    """
    pads = [(0, -side % STRIDE_PX) for side in image.shape]
    return np.pad(image, pads, mode="symmetric") if any(after for _, after in pads) else image
