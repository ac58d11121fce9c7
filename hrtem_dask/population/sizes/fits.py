"""Lognormal, normal and Weibull distributions fitted to sizes, left-truncated at the detection limit.

Truncated, not censored: objects below the limit are specks of noise as often as particles, so neither their sizes nor
their number are used; a particle's likelihood is f(x)/S(limit), the limit that of its own micrograph. Edge weights
enter as weights of the log-likelihood that add up to the number of particles (pseudo-likelihood).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hrtem_dask.population.inference.quantiles import weighted_quantiles
from hrtem_dask.population.sizes import goodness_of_fit as gof
from hrtem_dask.population.sizes.families import (
    FAMILIES,
    Derivatives,
    Family,
    cdf,
    derivatives,
    fit_location_scale,
    ppf,
    to_y,
)
from hrtem_dask.population.sizes.size_sample import Sizes

__all__ = ["MIN_PARTICLES", "fit_sizes"]

MIN_PARTICLES = 20
"""With fewer no distribution is fitted."""
_QQ = 100
_PARAMETERS = {
    "lognormal": ("geometric_mean_nm", "geometric_sd"),
    "normal": ("mean_nm", "sd_nm"),
    "weibull": ("scale_nm", "shape"),
}


def fit_sizes(sizes: Sizes, limits_nm: np.ndarray, *, n_simulations: int, seed: int) -> dict[str, Any]:
    """Fit the three families and choose one.

    Parameters
    ----------
    sizes : Sizes
        The particles.
    limits_nm : numpy.ndarray of float
        Shape (n,): the size (nm) below which a particle would not have been counted; 0 for none.
    n_simulations : int
        Simulated samples of the goodness-of-fit test; 0 leaves it out.
    seed : int
        Their seed.

    Returns
    -------
    dict
        ``method``, ``detection_limit_nm`` (lowest, highest), ``best`` (the family of least AIC), ``families`` (family →
        ``parameters`` with ``value``, ``standard_error``, ``clustered_standard_error``; ``log_likelihood``, ``aic``,
        ``delta_aic``, ``goodness_of_fit``, ``qq``), and ``reason`` where there is none.
    """
    n = len(sizes.values)
    head: dict[str, Any] = {
        "method": "maximum likelihood, edge-weighted, left-truncated at the detection limit",
        "detection_limit_nm": {"low": float(limits_nm.min()), "high": float(limits_nm.max())},
    }
    if n < MIN_PARTICLES or np.ptp(sizes.values) <= 1e-9 * sizes.values.max():
        return head | {
            "best": None,
            "families": {},
            "reason": f"needs {MIN_PARTICLES} particles of different sizes, has {n}",
        }
    families = {name: _fit(sizes, limits_nm, name, n_simulations, seed) for name in FAMILIES}
    found = {name: fit for name, fit in families.items() if fit["aic"] is not None}
    best, least = None, None
    for name, fit in found.items():
        if least is None or fit["aic"] < least:
            best, least = name, fit["aic"]
    for fit in families.values():
        fit["delta_aic"] = None if fit["aic"] is None or least is None else fit["aic"] - least
    return head | {"best": best, "families": families, "reason": None if best else "no family could be fitted"}


def _fit(sizes: Sizes, limits_nm: np.ndarray, family: Family, n_simulations: int, seed: int) -> dict[str, Any]:
    """Fit one family."""
    y, limit = to_y(sizes.values, family), to_y(limits_nm, family)
    weights = sizes.weights * len(y) / sizes.weights.sum()
    a, scale, converged = fit_location_scale(y[None], weights, limit, family)
    if not (converged[0] and np.isfinite(a[0]) and np.isfinite(scale[0])):
        reason = "the likelihood has no maximum: the sizes fall off from the detection limit on, or are too few"
        return {"parameters": {}, "aic": None, "goodness_of_fit": None, "qq": None, "reason": reason}
    per = Derivatives(*(d[0] for d in derivatives(y[None], limit, a[:, None], scale[:, None], family)))
    jacobian = 0.0 if family == "normal" else float(weights @ np.log(sizes.values))
    likelihood = float(weights @ per.log_likelihood) - jacobian
    return {
        "parameters": _parameters(family, float(a[0]), float(scale[0]), per, weights, sizes),
        "log_likelihood": likelihood,
        "aic": 4.0 - 2 * likelihood,
        "goodness_of_fit": _goodness(sizes, y, limit, family, float(a[0]), float(scale[0]), n_simulations, seed),
        "qq": _qq(sizes, limits_nm, family, float(a[0]), float(scale[0])),
        "reason": None,
    }


def _parameters(
    family: Family, a: float, scale: float, per: Derivatives, weights: np.ndarray, sizes: Sizes
) -> dict[str, dict[str, float | None]]:
    """Return the family's usual parameters; errors carried over to first order."""
    information = -np.array(
        [[weights @ per.aa, weights @ per.a_scale], [weights @ per.a_scale, weights @ per.scale_scale]]
    )
    covariance = np.linalg.inv(information)
    scores = np.zeros((sizes.n_micrographs, 2))
    np.add.at(scores, sizes.owners, weights[:, None] * np.column_stack([per.a, per.scale]))
    m = sizes.n_micrographs
    clustered = covariance @ (scores.T @ scores) @ covariance * (m / (m - 1) if m > 1 else np.nan)
    b = np.exp(scale)
    values, slopes = {
        "lognormal": ((np.exp(a), np.exp(b)), (np.exp(a), b * np.exp(b))),
        "normal": ((a, b), (1.0, b)),
        "weibull": ((np.exp(a), 1 / b), (np.exp(a), 1 / b)),
    }[family]
    return {
        name: {
            "value": float(values[i]),
            "standard_error": float(slopes[i] * np.sqrt(covariance[i, i])),
            "clustered_standard_error": float(slopes[i] * np.sqrt(clustered[i, i])) if m > 1 else None,
        }
        for i, name in enumerate(_PARAMETERS[family])
    }


