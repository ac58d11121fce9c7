"""The fringes of a particle without its local mean, and the power of the noise."""

from __future__ import annotations

import functools
from typing import Literal

import cv2
import numpy as np
import scipy.fft

from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.medians import median
from hrtem_dask.micrograph import PixelSize

__all__ = ["blurred", "bounding_box", "flattened", "noise_power", "noise_power_of", "small_product"]

BACKGROUND_SIGMA_NM = 0.5
"""Standard deviation of the Gaussian of the local mean (nm): longer than lattice fringes."""
WIDE_PX = 101
"""From this width of a Gaussian (px) on, a product of matrices is faster than OpenCV."""
MOST_MULTIPLICATIONS = 200_000
"""Products of matrices that need no more than that stay on one thread."""
NOISE_RING_PER_NM = 0.3
"""Half width of the ring of frequencies in which noise is measured (1/nm)."""


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
    values = (values - values[mask].mean()) * inside
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
    kernel = cv2.getGaussianKernel(2 * reach + 1, sigma_px, cv2.CV_32F)[:, 0]
    padded = np.zeros((n, n + 2 * reach), np.float32)
    for row in range(n):
        padded[row, row : row + kernel.size] = kernel
    matrix = padded[:, reach : reach + n].copy()
    if beyond == "edge":
        matrix[:, 0] += padded[:, :reach].sum(axis=1)
        matrix[:, -1] += padded[:, reach + n :].sum(axis=1)
    return matrix


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
    return np.concatenate([a[first : first + step] @ b for first in range(0, len(a), step)])


def noise_power(flat: np.ndarray, n_pixels: int, at_per_nm: np.ndarray, pixel_size_nm: PixelSize) -> np.ndarray:
    """Return the power per pixel of the noise, including the contrast of the support.

    Parameters
    ----------
    flat : numpy.ndarray of float32
        Shape (y, x), from `flattened`.
    n_pixels : int
        Number of pixels of the mask.
    at_per_nm : numpy.ndarray
        Shape (n,): frequencies at which to measure it (1/nm).
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,), positive, in the squared unit of the image.
    """
    return noise_power_of(scipy.fft.rfft2(flat), flat.shape, n_pixels, at_per_nm, pixel_size_nm)


def noise_power_of(
    spectrum: np.ndarray, shape: tuple[int, ...], n_pixels: int, at_per_nm: np.ndarray, pixel_size_nm: PixelSize
) -> np.ndarray:
    """Return the power per pixel of the noise from a spectrum that is known already.

    Parameters
    ----------
    spectrum : numpy.ndarray of complex64
        Shape (y, x // 2 + 1): ``rfft2`` of what `flattened` returns.
    shape : tuple of int
        Height and width of the image.
    n_pixels : int
        Number of pixels of the mask.
    at_per_nm : numpy.ndarray
        Shape (n,): frequencies at which to measure it (1/nm).
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm.

    Returns
    -------
    numpy.ndarray of float64
        As `noise_power`.
    """
    power = (np.square(spectrum.real) + np.square(spectrum.imag)) / n_pixels
    axes = frequencies_per_nm((shape[0], shape[1]), pixel_size_nm)
    radius = np.hypot(axes[0][:, None], axes[1])
    width = max(NOISE_RING_PER_NM, float(axes[1][1]) if axes[1].size > 1 else 0.0)
    # the power of noise is exponentially distributed: its median is ln 2 times its mean. Reflections in the ring hardly
    # change the median
    rings = [power[np.abs(radius - f) <= width] for f in at_per_nm]
    floor = max(float(power.max()) * 1e-9, float(np.finfo(np.float32).tiny))
    return np.array([max(median(ring) / np.log(2) if ring.size else 0.0, floor) for ring in rings])
