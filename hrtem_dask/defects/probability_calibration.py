"""Calibration of class probabilities: of the regions predicted to be faulted with 0.8, eight in ten are faulted.

The mean of the votes of trees is biased away from 0 and 1 (A. Niculescu-Mizil, R. Caruana, Proc. 22nd Int. Conf.
Machine Learning (2005) 625). A calibration maps the logarithms of the probabilities linearly and takes the softmax: by
one factor (temperature; C. Guo et al., Proc. 34th Int. Conf. Machine Learning (2017) 1321), by a factor and an offset
for each class (vector, ibid.), or by a whole matrix (Dirichlet; M. Kull et al., Adv. Neural Inf. Process. Syst. 32
(2019)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from hrtem_dask.backend import array_namespace

__all__ = ["METHODS", "Calibration", "expected_calibration_error", "fit_calibration", "log_loss", "reliability"]

Method = Literal["none", "temperature", "vector", "dirichlet"]
METHODS: tuple[Method, ...] = ("none", "temperature", "vector", "dirichlet")
LEAST_PROBABILITY = 1e-3
"""Smaller probabilities count as this one: a few hundred trees cannot resolve less."""
PENALTY = 1e-3
"""Weight of the squared differences from the identity, relative to the mean log loss."""
GAIN = 0.003
"""Decrease of the cross-validated log loss (nat) that justifies a method with more parameters."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A linear map of log-probabilities, followed by a softmax."""

    method: Method
    """Method of the fit: ``"none"``, ``"temperature"``, ``"vector"`` or ``"dirichlet"``."""
    matrix: np.ndarray
    """Shape (class, class), float64."""
    offset: np.ndarray
    """Shape (class,), float64."""

    @classmethod
    def identity(cls, n_classes: int) -> Self:
        """Return the calibration that leaves probabilities unchanged.

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

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Calibrate probabilities.

        Parameters
        ----------
        probability : numpy.ndarray or cupy.ndarray
            Shape (sample, class); the sum of each row is 1.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            The same shape, float64; for the method ``none`` the input itself.

        Examples
        --------
        >>> import numpy as np
        >>> from hrtem_dask.defects import Calibration
        >>> sharper = Calibration("temperature", 2 * np.eye(2), np.zeros(2))
        >>> sharper.apply(np.array([[0.4, 0.6]])).round(3).tolist()  # 0.6² / (0.4² + 0.6²)
        [[0.308, 0.692]]
        """
        if self.method == "none":
            return probability
        xp = array_namespace(probability)
        score = _log(xp, probability) @ xp.asarray(self.matrix).T + xp.asarray(self.offset)
        score = xp.exp(score - score.max(axis=1, keepdims=True))
        calibrated: np.ndarray = score / score.sum(axis=1, keepdims=True)
        return calibrated


def fit_calibration(
    probability: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    methods: Sequence[Method] = METHODS,
    n_folds: int = 5,
) -> tuple[Calibration, dict[str, float]]:
    """Fit the simplest calibration that predicts left-out micrographs well.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (sample, class): probabilities of samples that the classifier was not fitted on.
    truth : numpy.ndarray of int
        Shape (sample,): numbers of the true classes.
    groups : numpy.ndarray
        Shape (sample,): micrograph of each sample. Samples of one micrograph stay together in the cross-validation.
    weight : numpy.ndarray, optional
        Shape (sample,): weight of each sample. With weights that balance the classes, the probabilities hold for
        classes that are equally frequent.
    methods : sequence of str
        Methods to choose from, those with fewer parameters first.
    n_folds : int
        Number of folds of the cross-validation; fewer where there are fewer micrographs.

    Returns
    -------
    calibration : Calibration
        The chosen calibration, fitted on all samples.
    losses : dict of str to float
        Cross-validated log loss (nat) of each method.

    Examples
    --------
    Too cautious probabilities of a classifier become sharper:

    >>> import numpy as np
    >>> from hrtem_dask.defects import fit_calibration
    >>> rng = np.random.default_rng(0)
    >>> true_probability = rng.uniform(0, 1, 400)
    >>> truth = (rng.uniform(size=400) < true_probability).astype(int)
    >>> cautious = 0.25 + 0.5 * true_probability
    >>> probability = np.stack([1 - cautious, cautious], axis=1)
    >>> calibration, losses = fit_calibration(probability, truth, groups=np.arange(400) % 20)
    >>> calibration.method, bool(losses["temperature"] < losses["none"])
    ('temperature', True)
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
        Shape (sample, class); values below 0.001 count as 0.001.
    truth : numpy.ndarray of int
        Shape (sample,): numbers of the true classes.
    weight : numpy.ndarray, optional
        Shape (sample,): weight of each sample.

    Returns
    -------
    float
        Log loss in nat.
    """
    return float(np.average(-_log(np, probability)[np.arange(len(truth)), truth], weights=weight))


