"""The fringes of a particle without its local mean."""

from __future__ import annotations

import functools
from typing import Literal

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided

from hrtem_dask.micrograph import PixelSize

__all__ = ["blurred", "bounding_box", "flattened", "gaussian_rows", "small_product"]

BACKGROUND_SIGMA_NM = 0.5
"""Standard deviation of the Gaussian of the local mean (nm): longer than lattice fringes."""
WIDE_PX = 101
"""From this width of a Gaussian (px) on, a product of matrices is faster than OpenCV."""
MOST_MULTIPLICATIONS = 200_000
"""Products of matrices that need no more than that stay on one thread."""


def flattened(values: np.ndarray, mask: np.ndarray, pixel_size_nm: PixelSize) -> np.ndarray:
    """Subtract the local mean inside a mask.

    Parameters
    ----------
    values : numpy.ndarray of float32
        Shape (y, x), finite.
    mask : numpy.ndarray of bool
        Shape (y, x), True on the particle.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x): values minus their Gaussian mean (standard deviation 0.5 nm) over the pixels of the mask; 0
        outside, so that the contrast of the outline does not appear as fringes.
    """
    inside = mask.astype(np.float32)
    values = (values - values.take(np.flatnonzero(mask)).mean()) * inside
    weight = blurred(inside, BACKGROUND_SIGMA_NM, pixel_size_nm, beyond="zero")
    mean = blurred(values, BACKGROUND_SIGMA_NM, pixel_size_nm, beyond="zero") / np.maximum(weight, 1e-3)
    return np.asarray((values - mean) * inside)


def bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of a mask; outside of them, what `flattened` returns is 0.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), with at least one pixel.

    Returns
    -------
    tuple of slice
        Rows and columns.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def blurred(
    values: np.ndarray, sigma_nm: float, pixel_size_nm: PixelSize, *, beyond: Literal["zero", "edge"]
) -> np.ndarray:
    """Blur by a Gaussian that is cut off at four standard deviations.

    A narrow Gaussian is left to OpenCV, which is about ten times as fast as SciPy. A wide one, of nearly as many pixels
    as the image, is two products with matrices, which is five times as fast again.

    Parameters
    ----------
    values : numpy.ndarray of float32
        Shape (y, x).
    sigma_nm : float
        Standard deviation (nm).
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    beyond : {"zero", "edge"}
        Values beyond the border: zero, or those of the nearest pixel of the border.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x): the blurred values.
    """
    sigma = [max(sigma_nm / size, 1e-6) for size in pixel_size_nm]
    height, width = (2 * int(4 * s + 0.5) + 1 for s in sigma)
    if min(height, width) >= WIDE_PX:
        along_y, along_x = (_blur_matrix(n, s, beyond) for n, s in zip(values.shape, sigma, strict=True))
        return small_product(small_product(along_y, values), along_x.T)
    border = cv2.BORDER_CONSTANT if beyond == "zero" else cv2.BORDER_REPLICATE
    return np.asarray(cv2.GaussianBlur(values, (width, height), sigmaX=sigma[1], sigmaY=sigma[0], borderType=border))


@functools.lru_cache(maxsize=32)
def _blur_matrix(n: int, sigma_px: float, beyond: Literal["zero", "edge"]) -> np.ndarray:
    """Return the matrix, shape (n, n), float32, that blurs n pixels."""
    reach = int(4 * sigma_px + 0.5)
    matrix = gaussian_rows(n, sigma_px, np.arange(n))
    if beyond == "edge":
        at = np.arange(min(reach, n))
        beyond_first = np.zeros(n, np.float32)  # the part of the Gaussian that is beyond the first pixel
        beyond_first[at] = np.cumsum(_kernel(sigma_px))[reach - 1 - at]
        matrix[:, 0] += beyond_first
        matrix[:, -1] += beyond_first[::-1]
    return matrix


def gaussian_rows(n: int, sigma_px: float, at: np.ndarray) -> np.ndarray:
    """Return a matrix that blurs n pixels by a Gaussian, cut off at four standard deviations, at some of them.

    Parameters
    ----------
    n : int
        Number of pixels; beyond them there is zero.
    sigma_px : float
        Standard deviation (px).
    at : numpy.ndarray of int
        Shape (m,): the pixels to blur.

    Returns
    -------
    numpy.ndarray of float32
        Shape (m, n).
    """
    kernel = _kernel(sigma_px)
    padded = np.zeros(kernel.size + 2 * n, np.float32)
    padded[n : n + kernel.size] = kernel
    # row k begins at pixel k; `sliding_window_view` makes the same one, and takes as long as the rest
    rows = as_strided(padded, (padded.size - n + 1, n), padded.strides * 2, writeable=False)
    return np.asarray(rows[n + kernel.size // 2 - at])


@functools.lru_cache(maxsize=32)
def _kernel(sigma_px: float) -> np.ndarray:
    """Return a Gaussian with a sum of 1, cut off at four standard deviations."""
    return np.asarray(cv2.getGaussianKernel(2 * int(4 * sigma_px + 0.5) + 1, sigma_px, cv2.CV_32F)[:, 0])


def small_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply matrices in slices small enough for BLAS not to start threads.

    These take twenty times as long on a machine whose cores are all busy with other micrographs.

    Parameters
    ----------
    a : numpy.ndarray
        Shape (n, k).
    b : numpy.ndarray
        Shape (k, m).

    Returns
    -------
    numpy.ndarray
        Shape (n, m).
    """
    step = max(1, MOST_MULTIPLICATIONS // max(a.shape[1] * b.shape[1], 1))
    if step >= len(a):
        return np.asarray(a @ b)
    return np.concatenate([a[first : first + step] @ b for first in range(0, len(a), step)])
