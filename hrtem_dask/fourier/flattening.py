"""A particle's fringes alone: its local mean subtracted, and the noise they stand in."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy import ndimage

from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.micrograph import PixelSize

__all__ = ["flattened", "noise_power"]

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
    sigma = [BACKGROUND_SIGMA_NM / size for size in pixel_size_nm]
    inside = mask.astype(np.float32)
    values = (values - values[mask].mean()) * inside
    weight = ndimage.gaussian_filter(inside, sigma, mode="constant")
    mean = ndimage.gaussian_filter(values, sigma, mode="constant") / np.maximum(weight, 1e-3)
    return np.asarray((values - mean) * inside)


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
