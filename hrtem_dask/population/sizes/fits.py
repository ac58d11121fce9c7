"""Lognormal, normal and Weibull distributions fitted to sizes, left-truncated at the detection limit.

The sample is truncated, not censored: objects below the limit are often noise, so that neither their sizes nor their
number are used. The likelihood of a particle is f(x)/S(limit), with the limit of its own micrograph. Edge weights are
weights of the log-likelihood and add up to the number of particles (pseudo-likelihood).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from hrtem_dask.intervals import MIN_MICROGRAPHS
from hrtem_dask.population.inference.quantiles import weighted_quantiles
from hrtem_dask.population.sizes import goodness_of_fit as gof
from hrtem_dask.population.sizes.families import FAMILIES, Family, LocationScale, cdf, ppf, to_y
from hrtem_dask.population.sizes.maximum_likelihood import Derivatives, derivatives, fit_location_scale
from hrtem_dask.population.sizes.size_sample import Sizes

__all__ = ["MIN_PARTICLES", "fit_sizes"]

MIN_PARTICLES = 20
"""With fewer particles no distribution is fitted."""
_REJECTED = 0.05
_LARGEST_FACTOR = 10.0
"""An interval whose end is a factor of 10 away is of no use."""
_MAX_QUANTILES = 100  # of the quantile–quantile plot
_AT_ONCE = 256  # detection limits at a time
_DIGITS = 12  # to which detection limits are equal: those of one pixel size differ by rounding
_PARAMETERS = {
    "lognormal": ("geometric_mean_nm", "geometric_sd"),
    "normal": ("mean_nm", "sd_nm"),
    "weibull": ("scale_nm", "shape"),
}


def fit_sizes(sizes: Sizes, limits_nm: np.ndarray, *, n_simulations: int, seed: int) -> dict[str, Any]:
    """Fit the three families and select the one with the lowest AIC.

    Parameters
    ----------
    sizes : Sizes
        Sizes of the particles.
    limits_nm : numpy.ndarray of float
        Shape (n,): detection limit (nm) of each particle, below which it would not be counted; 0 for none.
    n_simulations : int
        Simulated samples of the goodness-of-fit test; 0 omits the test.
    seed : int
        Seed of the simulated samples.

    Returns
    -------
    dict
        ``method``, ``detection_limit_nm`` (lowest, highest), ``best`` (the family with the lowest AIC;
        None where the goodness-of-fit test rejects all), ``families``
        (family → ``parameters`` with ``value``, ``standard_error``, ``clustered_standard_error``, ``low``, ``high``
        (95 %, clustered); ``log_likelihood``,
        ``aic``, ``delta_aic``, ``goodness_of_fit``, ``qq``), and ``reason`` where there is no best family.

    Examples
    --------
    >>> values = np.exp(1.6 + 0.3 * ppf((np.arange(50) + 0.5) / 50, "normal"))
    >>> sizes = Sizes(values, np.ones(50), np.arange(50) // 5, 10)
    >>> fits = fit_sizes(sizes, np.zeros(50), n_simulations=0, seed=0)
    >>> fits["best"], round(fits["families"]["lognormal"]["parameters"]["geometric_mean_nm"]["value"], 2)
    ('lognormal', 4.95)
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
    if best is None:
        return head | {"best": None, "families": families, "reason": "no family could be fitted"}
    tests = [(fit["goodness_of_fit"] or {}).get("p_value") for fit in found.values()]
    if all(p is not None and p <= _REJECTED for p in tests):
        reason = (
            f"none of the families describes these sizes: the test rejects each of them (p ≤ {_REJECTED:g}); "
            f"the lowest AIC is that of the {best.replace('weibull', 'Weibull')} distribution"
        )
        return head | {"best": None, "families": families, "reason": reason}
    return head | {"best": best, "families": families, "reason": None}


def _fit(sizes: Sizes, limits_nm: np.ndarray, family: Family, n_simulations: int, seed: int) -> dict[str, Any]:
    """Fit one family."""
    y, limit = to_y(sizes.values, family), to_y(limits_nm, family)
    weights = sizes.weights * len(y) / sizes.weights.sum()
    a, scale, converged = fit_location_scale(y[None], weights, limit, family)
    if not (converged[0] and np.isfinite(a[0]) and np.isfinite(scale[0])):
        reason = "the likelihood has no maximum: sizes only decrease in number from the detection limit, or are too few"
        return {"parameters": {}, "aic": None, "goodness_of_fit": None, "qq": None, "reason": reason}
    per = Derivatives(*(d[0] for d in derivatives(y[None], limit, a[:, None], scale[:, None], family)))
    fitted = LocationScale(family, float(a[0]), float(scale[0]))
    jacobian = 0.0 if family == "normal" else float(weights @ np.log(sizes.values))
    likelihood = float(weights @ per.log_likelihood) - jacobian
    return {
        "parameters": _parameters(fitted, per, weights, sizes),
        "log_likelihood": likelihood,
        "aic": 4.0 - 2 * likelihood,
        "goodness_of_fit": _goodness(sizes, y, limit, fitted, n_simulations=n_simulations, seed=seed),
        "qq": _quantile_pairs(sizes, limits_nm, fitted),
        "reason": None,
    }


def _parameters(
    fitted: LocationScale, per: Derivatives, weights: np.ndarray, sizes: Sizes
) -> dict[str, dict[str, float | None]]:
    """Return the usual parameters of the family; standard errors by linear propagation."""
    a = fitted.a
    information = -np.array(
        [[weights @ per.aa, weights @ per.a_scale], [weights @ per.a_scale, weights @ per.scale_scale]]
    )
    covariance = np.linalg.inv(information)
    scores = np.zeros((sizes.n_micrographs, 2))
    np.add.at(scores, sizes.owners, weights[:, None] * np.column_stack([per.a, per.scale]))
    m = sizes.n_micrographs
    clustered = covariance @ (scores.T @ scores) @ covariance * (m / (m - 1) if m > 1 else np.nan)
    b = np.exp(fitted.scale)
    values, slopes = {
        "lognormal": ((np.exp(a), np.exp(b)), (np.exp(a), b * np.exp(b))),
        "normal": ((a, b), (1.0, b)),
        "weibull": ((np.exp(a), 1 / b), (np.exp(a), 1 / b)),
    }[fitted.family]
    return {
        name: {
            "value": float(values[i]),
            "standard_error": float(slopes[i] * np.sqrt(covariance[i, i])),
            "clustered_standard_error": float(slopes[i] * np.sqrt(clustered[i, i])) if m >= MIN_MICROGRAPHS else None,
            **_ends(float(values[i]), float(slopes[i] * np.sqrt(clustered[i, i])), m),
        }
        for i, name in enumerate(_PARAMETERS[fitted.family])
    }


def _ends(value: float, error: float, n_micrographs: int) -> dict[str, float | None]:
    """Return the 95 % interval of a parameter, on its logarithm where it is positive; None with few micrographs."""
    if n_micrographs < MIN_MICROGRAPHS or not 0 < error < np.inf:
        return {"low": None, "high": None}
    half = float(scipy.special.stdtrit(n_micrographs - 1, 0.975)) * error
    if value <= 0:
        return {"low": value - half, "high": value + half}
    factor = float(np.exp(half / value))
    return {"low": value / factor, "high": value * factor} if factor < _LARGEST_FACTOR else {"low": None, "high": None}


def _goodness(
    sizes: Sizes, y: np.ndarray, limit: np.ndarray, fitted: LocationScale, *, n_simulations: int, seed: int
) -> dict[str, float | str | None]:
    """Return the goodness-of-fit test."""
    family, a, b = fitted.family, fitted.a, np.exp(fitted.scale)
    cut = cdf((limit - a) / b, family)
    u = (cdf((y - a) / b, family) - cut) / (1 - cut)
    order = np.argsort(u, kind="stable")
    statistic = float(gof.anderson_darling(u[None, order], sizes.weights[order], sizes.effective_n)[0])
    p = smallest = None
    if n_simulations:
        n = min(len(y), gof.MAX_SIMULATED)
        null = gof.simulated_statistics(family, a, fitted.scale, limit, n=n, n_simulations=n_simulations, seed=seed)
        smallest = 1 / (1 + len(null))
        p = float((1 + (null >= statistic).sum()) * smallest)
    return {
        "test": gof.METHOD,
        "statistic": statistic,
        "p_value": p,
        "smallest_p": smallest,
        "largest_distance": gof.kolmogorov_distance(u[order], sizes.weights[order]),
        "assumes": "independent particles; the test rejects too often where micrographs differ",
    }


def _quantile_pairs(sizes: Sizes, limits_nm: np.ndarray, fitted: LocationScale) -> dict[str, list[float]]:
    """Return quantiles of the sizes, and of the fitted distribution above the detection limits."""
    family, a, b = fitted.family, fitted.a, np.exp(fitted.scale)
    n = min(len(sizes.values), _MAX_QUANTILES)
    probability = (np.arange(n) + 0.5) / n
    ends = ppf(np.array([1e-9, 1 - 1e-9]), family)
    z = np.linspace(float(ends[0]), float(ends[1]), 4001)
    limits, weights = _different(limits_nm, sizes.weights)
    below = cdf(z, family)[:, None]
    observable = np.zeros(len(z))
    for start in range(0, len(limits), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        cut = cdf((to_y(limits[some], family) - a) / b, family)
        observable += (np.clip(below - cut, 0, None) / (1 - cut)) @ weights[some]
    grid = a + b * z
    expected = np.interp(probability, observable, grid if family == "normal" else np.exp(grid))
    return {
        "expected_nm": expected.tolist(),
        "observed_nm": weighted_quantiles(sizes.values, sizes.weights, probability.tolist()).tolist(),
    }


def _different(limits_nm: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the detection limits that differ by more than rounding, and the share of the weight that each has."""
    with np.errstate(divide="ignore"):
        digits = np.round(np.log(limits_nm), _DIGITS)
    _, first, which = np.unique(digits, return_index=True, return_inverse=True)
    return limits_nm[first], np.bincount(which, weights) / weights.sum()