def _goodness(
    sizes: Sizes,
    y: np.ndarray,
    limit: np.ndarray,
    family: Family,
    a: float,
    scale: float,
    n_simulations: int,
    seed: int,
) -> dict[str, Any]:
    """Test the fit."""
    b = np.exp(scale)
    cut = cdf((limit - a) / b, family)
    u = (cdf((y - a) / b, family) - cut) / (1 - cut)
    order = np.argsort(u, kind="stable")
    statistic = float(gof.anderson_darling(u[None, order], sizes.weights[order], sizes.effective_n)[0])
    p = None
    if n_simulations:
        n = min(len(y), gof.MAX_SIMULATED)
        null = gof.simulated_statistics(family, a, scale, limit, n=n, n_simulations=n_simulations, seed=seed)
        p = float((1 + (null >= statistic).sum()) / (1 + len(null)))
    return {
        "test": gof.METHOD,
        "statistic": statistic,
        "p_value": p,
        "largest_distance": gof.kolmogorov_distance(u[order], sizes.weights[order]),
        "assumes": "independent particles: where micrographs differ it rejects too often",
    }


def _qq(sizes: Sizes, limits_nm: np.ndarray, family: Family, a: float, scale: float) -> dict[str, list[float]]:
    """Return quantiles of the sizes over those of the fitted distribution as far as it is seen."""
    n = min(len(sizes.values), _QQ)
    probability = (np.arange(n) + 0.5) / n
    b = np.exp(scale)
    ends = ppf(np.array([1e-9, 1 - 1e-9]), family)
    z = np.linspace(float(ends[0]), float(ends[1]), 4001)
    limits, share = np.unique(limits_nm, return_inverse=True)
    weights = np.bincount(share, sizes.weights) / sizes.weights.sum()
    cut = cdf((to_y(limits, family) - a) / b, family)
    seen = (np.clip(cdf(z, family)[:, None] - cut, 0, None) / (1 - cut)) @ weights
    grid = a + b * z
    expected = np.interp(probability, seen, grid if family == "normal" else np.exp(grid))
    return {
        "expected_nm": expected.tolist(),
        "observed_nm": weighted_quantiles(sizes.values, sizes.weights, probability.tolist()).tolist(),
    }
