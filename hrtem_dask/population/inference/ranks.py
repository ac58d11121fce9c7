"""Weighted fractional ranks: the share of a distribution below a value, with half of the ties included."""

from __future__ import annotations

import numpy as np

__all__ = ["fractional_ranks", "mean_above", "ties"]


def fractional_ranks(values: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the fractional ranks of values in a distribution.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,).
    others : numpy.ndarray of float
        Shape (m,): values of the distribution.
    weights : numpy.ndarray of float
        Shape (m,), not negative, some positive.

    Returns
    -------
    numpy.ndarray of float
        Shape (n,), 0 to 1: the share of weight below each value plus half of the weight at it.

    Examples
    --------
    >>> fractional_ranks(np.array([2.0]), np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4))
    array([0.375])
    """
    order = np.argsort(others, kind="stable")
    cumulative = np.concatenate([[0.0], np.cumsum(weights[order])])
    low, high = (np.searchsorted(others[order], values, side=side) for side in ("left", "right"))
    return np.asarray((cumulative[low] + cumulative[high]) / (2 * cumulative[-1]))


def ties(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the order of values, and how many values are below each and at it.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,).

    Returns
    -------
    order : numpy.ndarray of int
        Shape (n,): indices that sort the values.
    low, high : numpy.ndarray of int
        Shape (n,): number of values below each value, and number of values below or equal.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    low, high = np.empty_like(order), np.empty_like(order)
    # searching in sorted order reads memory sequentially
    low[order] = np.searchsorted(ordered, ordered, side="left")
    high[order] = np.searchsorted(ordered, ordered, side="right")
    return order, low, high


def mean_above(tied: tuple[np.ndarray, np.ndarray, np.ndarray], moments: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return for each value the weighted mean of moments · (1 where the value is larger, ½ where it is equal).

    Parameters
    ----------
    tied : tuple of numpy.ndarray
        Result of `ties` for the values.
    moments : numpy.ndarray of float
        Shape (n,).
    weights : numpy.ndarray of float
        Shape (n,), not negative, some positive.

    Returns
    -------
    numpy.ndarray of float
        Shape (n,): change of the mean of `moments` by a particle at each value, which shifts the ranks of the others.
    """
    order, low, high = tied
    cumulative = np.concatenate([[0.0], np.cumsum((weights * moments)[order])])
    return np.asarray((cumulative[-1] - (cumulative[low] + cumulative[high]) / 2) / weights.sum())
