"""Table 1 and Figure 2 of Groschner et al. (2021) beside the scores of networks measured here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hrtem_dask.evaluation.segmentation import Confusion
from hrtem_dask.reproduction.published_scores import PUBLISHED
from hrtem_dask.reproduction.text_table import TextTable, format_share

__all__ = ["SegmentationRow", "figure_2", "implied_false_positive_rate", "table_1"]

_GROUPS = {"all": "combined", "CdSe": "CdSe", "Au": "Au"}
"""Materials of the test sets, with their names in Table 1."""


@dataclass(frozen=True, kw_only=True)
class SegmentationRow:
    """Scores of a network on the test set of a stack."""

    network: str
    """Name of the network in the tables."""
    group: str
    """Material of the stack: ``all``, ``CdSe`` or ``Au``."""
    images: tuple[Confusion, ...]
    """Confusion of the pixels of each scored image; at least one image."""

    @property
    def confusion(self) -> Confusion:
        """Confusion of the pixels of all images."""
        return sum(self.images[1:], self.images[0])

    @property
    def dice_mean(self) -> float:
        """Mean Dice coefficient of the images with true particles; NaN if there are none."""
        known = [c.dice for c in self.images if not math.isnan(c.dice)]
        return math.fsum(known) / len(known) if known else float("nan")


def table_1(rows: Sequence[SegmentationRow]) -> TextTable:
    """Return Table 1: Dice coefficient, precision and recall over all pixels of a test set.

    Parameters
    ----------
    rows : sequence of SegmentationRow
        Scores of the networks, in the order of the table.

    Returns
    -------
    TextTable
        The scores as printed in the paper, above those of the networks.
    """
    lines: list[tuple[str, ...]] = []
    for group, shown in _GROUPS.items():
        networks = [row for row in rows if row.group == group]
        paper = PUBLISHED["unet", group]
        lines.append(
            (shown, "the paper, as printed", "43 in all", paper.dice, paper.precision or "–", paper.recall or "–", "–")
        )
        for row in networks:
            c = row.confusion
            scores = (c.dice, c.precision, c.recall, row.dice_mean)
            lines.append((shown, row.network, str(len(row.images)), *map(format_share, scores)))
    return TextTable(
        "Table 1: pixels of the test sets, threshold 0.5",
        ("data", "network", "images", "Dice", "precision", "recall", "Dice, mean of images"),
        tuple(lines),
        (
            "Scores of the networks are pooled over all pixels, except for the last column. The paper does not state "
            "whether its scores are pooled or averaged.",
        ),
    )


def implied_false_positive_rate(precision: float, recall: float, particle_share: float) -> float:
    """Return the false positive rate that precision and recall imply.

    The number of false positives is FP = TP (1/precision − 1), with TP = recall × number of particle pixels.

    Parameters
    ----------
    precision, recall : float
        Precision (above 0) and recall of the particle pixels, up to 1.
    particle_share : float
        Share of the pixels that belong to true particles, at least 0 and below 1.

    Returns
    -------
    float
        FP / (FP + TN), the share of the background that is predicted as particle.

    Examples
    --------
    >>> implied_false_positive_rate(precision=0.5, recall=1.0, particle_share=0.25)
    0.3333333333333333
    """
    return particle_share * recall * (1 / precision - 1) / (1 - particle_share)


def figure_2(rows: Sequence[SegmentationRow]) -> TextTable:
    """Return Figure 2: confusion of the particle pixels and of the background pixels.

    Parameters
    ----------
    rows : sequence of SegmentationRow
        Scores of the networks; rows of CdSe and Au are used.

    Returns
    -------
    TextTable
        The values that Table 1 of the paper implies, above those of the networks.
    """
    lines = []
    for group, letter in (("CdSe", "a"), ("Au", "b")):
        networks = [row for row in rows if row.group == group]
        paper = PUBLISHED["unet", group]
        precision, recall = float(paper.precision or "nan"), float(paper.recall or "nan")
        share = _particle_share(networks[0].confusion) if networks else float("nan")
        false_positive_rate = implied_false_positive_rate(precision, recall, share)
        lines.append((f"{letter}) {group}", "the paper, implied by its Table 1", *_cells(recall, false_positive_rate)))
        for row in networks:
            c = row.confusion
            background = c.false_positive + c.true_negative
            lines.append((f"{letter}) {group}", row.network, *_cells(c.recall, _ratio(c.false_positive, background))))
    return TextTable(
        "Figure 2: share of the true particle and of the true background pixels",
        ("data", "network", "particle: found", "missed", "background: kept", "predicted as particle"),
        tuple(lines),
        (
            "The numbers of the paper are not printed in the text. Shown are the values that recall and precision of "
            "its Table 1 imply, for the background with the share of particle pixels in the maps scored here.",
        ),
    )


def _particle_share(c: Confusion) -> float:
    """Return the share of the pixels that belong to true particles."""
    n_true = c.true_positive + c.false_negative
    return _ratio(n_true, n_true + c.false_positive + c.true_negative)


def _cells(recall: float, false_positive_rate: float) -> tuple[str, str, str, str]:
    """Return the four cells of a confusion matrix with normalized rows."""
    values = (recall, 1 - recall, 1 - false_positive_rate, false_positive_rate)
    found, missed, kept, false_positive = map(format_share, values)
    return found, missed, kept, false_positive


def _ratio(numerator: int, denominator: int) -> float:
    """Return a ratio; NaN for the denominator 0."""
    return numerator / denominator if denominator else float("nan")
