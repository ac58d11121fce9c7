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
    tiny = float(np.finfo(np.float32).tiny)
    mean = blurred(crop, MEAN_SIGMA_NM, pixel_size_nm, beyond="edge")
    result = dict.fromkeys(CONTRAST_COLUMNS, np.nan)
    result["texture"] = float(mean[mask].std() / max(float(crop[mask].std()), tiny))
    if np.count_nonzero(ring) < MIN_RING_PX:
        return result
    fine, coarse = (blurred(crop, sigma, pixel_size_nm, beyond="edge") for sigma in BAND_SIGMA_NM)
    band = fine - coarse
    difference = float(mean[mask].mean() - mean[ring].mean())
    return result | {
        "support_contrast": difference / max(float(mean[ring].std()), tiny),
        "relative_contrast": difference / max(abs(float(crop[ring].mean())), tiny),
        "band_contrast": float(band[mask].std()) / max(float(band[ring].std()), tiny),
    }
