"""Number- and volume-weighted distributions: histogram with a stated bin width, cumulative curve (ISO 9276-1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrtem_dask.population.inference.quantiles import weighted_quantiles

__all__ = ["bin_width", "cumulative", "histogram"]

_MAX_BINS = 200
_CURVE = np.round(np.linspace(0, 1, 101), 2)


def bin_width(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the width of the bins of a histogram.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes (nm), n at least 1.
    weights : numpy.ndarray of float
        Shape (n,): edge weights.

    Returns
    -------
    float
        Width (nm): 2 × interquartile range / ∛n (D. Freedman, P. Diaconis, Z. Wahrscheinlichkeitstheorie 57 (1981) 453)
        or, where that gives more than 200 bins, the range over 200; rounded up to 1, 2 or 5 × 10ⁿ.

    Examples
    --------
    >>> bin_width(np.linspace(4, 6, 100), np.ones(100))
    0.5
    """
    low, high = weighted_quantiles(values, weights, [0.25, 0.75])
    width = max(2 * (high - low) / len(values) ** (1 / 3), np.ptp(values) / _MAX_BINS)
    if not width > 0:
        width = 0.05 * values.max()
    decade = 10.0 ** np.floor(np.log10(width))
    return float(next(decade * m for m in (1, 2, 5, 10) if decade * m >= width * (1 - 1e-9)))


def histogram(values: np.ndarray, weights: np.ndarray, *, width_nm: float | None = None) -> dict[str, Any]:
    """Count sizes in bins.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes (nm), n at least 1.
    weights : numpy.ndarray of float
        Shape (n,): edge weights.
    width_nm : float, optional
        Width of the bins (nm); `bin_width` by default. The first bin begins at a multiple of the width.

    Returns
    -------
    dict
        ``bin_width_nm``, ``bin_width_rule``, ``edges_nm`` (k + 1) and per bin ``n_counted`` (particles as counted),
        ``number_fraction`` and ``volume_fraction`` (shares of all particles, edge-weighted; the latter
        also weighted by size³).
    """
    rule = "user" if width_nm is not None else "Freedman–Diaconis, rounded up to 1, 2 or 5 × 10ⁿ"
    width = bin_width(values, weights) if width_nm is None else width_nm
    first, last = np.floor(values.min() / width), np.floor(values.max() / width)
    edges = np.arange(first, last + 2) * width
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    volume = weights * values**3
    n = len(edges) - 1
    return {
        "bin_width_nm": float(width),
        "bin_width_rule": rule,
        "edges_nm": edges.tolist(),
        "n_counted": np.bincount(index, minlength=n).tolist(),
        "number_fraction": (np.bincount(index, weights, minlength=n) / weights.sum()).tolist(),
        "volume_fraction": (np.bincount(index, volume, minlength=n) / volume.sum()).tolist(),
    }


def cumulative(values: np.ndarray, weights: np.ndarray) -> dict[str, list[float]]:
    """Return the cumulative curves.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes (nm), n at least 1.
    weights : numpy.ndarray of float
        Shape (n,): edge weights.

    Returns
    -------
    dict
        ``fraction`` (0 to 1 in steps of 0.01), and the sizes (nm) below which that share lies: ``number_size_nm``,
        ``volume_size_nm``.
    """
    return {
        "fraction": _CURVE.tolist(),
        "number_size_nm": weighted_quantiles(values, weights, _CURVE.tolist()).tolist(),
        "volume_size_nm": weighted_quantiles(values, weights * values**3, _CURVE.tolist()).tolist(),
    }
