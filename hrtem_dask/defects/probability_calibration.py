"""Probabilities that mean what they say: of regions said to be faulted with 0.8, eight in ten are.

The mean of trees' votes is pulled away from 0 and 1 (A. Niculescu-Mizil, R. Caruana, Proc. 22nd Int. Conf. Machine
Learning (2005) 625). A calibration maps the logarithms of the probabilities linearly and takes the softmax: by one
factor (temperature; C. Guo et al., Proc. 34th Int. Conf. Machine Learning (2017) 1321), by a factor and an offset for
each class (vector, ibid.), or by a whole matrix (Dirichlet; M. Kull et al., Adv. Neural Inf. Process. Syst. 32 (2019)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from hrtem_dask.backend import array_namespace

__all__ = ["METHODS", "Calibration", "expected_calibration_error", "fit_calibration", "log_loss", "reliability"]

Method = Literal["none", "temperature", "vector", "dirichlet"]
METHODS: tuple[Method, ...] = ("none", "temperature", "vector", "dirichlet")
LEAST_PROBABILITY = 1e-3
"""A probability of 0 says no more than this: no tree of some hundreds voted for it."""
PENALTY = 1e-3
"""Weight of squared differences from the identity, against the mean log loss."""
GAIN = 0.003
"""By how much (nat) a method with more parameters must lower the log loss of micrographs left out."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A linear map of log-probabilities, then softmax."""

    method: Method
    """How it was fitted."""
    matrix: np.ndarray
    """Shape (class, class), float64."""
    offset: np.ndarray
    """Shape (class,), float64."""

    @classmethod
    def identity(cls, n_classes: int) -> Self:
        """Return what leaves probabilities as they are.

        Parameters
        ----------
        n_classes : int
            Number of classes.

        Returns
        -------
        Calibration
            The identity.
        """
        return cls("none", np.eye(n_classes), np.zeros(n_classes))

    def apply(self, probability: Any) -> Any:
        """Calibrate probabilities.

        Parameters
        ----------
        probability : numpy.ndarray or cupy.ndarray
            Shape (sample, class), rows of sum 1.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            The same shape, float64; for the method ``none`` as they were.
        """
        if self.method == "none":
            return probability
        xp = array_namespace(probability)
        score = _log(xp, probability) @ xp.asarray(self.matrix).T + xp.asarray(self.offset)
        score = xp.exp(score - score.max(axis=1, keepdims=True))
        return score / score.sum(axis=1, keepdims=True)


def fit_calibration(
    probability: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    methods: Sequence[Method] = METHODS,
    n_folds: int = 5,
) -> tuple[Calibration, dict[str, float]]:
    """Fit the simplest calibration that predicts micrographs left out well.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (sample, class): of samples that the classifier was not fitted on.
    truth : numpy.ndarray of int
        Shape (sample,): numbers of the true classes.
    groups : numpy.ndarray
        Shape (sample,): micrographs, kept together in cross-validation.
    weight : numpy.ndarray, optional
        Shape (sample,): of each sample. With weights that balance the classes, probabilities are those of classes that
        are equally frequent.
    methods : sequence of str
        To choose from, those with fewer parameters first.
    n_folds : int
        Folds of the cross-validation; fewer where there are fewer micrographs.

    Returns
    -------
    calibration : Calibration
        Fitted on all samples.
    losses : dict of str to float
        Cross-validated log loss (nat) of each method.
    """
    from sklearn.model_selection import GroupKFold

    weight = np.ones(len(truth)) if weight is None else weight
    n_folds = min(n_folds, len(np.unique(groups)))
    if n_folds < 2:
        return Calibration.identity(probability.shape[1]), {}
    losses: dict[str, float] = {}
    for method in methods:
        left_out = np.empty_like(probability, dtype=float)
        for fit, test in GroupKFold(n_folds).split(probability, groups=groups):
            left_out[test] = _fitted(method, probability[fit], truth[fit], weight[fit]).apply(probability[test])
        losses[method] = log_loss(left_out, truth, weight)
    chosen: Method = methods[0]
    for method in methods[1:]:
        if losses[method] < losses[chosen] - GAIN:
            chosen = method
    return _fitted(chosen, probability, truth, weight), losses


