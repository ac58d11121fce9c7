"""Delete-one-micrograph jackknife of Pearson's and Spearman's correlation coefficients."""

from __future__ import annotations

import numpy as np

from hrtem_dask.population.inference.ranks import mean_above, ties

__all__ = ["jackknife_pearson", "jackknife_spearman"]

_EXACT = 100_000
"""Micrographs × particles up to which ranks are recomputed without each micrograph."""


def jackknife_pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return Pearson's r of all particles, and of all but one micrograph.

    Parameters
    ----------
    x : numpy.ndarray of float
        Shape (n,), not all equal.
    y : numpy.ndarray of float
        Shape (n,), not all equal.
    weights : numpy.ndarray of float
        Shape (n,), positive.
    codes : numpy.ndarray of int
        Shape (n,): micrograph of each particle.

    Returns
    -------
    numpy.ndarray of float
        Shape (micrographs + 1,): of all particles, then without each micrograph; 0 where the remaining values do not
        vary.

    Examples
    --------
    >>> size, aspect = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 0.0])
    >>> jackknife_pearson(size, aspect, np.ones(4), np.array([0, 0, 1, 2])).round(2)
    array([-0.2 , -1.  , -0.65,  1.  ])
    """
    u, v = (column - np.average(column, weights=weights) for column in (x, y))
    u, v = u / np.abs(u).max(), v / np.abs(v).max()
    return _from_moments(np.stack([u, v, u * u, v * v, u * v]), weights, codes)


def jackknife_spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return Spearman's ρ of all particles, and of all but one micrograph; tied values share their mean rank.

    Parameters
    ----------
    x : numpy.ndarray of float
        Shape (n,), not all equal.
    y : numpy.ndarray of float
        Shape (n,), not all equal.
    weights : numpy.ndarray of float
        Shape (n,), positive.
    codes : numpy.ndarray of int
        Shape (n,): micrograph of each particle.

    Returns
    -------
    numpy.ndarray of float
        Shape (micrographs + 1,): of all particles, then without each micrograph; 0 where the remaining values do not
        vary. For large tables the change of the remaining ranks is computed to first order.
    """
    _, codes = np.unique(codes, return_inverse=True)
    n = int(codes.max()) + 1
    if n * len(x) > _EXACT:
        return _from_moments(_shifted_moments(x, y, weights), weights, codes)
    without = np.vstack([np.zeros(len(x)), (codes == np.arange(n)[:, None]) * weights])
    u, v = _ranks_without(x, weights, without), _ranks_without(y, weights, without)
    kept = weights - without
    spread = (kept * u * u).sum(axis=1) * (kept * v * v).sum(axis=1)
    return _ratio((kept * u * v).sum(axis=1), spread)


def _ranks_without(x: np.ndarray, weights: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Return the centered fractional ranks of x among the remaining weights, shape (rows of `without`, n)."""
    order, low, high = ties(x)
    left = (weights - without)[:, order]
    until = np.concatenate([np.zeros((len(left), 1)), np.cumsum(left, axis=1)], axis=1)
    return np.asarray((until[:, low] + until[:, high]) / (2 * until[:, -1:]) - 0.5)


def _ratio(covariance: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return covariance / √spread, or 0 where the spread is 0: without one micrograph the others may not vary."""
    root = np.sqrt(spread.clip(min=0))
    r: np.ndarray = np.divide(covariance, root, out=np.zeros_like(root), where=root > 0)
    return r


def _from_moments(moments: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the correlations from the moments u, v, uu, vv, uv of each particle."""
    _, codes = np.unique(codes, return_inverse=True)
    sums = np.stack([np.bincount(codes, weights * row) for row in (np.ones(len(weights)), *moments)])
    total = sums.sum(axis=1, keepdims=True)
    left = np.concatenate([total, total - sums], axis=1)
    u, v, uu, vv, uv = left[1:] / left[0]
    return _ratio(uv - u * v, (uu - u**2).clip(min=0) * (vv - v**2).clip(min=0))


def _shifted_moments(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the moments of fractional ranks that `_from_moments` takes.

    A particle changes the moments by its own rank, and by shifting the ranks of all others; the shift is computed to
    first order (C. Croux, C. Dehon, Stat. Methods Appl. 19 (2010) 497). The mean of fractional ranks is always 1/2.
    """
    tied_x, tied_y = ties(x), ties(y)
    # the share of weight above, half of the ties included, is one minus the fractional rank
    u, v = (0.5 - mean_above(tied, np.ones(len(x)), weights) for tied in (tied_x, tied_y))

    def with_shift(product: np.ndarray, *shifts: np.ndarray) -> np.ndarray:
        return np.asarray(product + sum(shift - np.average(shift, weights=weights) for shift in shifts))

    zero = np.zeros(len(x))
    uu = with_shift(u * u, mean_above(tied_x, 2 * u, weights))
    vv = with_shift(v * v, mean_above(tied_y, 2 * v, weights))
    uv = with_shift(u * v, mean_above(tied_x, v, weights), mean_above(tied_y, u, weights))
    return np.stack([zero, zero, uu, vv, uv])
