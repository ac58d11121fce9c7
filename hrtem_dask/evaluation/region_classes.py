"""Confusion matrix of the classes of regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.tables import REGION_CLASSES

__all__ = ["RegionConfusion", "compare_classes"]


@dataclass(frozen=True)
class RegionConfusion:
    """Counts of regions by true and by predicted class."""

    counts: np.ndarray
    """Shape (5, 5), int: true class by row, predicted class by column, in the order of `tables.REGION_CLASSES`."""

    @property
    def shares(self) -> np.ndarray:
        """Share of each true class that is predicted as each class, shape (5, 5); NaN where a class has no region."""
        n_true = self.counts.sum(axis=1, keepdims=True)
        shares: np.ndarray = np.divide(self.counts, n_true, out=np.full(self.counts.shape, np.nan), where=n_true > 0)
        return shares

    @property
    def accuracy(self) -> float:
        """Share of regions that are classified correctly; NaN without regions."""
        return _ratio(np.trace(self.counts), self.counts.sum())

    @property
    def balanced_accuracy(self) -> float:
        """Share of regions that are classified correctly, mean over the classes that have regions."""
        present = self.shares.diagonal()[self.counts.sum(axis=1) > 0]
        return float(present.mean()) if present.size else float("nan")

    @property
    def frequency_weighted_accuracy(self) -> float:
        """Accuracy with each region weighted by the share of its class, as in the notebook of Groschner et al. (2021).

        A frequent class counts twice, by the number of its regions and by their weight.
        """
        n_true = self.counts.sum(axis=1)
        return _ratio((n_true * self.counts.diagonal()).sum(), (n_true**2).sum())

    def oriented_share(self, *, predicted: bool) -> float:
        """Return the share of regions that are oriented such that a fault would be visible.

        Parameters
        ----------
        predicted : bool
            Whether to use the predicted classes instead of the true ones.

        Returns
        -------
        float
            (Faults + no faults) / all regions, 0 to 1; NaN without regions.
        """
        totals = self._totals(predicted)
        return _ratio(totals["stacking_fault"] + totals["no_stacking_fault"], sum(totals.values()))

    def faulted_share(self, *, predicted: bool) -> float:
        """Return the share of the oriented regions that show a stacking fault.

        Parameters
        ----------
        predicted : bool
            Whether to use the predicted classes instead of the true ones.

        Returns
        -------
        float
            Faults / (faults + no faults), 0 to 1; NaN without such regions.
        """
        totals = self._totals(predicted)
        return _ratio(totals["stacking_fault"], totals["stacking_fault"] + totals["no_stacking_fault"])

    def _totals(self, predicted: bool) -> dict[str, int]:
        """Return the number of regions of each class."""
        return dict(zip(REGION_CLASSES, self.counts.sum(axis=0 if predicted else 1).tolist(), strict=True))


def compare_classes(truth: Sequence[str], predicted: Sequence[str]) -> RegionConfusion:
    """Count regions by true and by predicted class.

    Parameters
    ----------
    truth : sequence of str
        True class of each region, a name in `tables.REGION_CLASSES`.
    predicted : sequence of str
        Predicted class of each region, in the same order.

    Returns
    -------
    RegionConfusion
        The counts.

    Raises
    ------
    ValueError
        If a class is unknown, or the lengths differ.

    Examples
    --------
    >>> compare_classes(["misoriented", "no_particle"], ["misoriented", "misoriented"]).accuracy
    0.5
    """
    unknown = sorted({*truth, *predicted} - set(REGION_CLASSES))
    if unknown:
        raise ValueError(f"unknown class {unknown[0]!r}: known are {', '.join(REGION_CLASSES)}")
    counts = np.zeros((len(REGION_CLASSES), len(REGION_CLASSES)), dtype=int)
    number = {name: i for i, name in enumerate(REGION_CLASSES)}
    for true, found in zip(truth, predicted, strict=True):
        counts[number[true], number[found]] += 1
    return RegionConfusion(counts)


def _ratio(numerator: float, denominator: float) -> float:
    """Divide; NaN where the denominator is 0."""
    return float(numerator / denominator) if denominator else float("nan")