def reliability(
    probability: np.ndarray, truth: np.ndarray, *, weight: np.ndarray | None = None, n_bins: int = 10
) -> pd.DataFrame:
    """Compare the probability of the most probable class with how often that class is the true one.

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
        One row per bin that is not empty, with ``n`` (samples), ``weight`` (their sum), ``probability`` (mean predicted
        probability) and ``accuracy`` (fraction classified correctly).

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.defects import reliability
    >>> probability = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.3, 0.7]])
    >>> table = reliability(probability, np.array([0, 0, 1, 0]), n_bins=5)
    >>> table[["probability", "accuracy"]].to_numpy().round(2).tolist()
    [[0.7, 0.5], [0.9, 1.0]]
    """
    weight = np.ones(len(truth)) if weight is None else weight
    predicted = probability.max(axis=1)
    correct = probability.argmax(axis=1) == truth
    table = pd.DataFrame({"weight": weight, "predicted": predicted * weight, "correct": correct * weight})
    sums = table.groupby(np.minimum((predicted * n_bins).astype(int), n_bins - 1)).agg(
        n=("predicted", "size"), weight=("weight", "sum"), predicted=("predicted", "sum"), correct=("correct", "sum")
    )
    return pd.DataFrame(
        {
            "n": sums["n"],
            "weight": sums["weight"],
            "probability": sums["predicted"] / sums["weight"],
            "accuracy": sums["correct"] / sums["weight"],
        }
    ).reset_index(drop=True)


def expected_calibration_error(
    probability: np.ndarray, truth: np.ndarray, *, weight: np.ndarray | None = None, n_bins: int = 10
) -> float:
    """Return the mean difference between predicted probability and accuracy over the bins of `reliability`.

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

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.defects import expected_calibration_error
    >>> probability = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.3, 0.7]])
    >>> round(expected_calibration_error(probability, np.array([0, 0, 1, 0]), n_bins=5), 2)
    0.15
    """
    bins = reliability(probability, truth, weight=weight, n_bins=n_bins)
    return float(np.average((bins["probability"] - bins["accuracy"]).abs(), weights=bins["weight"]))


def _log(xp: Any, probability: np.ndarray) -> np.ndarray:
    logarithm: np.ndarray = xp.log(xp.clip(probability, LEAST_PROBABILITY, 1))
    return logarithm


def _fitted(method: Method, probability: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> Calibration:
    """Fit one method by minimizing the log loss, with its analytic gradient."""
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

    from scipy.optimize import minimize  # half a second to import, for training alone

    found = minimize(loss, np.zeros(len(basis)), jac=True, method="L-BFGS-B")
    whole = identity + np.tensordot(found.x, basis, 1)
    return Calibration(method, whole[:, :-1], whole[:, -1])


def _basis(method: Method, n_classes: int) -> np.ndarray:
    """Return the parameters of a method: shape (coefficient, class, class + 1), matrix and offset side by side."""
    entries = np.eye(n_classes * (n_classes + 1)).reshape(-1, n_classes, n_classes + 1)
    if method == "dirichlet":
        return entries
    matrix = np.hstack([np.eye(n_classes), np.zeros((n_classes, 1))])[None]
    if method == "temperature":
        return matrix
    diagonal = [entries[i * (n_classes + 1) + i] for i in range(n_classes)]
    offset = [entries[i * (n_classes + 1) + n_classes] for i in range(n_classes)]
    return np.array([*diagonal, *offset])
