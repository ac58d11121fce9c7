"""Maps of the parts of a region that each reflection comes from.

The amplitude of the Bragg-filtered image of a reflection maps its fringes [1]. In a single crystal all reflections come
from the same area. Reflections of two particles in a region, or of the two parts of a twin, come from different areas.
An area without any reflection is not crystalline.

References
----------
[1] Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from hrtem_dask.fourier.flattening import gaussian_rows, small_product
from hrtem_dask.fourier.fringes import Fringes
from hrtem_dask.fourier.lattice import Reflection

__all__ = ["BRAGG_COLUMNS", "bragg_features", "bragg_maps", "sampled"]

RESOLUTION_NM = 0.45
"""Standard deviation of the blur of the maps (nm): about two lattice fringes."""
SAMPLING_NM = 0.15
"""Distance of the pixels of the maps that are compared (nm), a third of their resolution."""
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


def bragg_maps(fringes: Fringes, reflections: Sequence[Reflection], *, step_px: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Map the power of each reflection, relative to that of the noise.

    Parameters
    ----------
    fringes : Fringes
        The fringes of a region.
    reflections : sequence of Reflection
        Reflections to map.
    step_px : tuple of int
        Distance of the rows, and of the columns, of which the pixels are mapped.

    Returns
    -------
    numpy.ndarray of float32
        Shape (reflection, pixel): power, with a mean of 1 in noise alone, at the pixels of `sampled`. The resolution is
        0.45 nm (standard deviation); the loss of power at the border of the mask is compensated.
    """
    at = _rows_and_columns(fringes, step_px)
    mask, pixel = fringes.mask, fringes.pixel_size_nm
    blur = [gaussian_rows(n, RESOLUTION_NM / p, k) for n, p, k in zip(mask.shape, pixel, at, strict=True)]
    there = mask[np.ix_(*at)]
    inside = small_product(small_product(blur[0], mask.astype(np.float32)), blur[1].T)
    weight = np.maximum(inside[there], MIN_WEIGHT)
    sigma_per_nm = 1 / (2 * np.pi * RESOLUTION_NM)
    y, x = (np.fft.fftfreq(n, size) for n, size in zip(fringes.shape, pixel, strict=True))
    noise = fringes.noise_power(np.array([1 / r.spacing_nm for r in reflections]))
    maps = np.empty((len(reflections), weight.size), np.float32)
    for i, (r, white) in enumerate(zip(reflections, noise, strict=True)):
        near_y = np.exp(-(((y - r.frequency_y_per_nm) / sigma_per_nm) ** 2) / 2)
        near_x = np.exp(-(((x - r.frequency_x_per_nm) / sigma_per_nm) ** 2) / 2)
        passed = (near_y**2).mean() * (near_x**2).mean()  # share of white noise that passes the Gaussian mask
        wave = _filtered(fringes.spectrum, near_y, near_x, at)[there] / weight
        maps[i] = (wave.real**2 + wave.imag**2) / (white * passed)
    return maps


def sampled(fringes: Fringes, step_px: tuple[int, int]) -> np.ndarray:
    """Return the pixels that `bragg_maps` maps.

    Parameters
    ----------
    fringes : Fringes
        The fringes of a region.
    step_px : tuple of int
        Distance of the rows, and of the columns.

    Returns
    -------
    numpy.ndarray of int64
        Shape (pixel, 2): row and column in the bounding box of the mask.
    """
    rows, columns = _rows_and_columns(fringes, step_px)
    i, j = np.nonzero(fringes.mask[np.ix_(rows, columns)])
    return np.stack([rows[i], columns[j]], axis=1)


def _rows_and_columns(fringes: Fringes, step_px: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return every so many rows and columns; all of them where no pixel of the mask would be met."""
    rows, columns = (np.arange((step - 1) // 2, n, step) for n, step in zip(fringes.mask.shape, step_px, strict=True))
    if fringes.mask[np.ix_(rows, columns)].any():
        return rows, columns
    return np.arange(fringes.mask.shape[0]), np.arange(fringes.mask.shape[1])


def _filtered(
    spectrum: np.ndarray, near_y: np.ndarray, near_x: np.ndarray, at: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the inverse transform of the spectrum times two factors, at some rows and columns.

    The factors are Gaussians that are 0 but for some twenty frequencies, so that two small matrix products take a fifth
    of the time of a transform.
    """
    height, width = near_y.size, near_x.size
    rows, columns = (np.flatnonzero(near > SMALLEST_FACTOR) for near in (near_y, near_x))
    mirrored = columns > width // 2  # by Friedel's law
    source = np.where(mirrored, width - columns, columns)
    block = np.where(mirrored, spectrum[(-rows % height)[:, None], source].conj(), spectrum[rows[:, None], source])
    block = block * np.multiply.outer(near_y[rows], near_x[columns]).astype(np.float32) / np.float32(height * width)
    along_y = _turns(height)[np.multiply.outer(at[0], rows) % height]
    along_x = _turns(width)[np.multiply.outer(columns, at[1]) % width]
    return np.asarray(along_y @ block @ along_x)


@functools.lru_cache(maxsize=64)
def _turns(n: int) -> np.ndarray:
    """Return exp(2πi k/n) for k from 0 to n − 1, complex64."""
    return np.asarray(np.exp(2j * np.pi / n * np.arange(n)), np.complex64)


def bragg_features(fringes: Fringes, reflections: Sequence[Reflection]) -> dict[str, float]:
    """Describe the parts of a region that its reflections come from.

    Maps are blurred by 0.45 nm, so that it is enough to know them every 0.15 nm.

    Parameters
    ----------
    fringes : Fringes
        The fringes of the region.
    reflections : sequence of Reflection
        The strongest reflections, from `without_side_lobes`.

    Returns
    -------
    dict of str to float
        Features named in `BRAGG_COLUMNS`; NaN without a reflection.
    """
    if not reflections:
        return dict.fromkeys(BRAGG_COLUMNS, np.nan)
    pixel = fringes.pixel_size_nm
    step = max(1, round(SAMPLING_NM / pixel[0])), max(1, round(SAMPLING_NM / pixel[1]))
    maps = bragg_maps(fringes, reflections, step_px=step)
    diameter_nm = 2 * np.sqrt(np.count_nonzero(fringes.mask) * pixel[0] * pixel[1] / np.pi)
    positions_nm = sampled(fringes, step) * pixel
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
