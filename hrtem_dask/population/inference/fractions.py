"""Fraction of particles with a property, with an interval that takes into account that micrographs differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrtem_dask.intervals import too_few_micrographs, wilson_interval
from hrtem_dask.population.inference.clusters import clustered_standard_errors, micrograph_shares, no_estimate

__all__ = ["FRACTION_METHOD", "clustered_fraction"]

FRACTION_METHOD = (
    "Wilson interval at the effective number of particles (design effect of micrographs), Student's t, "
    "one degree of freedom less than micrographs"
)


def clustered_fraction(
    hits: np.ndarray, weights: np.ndarray, codes: np.ndarray, *, confidence: float = 0.95
) -> dict[str, Any]:
    """Return the fraction of particles that have a property.

    Parameters
    ----------
    hits : numpy.ndarray of bool
        Shape (particles,): whether a particle has it.
    weights : numpy.ndarray of float
        Shape (particles,), not negative.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    dict
        Keys of `clusters.estimate_row` without ``p_value``, and ``design_effect``, ``n_effective``. The interval is
        Wilson's with Student's t of G − 1 degrees of freedom at n_eff = n / design effect (N. Dean, M. Pagano,
        J. Surv. Stat. Methodol. 3 (2015) 484; E. Korn, B. Graubard, Surv. Methodol. 24 (1998) 193), the design effect
        (L. Kish, 1965) being the clustered variance of the ratio over that of independent particles, at least 1.
        Where no particle or every particle has the property, the design effect cannot be estimated, and n_eff is the
        effective number of micrographs.

    Examples
    --------
    >>> micrographs = np.repeat(np.arange(10), 4)
    >>> fraction = clustered_fraction(np.arange(40) % 4 == 0, np.ones(40), micrographs)
    >>> fraction["estimate"], round(fraction["low"], 2), round(fraction["high"], 2)
    (0.25, 0.13, 0.43)
    """
    kept = weights > 0
    hits, weights, codes = hits[kept], weights[kept], codes[kept]
    if not hits.size:
        return _row(no_estimate("no particles"))
    fraction = float(np.average(hits, weights=weights))
    error, n_micrographs = clustered_standard_errors(hits - fraction, weights, codes)
    row = _row(no_estimate("", n=int(hits.size), n_micrographs=n_micrographs))
    row |= {"estimate": fraction, "reason": too_few_micrographs(n_micrographs, micrograph_shares(weights, codes))}
    if row["reason"]:
        return row
    n_kish = weights.sum() ** 2 / (weights**2).sum()
    if 0 < fraction < 1:
        effect = max(1.0, float(error) ** 2 / (fraction * (1 - fraction) / n_kish))
    else:
        effect = n_kish * (np.bincount(codes, weights) ** 2).sum() / weights.sum() ** 2
    n_effective = n_kish / effect
    low, high = wilson_interval(fraction, n_effective, df=n_micrographs - 1, confidence=confidence)
    return row | {
        "low": low,
        "high": high,
        "standard_error": float(error),
        "design_effect": float(effect),
        "n_effective": float(n_effective),
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with the keys of a fraction, which has no p-value since there is no null hypothesis."""
    return {k: v for k, v in row.items() if k != "p_value"} | {"design_effect": None, "n_effective": None}
