"""Pieces of a mask that the network is not sure of: specks, folds of the film and noise, more often than particles.

A pixel belongs to the mask from a probability of one half on. Inside of a particle the network is far surer than that,
so the mean probability of a whole piece tells particles from most of what is wrongly taken for one.
"""

from __future__ import annotations

import numpy as np

from hrtem_dask.particles.runs import Runs, find_runs

__all__ = ["certain_pieces"]


def certain_pieces(
    pieces: np.ndarray,
    runs: Runs,
    probability: np.ndarray,
    mask: np.ndarray,
    *,
    min_mean_probability: float,
    min_area_px: float,
) -> tuple[np.ndarray, Runs, int, int]:
    """Leave out pieces of a mask whose mean particle probability is low.

    Parameters
    ----------
    pieces : numpy.ndarray of int32
        Shape (y, x), 0 is background, pieces numbered from 1 in raster order.
    runs : Runs
        Their runs.
    probability : numpy.ndarray
        Shape (y, x), 0 to 1.
    mask : numpy.ndarray of bool
        Shape (y, x): the mask before it was cleaned. Pixels that are not in it, such as those of filled holes, say
        nothing about how sure the network is.
    min_mean_probability : float
        Least mean probability of the pixels of a piece that are in the mask.
    min_area_px : float
        Counting limit (px).

    Returns
    -------
    pieces : numpy.ndarray of int32
        The pieces that are left, numbered again in the same order.
    runs : Runs
        Their runs.
    n_uncertain, n_small : int
        Number of pieces that were left out, from the counting limit on and below it.

    Examples
    --------
    >>> import numpy as np
    >>> pieces = np.array([[1, 1, 0, 2, 2]], dtype=np.int32)
    >>> probability = np.array([[0.6, 0.7, 0.1, 0.9, 0.99]], dtype=np.float32)
    >>> limits = {"min_mean_probability": 0.8, "min_area_px": 2}
    >>> certain_pieces(pieces, find_runs(pieces), probability, probability >= 0.5, **limits)[0].tolist()
    [[0, 0, 0, 1, 1]]
    """
    if not runs.ids.size:
        return pieces, runs, 0, 0
    places, first = runs.places(pieces.shape[1])
    in_mask = mask.reshape(-1)[places]
    sure = np.add.reduceat(np.where(in_mask, probability.reshape(-1)[places], 0), first, dtype=np.float64)
    unsure = sure < min_mean_probability * np.add.reduceat(in_mask, first, dtype=np.int64)
    if not unsure.any():
        return pieces, runs, 0, 0
    number = np.zeros(int(runs.ids.max()) + 1, dtype=pieces.dtype)
    number[runs.ids[~unsure]] = np.arange(1, np.count_nonzero(~unsure) + 1)
    left = number[pieces]
    n_small = int(np.count_nonzero(runs.area_px[unsure] < min_area_px))
    return left, find_runs(left), int(np.count_nonzero(unsure)) - n_small, n_small
