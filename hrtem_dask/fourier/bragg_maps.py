"""Maps of the parts of a region that each reflection comes from.

The amplitude of the Bragg-filtered image of a reflection maps its fringes [1]. In a single crystal all reflections come
from the same area. Reflections of two particles in a region, or of the two parts of a twin, come from different areas.
An area without any reflection is not crystalline.

References
----------
[1] Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hrtem_dask.fourier.compiled.maps import compare_maps, filtered_power
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
    return _mapped(fringes, reflections, step_px)[0]


def _mapped(
    fringes: Fringes, reflections: Sequence[Reflection], step_px: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the maps, and the rows and columns of their pixels."""
    at = _rows_and_columns(fringes, step_px)
    mask, pixel = fringes.mask, fringes.pixel_size_nm
    blur = [gaussian_rows(n, RESOLUTION_NM / p, k) for n, p, k in zip(mask.shape, pixel, at, strict=True)]
    i, j = np.nonzero(mask[np.ix_(*at)])
    inside = small_product(small_product(blur[0], mask.astype(np.float32)), blur[1].T)
    weight = np.maximum(inside[i, j], MIN_WEIGHT)
    g = np.array([(r.frequency_y_per_nm, r.frequency_x_per_nm) for r in reflections]).reshape(-1, 2)
    step_per_nm = 1 / (fringes.shape[0] * pixel[0]), 1 / (fringes.shape[1] * pixel[1])
    rows, columns = at[0].take(i), at[1].take(j)
    sigma_per_nm = 1 / (2 * np.pi * RESOLUTION_NM)
    power = filtered_power(fringes.spectrum, fringes.shape[1], step_per_nm, g, sigma_per_nm, rows, columns)
    noise = fringes.noise_power(np.array([math.hypot(*one) for one in g.tolist()]))
    maps = power / (np.square(weight, dtype=np.float64) * noise[:, None])
    return maps.astype(np.float32), rows, columns


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
    maps, rows, columns = _mapped(fringes, reflections, step)
    diameter_nm = 2 * math.sqrt(fringes.n_pixels * pixel[0] * pixel[1] / math.pi)
    values = compare_maps(maps, rows * pixel[0], columns * pixel[1], NOISE_SNR, CRYSTALLINE_SNR)
    coverage, separation_nm, overlap, least_overlap, unevenness = values
    return {
        "bragg_coverage": coverage,
        "bragg_separation": separation_nm / diameter_nm,
        "bragg_overlap": overlap,
        "bragg_least_overlap": least_overlap,
        "bragg_unevenness": unevenness,
    }
