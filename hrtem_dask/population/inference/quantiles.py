"""Weighted quantiles of values, and of all resamples of micrographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["quantile_statistics", "weighted_quantiles"]

_MAX_ENTRIES = 1_000_000  # of a matrix resamples × ranks
_MAX_RANKS = 2048  # larger samples are binned by rank, in steps of 1/2048 in probability
_MICROGRAPHS = 512  # whose weight by rank is a table in memory at a time


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """Return quantiles of weighted values.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,).
    weights : numpy.ndarray of float
        Shape (n,), not negative, not all 0.
    probabilities : sequence of float
        Probabilities, 0 to 1.

    Returns
    -------
    numpy.ndarray of float
        Shape (probabilities,): the cumulative curve reaches Sₖ − wₖ/2 at the k-th smallest value, Sₖ the sum of its
        weight and all smaller ones, and is linear in between (definition 5 of R. J. Hyndman, Y. Fan, Am. Stat. 50
        (1996) 361, with weights; ``method="hazen"`` of `numpy.quantile` for equal weights).

    Examples
    --------
    >>> weighted_quantiles(np.array([4.0, 5.0, 9.0]), np.array([1.0, 1.0, 2.0]), [0.5])
    array([6.33333333])
    """
    values, weights = values[weights > 0], weights[weights > 0]
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    middle = (np.cumsum(weights) - weights / 2) / weights.sum()
    return np.asarray(np.interp(probabilities, middle, values), dtype=float)


def quantile_statistics(
    values: np.ndarray, weights: np.ndarray, owners: np.ndarray, counts: np.ndarray, probabilities: Sequence[float]
) -> np.ndarray:
    """Return quantiles of weighted values in each resample.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,), n at least 1.
    weights : numpy.ndarray of float
        Shape (n,).
    owners : numpy.ndarray of int
        Shape (n,): the micrograph of each particle, 0 to M − 1.
    counts : numpy.ndarray of int or float
        Shape (resamples + 1, M), from `intervals.resample_counts`; the first row is 1 throughout.
    probabilities : sequence of float
        Probabilities, 0 to 1.

    Returns
    -------
    numpy.ndarray of float
        Shape (probabilities, resamples + 1), as `weighted_quantiles` in the first column. In the others the cumulative
        curve also passes through the particles that are not in the resample. NaN where a resample is empty.
    """
    order = np.argsort(values, kind="stable")
    values, weights, owners = values[order], weights[order], owners[order]
    n_ranks = min(len(values), _MAX_RANKS)
    rank = np.arange(len(values)) * n_ranks // len(values)
    rank_value = np.bincount(rank, values) / np.bincount(rank)
    found = np.full((len(probabilities), len(counts)), np.nan)
    step = max(1, _MAX_ENTRIES // n_ranks)
    for start in range(0, len(counts), step):
        mass = _mass(counts[start : start + step], weights, owners, rank, n_ranks)
        found[:, start : start + step] = _crossings(mass, rank_value, probabilities)
    found[:, 0] = weighted_quantiles(values, weights, probabilities)
    return found


def _mass(counts: np.ndarray, weights: np.ndarray, owners: np.ndarray, rank: np.ndarray, n_ranks: int) -> np.ndarray:
    """Return the weight of each rank in each resample, shape (resamples, ranks), some micrographs at a time."""
    mass = np.zeros((len(counts), n_ranks))
    by_owner = np.argsort(owners, kind="stable")
    starts = np.arange(0, counts.shape[1], _MICROGRAPHS)
    ends = np.searchsorted(owners[by_owner], starts + _MICROGRAPHS)
    for first, start, end in zip(starts, [0, *ends], ends, strict=False):
        chosen = by_owner[start:end]
        some = counts[:, first : first + _MICROGRAPHS].astype(float)
        table = np.zeros((some.shape[1], n_ranks))
        np.add.at(table, (owners[chosen] - first, rank[chosen]), weights[chosen])
        mass += some @ table
    return mass


def _crossings(mass: np.ndarray, values: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """Return where each row's cumulative curve reaches the probabilities; the masses are used up."""
    middle = np.cumsum(mass, axis=1)
    total = middle[:, -1].copy()
    mass /= 2
    middle -= mass
    rows = np.arange(len(mass))
    found = np.empty((len(probabilities), len(mass)))
    for i, probability in enumerate(probabilities):
        target = probability * total
        right = np.minimum((middle < target[:, None]).sum(axis=1), len(values) - 1)
        left = np.maximum(right - 1, 0)
        over, under = middle[rows, right], middle[rows, left]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(over > under, (target - under) / (over - under), 1.0)
        found[i] = values[left] + np.clip(share, 0, 1) * (values[right] - values[left])
    found[:, total == 0] = np.nan
    return found
