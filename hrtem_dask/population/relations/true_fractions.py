"""The true defect fraction against size, from what a run found and from its detectability.

A particle on a zone axis (probability s) is truly faulted with probability p. A run calls a particle of true state t
*fault*, *no_fault* or *unknown* with the known probabilities of `Detectability.outcomes`. So the run's answer has the
probability q = Σ π_t M_t(size), with π = (s p, s (1 − p), 1 − s). Both p and s are logistic in the size, and are fitted
by maximum likelihood. (The inverse of a confusion matrix, W. Rogan, B. Gladen, Am. J. Epidemiol. 107 (1978) 71, is the
same for one size.) The uncertainty has two parts: that of the micrographs, by a sandwich clustered by micrograph, and
that of the detectability.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from hrtem_dask.population.relations.detectability import Detectability

__all__ = ["TrueFractionFit", "fit_true_fraction"]

_STEPS = 100
_PRIOR_SD = 5.0
"""Standard deviation of the prior of all coefficients: it keeps fractions of 0 and 1 finite, and hardly acts else."""
_STEP = 0.5
"""Change of a coefficient of the detectability, in standard errors, for its effect on the fit."""


@dataclass(frozen=True)
class TrueFractionFit:
    """The true defect fraction, logistic in some terms."""

    coefficients: np.ndarray
    """Shape (terms,): of logit p."""
    covariance: np.ndarray
    """Shape (terms, terms)."""
    df: int
    """Degrees of freedom of Student's t: micrographs less levels, at least 1."""
    n: int
    """Number of counted particles, assessable or not."""
    n_micrographs: int
    """Number of their micrographs."""
    reason: str | None
    """Why the fit must not be used, or None."""


def fit_true_fraction(
    x: np.ndarray,
    said: np.ndarray,
    diameters_nm: np.ndarray,
    weights: np.ndarray,
    codes: np.ndarray,
    detectability: Detectability,
) -> TrueFractionFit:
    """Fit the true defect fraction.

    Parameters
    ----------
    x : numpy.ndarray of float
        Shape (particles, terms): terms of logit p and of logit s, with standardized columns.
    said : numpy.ndarray of int
        Shape (particles,): 0 for fault, 1 for no_fault, 2 for unknown.
    diameters_nm : numpy.ndarray of float
        Shape (particles,), positive.
    weights : numpy.ndarray of float
        Shape (particles,), positive.
    codes : numpy.ndarray of int
        Shape (particles,): micrograph of each particle.
    detectability : Detectability
        How a run judges particles of each size.

    Returns
    -------
    TrueFractionFit
        Coefficients of logit p with their covariance.
    """
    _, codes = np.unique(codes, return_inverse=True)
    n, terms = int(codes.max()) + 1, x.shape[1]
    likelihood = _Likelihood(x, said, weights / weights.mean(), detectability.outcomes(diameters_nm))
    beta, converged = likelihood.maximum()
    scores, information = likelihood.scores(beta), likelihood.information(beta)
    bread = np.linalg.inv(information)
    sums = np.zeros((n, scores.shape[1]))
    np.add.at(sums, codes, scores)
    # leaving out a micrograph, to first order, with a correction of its own leverage (CV3 of linear models)
    left = np.einsum("gij,gj->gi", np.linalg.pinv(information - _per_cluster(likelihood, beta, codes, n)), sums)
    covariance = (n - 1) / n * left.T @ left
    for outcomes in _changed_outcomes(detectability, diameters_nm):
        moved = _Likelihood(x, said, likelihood.weights, outcomes)
        change = bread @ (moved.scores(beta).sum(axis=0) - moved.prior(beta)) / _STEP
        covariance += np.outer(change, change)
    reason = None if converged else "the fit of the true fraction did not converge"
    constant = terms - 1 if terms > 1 else terms
    return TrueFractionFit(beta[:terms], covariance[:terms, :terms], max(n - constant, 1), len(x), n, reason)


