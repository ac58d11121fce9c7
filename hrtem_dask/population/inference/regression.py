"""Linear and logistic regression with standard errors clustered by micrograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

__all__ = ["Fit", "fit_linear", "fit_logistic"]

_MAX_STEPS = 50
_TOLERANCE = 1e-10
_MAX_LOGIT = 30.0
"""A larger fitted logit means that the outcomes are separated and the coefficient is infinite."""


@dataclass(frozen=True)
class Fit:
    """Coefficients of a regression, with their covariance."""

    coefficients: np.ndarray
    """Shape (terms,)."""
    covariance: np.ndarray
    """Shape (terms, terms): covariance of the coefficients, clustered by micrograph."""
    n: int
    """Number of particles."""
    n_micrographs: int
    """Number of micrographs."""
    df: int
    """Degrees of freedom of Student's t: micrographs less the terms that are constant within each micrograph."""
    reason: str | None = None
    """Why the fit must not be used, or None."""

    def error(self, term: int) -> float:
        """Return the standard error of a coefficient.

        Parameters
        ----------
        term : int
            Index of the coefficient.

        Returns
        -------
        float
            Standard error, clustered by micrograph.
        """
        return float(np.sqrt(max(self.covariance[term, term], 0)))


def fit_linear(x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> Fit:
    """Fit y = x·β by weighted least squares.

    Parameters
    ----------
    x : numpy.ndarray of float
        Shape (particles, terms), including a column of ones for the intercept.
    y : numpy.ndarray of float
        Shape (particles,).
    weights : numpy.ndarray of float
        Shape (particles,), not negative.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.

    Returns
    -------
    Fit
        The covariance is the delete-one-micrograph jackknife's (CV3; J. MacKinnon, M. Nielsen, M. Webb, J. Appl.
        Econometrics 38 (2023) 671).

    Examples
    --------
    >>> size = np.array([1.0, 2.0, 3.0, 4.0])
    >>> x = np.column_stack([size, np.ones(4)])
    >>> fit_linear(x, 2 * size + 1, np.ones(4), np.array([0, 0, 1, 1])).coefficients.round(6)
    array([2., 1.])
    """
    information = x.T @ (weights[:, None] * x)
    beta = np.linalg.pinv(information, hermitian=True) @ (x.T @ (weights * y))
    return _jackknife(beta, x, weights * (y - x @ beta), weights, codes)


def fit_logistic(x: np.ndarray, y: np.ndarray, weights: np.ndarray, codes: np.ndarray) -> Fit:
    """Fit logit P(y = 1) = x·β by maximum likelihood.

    Parameters
    ----------
    x : numpy.ndarray of float
        Shape (particles, terms), including a column of ones for the intercept; standardized columns converge best.
    y : numpy.ndarray of float
        Shape (particles,): 0 or 1.
    weights : numpy.ndarray of float
        Shape (particles,), not negative.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.

    Returns
    -------
    Fit
        The covariance is that of the linearized delete-one-micrograph jackknife (CV3L; J. MacKinnon, M. Nielsen,
        M. Webb, Stata J. 23 (2023) 942), a sandwich with a correction for few micrographs. `reason` is set where
        a descriptor separates the outcomes completely.
    """
    beta = np.zeros(x.shape[1])
    reason: str | None = "the logistic fit did not converge"
    for _ in range(_MAX_STEPS):
        p = expit(x @ beta)
        score, curvature = x.T @ (weights * (y - p)), x.T @ ((weights * p * (1 - p))[:, None] * x)
        step = np.linalg.pinv(curvature, hermitian=True) @ score
        # far from the solution a full step of Newton's method may overshoot
        beta = beta + step * min(1.0, 4.0 / max(np.abs(x @ step).max(), 1e-300))
        if np.abs(x @ beta).max() > _MAX_LOGIT:
            reason = "the values separate faulted from not faulted particles completely: the odds ratio is infinite"
            break
        if np.abs(x @ step).max() < _TOLERANCE:
            reason = None
            break
    p = expit(x @ beta)
    return _jackknife(beta, x, weights * (y - p), weights * p * (1 - p), codes, reason=reason)


def _jackknife(
    beta: np.ndarray,
    x: np.ndarray,
    residuals: np.ndarray,
    curvatures: np.ndarray,
    codes: np.ndarray,
    *,
    reason: str | None = None,
) -> Fit:
    """Return the fit with the covariance of the jackknife: leaving out micrograph g changes β by −(H − H_g)⁻¹ s_g."""
    _, codes = np.unique(codes, return_inverse=True)
    n, terms = int(codes.max()) + 1, x.shape[1]
    scores = np.stack([np.bincount(codes, residuals * x[:, i]) for i in range(terms)], axis=1)
    within = np.empty((n, terms, terms))
    for i in range(terms):
        for j in range(i + 1):
            within[:, i, j] = within[:, j, i] = np.bincount(codes, curvatures * x[:, i] * x[:, j])
    left = within.sum(axis=0) - within
    changes = np.einsum("gij,gj->gi", np.linalg.pinv(left, hermitian=True), scores)
    covariance = (n - 1) / n * changes.T @ changes
    first = np.full(n, -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    constant = int((x == x[first[codes]]).all(axis=0).sum())
    return Fit(beta, covariance, len(x), n, n - constant, reason)
