"""Maximum-likelihood fit of location–scale families, with or without left truncation, to several samples at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.special

from hrtem_dask.population.sizes.families import Family, log_density

__all__ = ["Derivatives", "derivatives", "fit_location_scale"]

_ITERATIONS = 60
_CONVERGED = 1e-9


class Derivatives(NamedTuple):
    """Log-likelihood of each particle, and its derivatives with respect to the location a and to λ = ln b."""

    log_likelihood: np.ndarray
    """Log-likelihood of y; that of x is smaller by ln x for lognormal and Weibull."""
    a: np.ndarray
    """First derivative with respect to a."""
    scale: np.ndarray
    """First derivative with respect to λ."""
    aa: np.ndarray
    """Second derivative with respect to a."""
    a_scale: np.ndarray
    """Mixed second derivative."""
    scale_scale: np.ndarray
    """Second derivative with respect to λ."""


def derivatives(y: np.ndarray, limit: np.ndarray, a: np.ndarray, scale: np.ndarray, family: Family) -> Derivatives:
    """Return the left-truncated log-likelihood ln g(z) − λ − ln S(c) of each particle, and its derivatives.

    Parameters
    ----------
    y : numpy.ndarray of float
        Shape (samples, n).
    limit : numpy.ndarray of float
        Shape (n,) or (samples, n): detection limit, the y below which a particle is not counted; −∞ for none.
    a, scale : numpy.ndarray of float
        Shape (samples, 1): location, and logarithm λ of the scale.
    family : {"lognormal", "normal", "weibull"}
        The family.

    Returns
    -------
    Derivatives
        Shape (samples, n) each.
    """
    b = np.exp(scale)
    z, c = (y - a) / b, (limit - a) / b
    log_s, s1, s2, cs1, cs2, ccs2 = _truncation(c, family)
    if family == "weibull":
        e = np.exp(z)
        h, h1 = 1 - e, -e
    else:
        h, h1 = -z, -np.ones_like(z)
    return Derivatives(
        log_likelihood=log_density(z, family) - scale - log_s,
        a=(s1 - h) / b,
        scale=cs1 - z * h - 1,
        aa=(h1 - s2) / b**2,
        a_scale=(z * h1 + h - cs2 - s1) / b,
        scale_scale=z * h + z**2 * h1 - cs1 - ccs2,
    )


def fit_location_scale(
    y: np.ndarray, weights: np.ndarray, limit: np.ndarray, family: Family
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit one family to several samples by maximum likelihood.

    Parameters
    ----------
    y : numpy.ndarray of float
        Shape (samples, n).
    weights : numpy.ndarray of float
        Shape (n,): weights of the log-likelihood.
    limit : numpy.ndarray of float
        Shape (n,) or (samples, n): detection limit, the y below which a particle is not counted; −∞ for none.
    family : {"lognormal", "normal", "weibull"}
        The family.

    Returns
    -------
    a, scale : numpy.ndarray of float
        Shape (samples,): location and logarithm of the scale, by damped Newton iteration that starts at the moments.
    converged : numpy.ndarray of bool
        Shape (samples,): whether the iteration converged.
    """
    share = weights / weights.sum()
    mean = y @ share
    sd = np.sqrt(((y - mean[:, None]) ** 2) @ share)
    if family == "weibull":  # moments of the smallest extreme value distribution
        b = sd * np.sqrt(6) / np.pi
        a, scale = mean + np.euler_gamma * b, np.log(b)
    else:
        a, scale = mean, np.log(sd)
    if family != "weibull" and not np.isfinite(limit).any():
        return a, scale, np.ones(len(a), dtype=bool)
    return _newton(y, share, limit, a, scale, family)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a sample without a fit runs away, and never converges
def _newton(
    y: np.ndarray, share: np.ndarray, limit: np.ndarray, a: np.ndarray, scale: np.ndarray, family: Family
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Iterate until the step is negligible; steps are shorter than the scale and increase the likelihood."""
    converged = np.zeros(len(a), dtype=bool)
    if (limit == limit[..., :1]).all():  # the usual case: one pixel size
        limit = limit[..., :1]
    for _ in range(_ITERATIONS):
        open_samples = np.flatnonzero(~converged)
        rows = limit if limit.ndim == 1 else limit[open_samples]
        b = np.exp(scale[open_samples])
        # in units of the scale; where the Hessian is not negative definite, a multiple of the unit matrix makes it so
        g1, g2, h11, h12, h22 = _mean_derivatives(y[open_samples], share, rows, a[open_samples], b, family)
        largest = (h11 + h22) / 2 + np.hypot((h11 - h22) / 2, h12)
        shift = np.maximum(0.0, largest + 0.05)
        shift[largest < -1e-3] = 0.0
        h11, h22 = h11 - shift, h22 - shift
        determinant = h11 * h22 - h12**2
        step = np.stack([-(h22 * g1 - h12 * g2), -(h11 * g2 - h12 * g1)]) / determinant
        length = np.hypot(*step)
        step /= np.maximum(1.0, length / 0.7)
        a[open_samples] += step[0] * b
        scale[open_samples] += step[1]
        converged[open_samples] = length < _CONVERGED
        if converged.all():
            break
    return a, scale, converged


def _mean_derivatives(
    y: np.ndarray, share: np.ndarray, limit: np.ndarray, a: np.ndarray, b: np.ndarray, family: Family
) -> tuple[np.ndarray, ...]:
    """Return the weighted means of `derivatives` in the order of its fields, b and b² times those of a.

    They need no array per derivative. `limit` has one column where all particles have the same.
    """
    mean = y @ share
    if family == "weibull":
        z = (y - a[:, None]) / b[:, None]
        e = np.exp(z)
        z1, e0 = (mean - a) / b, e @ share
        e *= z
        e1 = e @ share
        e *= z
        g1, g2, h11, h12, h22 = e0 - 1, e1 - z1 - 1, -e0, 1 - e0 - e1, z1 - e1 - e @ share
    else:
        z1 = (mean - a) / b
        z2 = ((y - mean[:, None]) ** 2 @ share) / b**2 + z1**2
        g1, g2, h11, h12, h22 = z1, z2 - 1, -np.ones_like(z1), -2 * z1, -2 * z2
    weights = share if limit.shape[-1] == len(share) else np.ones(1)
    c = (limit - a[:, None]) / b[:, None]
    if np.isfinite(c).any():
        _, s1, s2, cs1, cs2, ccs2 = (term @ weights for term in _truncation(c, family))
        return g1 + s1, g2 + cs1, h11 - s2, h12 - cs2 - s1, h22 - cs1 - ccs2
    return g1, g2, h11, h12, h22


def _truncation(c: np.ndarray, family: Family) -> tuple[np.ndarray, ...]:
    """Return ln S, its derivatives s₁ and s₂ with respect to c, c s₁, c s₂ and c² s₂; all 0 for c = −∞."""
    known = np.isfinite(c)
    if not known.any():
        return (np.zeros(()),) * 6
    c = np.where(known, c, 0.0)
    if family == "weibull":
        e = np.exp(c)
        log_s, s1, s2 = -e, -e, -e
    else:
        log_s = scipy.special.log_ndtr(-c)
        hazard = np.exp(-(c**2) / 2 - np.log(2 * np.pi) / 2 - log_s)
        s1, s2 = -hazard, -hazard * (hazard - c)
    return tuple(np.where(known, term, 0.0) for term in (log_s, s1, s2, c * s1, c * s2, c**2 * s2))
