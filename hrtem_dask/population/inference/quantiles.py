"""Weighted quantiles of values, and of all resamples of micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.intervals import resample_sums

__all__ = ["quantile_statistics", "weighted_quantiles"]

_MAX_RANKS = 2048  # larger samples are binned by rank, in steps of 1/2048 in probability
_BLOCK = 32  # ranks that are looked at together, where the curve of a resample crosses a probability


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
    ranks = _Ranks(weights, owners, rank, counts)
    reached = np.cumsum(resample_sums(counts, ranks.in_blocks()), axis=1)
    found = np.full((len(probabilities), len(counts)), np.nan)
    for row, probability in zip(found, probabilities, strict=True):
        target = probability * reached[:, -1]
        block = np.minimum((reached < target[:, None]).sum(axis=1), reached.shape[1] - 1)
        for one in np.unique(block):
            here = np.flatnonzero(block == one)
            first, mass = ranks.around(one, here)
            before = reached[here, one - 1] - mass[:, 0] if one else np.zeros(len(here))
            row[here] = _crossings(mass, before, target[here], rank_value[first:])
    found[:, reached[:, -1] == 0] = np.nan
    found[:, 0] = weighted_quantiles(values, weights, probabilities)
    return found


@dataclass(frozen=True)
class _Ranks:
    """Weights by rank. Those of all ranks in all resamples would be a large matrix, of which little is needed."""

    weights: np.ndarray
    """Shape (n,): of the particles, by size."""
    owners: np.ndarray
    """Shape (n,)."""
    rank: np.ndarray
    """Shape (n,), ascending."""
    counts: np.ndarray
    """Shape (resamples, micrographs)."""

    def in_blocks(self) -> np.ndarray:
        """Return the weight of each micrograph in each block of ranks, shape (micrographs, blocks)."""
        return self._table(slice(None), self.rank // _BLOCK)

    def around(self, block: int, rows: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the first rank, and the weight of each rank of a block and of its neighbors, in some resamples."""
        first = max(block * _BLOCK - 1, 0)
        start, end = np.searchsorted(self.rank, [first, (block + 1) * _BLOCK + 1])
        return first, resample_sums(self.counts[rows], self._table(slice(start, end), self.rank[start:end] - first))

    def _table(self, some: slice, column: np.ndarray) -> np.ndarray:
        """Add up the weights of some particles by micrograph and column."""
        n_rows, n_columns = self.counts.shape[1], int(column[-1]) + 1
        flat = self.owners[some] * n_columns + column
        return np.bincount(flat, self.weights[some], n_rows * n_columns).reshape(n_rows, n_columns)


def _crossings(mass: np.ndarray, before: np.ndarray, target: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return where each row's cumulative curve, which begins with what is before, reaches its target."""
    middle = np.cumsum(mass, axis=1) - mass / 2 + before[:, None]
    right = np.minimum((middle < target[:, None]).sum(axis=1), mass.shape[1] - 1)
    left = np.maximum(right - 1, 0)
    rows = np.arange(len(mass))
    over, under = middle[rows, right], middle[rows, left]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(over > under, (target - under) / (over - under), 1.0)
    return np.asarray(values[left] + np.clip(share, 0, 1) * (values[right] - values[left]))
