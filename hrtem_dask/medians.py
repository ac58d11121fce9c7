"""The exact median of many values, in a fraction of the time of NumPy's."""

from __future__ import annotations

import numpy as np

__all__ = ["median"]

FEW = 4096
"""So many values are sorted as they are."""
SAMPLED = 4096
"""Number of values that tell roughly where the median lies."""
MARGIN = 0.06
"""The median is looked for between these quantiles of the sample: 0.5 minus and plus the margin."""


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
