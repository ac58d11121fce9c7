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

from hrtem_dask.fourier.flattening import blurred, bounding_box, noise_power_of
from hrtem_dask.fourier.lattice import Reflection
from hrtem_dask.micrograph import PixelSize

__all__ = ["BRAGG_COLUMNS", "bragg_features", "bragg_maps"]

RESOLUTION_NM = 0.45
"""Standard deviation of the blur of the maps (nm): about two lattice fringes."""
MIN_WEIGHT = 0.2
"""Smallest share of the blur that is inside the mask; less is treated as this, to keep borders from diverging."""
CRYSTALLINE_SNR = 5.0
"""Threshold of crystalline pixels: noise alone exceeds this power (over its mean) in exp(−5) = 0.7 % of pixels."""
SMALLEST_FACTOR = 1e-8
"""Smaller factors of a Gaussian are below the precision of float32."""
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
    box = bounding_box(mask)
    mask = mask[box]
    inside = blurred(mask.astype(np.float32), RESOLUTION_NM, pixel_size_nm, beyond="zero")
    weight = np.maximum(inside[mask], MIN_WEIGHT)
    spectrum = scipy.fft.rfft2(flat)
    y, x = (np.fft.fftfreq(n, size) for n, size in zip(flat.shape, pixel_size_nm, strict=True))
    moduli = np.array([1 / r.spacing_nm for r in reflections])
    noise = noise_power_of(spectrum, flat.shape, weight.size, moduli, pixel_size_nm)
    maps = []
    for r, white in zip(reflections, noise, strict=True):
        near_y = np.exp(-(((y - r.frequency_y_per_nm) / sigma_per_nm) ** 2) / 2)
        near_x = np.exp(-(((x - r.frequency_x_per_nm) / sigma_per_nm) ** 2) / 2)
        passed = (near_y**2).mean() * (near_x**2).mean()  # share of white noise that passes the Gaussian mask
        wave = _filtered(spectrum, near_y, near_x, box)[mask] / weight
        maps.append((wave.real**2 + wave.imag**2) / (white * passed))
    return np.array(maps, np.float32).reshape(len(reflections), weight.size)


def _filtered(spectrum: np.ndarray, near_y: np.ndarray, near_x: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """Return the inverse transform of the spectrum times two factors, within a box.

    The factors are Gaussians that are 0 but for some twenty frequencies, so that two small matrix products take a fifth
    of the time of a transform.
    """
    height, width = near_y.size, near_x.size
    rows, columns = (np.flatnonzero(near > SMALLEST_FACTOR) for near in (near_y, near_x))
    mirrored = columns > width // 2  # by Friedel's law
    at = np.where(mirrored, width - columns, columns)
    block = np.where(mirrored, spectrum[(-rows % height)[:, None], at].conj(), spectrum[rows[:, None], at])
    block = block * np.multiply.outer(near_y[rows], near_x[columns]).astype(np.float32) / np.float32(height * width)
    along_y = _turns(height)[np.multiply.outer(np.arange(box[0].start, box[0].stop), rows) % height]
    along_x = _turns(width)[np.multiply.outer(columns, np.arange(box[1].start, box[1].stop)) % width]
    return np.asarray(along_y @ block @ along_x)


def _turns(n: int) -> np.ndarray:
    """Return exp(2πi k/n) for k from 0 to n − 1, complex64."""
    return np.asarray(np.exp(2j * np.pi / n * np.arange(n)), np.complex64)


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
