"""X-ray spikes: single pixels hit by an X-ray photon, with values far from those of their neighbors."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np

from hrtem_dask.backend import array_namespace, ndimage
from hrtem_dask.filtering.intensity import as_float32
from hrtem_dask.medians import count_values, median, median_of_counts

__all__ = ["SpikeScale", "median_3x3", "replace_spikes"]

SpikeScale = Literal["residual", "image"]
"""Which standard deviation the threshold multiplies: that of the median's residual, or that of the whole image."""
MIN_SHARE_OF_SPREAD = 0.15
"""Least scale, as a share of the robust standard deviation of the image: a smooth image has sharp corners too."""
_SAMPLED = 1_000_000
"""Pixels that medians are taken of."""


def median_3x3(image: np.ndarray) -> np.ndarray:
    """Return the median of each pixel and its eight neighbors.

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype, finite. Beyond the border the image is mirrored at its edge pixel, which is
        not repeated (SciPy's ``mode="mirror"``), as in the paper's code.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32; equal to SciPy's `median_filter` with ``size=3`` of the float32 image.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.filtering import median_3x3
    >>> image = np.ones((5, 5))
    >>> image[2, 2] = 100.0
    >>> float(median_3x3(image).max())
    1.0
    """
    xp = array_namespace(image)
    if xp is not np:
        filtered: np.ndarray = ndimage(image).median_filter(as_float32(image), size=3, mode="mirror")
        return filtered
    native = np.asarray(image)
    if native.dtype.kind == "b":
        native = native.view(np.uint8)
    # OpenCV's integer kernels are faster; OpenCV repeats the edge pixel, so the image is padded here
    if native.dtype not in (np.uint8, np.uint16) or not native.dtype.isnative:
        native = as_float32(native)
    if native.size == 0:
        return as_float32(native).copy()
    return as_float32(_integer_median_3x3(native))


def _integer_median_3x3(native: np.ndarray) -> np.ndarray:
    """Return the median in the dtype of the image: uint8, uint16 or float32."""
    return cv2.medianBlur(cv2.copyMakeBorder(native, 1, 1, 1, 1, cv2.BORDER_REFLECT_101), 3)[1:-1, 1:-1]


def replace_spikes(image: np.ndarray, *, threshold_sd: float = 8.0, scale: SpikeScale = "residual") -> np.ndarray:
    """Replace pixels far from their 3×3 median by that median, and leave all others as they are.

    A pixel is a spike where ``|image − median| > threshold_sd × SD``. Both signs are replaced (dead pixels too).

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype, finite.
    threshold_sd : float
        Threshold in standard deviations, at least 0; 0 turns the filter off.
    scale : {"residual", "image"}
        What SD is. ``"residual"``: 1.4826 × the median absolute difference between image and median, and at least
        0.15 × the same of the image about its median; hundreds of spikes do not raise it. ``"image"``: the standard
        deviation of the whole image, spikes included, as in the code of Groschner et al.: a spike weaker than the
        contrast of the image stays.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32.

    Raises
    ------
    ValueError
        If the threshold is negative or not a number, or the scale is unknown.

    References
    ----------
    Groschner et al., Microsc. Microanal. 27 (2021) 549: preprocessing before the U-Net.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.filtering import replace_spikes
    >>> image = np.random.default_rng(0).normal(100.0, 5.0, (64, 64))
    >>> image[10, 10] = 5000.0
    >>> bool(replace_spikes(image).max() < 130)
    True
    """
    if not threshold_sd >= 0:
        raise ValueError(f"spike_threshold_sd must be 0 (off) or larger, got {threshold_sd}")
    if scale not in get_args(SpikeScale):
        raise ValueError(f"spike_scale must be one of {get_args(SpikeScale)}, got {scale!r}")
    xp = array_namespace(image)
    native = xp.asarray(image)
    if xp is np and native.dtype in (np.uint8, np.uint16) and threshold_sd > 0 and native.size:  # in native byte order
        return _replaced_in_integers(np.ascontiguousarray(native), threshold_sd, scale)
    values = as_float32(image)
    if threshold_sd == 0 or values.size == 0:
        return values.copy()
    smooth = median_3x3(image)
    far = smooth - values
    xp.abs(far, out=far)
    limit = threshold_sd * (_standard_deviation(values) if scale == "image" else _residual_scale(values, far))
    result = values.copy()
    spikes = far > limit
    result[spikes] = smooth[spikes]
    return result


def _replaced_in_integers(image: np.ndarray, threshold_sd: float, scale: SpikeScale) -> np.ndarray:
    """Do the same for integers, whose medians follow from counts: in a fifth of the time."""
    smooth = _integer_median_3x3(image)
    far = cv2.absdiff(smooth, image)
    if scale == "image":
        limit = threshold_sd * _standard_deviation(image)
    else:
        every = max(1, image.size // _SAMPLED)
        counts = count_values(image.ravel()[::every])
        from_middle = np.abs(np.arange(counts.size, dtype=np.float32) - np.float32(median_of_counts(counts)))
        spread = median_of_counts(counts, from_middle)
        limit = threshold_sd * _scale_of(image, median(far.ravel()[::every]), spread)
    result = image.astype(np.float32)
    if float(far.max()) > limit:
        # integers compare as fast as they are; the precision of the comparison is that of other images
        spikes = np.divmod(np.flatnonzero(far > int(np.float32(limit))), image.shape[1])
        result[spikes] = smooth[spikes]
    return result


def _residual_scale(values: np.ndarray, distance: np.ndarray) -> float:
    """Return the robust standard deviation of the residual, kept from vanishing on smooth images."""
    xp = array_namespace(values)
    every = max(1, values.size // _SAMPLED)
    some = values.ravel()[::every]
    middle = median if xp is np else xp.median
    spread = float(middle(xp.abs(some - values.dtype.type(float(middle(some))))))  # NumPy's types take no CuPy array
    return _scale_of(values, float(middle(distance.ravel()[::every])), spread)


def _scale_of(values: np.ndarray, residual: float, spread: float) -> float:
    """Return the scale that follows from the median of the residual and the spread of the image."""
    scale = 1.4826 * max(residual, MIN_SHARE_OF_SPREAD * spread)
    # more than half of the pixels are equal: the median is no measure of spread there
    return scale if scale > 0 else _standard_deviation(values)


def _standard_deviation(values: np.ndarray) -> float:
    """Return the standard deviation, summed in double precision: 10^7 squares in float32 lose digits."""
    xp = array_namespace(values)
    if xp is not np:
        return float(values.std(dtype=xp.float64))
    if values.dtype in (np.uint8, np.uint16):  # in a fifth of the time of OpenCV's function
        mean = cv2.sumElems(values)[0] / values.size
        return float(np.sqrt(max(cv2.norm(values, cv2.NORM_L2SQR) / values.size - mean**2, 0.0)))
    return float(cv2.meanStdDev(values)[1][0, 0])  # one pass, eight times NumPy's speed
