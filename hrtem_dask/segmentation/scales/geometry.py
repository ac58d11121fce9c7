"""Shapes of a micrograph at a scale, and the scale for particles of a known diameter."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize

__all__ = ["NETWORK_DIAMETER_PX", "SCALES", "scale_for_diameter", "scaled_shape"]

SCALES = tuple(2 ** (k / 2) for k in range(-6, 7))
"""Scales that are tried: network pixels per pixel of the micrograph."""
NETWORK_DIAMETER_PX = 80.0
"""Diameter (network pixels) at which the bundled network segments particles best: median over `emps_tem`."""
MAX_ASPECT = 4.0
"""Pixels that are longer than this multiple of their width are not those of a micrograph."""


def scaled_shape(shape: tuple[int, ...], scale: float, *, pixel_size_nm: PixelSize | None) -> tuple[int, int]:
    """Return the shape of an image at a scale, with square pixels.

    Parameters
    ----------
    shape : tuple of int
        Shape (y, x) of the micrograph.
    scale : float
        Network pixels per pixel of the micrograph, geometric mean of both axes.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; pixels of unknown size are taken as square.

    Returns
    -------
    tuple of int
        Shape (y, x), at least 1 each.

    Raises
    ------
    CalibrationError
        If the pixels are more than four times as long as wide.

    Examples
    --------
    >>> from hrtem_dask.segmentation.scales.geometry import scaled_shape
    >>> scaled_shape((100, 200), 0.5, pixel_size_nm=None), scaled_shape((100, 200), 1.0, pixel_size_nm=(4.0, 1.0))
    ((50, 100), (200, 100))
    """
    stretch = 1.0
    if pixel_size_nm is not None:
        aspect = pixel_size_nm[0] / pixel_size_nm[1]
        if max(aspect, 1 / aspect) > MAX_ASPECT:
            raise CalibrationError(
                f"pixels of (y, x) = {pixel_size_nm} nm are {max(aspect, 1 / aspect):.3g} times as long as wide, need "
                f"at most {MAX_ASPECT:g}: check the pixel size"
            )
        stretch = math.sqrt(aspect) if abs(aspect - 1) > 0.01 else 1.0
    return max(1, round(shape[0] * scale * stretch)), max(1, round(shape[1] * scale / stretch))


def scale_for_diameter(diameter_px: float) -> float:
    """Return the scale at which particles of a known diameter are seen best.

    Parameters
    ----------
    diameter_px : float
        Typical diameter in pixels of the micrograph, positive.

    Returns
    -------
    float
        Network pixels per pixel of the micrograph, within the range of `SCALES`.

    Raises
    ------
    ValueError
        If the diameter is not positive.

    Examples
    --------
    >>> from hrtem_dask.segmentation.scales.geometry import scale_for_diameter
    >>> scale_for_diameter(160.0)
    0.5
    """
    if not diameter_px > 0:
        raise ValueError(f"need a diameter above 0 px, got {diameter_px}")
    return float(np.clip(NETWORK_DIAMETER_PX / diameter_px, SCALES[0], SCALES[-1]))
