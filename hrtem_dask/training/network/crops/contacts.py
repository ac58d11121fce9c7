"""Contacts: pixels of a particle next to another particle, which a network learns in order to split them."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["CONTACT_REACH_PX", "UNKNOWN", "contact_map"]

CONTACT_REACH_PX = 2
"""Pixels of a particle within this distance (px, along rows or columns) of another one are a contact."""
UNKNOWN = -1.0
"""Value of a contact map where it is not known whether particles touch."""


def contact_map(labels: np.ndarray) -> np.ndarray:
    """Return where particles touch.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (y, x), integer or float: number of the particle, 0 on background.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), float32: 1 on pixels of a particle near another particle, 0 elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> contact_map(np.array([[1, 1, 1, 1, 2, 2, 2, 0]])).tolist()
    [[0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]]
    """
    numbers = labels.astype(np.float32)
    size = 2 * CONTACT_REACH_PX + 1
    window = np.ones((size, size), np.uint8)
    highest = cv2.dilate(numbers, window)
    lowest = cv2.erode(np.where(numbers > 0, numbers, np.float32(np.inf)), window)
    return np.asarray(((numbers > 0) & (highest != lowest)).astype(np.float32))
