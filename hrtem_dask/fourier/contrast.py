"""Contrast of a region with its support: in mean intensity, and in the frequency band of lattice fringes."""

from __future__ import annotations

import numpy as np

from hrtem_dask.fourier.compiled.surroundings import REGION, RING, means_and_deviations, region_and_ring
from hrtem_dask.fourier.flattening import blurred
from hrtem_dask.micrograph import PixelSize

__all__ = ["CONTRAST_COLUMNS", "contrast_features"]

MEAN_SIGMA_NM = 0.25
"""Blur (nm) that removes lattice fringes and keeps mass contrast."""
BAND_SIGMA_NM = (0.03, 0.12)
"""Standard deviations (nm) of a difference of Gaussians that keeps fringes of 0.1 to 0.4 nm."""
RING_NM = (0.15, 0.6)
"""The surroundings: smallest and largest distance from the region (nm)."""
MIN_RING_PX = 30
"""Smallest number of pixels of the surroundings."""
SMALLEST = 1e-6
"""Smallest divisor: in an image that is scaled to [0, 1] a smaller one is a rounding error."""

CONTRAST_COLUMNS = ("support_contrast", "relative_contrast", "band_contrast", "texture")
"""Features of `contrast_features`; `tables.REGION_FEATURES` describes them."""


def contrast_features(crop: np.ndarray, mask: np.ndarray, *, pixel_size_nm: PixelSize) -> dict[str, float]:
    """Compare a region with its surroundings.

    Parameters
    ----------
    crop : numpy.ndarray of float32
        Shape (y, x), finite: the region with about 0.6 nm around it.
    mask : numpy.ndarray of bool
        Shape (y, x), True on the region.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    dict of str to float
        Features named in `CONTRAST_COLUMNS`; NaN if the crop contains too little of the surroundings.
    """
    kind = region_and_ring(np.ascontiguousarray(mask), *RING_NM, pixel_size_nm)
    images = np.empty((3, *crop.shape), np.float32)
    images[0] = crop
    images[1] = blurred(images[0], MEAN_SIGMA_NM, pixel_size_nm, beyond="edge")
    fine, coarse = (blurred(images[0], sigma, pixel_size_nm, beyond="edge") for sigma in BAND_SIGMA_NM)
    np.subtract(fine, coarse, out=images[2])
    count, mean, deviation = means_and_deviations(images, kind)
    result = dict.fromkeys(CONTRAST_COLUMNS, np.nan)
    result["texture"] = _ratio(deviation[1, REGION], deviation[0, REGION])
    if count[RING] < MIN_RING_PX:
        return result
    difference = mean[1, REGION] - mean[1, RING]
    return result | {
        "support_contrast": _ratio(difference, deviation[1, RING]),
        "relative_contrast": _ratio(difference, abs(mean[0, RING])),
        "band_contrast": _ratio(deviation[2, REGION], deviation[2, RING]),
    }


def _ratio(value: float, over: float) -> float:
    """Divide; NaN if the divisor is a rounding error."""
    return float(value) / float(over) if over > SMALLEST else np.nan
