"""The exact median of many values, in a fraction of the time of NumPy's."""

from __future__ import annotations

import numpy as np

__all__ = ["count_values", "median", "median_of_counts"]

FEW = 4096
"""So many values are sorted as they are."""
SAMPLED = 4096
"""Number of values that tell roughly where the median lies."""
AT_ONCE = 2**20
"""Number of values that are counted at once."""
MARGIN = 0.06
"""The median is looked for between these quantiles of the sample: 0.5 minus and plus the margin."""


def count_values(values: np.ndarray) -> np.ndarray:
    """Count how often each value occurs.

    Parameters
    ----------
    values : numpy.ndarray of int
        Any shape, none below 0.

    Returns
    -------
    numpy.ndarray of int
        As ``numpy.bincount``, which would make an array of 8 bytes per value of them all.

    Examples
    --------
    >>> count_values(np.array([[1, 3], [3, 0]], np.uint16)).tolist()
    [1, 1, 0, 2]
    """
    flat = values.reshape(-1)
    if flat.size <= AT_ONCE:
        return np.bincount(flat)
    counts = np.zeros(int(flat.max()) + 1, dtype=np.intp)
    for first in range(0, flat.size, AT_ONCE):
        some = np.bincount(flat[first : first + AT_ONCE])
        counts[: some.size] += some
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
    if flat.size <= FEW:
        return _middle(flat, 0, flat.size)
    sample = np.sort(flat[:: flat.size // SAMPLED])
    low, high = (sample[int((0.5 + side * MARGIN) * sample.size)] for side in (-1, 1))
    inside = flat[(flat >= low) & (flat <= high)]
    below = int(np.count_nonzero(flat < low))
    middle = (flat.size - 1) // 2
    found = below <= middle and flat.size // 2 < below + inside.size
    # a NaN is neither inside nor below nor above
    if not found or below + inside.size + int(np.count_nonzero(flat > high)) < flat.size:
        return _middle(flat, 0, flat.size)
    return _middle(inside, below, flat.size)


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


def _middle(values: np.ndarray, below: int, n: int) -> float:
    """Return the median of n values, of which `below` are left out, which are smaller than all the others."""
    if values.dtype.kind == "f" and np.isnan(values.max()):
        return float("nan")
    upper = n // 2 - below
    parted = np.partition(values, upper)
    if n % 2:
        return float(parted[upper])
    pair = np.array([parted[:upper].max(), parted[upper]])
    return float(pair.mean())
