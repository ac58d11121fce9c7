"""The fringes of one region and their spectrum, computed once: phase steps and Bragg maps both read them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import scipy.fft

from hrtem_dask.fourier.flattening import bounding_box, flattened
from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.medians import median
from hrtem_dask.micrograph import PixelSize

__all__ = ["Fringes"]

PADDING_NM = 1.2
"""Zeros behind the region, so that a blurred map of one side does not reach the other."""
NOISE_RING_PER_NM = 0.3
"""Half width of the ring of frequencies in which noise is measured (1/nm)."""


@dataclass(frozen=True)
class Fringes:
    """The fringes of one region, in the bounding box of its mask."""

    flat: np.ndarray
    """Shape (y, x), float32: the image without its local mean, from `flattened`; 0 outside of the mask."""
    mask: np.ndarray
    """Shape (y, x), bool: True on the region."""
    spectrum: np.ndarray
    """Shape (height, width // 2 + 1), complex64: the Fourier transform of `flat`, padded with zeros to `shape`."""
    shape: tuple[int, int]
    """Height and width of the padded image (px), sizes of which a transform is fast."""
    pixel_size_nm: PixelSize
    """Height and width of a pixel (nm)."""

    @classmethod
    def of(cls, crop: np.ndarray, mask: np.ndarray, pixel_size_nm: PixelSize) -> Fringes:
        """Flatten a region and transform it.

        Parameters
        ----------
        crop : numpy.ndarray
            Shape (y, x), real, finite: the region, with any margin.
        mask : numpy.ndarray of bool
            Shape (y, x), True on the region, with at least one pixel.
        pixel_size_nm : tuple of float
            Height and width of a pixel in nm; the two may differ.

        Returns
        -------
        Fringes
            Cut to the bounding box of the mask.
        """
        box = bounding_box(mask)
        inside = mask[box]
        flat = flattened(crop[box].astype(np.float32), inside, pixel_size_nm)
        height, width = (
            scipy.fft.next_fast_len(n + int(np.ceil(PADDING_NM / size)), real=True)
            for n, size in zip(flat.shape, pixel_size_nm, strict=True)
        )
        return cls(flat, inside, scipy.fft.rfft2(flat, s=(height, width)), (height, width), pixel_size_nm)

    @functools.cached_property
    def _power(self) -> np.ndarray:
        """Power of each frequency, shape (height, width // 2 + 1), float32."""
        return np.asarray(np.square(self.spectrum.real) + np.square(self.spectrum.imag))

    @functools.cached_property
    def _squared_frequency(self) -> np.ndarray:
        """Squared modulus of each frequency (1/nm²), shape (height, width // 2 + 1), float32."""
        y, x = frequencies_per_nm(self.shape, self.pixel_size_nm)
        return np.asarray(np.add.outer(np.square(y), np.square(x)), np.float32)

    def noise_power(self, at_per_nm: np.ndarray) -> np.ndarray:
        """Return the power per pixel of the noise, including the contrast of the support.

        The power of noise is exponentially distributed: its median is ln 2 times its mean. Reflections in a ring of
        equal frequency hardly change the median.

        Parameters
        ----------
        at_per_nm : numpy.ndarray
            Shape (n,): frequencies at which to measure it (1/nm).

        Returns
        -------
        numpy.ndarray of float64
            Shape (n,), positive, in the squared unit of the image.
        """
        power, squared = self._power, self._squared_frequency
        width = max(NOISE_RING_PER_NM, 1 / (self.shape[1] * self.pixel_size_nm[1]))
        rings = [power[(squared >= max(f - width, 0) ** 2) & (squared <= (f + width) ** 2)] for f in at_per_nm]
        floor = max(float(power.max()) * 1e-9, float(np.finfo(np.float32).tiny))
        n_pixels = np.count_nonzero(self.mask)
        return np.array([max(median(ring) / np.log(2) if ring.size else 0.0, floor) for ring in rings]) / n_pixels
