"""Precision, recall and Dice as functions of the threshold of the probability."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["THRESHOLDS", "average_precision", "curve", "threshold_counts"]

THRESHOLDS = np.linspace(0, 1, 101).astype(np.float32)
"""Thresholds at which precision and recall are computed: 0, 0.01 … 1."""


def threshold_counts(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count the pixels that each threshold classifies as particle.

    Parameters
    ----------
    probability : numpy.ndarray of float
        Shape (y, x), 0 to 1: predicted probability of particle.
    truth : numpy.ndarray of bool
        Shape (y, x): True where a particle is.

    Returns
    -------
    numpy.ndarray of int64
        Shape (2, 101): true positives, and all pixels, at or above each of `THRESHOLDS`. Counts of
        several micrographs can be added.

    Raises
    ------
    ValueError
        If the shapes differ, or a probability is not from 0 to 1.

    Examples
    --------
    >>> probability, truth = np.array([[0.9, 0.6], [0.2, 0.0]]), np.array([[True, False], [False, False]])
    >>> threshold_counts(probability, truth)[:, [0, 50, 80]]
    array([[1, 1, 1],
           [4, 2, 1]])
    """
    probability, truth = np.asarray(probability, dtype=np.float32), np.asarray(truth, dtype=bool)
    if probability.shape != truth.shape:
        raise ValueError(f"the probability has shape {probability.shape}, the truth {truth.shape}: score one field")
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(f"probabilities lie from 0 to 1, got {probability.min()} to {probability.max()}")
    reached = np.searchsorted(THRESHOLDS, probability.ravel(), side="right") - 1
    counts = [np.bincount(r, minlength=len(THRESHOLDS)) for r in (reached[truth.ravel()], reached)]
    return np.cumsum(np.array(counts)[:, ::-1], axis=1)[:, ::-1]


def curve(counts: np.ndarray) -> pd.DataFrame:
    """Return precision, recall and Dice at each threshold.

    Parameters
    ----------
    counts : numpy.ndarray of int
        Shape (2, 101), from `threshold_counts`, for one micrograph or added over several.

    Returns
    -------
    pandas.DataFrame
        Columns ``threshold``, ``precision``, ``recall``, ``dice``; precision is null where nothing reaches the
        threshold, recall and Dice where truth is empty.

    Examples
    --------
    >>> counts = threshold_counts(np.array([[0.9, 0.6], [0.2, 0.0]]), np.array([[True, False], [False, False]]))
    >>> curve(counts).loc[[50, 80], ["threshold", "precision", "recall"]].to_numpy()
    array([[0.5, 0.5, 1. ],
           [0.8, 1. , 1. ]])
    """
    hit, predicted = np.asarray(counts, dtype=float)
    n_true = hit[0]  # every pixel reaches the threshold 0
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "threshold": THRESHOLDS.astype(float).round(2),
            "precision": hit / predicted,
            "recall": hit / n_true,
            "dice": 2 * hit / (predicted + n_true) if n_true else np.full(len(hit), np.nan),
        }
    return pd.DataFrame(columns)


def average_precision(counts: np.ndarray) -> np.ndarray:
    """Return the area under the precision–recall curve.

    Parameters
    ----------
    counts : numpy.ndarray of int
        Shape (…, 2, 101), from `threshold_counts`.

    Returns
    -------
    numpy.ndarray of float
        Shape (…): the sum of precision times the step of recall, without interpolation. This is scikit-learn's
        ``average_precision_score`` of the probability rounded down to a hundredth; NaN where truth is empty.

    Examples
    --------
    >>> counts = threshold_counts(np.array([[0.9, 0.6], [0.2, 0.0]]), np.array([[True, False], [False, False]]))
    >>> float(average_precision(counts))
    1.0
    """
    hit, predicted = np.moveaxis(np.asarray(counts, dtype=float)[..., ::-1], -2, 0)  # strictest threshold first
    precision = np.divide(hit, predicted, out=np.zeros_like(hit), where=predicted > 0)
    gained = np.diff(hit, axis=-1, prepend=0)
    n_true = hit[..., -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((precision * gained).sum(axis=-1) / n_true)
