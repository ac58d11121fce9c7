"""How large particles look at a scale: the size of the connected pieces of a mask, and the width of their parts."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from hrtem_dask.backend import Array, to_numpy

__all__ = ["apparent_diameter_px", "apparent_width_px"]

MIN_PIECE_PX = 12
"""Smaller pieces (px) are noise, and have no size that a network could recognize."""
_CONTACT_PROBABILITY = 0.12
"""Where particles touch, the network lowers the probability to less than this above the threshold."""
_SMOOTHING_SD_PX = 1.0
"""Smoothing (px) of the distance transform before the search for peaks; it joins the peaks of a rough ridge."""
_SMALLEST_RADIUS_PX = 1.5
"""Distances to the outline below this are noise of the pixel grid, and no middle of a part."""


def apparent_diameter_px(mask: Array) -> float | None:
    """Return the diameter at which half of the area of a mask is in smaller pieces.

    Weighting by area makes the diameter that of the particles, not that of specks beside them.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray
        Shape (y, x), bool.

    Returns
    -------
    float or None
        Equivalent diameter (px) of the median piece by area; None where no piece has 12 px.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((40, 40), bool)
    >>> mask[5:25, 5:25] = mask[30:35, 30:35] = True
    >>> round(apparent_diameter_px(mask), 1)  # that of the square of 400 px
    22.6
    """
    stats = cv2.connectedComponentsWithStats(np.ascontiguousarray(to_numpy(mask), dtype=np.uint8), connectivity=8)[2]
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    areas = areas[areas >= MIN_PIECE_PX]
    if not areas.size:
        return None
    cumulative = np.cumsum(areas)
    median = areas[np.searchsorted(cumulative, cumulative[-1] / 2)]
    return float(2 * np.sqrt(median / np.pi))


def apparent_width_px(probability: Array, threshold: float) -> float | None:
    """Return the width at which half of the area of the parts of particles is in narrower ones.

    A piece of many touching particles is large, however small they are. Its parts are told by the distance transform,
    which has a peak in the middle of each, and by the lower probability between them.

    Parameters
    ----------
    probability : numpy.ndarray or cupy.ndarray
        Shape (y, x), 0 to 1.
    threshold : float
        Probability from which a pixel belongs to a particle.

    Returns
    -------
    float or None
        Diameter (px) of the circle inscribed into the median part, parts weighted by its area; None where nothing is
        wide enough to have a middle.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:60, :140]
    >>> row = np.any([(y - 30) ** 2 + (x - at) ** 2 < 10**2 for at in range(30, 120, 18)], axis=0)
    >>> round(apparent_diameter_px(row), 1), round(apparent_width_px(row.astype(np.float32), 0.5), 1)
    (43.5, 19.0)
    """
    core = np.ascontiguousarray(to_numpy(probability) >= threshold + _CONTACT_PROBABILITY, dtype=np.uint8)
    distance = cv2.distanceTransform(np.pad(core, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    smooth = cv2.GaussianBlur(distance, (0, 0), _SMOOTHING_SD_PX)
    middles = (smooth >= cv2.dilate(smooth, np.ones((3, 3), np.uint8))) & (distance > _SMALLEST_RADIUS_PX)
    n, labels = cv2.connectedComponents(middles.view(np.uint8), connectivity=8)
    if n <= 1:
        return None
    widths = np.sort(2 * np.asarray(ndimage.maximum(distance, labels, np.arange(1, n))) - 1)
    cumulative = np.cumsum(widths**2)
    return float(widths[np.searchsorted(cumulative, cumulative[-1] / 2)])
