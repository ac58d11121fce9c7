"""How a region stands out of its support: in mean intensity, and in the band of lattice fringes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hrtem_dask.fourier.flattening import blurred
from hrtem_dask.micrograph import PixelSize

__all__ = ["CONTRAST_COLUMNS", "contrast_features"]

MEAN_SIGMA_NM = 0.25
"""Blurs lattice fringes, keeps mass contrast."""
BAND_SIGMA_NM = (0.03, 0.12)
"""Difference of Gaussians that keeps fringes of 0.1 to 0.4 nm."""
RING_NM = (0.15, 0.6)
"""The surroundings: from and to this distance of the region."""
MIN_RING_PX = 30
SMALLEST = 1e-6
"""Of an image that is scaled to [0, 1]: less is rounding."""

CONTRAST_COLUMNS = ("support_contrast", "relative_contrast", "band_contrast", "texture")
"""Features of `contrast_features`; `tables.REGION_FEATURES` says what they mean."""


def contrast_features(crop: np.ndarray, mask: np.ndarray, *, pixel_size_nm: PixelSize) -> dict[str, float]:
    """Compare a region with what is around it.

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
        The names of `CONTRAST_COLUMNS`; NaN where the crop holds no surroundings.
    """
    distance = ndimage.distance_transform_edt(~mask, sampling=pixel_size_nm)
    ring = (distance > RING_NM[0]) & (distance <= RING_NM[1])
    mean = blurred(crop, MEAN_SIGMA_NM, pixel_size_nm, beyond="edge")
    result = dict.fromkeys(CONTRAST_COLUMNS, np.nan)
    result["texture"] = _ratio(mean[mask].std(), crop[mask].std())
    if np.count_nonzero(ring) < MIN_RING_PX:
        return result
    fine, coarse = (blurred(crop, sigma, pixel_size_nm, beyond="edge") for sigma in BAND_SIGMA_NM)
    band = fine - coarse
    difference = float(mean[mask].mean() - mean[ring].mean())
    return result | {
        "support_contrast": _ratio(difference, mean[ring].std()),
        "relative_contrast": _ratio(difference, abs(crop[ring].mean())),
        "band_contrast": _ratio(band[mask].std(), band[ring].std()),
    }


def _ratio(value: float, over: float) -> float:
    """Divide; NaN where there is only rounding to divide by."""
    return float(value) / float(over) if over > SMALLEST else np.nan
