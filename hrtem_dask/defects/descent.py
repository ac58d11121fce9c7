"""The way of samples down the trees of a forest."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["leaves"]


@compiled("float32[:, ::1], int32[::1], int16[::1], float32[::1], int32[::1], boolean[::1]")
def leaves(
    features: np.ndarray,
    start: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    right_step: np.ndarray,
    missing_goes_left: np.ndarray,
) -> np.ndarray:  # pragma: no cover
    """Return the leaf that each sample reaches in each tree; in NumPy this takes twenty times as long.

    Parameters
    ----------
    features : numpy.ndarray of float32
        Shape (sample, feature).
    start, feature, threshold, right_step, missing_goes_left : numpy.ndarray
        Nodes of all trees, as in `forest.Forest`.

    Returns
    -------
    numpy.ndarray of int64
        Shape (sample, tree): numbers of nodes.
    """
    reached = np.empty((len(features), start.size), np.int64)
    for i in range(len(features)):
        for tree in range(start.size):
            node = np.int64(start[tree])
            while feature[node] >= 0:
                value = features[i, feature[node]]
                goes_left = missing_goes_left[node] if math.isnan(value) else value <= threshold[node]
                node += 1 if goes_left else right_step[node]
            reached[i, tree] = node
    return reached
