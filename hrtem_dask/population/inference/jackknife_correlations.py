"""Pearson's and Spearman's correlation of all particles, and without each micrograph in turn."""

from __future__ import annotations

import numpy as np

from hrtem_dask.population.inference.ranks import mean_above, ties

__all__ = ["jackknife_pearson", "jackknife_spearman"]

_EXACT = 100_000
"""Micrographs × particles up to which the others' ranks are made anew without each micrograph."""


def jackknife_pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return Pearson's r.

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
        Shape (micrographs + 1,): of all, then without each micrograph; 0 where the others do not vary.
    """
    u, v = (column - np.average(column, weights=weights) for column in (x, y))
    u, v = u / np.abs(u).max(), v / np.abs(v).max()
    return _of_moments(np.stack([u, v, u * u, v * v, u * v]), weights, codes)


def jackknife_spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return Spearman's ρ, ties at the middle.

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
        Shape (micrographs + 1,): of all, then without each micrograph; 0 where the others do not vary. For large tables
        the change of the others' ranks is taken to first order.
    """
    _, codes = np.unique(codes, return_inverse=True)
    n = int(codes.max()) + 1
    if n * len(x) > _EXACT:
        return _of_moments(_shifted_moments(x, y, weights), weights, codes)
    without = np.vstack([np.zeros(len(x)), (codes == np.arange(n)[:, None]) * weights])
    u, v = _grades_without(x, weights, without), _grades_without(y, weights, without)
    kept = weights - without
    spread = (kept * u * u).sum(axis=1) * (kept * v * v).sum(axis=1)
    return _ratio((kept * u * v).sum(axis=1), spread)


def _grades_without(x: np.ndarray, weights: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Return the centred grades of x among the weights that are left, shape (rows of `without`, n)."""
    order, low, high = ties(x)
    left = (weights - without)[:, order]
    until = np.concatenate([np.zeros((len(left), 1)), np.cumsum(left, axis=1)], axis=1)
    return np.asarray((until[:, low] + until[:, high]) / (2 * until[:, -1:]) - 0.5)


def _ratio(covariance: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return covariance / √spread; where one odd micrograph held all the spread, r is 0 without it."""
    root = np.sqrt(spread.clip(min=0))
    r: np.ndarray = np.divide(covariance, root, out=np.zeros_like(root), where=root > 0)
    return r


def _of_moments(moments: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the correlation of all, then without each micrograph, of the moments u, v, uu, vv, uv of each particle."""
    _, codes = np.unique(codes, return_inverse=True)
    sums = np.stack([np.bincount(codes, weights * row) for row in (np.ones(len(weights)), *moments)])
    total = sums.sum(axis=1, keepdims=True)
    left = np.concatenate([total, total - sums], axis=1)
    u, v, uu, vv, uv = left[1:] / left[0]
    return _ratio(uv - u * v, (uu - u**2).clip(min=0) * (vv - v**2).clip(min=0))


def _shifted_moments(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the moments of grades that `_of_moments` takes.

    A particle moves the moments by its own grades and by the grades of all others, which it shifts; the shift is
    taken to first order (C. Croux, C. Dehon, Stat. Methods Appl. 19 (2010) 497). The mean of grades is always 1/2.
    """
    tied_x, tied_y = ties(x), ties(y)
    # the share of weight above, ties at the middle, is one minus the grade
    u, v = (0.5 - mean_above(tied, np.ones(len(x)), weights) for tied in (tied_x, tied_y))

    def with_shift(product: np.ndarray, *shifts: np.ndarray) -> np.ndarray:
        return np.asarray(product + sum(shift - np.average(shift, weights=weights) for shift in shifts))

    zero = np.zeros(len(x))
    uu = with_shift(u * u, mean_above(tied_x, 2 * u, weights))
    vv = with_shift(v * v, mean_above(tied_y, 2 * v, weights))
    uv = with_shift(u * v, mean_above(tied_x, v, weights), mean_above(tied_y, u, weights))
    return np.stack([zero, zero, uu, vv, uv])
