"""A particle's fringes alone: its local mean subtracted, and the noise they stand in."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import scipy.fft

from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.micrograph import PixelSize

__all__ = ["blurred", "flattened", "noise_power"]

BACKGROUND_SIGMA_NM = 0.5
NOISE_RING_PER_NM = 0.3


def flattened(values: np.ndarray, mask: np.ndarray, pixel_size_nm: PixelSize) -> np.ndarray:
    """Subtract the local mean inside of a mask.

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
        Shape (y, x): values less their Gaussian mean (standard deviation 0.5 nm) over the mask's own pixels; 0 outside,
        so that the outline's own contrast has no fringes.
    """
    inside = mask.astype(np.float32)
    values = (values - values[mask].mean()) * inside
    weight = blurred(inside, BACKGROUND_SIGMA_NM, pixel_size_nm, beyond="zero")
    mean = blurred(values, BACKGROUND_SIGMA_NM, pixel_size_nm, beyond="zero") / np.maximum(weight, 1e-3)
    return np.asarray((values - mean) * inside)


def blurred(
    values: np.ndarray, sigma_nm: float, pixel_size_nm: PixelSize, *, beyond: Literal["zero", "edge"]
) -> np.ndarray:
    """Blur by a Gaussian that is cut off at four standard deviations; OpenCV's, ten times as fast as SciPy's.

    Parameters
    ----------
    values : numpy.ndarray of float32
        Shape (y, x).
    sigma_nm : float
        Standard deviation (nm).
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    beyond : {"zero", "edge"}
        What is beyond the border: nothing, or its pixels again.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x).
    """
    sigma = [sigma_nm / size for size in pixel_size_nm]
    height, width = (2 * int(4 * s + 0.5) + 1 for s in sigma)
    border = cv2.BORDER_CONSTANT if beyond == "zero" else cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.GaussianBlur(
            values, (width, height), sigmaX=max(sigma[1], 1e-6), sigmaY=max(sigma[0], 1e-6), borderType=border
        )
    )


def noise_power(flat: np.ndarray, n_pixels: int, frequencies_of: np.ndarray, pixel_size_nm: PixelSize) -> np.ndarray:
    """Return the power per pixel of what is no reflection: that of noise, the support's included.

    Parameters
    ----------
    flat : numpy.ndarray of float32
        Shape (y, x), from `flattened`.
    n_pixels : int
        Pixels of its mask.
    frequencies_of : numpy.ndarray
        Shape (n,): moduli of wave vectors (1/nm) at which it is wanted.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,), positive, unit of the image squared.
    """
    power = np.abs(scipy.fft.rfft2(flat)) ** 2 / n_pixels
    axes = frequencies_per_nm((flat.shape[0], flat.shape[1]), pixel_size_nm)
    radius = np.hypot(axes[0][:, None], axes[1])
    width = max(NOISE_RING_PER_NM, float(axes[1][1]) if axes[1].size > 1 else 0.0)
    # noise is exponentially distributed, and its median is ln 2 of its mean; reflections hardly move it
    rings = [power[np.abs(radius - f) <= width] for f in frequencies_of]
    floor = max(float(power.max()) * 1e-9, float(np.finfo(np.float32).tiny))
    return np.array([max(float(np.median(ring)) / np.log(2) if ring.size else 0.0, floor) for ring in rings])
