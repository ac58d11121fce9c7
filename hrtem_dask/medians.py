"""The exact median of many values, in a fraction of the time of NumPy's."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

__all__ = ["count_values", "median", "median_of_counts"]

FEW = 4096
"""So many integers are sorted, more are counted."""
AT_ONCE = 2**20
"""Number of values that are counted at once; OpenCV's counts are float32, and exact up to 2²⁴."""


def count_values(values: np.ndarray) -> np.ndarray:
    """Count how often each value occurs.

    Parameters
    ----------
    values : numpy.ndarray of int
        Any shape, none below 0.

    Returns
    -------
    numpy.ndarray of int
        As ``numpy.bincount``, which takes four times as long, and makes an array of 8 bytes per value of them all.

    Examples
    --------
    >>> count_values(np.array([[1, 3], [3, 0]], np.uint16)).tolist()
    [1, 1, 0, 2]
    """
    flat = values.reshape(-1)
    if not flat.size:
        return np.zeros(0, dtype=np.intp)
    counts = np.zeros(int(flat.max()) + 1, dtype=np.intp)
    dtype = np.uint8 if counts.size <= 2**8 else np.uint16
    for first in range(0, flat.size, AT_ONCE):
        some = flat[first : first + AT_ONCE]
        if counts.size > 2**16:
            few = np.bincount(some)
            counts[: few.size] += few
        else:
            row: Any = np.ascontiguousarray(some[None], dtype)
            counts += cv2.calcHist([row], [0], None, [counts.size], [0, counts.size]).ravel().astype(np.intp)
    return counts


def median(values: np.ndarray) -> float:
    """Return the median of all values.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape, real dtype, at least one value.

    Returns
    -------
    float
        As ``numpy.median``: the mean of the two middle values where their number is even; NaN if a value is NaN.

    Examples
    --------
    >>> median(np.array([3.0, 1.0, 2.0])), median(np.array([[4, 1], [2, 3]]))
    (2.0, 2.5)
    """
    flat = values.reshape(-1)
    if flat.dtype.kind == "b":
        flat = flat.view(np.uint8)
    if flat.dtype in (np.uint8, np.uint16) and flat.size > FEW:
        return median_of_counts(count_values(flat))
    return _middle(flat)


def median_of_counts(counts: np.ndarray, values: np.ndarray | None = None) -> float:
    """Return the median of values that occur several times.

    Parameters
    ----------
    counts : numpy.ndarray of int
        Shape (n,): how often each value occurs, at least one of them.
    values : numpy.ndarray, optional
        Shape (n,): the values, in any order; by default 0, 1, 2, …

    Returns
    -------
    float
        As ``numpy.median`` of all of them.

    Examples
    --------
    >>> median_of_counts(np.array([1, 0, 2, 1])), median_of_counts(np.array([1, 1]), np.array([9.0, 4.0]))
    (2.0, 6.5)
    """
    if values is not None:
        order = np.argsort(values, kind="stable")
        counts, values = counts[order], values[order]
    up_to = np.cumsum(counts)
    n = int(up_to[-1])
    low, high = (int(np.searchsorted(up_to, at, side="right")) for at in ((n - 1) // 2, n // 2))
    if values is None:
        return (low + high) / 2
    return float(np.array([values[low], values[high]]).mean())


def _middle(values: np.ndarray) -> float:
    """Return the median; NumPy's looks for three places at once, which takes five times as long."""
    if values.dtype.kind == "f" and np.isnan(values.max()):
        return float("nan")
    upper = values.size // 2
    parted = np.partition(values, upper)
    if values.size % 2:
        return float(parted[upper])
    pair = np.array([parted[:upper].max(), parted[upper]])
    return float(pair.mean())
