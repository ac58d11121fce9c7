"""Means, standard deviations and moment ratios in all resamples of micrographs.

All of them follow from eleven sums per micrograph, so that a resample costs one row of a matrix product.
Moment ratios D[p, q] = (Σ w xᵖ / Σ w x^q)^(1/(p − q)): ISO 9276-2:2014, ASTM E2578.
"""

from __future__ import annotations

import numpy as np

__all__ = ["NAMES", "log_moments", "micrograph_sums"]

NAMES = (
    "mean_nm",
    "sd_nm",
    "coefficient_of_variation",
    "geometric_mean_nm",
    "geometric_sd",
    "d32_nm",
    "d43_nm",
    "volume_geometric_mean_nm",
    "volume_geometric_sd",
    "volume_sd_nm",
)
_LENGTHS = tuple(name.endswith("_nm") for name in NAMES)


def micrograph_sums(values: np.ndarray, weights: np.ndarray, owners: np.ndarray, n_micrographs: int) -> np.ndarray:
    """Return the sums from which all moments follow.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): sizes divided by a typical size, above 0; powers of numbers near 1 lose no digits.
    weights : numpy.ndarray of float
        Shape (n,): edge weights.
    owners : numpy.ndarray of int
        Shape (n,): the micrograph of each particle, 0 to `n_micrographs` − 1.
    n_micrographs : int
        Number of micrographs.

    Returns
    -------
    numpy.ndarray of float
        Shape (n_micrographs, 11): Σ w xᵏ for k = 0 … 5, Σ w ln x, Σ w ln² x, Σ w x³ ln x, Σ w x³ ln² x, Σ w².
    """
    log, cube = np.log(values), values**3
    powers = [np.ones_like(values), values, values**2, cube, cube * values, cube * values**2]
    powers += [log, log**2, cube * log, cube * log**2, weights]
    return np.stack([np.bincount(owners, weights * power, n_micrographs) for power in powers], axis=1)


def log_moments(sums: np.ndarray, scale_nm: float) -> np.ndarray:
    """Return the logarithm of each moment.

    Parameters
    ----------
    sums : numpy.ndarray of float
        Shape (..., 11): from `micrograph_sums`, added up over micrographs.
    scale_nm : float
        The size by which all sizes were divided (nm).

    Returns
    -------
    numpy.ndarray of float
        Shape (..., 10), in the order of `NAMES`: number-weighted mean, sd (n − 1; with weights Σw(x − x̄)²/(Σw −
        Σw²/Σw)), coefficient of variation, geometric mean and sd (of the sd ln ln), D[3,2] (Sauter), D[4,3] (De
        Brouckere, the volume-weighted mean), and of the distribution weighted by x³ the geometric mean, geometric sd
        and sd. NaN where a moment is not defined.
    """
    w, w1, w2, w3, w4, w5, l1, l2, k1, k2, ww = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = w - ww / w  # n − 1 for equal weights
        unbiased = np.where(freedom > 1e-9 * w, w / freedom, np.nan)
        sd = _half_log(unbiased * (w2 / w - (w1 / w) ** 2))
        found = np.stack(
            [
                np.log(w1 / w),
                sd,
                sd - np.log(w1 / w),
                l1 / w,
                _half_log(unbiased * (l2 / w - (l1 / w) ** 2)),
                np.log(w3 / w2),
                np.log(w4 / w3),
                k1 / w3,
                _half_log(k2 / w3 - (k1 / w3) ** 2),
                _half_log(w5 / w3 - (w4 / w3) ** 2),
            ],
            axis=-1,
        )
    return np.asarray(found + np.log(scale_nm) * np.array(_LENGTHS), dtype=float)


def _half_log(variance: np.ndarray) -> np.ndarray:
    """Return the logarithm of the standard deviation; −∞ for variances that rounding made negative."""
    return np.asarray(np.log(np.maximum(variance, 0.0)) / 2)
