"""How well a mask agrees with the true one, pixel by pixel.

A micrograph that is empty in truth has no Dice: any false pixel makes it 0 and none makes it 0/0. Such micrographs are
reported apart, by the area falsely taken for particle, and never averaged with the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hrtem_dask import backend

__all__ = ["Confusion", "confusion", "dice", "precision", "recall"]


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of one mask against truth; they add up over micrographs."""

    true_positive: int
    """Particle, and said to be."""
    false_positive: int
    """Background, said to be particle."""
    false_negative: int
    """Particle, said to be background."""
    true_negative: int
    """Background, and said to be."""

    def __add__(self, other: Confusion) -> Confusion:
        """Pool two micrographs."""
        return Confusion(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def dice(self) -> float:
        """2TP / (2TP + FP + FN), Groschner 2021 equation 1; NaN where truth is empty."""
        return _ratio(2 * self.true_positive, self._truth, 2 * self.true_positive + self._wrong)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN where nothing was said to be particle."""
        said = self.true_positive + self.false_positive
        return _ratio(self.true_positive, said, said)

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
    """Divide, or return NaN where there is nothing to judge by."""
    return numerator / denominator if needed else float("nan")


def confusion(mask: Any, truth: Any) -> Confusion:
    """Count the pixels of a mask against truth.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): said to be particle.
    truth : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x): particle.

    Returns
    -------
    Confusion
        The counts.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    said, true = backend.to_numpy(mask).astype(bool), backend.to_numpy(truth).astype(bool)
    if said.shape != true.shape:
        raise ValueError(f"the mask has shape {said.shape}, the truth {true.shape}: score the same field")
    both = int(np.count_nonzero(said & true))
    n_said, n_true = int(np.count_nonzero(said)), int(np.count_nonzero(true))
    return Confusion(both, n_said - both, n_true - both, said.size - n_said - n_true + both)


def dice(mask: Any, truth: Any) -> float:
    """Return the Dice coefficient of a mask.

    Parameters
    ----------
    mask : array of bool
        Shape (y, x): said to be particle.
    truth : array of bool
        Shape (y, x): particle.

    Returns
    -------
    float
        0 to 1; NaN where truth is empty.
    """
    return confusion(mask, truth).dice


def precision(mask: Any, truth: Any) -> float:
    """Return the share of the mask that is particle in truth.

    Parameters
    ----------
    mask : array of bool
        Shape (y, x): said to be particle.
    truth : array of bool
        Shape (y, x): particle.

    Returns
    -------
    float
        0 to 1; NaN where the mask is empty.
    """
    return confusion(mask, truth).precision


def recall(mask: Any, truth: Any) -> float:
    """Return the share of the true particle area that the mask found.

    Parameters
    ----------
    mask : array of bool
        Shape (y, x): said to be particle.
    truth : array of bool
        Shape (y, x): particle.

    Returns
    -------
    float
        0 to 1; NaN where truth is empty.
    """
    return confusion(mask, truth).recall