def _per_cluster(likelihood: _Likelihood, beta: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    """Return the information of each micrograph, shape (micrographs, 2 terms, 2 terms)."""
    two, x, terms = likelihood.curvatures(beta), likelihood.x, likelihood.terms
    found = np.zeros((n, 2, terms, 2, terms))
    for i in range(terms):
        for j in range(terms):
            for a, b in ((0, 0), (0, 1), (1, 1)):
                part = np.bincount(codes, two[:, a, b] * x[:, i] * x[:, j], minlength=n)
                found[:, a, i, b, j] = part
                found[:, b, j, a, i] = part
    return found.reshape(n, 2 * terms, 2 * terms)


def _changed_outcomes(detectability: Detectability, diameters_nm: np.ndarray) -> Iterator[np.ndarray]:
    """Change each curve of detectability along the axes of its uncertainty, by half a standard error."""
    for kind, curves in (("assessed", detectability.assessed), ("called_fault", detectability.called_fault)):
        for state, curve in curves.items():
            values, vectors = np.linalg.eigh(curve.covariance)
            for value, vector in zip(values.clip(min=0), vectors.T, strict=True):
                yield detectability.outcomes(diameters_nm, {(kind, state): _STEP * np.sqrt(value) * vector})


class _Likelihood:
    """Likelihood of the answers of a run; coefficients of logit p come first, then those of logit s."""

    def __init__(self, x: np.ndarray, said: np.ndarray, weights: np.ndarray, outcomes: np.ndarray) -> None:
        self.x, self.said, self.weights, self.outcomes = x, said, weights, outcomes
        self.terms = x.shape[1]

    def prior(self, beta: np.ndarray) -> np.ndarray:
        """Return the gradient of the prior, negative."""
        return np.asarray(beta / _PRIOR_SD**2)

    def _derivatives(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return q, shape (particles, 3), and its derivatives by logit p and logit s, shape (particles, 2, 3)."""
        p, s = expit(self.x @ beta[: self.terms]), expit(self.x @ beta[self.terms :])
        fault, no_fault, other = self.outcomes.transpose(1, 0, 2)
        on_zone = p[:, None] * fault + (1 - p)[:, None] * no_fault
        q = s[:, None] * on_zone + (1 - s)[:, None] * other
        by_p = (s * p * (1 - p))[:, None] * (fault - no_fault)
        by_s = (s * (1 - s))[:, None] * (on_zone - other)
        return q.clip(min=1e-12), np.stack([by_p, by_s], axis=1)

    def value(self, beta: np.ndarray) -> float:
        """Return the logarithm of the likelihood and prior."""
        q, _ = self._derivatives(beta)
        own = q[np.arange(len(q)), self.said]
        return float(self.weights @ np.log(own) - (beta**2).sum() / (2 * _PRIOR_SD**2))

    def scores(self, beta: np.ndarray) -> np.ndarray:
        """Return the derivative of each particle's part, shape (particles, 2 terms)."""
        q, by = self._derivatives(beta)
        rows = np.arange(len(q))
        ratio = by[rows, :, self.said] / q[rows, self.said][:, None] * self.weights[:, None]
        return np.asarray((ratio[:, :, None] * self.x[:, None, :]).reshape(len(q), -1))

    def curvatures(self, beta: np.ndarray) -> np.ndarray:
        """Return the expected information of each particle about logit p and logit s, shape (particles, 2, 2)."""
        q, by = self._derivatives(beta)
        return np.asarray(np.einsum("nay,nby,ny->nab", by, by, 1 / q) * self.weights[:, None, None])

    def information(self, beta: np.ndarray) -> np.ndarray:
        """Return the expected information, with that of the prior."""
        whole = np.einsum("nab,ni,nj->aibj", self.curvatures(beta), self.x, self.x, optimize=True)
        return np.asarray(whole.reshape(2 * self.terms, -1) + np.eye(2 * self.terms) / _PRIOR_SD**2)

    def maximum(self) -> tuple[np.ndarray, bool]:
        """Return the coefficients at the maximum by Fisher scoring, and whether it was reached."""
        beta = np.zeros(2 * self.terms)
        value = self.value(beta)
        for _ in range(_STEPS):
            gradient = self.scores(beta).sum(axis=0) - self.prior(beta)
            step = np.linalg.solve(self.information(beta), gradient)
            step /= max(1.0, np.abs(step).max() / 2)
            size = 1.0
            while size > 1e-6 and self.value(beta + size * step) < value - 1e-12:
                size /= 2
            beta = beta + size * step
            value = self.value(beta)
            if np.abs(size * step).max() < 1e-8:
                return beta, True
        return beta, False
