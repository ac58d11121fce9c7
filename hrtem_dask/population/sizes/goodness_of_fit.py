"""Anderson–Darling test of a distribution whose parameters were fitted to the same sizes.

Fitting brings the distribution closer to the data, so that tables for known parameters hardly ever reject. The
statistic is therefore compared with samples drawn from the fitted distribution, each fitted again (parametric
bootstrap; W. Stute et al., Metrika 40 (1993) 243). For a location–scale family without truncation the result does not
depend on the parameters, so that it is simulated once per family and number of particles.
"""

from __future__ import annotations

import functools

import numpy as np

from hrtem_dask.population.sizes.families import Family, cdf, ppf
from hrtem_dask.population.sizes.maximum_likelihood import fit_location_scale

__all__ = ["MAX_SIMULATED", "METHOD", "anderson_darling", "kolmogorov_distance", "simulated_statistics"]

METHOD = "Anderson–Darling, parametric bootstrap with the parameters fitted again"
MAX_SIMULATED = 500
"""Largest number of particles of a simulated sample; the distribution of the statistic hardly changes beyond it."""
_EDGE = 1e-300


def anderson_darling(u: np.ndarray, weights: np.ndarray, n: float) -> np.ndarray:
    """Return the Anderson–Darling statistic.

    Parameters
    ----------
    u : numpy.ndarray of float
        Shape (samples, n): the fitted distribution function at the sizes, ascending in each row.
    weights : numpy.ndarray of float
        Shape (n,) or (samples, n), in the order of `u`.
    n : float
        Number of equally weighted particles that are as informative as the weighted ones.

    Returns
    -------
    numpy.ndarray of float
        Shape (samples,): n ∫ (Fₙ − u)²/(u(1 − u)) du with the weighted step curve Fₙ; for equal weights
        −n − Σ (2i − 1)(ln uᵢ + ln(1 − uₙ₊₁₋ᵢ))/n (T. W. Anderson, D. A. Darling, J. Am. Stat. Assoc. 49 (1954) 765).
    """
    u = np.clip(u, _EDGE, 1 - 1e-16)
    total = np.cumsum(np.atleast_2d(weights), axis=1)  # one row where all samples have the same weights
    after = total / total[:, -1:]
    before = np.concatenate([np.zeros((len(after), 1)), after[:, :-1]], axis=1)
    log, other = np.log(u), np.log1p(-u)
    # ∫ (s − u)²/(u(1 − u)) du = s² ln u − (1 − s)² ln(1 − u) − u over each step, in the order of the sizes
    area = ((before**2 - after**2) * log).sum(axis=1) + (((1 - after) ** 2 - (1 - before) ** 2) * other).sum(axis=1)
    return np.asarray(n * (area - 1.0))


def kolmogorov_distance(u: np.ndarray, weights: np.ndarray) -> float:
    """Return the largest distance between the weighted cumulative curve and the fitted one.

    Parameters
    ----------
    u : numpy.ndarray of float
        Shape (n,): the fitted distribution function at the sizes, ascending.
    weights : numpy.ndarray of float
        Shape (n,), in the order of `u`.

    Returns
    -------
    float
        0 to 1: the size of the misfit, in contrast to its significance (p-value).
    """
    after = np.cumsum(weights) / weights.sum()
    return float(max(np.abs(after - u).max(), np.abs(after - weights / weights.sum() - u).max()))


def simulated_statistics(
    family: Family, a: float, scale: float, limit: np.ndarray, *, n: int, n_simulations: int, seed: int
) -> np.ndarray:
    """Return the statistics of samples that follow the fitted distribution.

    Parameters
    ----------
    family : {"lognormal", "normal", "weibull"}
        The family.
    a, scale : float
        Fitted location and logarithm of the scale, of y.
    limit : numpy.ndarray of float
        Shape (particles,): detection limit of each particle as y; −∞ for none.
    n : int
        Number of particles of a sample, at most `MAX_SIMULATED`.
    n_simulations : int
        Number of samples.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    numpy.ndarray of float
        Shape (samples,); samples whose fit did not converge are left out.
    """
    cut = cdf((limit - a) / np.exp(scale), family)
    if cut.max(initial=0.0) < 1e-4:  # truncation is negligible, and the result does not depend on the parameters
        return _complete("normal" if family == "lognormal" else family, n, n_simulations, seed)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(limit), size=(n_simulations, n)) if np.ptp(cut) > 0 else np.zeros((1, n), dtype=int)
    below = np.broadcast_to(cut[chosen], (n_simulations, n))
    z = ppf(np.clip(below + (1 - below) * rng.random(below.shape), 1e-12, 1 - 1e-12), family)
    limits = np.broadcast_to((limit[chosen] - a) / np.exp(scale), below.shape)
    return _statistics(z, limits, family)


@functools.lru_cache(maxsize=64)
def _complete(family: Family, n: int, n_simulations: int, seed: int) -> np.ndarray:
    """Simulate the standard distribution without truncation."""
    u = np.random.default_rng(seed).random((n_simulations, n))
    return _statistics(ppf(np.clip(u, 1e-12, 1 - 1e-12), family), np.full(n, -np.inf), family)


def _statistics(z: np.ndarray, limit: np.ndarray, family: Family) -> np.ndarray:
    """Fit each sample and return its statistic."""
    n = z.shape[1]
    a, scale, converged = fit_location_scale(z, np.ones(n), limit, family)
    # a fit that has diverged may leave nothing above the limit, and its statistic is not used
    z, limit = z[converged], np.broadcast_to(limit, z.shape)[converged]
    a, scale = a[converged], scale[converged]
    b = np.exp(scale)[:, None]
    u = cdf((z - a[:, None]) / b, family)
    cut = cdf((limit - a[:, None]) / b, family)
    inside = np.sort((u - cut) / (1 - cut), axis=1)
    return anderson_darling(inside, np.ones(n), n)
