"""Contrast of a region with its support: in mean intensity, and in the frequency band of lattice fringes."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

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
    inside, ring = np.flatnonzero(mask), np.flatnonzero(_surroundings(mask, pixel_size_nm))
    mean = blurred(crop, MEAN_SIGMA_NM, pixel_size_nm, beyond="edge").ravel()
    values = crop.ravel()
    result = dict.fromkeys(CONTRAST_COLUMNS, np.nan)
    result["texture"] = _ratio(mean[inside].std(), values[inside].std())
    if ring.size < MIN_RING_PX:
        return result
    fine, coarse = (blurred(crop, sigma, pixel_size_nm, beyond="edge") for sigma in BAND_SIGMA_NM)
    band = (fine - coarse).ravel()
    difference = float(mean[inside].mean() - mean[ring].mean())
    return result | {
        "support_contrast": _ratio(difference, mean[ring].std()),
        "relative_contrast": _ratio(difference, abs(values[ring].mean())),
        "band_contrast": _ratio(band[inside].std(), band[ring].std()),
    }


def _surroundings(mask: np.ndarray, pixel_size_nm: PixelSize) -> np.ndarray:
    """Return the pixels whose distance from the mask is in `RING_NM`."""
    if pixel_size_nm[0] != pixel_size_nm[1]:
        squared_nm2 = np.square(ndimage.distance_transform_edt(~mask, sampling=pixel_size_nm))
    else:
        distance_px = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # OpenCV is four times as fast, and exact in the squares, which are whole numbers
        squared_nm2 = np.rint(np.square(distance_px)) * np.float32(pixel_size_nm[0] ** 2)
    return np.asarray((squared_nm2 > RING_NM[0] ** 2) & (squared_nm2 <= RING_NM[1] ** 2))


def _ratio(value: float, over: float) -> float:
    """Divide; NaN if the divisor is a rounding error."""
    return float(value) / float(over) if over > SMALLEST else np.nan
