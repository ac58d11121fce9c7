"""Intensities of an image: their dtype, their range, and pixels without a finite value."""

from __future__ import annotations

import numpy as np

from hrtem_dask.backend import array_namespace

__all__ = ["as_float32", "normalize", "replace_nonfinite"]


def as_float32(image: np.ndarray) -> np.ndarray:
    """Return an image as native, C-contiguous float32.

    Parameters
    ----------
    image : array_like
        Shape (..., y, x), any real dtype and byte order.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape; the same object where the input is such an array already. A float64 beyond the range of float32
        becomes infinite (`replace_nonfinite` counts it).

    Raises
    ------
    TypeError
        If the image is complex or holds no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.filtering import as_float32
    >>> as_float32(np.array([[0, 300]], dtype=">u2")).tolist()
    [[0.0, 300.0]]
    """
    xp = array_namespace(image)
    image = xp.asarray(image)
    if image.dtype.kind not in "buif":
        raise TypeError(f"an image holds real numbers, got dtype {image.dtype}: take its magnitude or one channel")
    with np.errstate(over="ignore"):
        converted: np.ndarray = xp.ascontiguousarray(image, dtype=xp.float32)
    return converted


def replace_nonfinite(image: np.ndarray) -> tuple[np.ndarray, int]:
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
        Number of pixels that were replaced.

    Raises
    ------
    ValueError
        If no pixel is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.filtering import replace_nonfinite
    >>> image, n_replaced = replace_nonfinite(np.array([[1.0, 2.0], [3.0, np.nan]]))
    >>> image.tolist(), n_replaced
    ([[1.0, 2.0], [3.0, 2.0]], 1)
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


def normalize(image: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Scale an image to [0, 1] by its minimum and maximum.

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype, finite. Scale the whole micrograph, never its tiles one by one: that changes
        2.4 % of the pixels of a U-Net's mask.
    out : numpy.ndarray or cupy.ndarray, optional
        Same shape, float32: where the result may be written; it may be the image itself.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32; zeros for a constant image.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.filtering import normalize
    >>> normalize(np.array([[10, 20], [30, 50]])).tolist()
    [[0.0, 0.25], [0.5, 1.0]]
    """
    xp = array_namespace(image)
    values = as_float32(image)
    if values.size == 0:
        return values.copy()
    low, high = float(values.min()), float(values.max())
    # the span is computed in double precision: float32 cannot hold the difference of 3e38 and -3e38
    span = high - low
    if span <= 0:
        zeros: np.ndarray = xp.zeros_like(values)
        return zeros
    if span > float(np.finfo(np.float32).max) or span < float(np.finfo(np.float32).tiny):
        clipped: np.ndarray = xp.clip((values.astype(xp.float64) - low) / span, 0, 1).astype(xp.float32)
        return clipped
    scaled: np.ndarray = xp.subtract(values, xp.float32(low), out=out)
    scaled /= xp.float32(span)
    return scaled
