"""Variance components of a size: between and within micrographs (one-way random-effects analysis of variance)."""

from __future__ import annotations

import numpy as np
import scipy.special

from hrtem_dask.population.sizes.size_sample import Sizes

__all__ = ["variance_components"]


def variance_components(sizes: Sizes) -> dict[str, float | str | None]:
    """Split the variance of a size into that between and that within micrographs.

    Parameters
    ----------
    sizes : Sizes
        Sizes of the particles. Edge weights are ignored, since the F test is defined for unweighted observations.

    Returns
    -------
    dict
        ``between_sd_nm``, ``within_sd_nm``, ``intraclass_correlation`` = σ²_b/(σ²_b + σ²_w) (σ²_b by moments with
        unequal numbers, n₀ = (n − Σnᵢ²/n)/(M − 1), set to 0 where negative; S. R. Searle et al., Variance
        Components, 1992, section 3.6), ``f`` and ``p_value`` of F(M − 1, n − M), ``particles_per_micrograph`` (n₀),
        ``design_effect`` = 1 + (n₀ − 1) × intraclass correlation, and ``reason``. With fewer than two micrographs,
        or without a micrograph with two particles, there is only the reason.

    Examples
    --------
    >>> sizes = Sizes(np.array([4.0, 5.0, 7.0, 8.0]), np.ones(4), np.array([0, 0, 1, 1]), 2)
    >>> components = variance_components(sizes)
    >>> round(components["within_sd_nm"], 3), round(components["between_sd_nm"], 3), components["f"]
    (0.707, 2.062, 18.0)
    """
    m, n = sizes.n_micrographs, len(sizes.values)
    if m < 2 or n <= m:
        return {"reason": f"needs two micrographs, one with two particles; has {n} particles in {m} micrographs"}
    per = np.bincount(sizes.owners, minlength=m)
    means = np.bincount(sizes.owners, sizes.values, minlength=m) / per
    within = float(((sizes.values - means[sizes.owners]) ** 2).sum() / (n - m))
    between = float((per * (means - sizes.values.mean()) ** 2).sum() / (m - 1))
    n0 = (n - (per**2).sum() / n) / (m - 1)
    variance = max(0.0, (between - within) / n0)
    total = variance + within
    correlation = variance / total if total > 0 else 0.0
    f = between / within if within > 0 else None
    return {
        "between_sd_nm": float(np.sqrt(variance)),
        "within_sd_nm": float(np.sqrt(within)),
        "intraclass_correlation": float(correlation),
        "f": f,
        "p_value": None if f is None else float(scipy.special.fdtrc(m - 1, n - m, f)),
        "particles_per_micrograph": float(n0),
        "design_effect": float(1 + (n0 - 1) * correlation),
        "reason": None,
    }