def log_loss(probability: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the mean of −log of the probability of the true class.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (sample, class); below 0.001 counts as 0.001.
    truth : numpy.ndarray of int
        Shape (sample,): numbers of the true classes.
    weight : numpy.ndarray, optional
        Shape (sample,).

    Returns
    -------
    float
        In nat.
    """
    return float(np.average(-_log(np, probability)[np.arange(len(truth)), truth], weights=weight))


def reliability(
    probability: np.ndarray, truth: np.ndarray, *, weight: np.ndarray | None = None, n_bins: int = 10
) -> pd.DataFrame:
    """Compare the probability of the likeliest class with how often it is right.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (sample, class).
    truth : numpy.ndarray of int
        Shape (sample,): numbers of the true classes.
    weight : numpy.ndarray, optional
        Shape (sample,).
    n_bins : int
        Bins of equal width between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        A row per bin that is not empty: ``n``, ``weight``, ``probability`` (mean said), ``accuracy`` (share right).
    """
    weight = np.ones(len(truth)) if weight is None else weight
    said = probability.max(axis=1)
    right = probability.argmax(axis=1) == truth
    table = pd.DataFrame({"weight": weight, "said": said * weight, "right": right * weight})
    sums = table.groupby(np.minimum((said * n_bins).astype(int), n_bins - 1)).agg(
        n=("said", "size"), weight=("weight", "sum"), said=("said", "sum"), right=("right", "sum")
    )
    return pd.DataFrame(
        {
            "n": sums["n"],
            "weight": sums["weight"],
            "probability": sums["said"] / sums["weight"],
            "accuracy": sums["right"] / sums["weight"],
        }
    ).reset_index(drop=True)


def expected_calibration_error(
    probability: np.ndarray, truth: np.ndarray, *, weight: np.ndarray | None = None, n_bins: int = 10
) -> float:
    """Return the mean distance between what is said and what is right, over the bins of `reliability`.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (sample, class).
    truth : numpy.ndarray of int
        Shape (sample,): numbers of the true classes.
    weight : numpy.ndarray, optional
        Shape (sample,).
    n_bins : int
        Bins of equal width between 0 and 1.

    Returns
    -------
    float
        0 to 1 (M. P. Naeini et al., Proc. AAAI 29 (2015) 2901).
    """
    bins = reliability(probability, truth, weight=weight, n_bins=n_bins)
    return float(np.average((bins["probability"] - bins["accuracy"]).abs(), weights=bins["weight"]))


def _log(xp: Any, probability: Any) -> Any:
    return xp.log(xp.clip(probability, LEAST_PROBABILITY, 1))


def _fitted(method: Method, probability: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> Calibration:
    """Minimize the log loss, with the gradient written out."""
    n_classes = probability.shape[1]
    if method == "none":
        return Calibration.identity(n_classes)
    logs, share = _log(np, probability), weight / weight.sum()
    target = np.zeros_like(logs)
    target[np.arange(len(truth)), truth] = 1
    basis = _basis(method, n_classes)
    identity = np.hstack([np.eye(n_classes), np.zeros((n_classes, 1))])

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        whole = identity + np.tensordot(coefficients, basis, 1)
        score = logs @ whole[:, :-1].T + whole[:, -1]
        score -= score.max(axis=1, keepdims=True)
        normal = np.log(np.exp(score).sum(axis=1, keepdims=True))
        error = (np.exp(score - normal) - target) * share[:, None]
        slope = np.hstack([error.T @ logs, error.sum(axis=0)[:, None]])
        value = share @ (normal[:, 0] - score[np.arange(len(truth)), truth]) + PENALTY * coefficients @ coefficients
        return float(value), np.tensordot(basis, slope, 2) + 2 * PENALTY * coefficients

    found = minimize(loss, np.zeros(len(basis)), jac=True, method="L-BFGS-B")
    whole = identity + np.tensordot(found.x, basis, 1)
    return Calibration(method, whole[:, :-1], whole[:, -1])


def _basis(method: Method, n_classes: int) -> np.ndarray:
    """Return what may change: shape (coefficient, class, class + 1), matrix and offset side by side."""
    entries = np.eye(n_classes * (n_classes + 1)).reshape(-1, n_classes, n_classes + 1)
    if method == "dirichlet":
        return entries
    matrix = np.hstack([np.eye(n_classes), np.zeros((n_classes, 1))])[None]
    if method == "temperature":
        return matrix
    diagonal = [entries[i * (n_classes + 1) + i] for i in range(n_classes)]
    offset = [entries[i * (n_classes + 1) + n_classes] for i in range(n_classes)]
    return np.array([*diagonal, *offset])
