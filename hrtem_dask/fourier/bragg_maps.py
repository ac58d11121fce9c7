"""Maps of the parts of a region that each reflection comes from.

The amplitude of the Bragg-filtered image of a reflection maps its fringes [1]. In a single crystal all reflections come
from the same area. Reflections of two particles in a region, or of the two parts of a twin, come from different areas.
An area without any reflection is not crystalline.

References
----------
[1] Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft

from hrtem_dask.fourier.flattening import blurred, noise_power
from hrtem_dask.fourier.lattice import Reflection
from hrtem_dask.micrograph import PixelSize

__all__ = ["BRAGG_COLUMNS", "bragg_features", "bragg_maps"]

RESOLUTION_NM = 0.45
"""Standard deviation of the blur of the maps (nm): about two lattice fringes."""
MIN_WEIGHT = 0.2
"""Smallest share of the blur that is inside the mask; less is treated as this, to keep borders from diverging."""
CRYSTALLINE_SNR = 5.0
"""Threshold of crystalline pixels: noise alone exceeds this power (over its mean) in exp(−5) = 0.7 % of pixels."""
NOISE_SNR = 1.5
"""Power that is subtracted as noise before maps are compared."""

BRAGG_COLUMNS = (
    "bragg_coverage", "bragg_separation", "bragg_overlap", "bragg_least_overlap", "bragg_unevenness",
)  # fmt: skip
"""Features of `bragg_features`; `tables.REGION_FEATURES` describes them."""


def bragg_maps(
    flat: np.ndarray, mask: np.ndarray, reflections: Sequence[Reflection], *, pixel_size_nm: PixelSize
) -> np.ndarray:
    """Map the power of each reflection, relative to that of the noise.

    Parameters
    ----------
    flat : numpy.ndarray of float32
        Shape (y, x), from `flattened`.
    mask : numpy.ndarray of bool
        Shape (y, x), True on the region.
    reflections : sequence of Reflection
        Reflections to map.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    numpy.ndarray of float32
        Shape (reflection, pixel of the mask): power, with a mean of 1 in noise alone. The resolution is 0.45 nm
        (standard deviation); the loss of power at the border of the mask is compensated.
    """
    sigma_per_nm = 1 / (2 * np.pi * RESOLUTION_NM)
    inside = blurred(mask.astype(np.float32), RESOLUTION_NM, pixel_size_nm, beyond="zero")
    weight = np.maximum(inside[mask], MIN_WEIGHT)
    spectrum = scipy.fft.fft2(flat)
    y, x = (np.fft.fftfreq(n, size) for n, size in zip(flat.shape, pixel_size_nm, strict=True))
    moduli = np.array([1 / r.spacing_nm for r in reflections])
    noise = noise_power(flat, int(mask.sum()), moduli, pixel_size_nm)
    maps = []
    for r, white in zip(reflections, noise, strict=True):
        near_y = np.exp(-(((y - r.frequency_y_per_nm) / sigma_per_nm) ** 2) / 2)
        near_x = np.exp(-(((x - r.frequency_x_per_nm) / sigma_per_nm) ** 2) / 2)
        passed = (near_y**2).mean() * (near_x**2).mean()  # share of white noise that passes the Gaussian mask
        wave = scipy.fft.ifft2(spectrum * np.multiply.outer(near_y, near_x).astype(np.float32))[mask] / weight
        maps.append((wave.real**2 + wave.imag**2) / (white * passed))
    return np.array(maps, np.float32).reshape(len(reflections), int(mask.sum()))


def bragg_features(
    flat: np.ndarray, mask: np.ndarray, reflections: Sequence[Reflection], *, pixel_size_nm: PixelSize
) -> dict[str, float]:
    """Describe the parts of a region that its reflections come from.

    Parameters
    ----------
    flat : numpy.ndarray of float32
        Shape (y, x), from `flattened`.
    mask : numpy.ndarray of bool
        Shape (y, x), True on the region.
    reflections : sequence of Reflection
        The strongest reflections, from `without_side_lobes`.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    dict of str to float
        Features named in `BRAGG_COLUMNS`; NaN without a reflection.
    """
    if not reflections or not mask.any():
        return dict.fromkeys(BRAGG_COLUMNS, np.nan)
    maps = bragg_maps(flat, mask, reflections, pixel_size_nm=pixel_size_nm)
    diameter_nm = 2 * np.sqrt(mask.sum() * pixel_size_nm[0] * pixel_size_nm[1] / np.pi)
    positions_nm = np.argwhere(mask) * pixel_size_nm
    signal = np.maximum(maps - NOISE_SNR, 1e-6)  # a reflection below the noise in all pixels counts in all equally
    centers = (signal @ positions_nm) / signal.sum(1, keepdims=True)
    apart = np.linalg.norm(centers[:, None] - centers, axis=-1)
    unit = signal / np.linalg.norm(signal, axis=1, keepdims=True)
    overlap = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return {
        "bragg_coverage": float((maps.max(0) > CRYSTALLINE_SNR).mean()),
        "bragg_separation": float(apart.max() / diameter_nm),
        "bragg_overlap": float(overlap.mean()) if overlap.size else 1.0,
        "bragg_least_overlap": float(overlap.min()) if overlap.size else 1.0,
        "bragg_unevenness": float(np.log1p(maps.sum(0)).std()),
    }
