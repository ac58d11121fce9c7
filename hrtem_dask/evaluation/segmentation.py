"""Agreement of a predicted and a true mask, pixel by pixel.

Dice is not defined for a micrograph that is empty in truth: it is 0 with any false pixel, and 0/0 without one. Such
micrographs are reported separately, by the area that is falsely classified as particle, and are never averaged with the
others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrtem_dask import backend

__all__ = ["Confusion", "confusion", "dice", "precision", "recall"]


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of one mask against truth; counts of several micrographs can be added."""

    true_positive: int
    """Particle, predicted as particle."""
    false_positive: int
    """Background, predicted as particle."""
    false_negative: int
    """Particle, predicted as background."""
    true_negative: int
    """Background, predicted as background."""

    def __add__(self, other: Confusion) -> Confusion:
        """Add the counts of another micrograph."""
        return Confusion(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def dice(self) -> float:
        """2TP / (2TP + FP + FN) (Groschner et al., 2021, equation 1); NaN where truth is empty."""
        return _ratio(2 * self.true_positive, self._truth, 2 * self.true_positive + self._wrong)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN where nothing is predicted as particle."""
        predicted = self.true_positive + self.false_positive
        return _ratio(self.true_positive, predicted, predicted)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); NaN where truth is empty."""
        return _ratio(self.true_positive, self._truth, self._truth)

    @property
    def _truth(self) -> int:
        return self.true_positive + self.false_negative

    @property
    def _wrong(self) -> int:
        return self.false_positive + self.false_negative


def _ratio(numerator: int, needed: int, denominator: int) -> float:
    """Divide; NaN where `needed` is 0."""
    return numerator / denominator if needed else float("nan")


def confusion(mask: np.ndarray, truth: np.ndarray) -> Confusion:
    """Count the pixels of a mask against truth.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where particle is predicted.
    truth : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where a particle is.

    Returns
    -------
    Confusion
        The counts.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> confusion(np.array([[True, True, False]]), np.array([[True, False, False]]))
    Confusion(true_positive=1, false_positive=1, false_negative=0, true_negative=1)
    """
    predicted, true = backend.to_numpy(mask).astype(bool), backend.to_numpy(truth).astype(bool)
    if predicted.shape != true.shape:
        raise ValueError(f"the mask has shape {predicted.shape}, the truth {true.shape}: score the same field")
    both = int(np.count_nonzero(predicted & true))
    n_predicted, n_true = int(np.count_nonzero(predicted)), int(np.count_nonzero(true))
    return Confusion(both, n_predicted - both, n_true - both, predicted.size - n_predicted - n_true + both)


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the Dice coefficient of a mask.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where particle is predicted.
    truth : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where a particle is.

    Returns
    -------
    float
        0 to 1; NaN where truth is empty.

    Examples
    --------
    >>> round(dice(np.array([[True, True, False]]), np.array([[True, False, False]])), 3)
    0.667
    """
    return confusion(mask, truth).dice


def precision(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the predicted area that is particle in truth.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where particle is predicted.
    truth : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where a particle is.

    Returns
    -------
    float
        0 to 1; NaN where the mask is empty.

    Examples
    --------
    >>> round(precision(np.array([[True, True, False]]), np.array([[True, False, False]])), 3)
    0.5
    """
    return confusion(mask, truth).precision


def recall(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the true particle area that the mask contains.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where particle is predicted.
    truth : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): True where a particle is.

    Returns
    -------
    float
        0 to 1; NaN where truth is empty.

    Examples
    --------
    >>> round(recall(np.array([[True, True, False]]), np.array([[True, False, False]])), 3)
    1.0
    """
    return confusion(mask, truth).recall
