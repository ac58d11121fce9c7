"""Where in a region each reflection comes from.

The amplitude of the geometric phase (Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131) maps a reflection's
fringes. In one crystal all reflections come from the same place. Those of two particles in a region, or of a twin's
halves, come from different ones, and where no reflection is there is no crystal.
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
"""Standard deviation of the maps' blur: two lattice fringes and more."""
MIN_WEIGHT = 0.2
CRYSTALLINE_SNR = 5.0
"""Noise alone exceeds this power (over its mean) in exp(−5) = 0.7 % of places."""
NOISE_SNR = 1.5

BRAGG_COLUMNS = (
    "bragg_coverage", "bragg_separation", "bragg_overlap", "bragg_least_overlap", "bragg_unevenness",
)  # fmt: skip
"""Features of `bragg_features`; `tables.REGION_FEATURES` says what they mean."""


def bragg_maps(
    flat: np.ndarray, mask: np.ndarray, reflections: Sequence[Reflection], *, pixel_size_nm: PixelSize
) -> np.ndarray:
    """Map the power of reflections over the noise's.

    Parameters
    ----------
    flat : numpy.ndarray of float32
        Shape (y, x), from `flattened`.
    mask : numpy.ndarray of bool
        Shape (y, x), True on the region.
    reflections : sequence of Reflection
        Which ones.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    numpy.ndarray of float32
        Shape (reflection, pixel of the mask): power, 1 on average in noise alone. Resolution 0.45 nm (standard
        deviation); what lacks outside of the mask is made up for.
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
        passed = (near_y**2).mean() * (near_x**2).mean()  # what the mask lets through of white noise
        wave = scipy.fft.ifft2(spectrum * np.multiply.outer(near_y, near_x).astype(np.float32))[mask] / weight
        maps.append((wave.real**2 + wave.imag**2) / (white * passed))
    return np.array(maps, np.float32).reshape(len(reflections), int(mask.sum()))


def bragg_features(
    flat: np.ndarray, mask: np.ndarray, reflections: Sequence[Reflection], *, pixel_size_nm: PixelSize
) -> dict[str, float]:
    """Describe where the reflections of a region come from.

    Parameters
    ----------
    flat : numpy.ndarray of float32
        Shape (y, x), from `flattened`.
    mask : numpy.ndarray of bool
        Shape (y, x), True on the region.
    reflections : sequence of Reflection
        The strongest few, from `without_side_lobes`.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    dict of str to float
        The names of `BRAGG_COLUMNS`; NaN without a reflection.
    """
    if not reflections or not mask.any():
        return dict.fromkeys(BRAGG_COLUMNS, np.nan)
    maps = bragg_maps(flat, mask, reflections, pixel_size_nm=pixel_size_nm)
    diameter_nm = 2 * np.sqrt(mask.sum() * pixel_size_nm[0] * pixel_size_nm[1] / np.pi)
    places = np.argwhere(mask) * pixel_size_nm
    signal = np.maximum(maps - NOISE_SNR, 1e-6)  # a reflection below the noise everywhere comes from everywhere
    centres = (signal @ places) / signal.sum(1, keepdims=True)
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
    unit = signal / np.linalg.norm(signal, axis=1, keepdims=True)
    overlap = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return {
        "bragg_coverage": float((maps.max(0) > CRYSTALLINE_SNR).mean()),
        "bragg_separation": float(apart.max() / diameter_nm),
        "bragg_overlap": float(overlap.mean()) if overlap.size else 1.0,
        "bragg_least_overlap": float(overlap.min()) if overlap.size else 1.0,
        "bragg_unevenness": float(np.log1p(maps.sum(0)).std()),
    }
