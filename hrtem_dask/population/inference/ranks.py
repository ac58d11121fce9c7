"""Weighted grades: where a value stands in a distribution, from 0 to 1, ties at the middle."""

from __future__ import annotations

import numpy as np

__all__ = ["fractional_ranks", "mean_above", "ties"]


def fractional_ranks(values: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the place of values in a distribution.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,).
    others : numpy.ndarray of float
        Shape (m,): the distribution.
    weights : numpy.ndarray of float
        Shape (m,), not negative, some positive.

    Returns
    -------
    numpy.ndarray of float
        Shape (n,): the share of weight below each value and half of that at it.
    """
    order = np.argsort(others, kind="stable")
    until = np.concatenate([[0.0], np.cumsum(weights[order])])
    low, high = (np.searchsorted(others[order], values, side=side) for side in ("left", "right"))
    return np.asarray((until[low] + until[high]) / (2 * until[-1]))


def ties(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how values sort.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,).

    Returns
    -------
    order : numpy.ndarray of int
        Shape (n,): what sorts them.
    low, high : numpy.ndarray of int
        Shape (n,): for each value, how many are below, and how many are below or equal.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    low, high = np.empty_like(order), np.empty_like(order)
    # looking up sorted values goes through memory once
    low[order] = np.searchsorted(ordered, ordered, side="left")
    high[order] = np.searchsorted(ordered, ordered, side="right")
    return order, low, high


def mean_above(tied: tuple[np.ndarray, np.ndarray, np.ndarray], moments: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return for each value the weighted mean of moments · (1 where the value is larger, ½ where it is equal).

    Parameters
    ----------
    tied : tuple of numpy.ndarray
        `ties` of the values.
    moments : numpy.ndarray of float
        Shape (n,).
    weights : numpy.ndarray of float
        Shape (n,), not negative, some positive.

    Returns
    -------
    numpy.ndarray of float
        Shape (n,): what a particle at each value moves the mean of moments by, through the grades of the others.
    """
    order, low, high = tied
    until = np.concatenate([[0.0], np.cumsum((weights * moments)[order])])
    return np.asarray((until[-1] - (until[low] + until[high]) / 2) / weights.sum())
