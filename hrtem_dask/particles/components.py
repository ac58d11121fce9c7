"""Connected components, numbered by their first pixel in raster order."""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.particles.runs import find_runs

__all__ = ["connected_components", "renumber"]


def connected_components(mask: np.ndarray) -> np.ndarray:
    """Label the 8-connected pieces of a mask.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x).

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), 0 is background; the same labels as `scipy.ndimage.label` with a full 3×3 structure.
    """
    if mask.size == 0:
        return np.zeros(mask.shape, dtype=np.int32)
    _, labels = cv2.connectedComponents(np.ascontiguousarray(mask, dtype=np.uint8), connectivity=8)
    return renumber(
        labels
    )  # OpenCV numbers by blocks of 2×2 pixels, an order that changes when the mask is flipped or cropped


def renumber(labels: np.ndarray) -> np.ndarray:
    """Renumber labels from 1 in the raster order of their first pixels.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), the same partition.
    """
    runs = find_runs(labels)
    position = runs.row[runs.first] * labels.shape[1] + runs.start[runs.first]
    numbers = np.zeros(int(runs.ids.max(initial=0)) + 1, dtype=np.int32)
    numbers[runs.ids[np.argsort(position)]] = np.arange(1, runs.ids.size + 1)
    if (numbers[runs.ids] == runs.ids).all():
        return labels.astype(np.int32)  # they are so already: a copy takes a fifth of the time
    return np.asarray(numbers[labels])
