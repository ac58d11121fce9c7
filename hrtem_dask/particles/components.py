"""Connected components, numbered by their first pixel in raster order."""

from __future__ import annotations

import numpy as np

from hrtem_dask.particles.connected_runs import connected_runs
from hrtem_dask.particles.runs import Runs, find_runs

__all__ = ["connected_components", "label_pieces", "raster_numbers", "renumber"]


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
    labels, number, row, start, stop = connected_runs(np.ascontiguousarray(mask, dtype=bool))
    order = np.argsort(number, kind="stable")
    first = np.flatnonzero(np.diff(number[order], prepend=0))
    return labels, Runs(np.arange(1, first.size + 1), first, row[order], start[order], stop[order])


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
    numbers = raster_numbers(find_runs(labels), labels.shape[1])
    return labels.astype(np.int32) if numbers is None else numbers.take(labels)


def raster_numbers(runs: Runs, width: int) -> np.ndarray | None:
    """Return the numbers of labels in the raster order of their first pixels.

    Parameters
    ----------
    runs : Runs
        Runs of the labels.
    width : int
        Number of columns of the image.

    Returns
    -------
    numpy.ndarray of int32 or None
        Shape (largest label + 1,): the number of each label; None where they are numbered so already.
    """
    position = runs.row[runs.first] * width + runs.start[runs.first]
    numbers = np.zeros(int(runs.ids.max(initial=0)) + 1, dtype=np.int32)
    numbers[runs.ids[np.argsort(position)]] = np.arange(1, runs.ids.size + 1)
    return None if (numbers[runs.ids] == runs.ids).all() else numbers
