"""Means over square blocks of pixels, for arrays of NumPy and CuPy."""

from __future__ import annotations

import numpy as np

__all__ = ["block_means"]


def block_means(image: np.ndarray, side_px: int) -> np.ndarray:
    """Return the mean of each square block of an image.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float32.
    side_px : int
        Side (px) of the blocks; pixels behind the last whole block do not count.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (y // side_px, x // side_px), float32.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.quality.blocks import block_means
    >>> block_means(np.arange(15, dtype=np.float32).reshape(3, 5), 2).tolist()
    [[3.0, 5.0]]
    """
    ny, nx = (n // side_px for n in image.shape)
    blocks = image[: ny * side_px, : nx * side_px].reshape(ny, side_px, nx, side_px)
    means: np.ndarray = blocks.mean(axis=3).mean(axis=1)
    return means
