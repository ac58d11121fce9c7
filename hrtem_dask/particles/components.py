"""Connected components, numbered by their first pixel in raster order."""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.particles.runs import Runs, find_runs

__all__ = ["connected_components", "label_pieces", "renumber"]


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
    return label_pieces(mask)[0]


def label_pieces(mask: np.ndarray) -> tuple[np.ndarray, Runs]:
    """Label the 8-connected pieces of a mask, and find the runs of the labels.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x).

    Returns
    -------
    labels : numpy.ndarray of int32
        As from `connected_components`.
    runs : Runs
        As `find_runs` finds them in the labels.
    """
    if mask.size == 0:
        nothing = np.zeros(mask.shape, dtype=np.int32)
        return nothing, find_runs(nothing)
    inside = np.ascontiguousarray(mask, dtype=bool)
    labels = np.asarray(cv2.connectedComponents(inside.view(np.uint8), connectivity=8)[1], dtype=np.int32)
    runs = find_runs(labels, mask=inside)
    # OpenCV numbers by blocks of 2×2 pixels, an order that changes when the mask is flipped or cropped
    numbers = _raster_numbers(runs, mask.shape[1])
    if numbers is None:
        return labels, runs
    labels = numbers.take(labels)
    return labels, find_runs(labels, mask=inside)


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
    numbers = _raster_numbers(find_runs(labels), labels.shape[1])
    return labels.astype(np.int32) if numbers is None else numbers.take(labels)


def _raster_numbers(runs: Runs, width: int) -> np.ndarray | None:
    """Return the number of each label in the raster order of first pixels; None where they are numbered so already."""
    position = runs.row[runs.first] * width + runs.start[runs.first]
    numbers = np.zeros(int(runs.ids.max(initial=0)) + 1, dtype=np.int32)
    numbers[runs.ids[np.argsort(position)]] = np.arange(1, runs.ids.size + 1)
    return None if (numbers[runs.ids] == runs.ids).all() else numbers
