"""How well the classes of regions agree with the true ones."""

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
        """Share of each true class given each class, shape (5, 5); NaN where a class has no region."""
        n_true = self.counts.sum(axis=1, keepdims=True)
        shares: np.ndarray = np.divide(self.counts, n_true, out=np.full(self.counts.shape, np.nan), where=n_true > 0)
        return shares

    @property
    def accuracy(self) -> float:
        """Share of regions told right; NaN without regions."""
        return _ratio(np.trace(self.counts), self.counts.sum())

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes that have regions of the share told right."""
        present = self.shares.diagonal()[self.counts.sum(axis=1) > 0]
        return float(present.mean()) if present.size else float("nan")

    @property
    def frequency_weighted_accuracy(self) -> float:
        """Accuracy with each region weighted by the share of its class, as the paper's notebook scores its forest.

        A frequent class counts twice, by its regions and by their weight: the contrary of a balanced accuracy.
        """
        n_true = self.counts.sum(axis=1)
        return _ratio((n_true * self.counts.diagonal()).sum(), (n_true**2).sum())

    def oriented_share(self, *, predicted: bool) -> float:
        """Return the share of all regions that are oriented so that a fault could be seen.

        Parameters
        ----------
        predicted : bool
            Of the predicted classes, else of the true ones.

        Returns
        -------
        float
            (faults + no faults) / all regions.
        """
        totals = self._totals(predicted)
        return _ratio(totals["stacking_fault"] + totals["no_stacking_fault"], sum(totals.values()))

    def faulted_share(self, *, predicted: bool) -> float:
        """Return the share of the oriented regions that show a stacking fault.

        Parameters
        ----------
        predicted : bool
            Of the predicted classes, else of the true ones.

        Returns
        -------
        float
            Faults / (faults + no faults).
        """
        totals = self._totals(predicted)
        return _ratio(totals["stacking_fault"], totals["stacking_fault"] + totals["no_stacking_fault"])

    def _totals(self, predicted: bool) -> dict[str, int]:
        """Return how many regions each class has."""
        return dict(zip(REGION_CLASSES, self.counts.sum(axis=0 if predicted else 1).tolist(), strict=True))


def compare_classes(truth: Sequence[str], predicted: Sequence[str]) -> RegionConfusion:
    """Count regions by true and by predicted class.

    Parameters
    ----------
    truth : sequence of str
        True classes, of `tables.REGION_CLASSES`.
    predicted : sequence of str
        Predicted ones, of the same.

    Returns
    -------
    RegionConfusion
        The counts.

    Raises
    ------
    ValueError
        If a class is unknown, or the lengths differ.
    """
    unknown = sorted({*truth, *predicted} - set(REGION_CLASSES))
    if unknown:
        raise ValueError(f"unknown class {unknown[0]!r}: known are {', '.join(REGION_CLASSES)}")
    counts = np.zeros((len(REGION_CLASSES), len(REGION_CLASSES)), dtype=int)
    place = {name: i for i, name in enumerate(REGION_CLASSES)}
    for true, said in zip(truth, predicted, strict=True):
        counts[place[true], place[said]] += 1
    return RegionConfusion(counts)


def _ratio(numerator: float, denominator: float) -> float:
    """Divide, or return NaN where there is nothing to divide by."""
    return float(numerator / denominator) if denominator else float("nan")
