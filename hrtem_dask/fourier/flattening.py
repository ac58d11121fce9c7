"""The fringes of a particle without its local mean, and the power of the noise."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import scipy.fft

from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.micrograph import PixelSize

__all__ = ["blurred", "flattened", "noise_power"]

BACKGROUND_SIGMA_NM = 0.5
"""Standard deviation of the Gaussian of the local mean (nm): longer than lattice fringes."""
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


def blurred(
    values: np.ndarray, sigma_nm: float, pixel_size_nm: PixelSize, *, beyond: Literal["zero", "edge"]
) -> np.ndarray:
    """Blur by a Gaussian that is cut off at four standard deviations.

    OpenCV does this about ten times as fast as SciPy.

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
    sigma = [sigma_nm / size for size in pixel_size_nm]
    height, width = (2 * int(4 * s + 0.5) + 1 for s in sigma)
    border = cv2.BORDER_CONSTANT if beyond == "zero" else cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.GaussianBlur(
            values, (width, height), sigmaX=max(sigma[1], 1e-6), sigmaY=max(sigma[0], 1e-6), borderType=border
        )
    )


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
    power = np.abs(scipy.fft.rfft2(flat)) ** 2 / n_pixels
    axes = frequencies_per_nm((flat.shape[0], flat.shape[1]), pixel_size_nm)
    radius = np.hypot(axes[0][:, None], axes[1])
    width = max(NOISE_RING_PER_NM, float(axes[1][1]) if axes[1].size > 1 else 0.0)
    # the power of noise is exponentially distributed: its median is ln 2 times its mean. Reflections in the ring hardly
    # change the median
    rings = [power[np.abs(radius - f) <= width] for f in at_per_nm]
    floor = max(float(power.max()) * 1e-9, float(np.finfo(np.float32).tiny))
    return np.array([max(float(np.median(ring)) / np.log(2) if ring.size else 0.0, floor) for ring in rings])
