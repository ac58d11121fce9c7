"""Scores over thresholds: how precision and recall trade against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["THRESHOLDS", "average_precision", "curve", "threshold_counts"]

THRESHOLDS = np.linspace(0, 1, 101).astype(np.float32)
"""Where precision and recall are known: 0, 0.01 … 1."""


def threshold_counts(probability: Any, truth: Any) -> np.ndarray:
    """Count the pixels that each threshold says to be particle.

    Parameters
    ----------
    probability : numpy.ndarray of float
        Shape (y, x), 0 to 1.
    truth : numpy.ndarray of bool
        Shape (y, x): particle.

    Returns
    -------
    numpy.ndarray of int64
        Shape (2, 101): true positives, and all pixels at or above each of `THRESHOLDS`. They add up over micrographs.

    Raises
    ------
    ValueError
        If the shapes differ, or a probability is not from 0 to 1.
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
        Shape (2, 101), of `threshold_counts`, added up over as many micrographs as wished.

    Returns
    -------
    pandas.DataFrame
        Columns ``threshold``, ``precision``, ``recall``, ``dice``; precision is null where nothing reaches the
        threshold, recall and Dice where truth is empty.
    """
    hit, said = np.asarray(counts, dtype=float)
    n_true = hit[0]  # every pixel reaches the threshold 0
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "threshold": THRESHOLDS.astype(float).round(2),
            "precision": hit / said,
            "recall": hit / n_true,
            "dice": 2 * hit / (said + n_true) if n_true else np.full(len(hit), np.nan),
        }
    return pd.DataFrame(columns)


def average_precision(counts: np.ndarray) -> Any:
    """Return the area under the precision–recall curve.

    Parameters
    ----------
    counts : numpy.ndarray of int
        Shape (…, 2, 101), of `threshold_counts`.

    Returns
    -------
    numpy.ndarray or float
        Shape (…): the sum of precision times the step of recall, without interpolation, as scikit-learn's
        ``average_precision_score`` of the probability rounded down to a hundredth; NaN where truth is empty.
    """
    hit, said = np.moveaxis(np.asarray(counts, dtype=float)[..., ::-1], -2, 0)  # strictest threshold first
    precision = np.divide(hit, said, out=np.zeros_like(hit), where=said > 0)
    gained = np.diff(hit, axis=-1, prepend=0)
    n_true = hit[..., -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (precision * gained).sum(axis=-1) / n_true
