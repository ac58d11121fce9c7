"""The fringes of one region and their spectrum, computed once: phase steps and Bragg maps both read them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import scipy.fft

from hrtem_dask.fourier.compiled.rings import ring_median, squared_modulus
from hrtem_dask.fourier.flattening import bounding_box, flattened
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
        inside = np.ascontiguousarray(mask[box])
        flat = flattened(crop[box].astype(np.float32), inside, pixel_size_nm)
        height, width = (
            scipy.fft.next_fast_len(n + int(np.ceil(PADDING_NM / size)), real=True)
            for n, size in zip(flat.shape, pixel_size_nm, strict=True)
        )
        return cls(flat, inside, scipy.fft.rfft2(flat, s=(height, width)), (height, width), pixel_size_nm)

    @functools.cached_property
    def _power(self) -> np.ndarray:
        """Power of each frequency, shape (height, width // 2 + 1), float32."""
        return squared_modulus(self.spectrum)

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
        known = self._noise
        for f in at_per_nm.tolist():
            if f not in known:
                known[f] = self._median_noise(f)
        return np.array([known[f] for f in at_per_nm.tolist()])

    @functools.cached_property
    def _noise(self) -> dict[float, float]:
        """What `noise_power` has measured, by frequency: phase steps and Bragg maps look at the same reflections."""
        return {}

    @functools.cached_property
    def _least_noise(self) -> float:
        """Smallest noise, of all pixels together."""
        return max(float(self._power.max()) * 1e-9, float(np.finfo(np.float32).tiny))

    def _median_noise(self, at_per_nm: float) -> float:
        """Measure the power per pixel of the noise in a ring."""
        step_y, step_x = (1 / (n * size) for n, size in zip(self.shape, self.pixel_size_nm, strict=True))
        width = max(NOISE_RING_PER_NM, step_x)
        median = ring_median(self._power, step_y, step_x, max(at_per_nm - width, 0.0), at_per_nm + width)
        return max(median / math.log(2), self._least_noise) / self.n_pixels

    @functools.cached_property
    def n_pixels(self) -> int:
        """Number of pixels of the region."""
        return int(np.count_nonzero(self.mask))
