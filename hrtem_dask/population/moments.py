"""Means, deviations and moment ratios, of all resamples of micrographs at once.

Everything here follows from ten sums per micrograph, so that a resample costs a row of a matrix product.
Moment ratios D[p, q] = (Σ w xᵖ / Σ w x^q)^(1/(p − q)): ISO 9276-2:2014, ASTM E2578.
"""

from __future__ import annotations

import numpy as np

__all__ = ["moment_statistics"]


def moment_statistics(
    values: np.ndarray, weights: np.ndarray, owners: np.ndarray, counts: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the moments of a size in each resample.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes (nm), above 0.
    weights : numpy.ndarray of float
        Shape (n,): edge weights.
    owners : numpy.ndarray of int
        Shape (n,): the micrograph that a particle is in, 0 to M − 1.
    counts : numpy.ndarray of float
        Shape (resamples, M): how often each micrograph is in a resample.

    Returns
    -------
    dict of str to numpy.ndarray
        Shape (resamples,) each. Number-weighted: ``mean_nm``, ``sd_nm`` (n − 1; with weights
        Σw(x − x̄)²/(Σw − Σw²/Σw)), ``coefficient_of_variation``, ``geometric_mean_nm``, ``geometric_sd``,
        ``d32_nm`` (Sauter), ``d43_nm`` (De Brouckere). Volume-weighted (x³): ``volume_mean_nm`` (= D[4,3]),
        ``volume_sd_nm``, ``volume_geometric_mean_nm``, ``volume_geometric_sd``. NaN where there is none.
    """
    scale = float(np.average(values, weights=weights))  # near 1, powers keep their digits
    x = values / scale
    log, cube = np.log(x), x**3
    powers = [np.ones_like(x), x, x**2, cube, cube * x, cube * x**2, log, log**2, cube * log, cube * log**2]
    terms = np.column_stack([weights[:, None] * np.column_stack(powers), weights**2])
    sums = np.zeros((counts.shape[1], terms.shape[1]))
    np.add.at(sums, owners, terms)
    w, w1, w2, w3, w4, w5, l1, l2, k1, k2, ww = (counts @ sums).T
    with np.errstate(divide="ignore", invalid="ignore"):
        unbiased = w / (w - ww / w)  # n/(n − 1) for equal weights
        mean = w1 / w
        sd = np.where(np.isfinite(unbiased), np.sqrt(_positive(w2 / w - mean**2) * unbiased), np.nan)
        log_sd = np.where(np.isfinite(unbiased), np.sqrt(_positive(l2 / w - (l1 / w) ** 2) * unbiased), np.nan)
        volume_mean = w4 / w3
        found = {
            "mean_nm": mean * scale,
            "sd_nm": sd * scale,
            "coefficient_of_variation": sd / mean,
            "geometric_mean_nm": np.exp(l1 / w) * scale,
            "geometric_sd": np.exp(log_sd),
            "d32_nm": w3 / w2 * scale,
            "d43_nm": volume_mean * scale,
            "volume_mean_nm": volume_mean * scale,
            "volume_sd_nm": np.sqrt(_positive(w5 / w3 - volume_mean**2)) * scale,
            "volume_geometric_mean_nm": np.exp(k1 / w3) * scale,
            "volume_geometric_sd": np.exp(np.sqrt(_positive(k2 / w3 - (k1 / w3) ** 2))),
        }
    return {name: np.asarray(statistic, dtype=float) for name, statistic in found.items()}


def _positive(variance: np.ndarray) -> np.ndarray:
    """Lift variances that rounding made negative to 0; NaN stays."""
    return np.asarray(np.maximum(variance, 0.0))
