"""A share of the particles, with an interval that knows that particles of a micrograph are alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrtem_dask.intervals import too_few_micrographs, wilson_interval
from hrtem_dask.population.inference.clusters import clustered_standard_errors, no_estimate

__all__ = ["FRACTION_METHOD", "clustered_fraction"]

FRACTION_METHOD = (
    "Wilson interval at the effective number of particles (design effect of micrographs), Student's t, "
    "one degree of freedom less than micrographs"
)


def clustered_fraction(
    hits: np.ndarray, weights: np.ndarray, codes: np.ndarray, *, confidence: float = 0.95
) -> dict[str, Any]:
    """Return the share of particles of which something is true.

    Parameters
    ----------
    hits : numpy.ndarray of bool
        Shape (particles,): whether it is true.
    weights : numpy.ndarray of float
        Shape (particles,), not negative.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.
    confidence : float
        How often the interval holds the truth.

    Returns
    -------
    dict
        Keys of `clusters.estimate_row` without ``p_value``, and ``design_effect``, ``n_effective``. The interval is
        Wilson's with Student's t of G − 1 degrees of freedom at n_eff = n / design effect (N. Dean, M. Pagano,
        J. Surv. Stat. Methodol. 3 (2015) 484; E. Korn, B. Graubard, Surv. Methodol. 24 (1998) 193), the design effect
        (L. Kish, 1965) being the clustered variance of the ratio over that of independent particles, at least 1.
        Where none or all are hits it cannot be estimated; n_eff is then the effective number of micrographs.
    """
    kept = weights > 0
    hits, weights, codes = hits[kept], weights[kept], codes[kept]
    if not hits.size:
        return _row(no_estimate("no particles"))
    fraction = float(np.average(hits, weights=weights))
    error, n_micrographs = clustered_standard_errors(hits - fraction, weights, codes)
    row = _row(no_estimate("", n=int(hits.size), n_micrographs=n_micrographs))
    row |= {"estimate": fraction, "reason": too_few_micrographs(n_micrographs)}
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
    """Give the row of a fraction its own keys: a fraction is not tested against anything."""
    return {k: v for k, v in row.items() if k != "p_value"} | {"design_effect": None, "n_effective": None}
