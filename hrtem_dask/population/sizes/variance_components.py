"""How much micrographs differ: one-way random-effects analysis of variance."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.stats

from hrtem_dask.population.sizes.size_sample import Sizes

__all__ = ["variance_components"]


def variance_components(sizes: Sizes) -> dict[str, Any]:
    """Split the variance of a size into that between and that within micrographs.

    Parameters
    ----------
    sizes : Sizes
        Each particle counts once: edge weights are left out, which the F test does not know.

    Returns
    -------
    dict
        ``between_sd_nm``, ``within_sd_nm``, ``intraclass_correlation`` = σ²_b/(σ²_b + σ²_w) (σ²_b by moments with
        unequal numbers, n₀ = (n − Σnᵢ²/n)/(M − 1), lifted to 0 where negative; S. R. Searle et al., Variance
        Components, 1992, section 3.6), ``f`` and ``p_value`` of F(M − 1, n − M), ``particles_per_micrograph`` (n₀),
        ``design_effect`` = 1 + (n₀ − 1) × intraclass correlation, and ``reason`` where there is none: fewer than two
        micrographs, or no micrograph with two particles.
    """
    m, n = sizes.n_micrographs, len(sizes.values)
    if m < 2 or n <= m:
        return {"reason": f"needs two micrographs and one with two particles: {n} particles in {m} micrographs"}
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
        "p_value": None if f is None else float(scipy.stats.f.sf(f, m - 1, n - m)),
        "particles_per_micrograph": float(n0),
        "design_effect": float(1 + (n0 - 1) * correlation),
        "reason": None,
    }
