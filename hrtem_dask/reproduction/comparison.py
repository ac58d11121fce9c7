"""The paper's Table 1, Figure 2 and Figure 5f beside ours, as tables of text for terminal and Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hrtem_dask.evaluation.region_classes import RegionConfusion
from hrtem_dask.evaluation.segmentation import Confusion
from hrtem_dask.reproduction.published_scores import PUBLISHED, PUBLISHED_FOREST
from hrtem_dask.tables import REGION_CLASSES

__all__ = [
    "ForestRow",
    "SegmentationRow",
    "TextTable",
    "figure_2",
    "figure_5f",
    "forest_scores",
    "implied_false_positive_rate",
    "table_1",
    "to_markdown",
]

_GROUPS = {"all": "combined", "CdSe": "CdSe", "Au": "Au"}


@dataclass(frozen=True, kw_only=True)
class SegmentationRow:
    """A network on the test set of a stack."""

    network: str
    """What it is called in the tables."""
    group: str
    """``all``, ``CdSe`` or ``Au``."""
    images: tuple[Confusion, ...]
    """Pixels of each image that was scored; at least one."""

    @property
    def confusion(self) -> Confusion:
        """The pixels of all images, added up."""
        return sum(self.images[1:], self.images[0])

    @property
    def dice_mean(self) -> float:
        """Mean Dice of the images that are not empty in truth; NaN without any."""
        known = [c.dice for c in self.images if not math.isnan(c.dice)]
        return math.fsum(known) / len(known) if known else float("nan")


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """A forest on its test set."""

    name: str
    """What it was fitted on."""
    n_training: int
    """Regions that it was fitted on."""
    out_of_bag: float
    """Accuracy of the trees on training regions that they did not see."""
    confusion: RegionConfusion
    """Regions of its test set."""
    others: tuple[RegionConfusion, ...] = ()
    """The same of other orders of the regions, for the spread."""


@dataclass(frozen=True)
class TextTable:
    """A table of text."""

    title: str
    """What it shows."""
    headings: tuple[str, ...]
    """One per column; the first names the row."""
    rows: tuple[tuple[str, ...], ...]
    """Cells."""
    notes: tuple[str, ...] = ()
    """What a reader must know."""


def table_1(rows: Sequence[SegmentationRow]) -> TextTable:
    """Return Table 1: Dice, precision and recall over all pixels of a test set.

    Parameters
    ----------
    rows : sequence of SegmentationRow
        In the order of the table.

    Returns
    -------
    TextTable
        The paper's figures as printed, with ours below.
    """
    lines: list[tuple[str, ...]] = []
    for group, shown in _GROUPS.items():
        ours = [row for row in rows if row.group == group]
        paper = PUBLISHED["unet", group]
        lines.append(
            (shown, "the paper, as printed", "43 in all", paper.dice, paper.precision or "–", paper.recall or "–", "–")
        )
        for row in ours:
            c = row.confusion
            scores = (c.dice, c.precision, c.recall, row.dice_mean)
            lines.append((shown, row.network, str(len(row.images)), *map(_share, scores)))
    return TextTable(
        "Table 1: pixels of the test sets, threshold 0.5",
        ("data", "network", "images", "Dice", "precision", "recall", "Dice, mean of images"),
        tuple(lines),
        ("Ours are pooled over all pixels, the last column apart; the paper does not say which of the two it took.",),
    )


def implied_false_positive_rate(precision: float, recall: float, particle_share: float) -> float:
    """Return the share of background taken for particle that precision and recall imply.

    With TP = recall × particles and FP = TP (1/precision − 1), over the background.

    Parameters
    ----------
    precision, recall : float
        Of the particles' pixels, 0 to 1.
    particle_share : float
        Share of the pixels that are particle in truth, below 1.

    Returns
    -------
    float
        FP / (FP + TN).
    """
    return particle_share * recall * (1 / precision - 1) / (1 - particle_share)


def figure_2(rows: Sequence[SegmentationRow]) -> TextTable:
    """Return Figure 2: what became of the particle and of the background pixels.

    Parameters
    ----------
    rows : sequence of SegmentationRow
        As of `table_1`; of these, CdSe and Au.

    Returns
    -------
    TextTable
        The paper's by what its Table 1 implies, with ours below.
    """
    lines = []
    for group, letter in (("CdSe", "a"), ("Au", "b")):
        ours = [row for row in rows if row.group == group]
        paper = PUBLISHED["unet", group]
        precision, recall = float(paper.precision or "nan"), float(paper.recall or "nan")
        share = _particle_share(ours[0].confusion) if ours else float("nan")
        taken = implied_false_positive_rate(precision, recall, share)
        lines.append((f"{letter}) {group}", "the paper, implied by its Table 1", *_four(recall, taken)))
        for row in ours:
            c = row.confusion
            background = c.false_positive + c.true_negative
            lines.append((f"{letter}) {group}", row.network, *_four(c.recall, _ratio(c.false_positive, background))))
    return TextTable(
        "Figure 2: share of the true particle and of the true background pixels",
        ("data", "network", "particle: found", "missed", "background: kept", "taken for particle"),
        tuple(lines),
        (
            "The paper's figures are not printed in the text: shown is what recall and precision of its Table 1 imply, "
            "for the background at the share of particle pixels of these very maps.",
        ),
    )


def figure_5f(row: ForestRow) -> TextTable:
    """Return Figure 5f: the confusion matrix of a forest, its rows normalised.

    Parameters
    ----------
    row : ForestRow
        The forest.

    Returns
    -------
    TextTable
        True classes by row, predicted ones by column.
    """
    shares, n_true = row.confusion.shares, row.confusion.counts.sum(axis=1)
    lines = tuple((name, *(_share(v) for v in shares[i]), str(int(n_true[i]))) for i, name in enumerate(REGION_CLASSES))
    return TextTable(
        f"Figure 5f: share of each true class (row) given each class (column); {row.name}",
        ("true class", *REGION_CLASSES, "regions"),
        lines,
        ("The paper's own matrix is a picture, its figures are not printed in the text.",),
    )


def forest_scores(rows: Sequence[ForestRow]) -> TextTable:
    """Return what the paper and its notebook say of the forest, and what ours reach.

    Parameters
    ----------
    rows : sequence of ForestRow
        Ours.

    Returns
    -------
    TextTable
        A column per forest.
    """
    paper = PUBLISHED_FOREST
    names = (
        "frequency-weighted accuracy", "out-of-bag accuracy", "balanced accuracy", "accuracy",
        "oriented: predicted / true", "faulted of these: predicted / true", "regions: fitted on / scored",
    )  # fmt: skip
    theirs = (
        f"{paper.frequency_weighted_accuracy:.3f} (the text: {paper.accuracy_said}, “class balanced”)",
        f"{paper.out_of_bag:.3f}", "not said", "not said",
        f"{paper.oriented_predicted:.0%} / {paper.oriented_true:.0%}",
        f"{paper.faulted_predicted:.0%} / {paper.faulted_true:.0%}",
        "335 / 166 (the notebook)",
    )  # fmt: skip
    columns = [theirs, *(tuple(_forest_column(row)) for row in rows)]
    return TextTable(
        "Random forest of 500 trees on the paper's five features",
        ("", "the paper", *(row.name for row in rows)),
        tuple((name, *cells) for name, *cells in zip(names, *columns, strict=True)),
        (
            "frequency-weighted: each region counts by the share of its class, as the notebook scores; balanced: the "
            "mean of the classes' shares told right; ±: standard deviation over orders of the regions, hence splits.",
            "oriented: with or without a stacking fault, of all regions; the paper does not state its denominator.",
        ),
    )


def _forest_column(row: ForestRow) -> Iterator[str]:
    """Write one forest's scores."""
    c = row.confusion
    for name in ("frequency_weighted_accuracy", "out_of_bag", "balanced_accuracy", "accuracy"):
        if name == "out_of_bag":
            yield _share(row.out_of_bag)
            continue
        spread = [float(getattr(o, name)) for o in (c, *row.others)]
        mean = math.fsum(spread) / len(spread)
        sd = math.sqrt(math.fsum((v - mean) ** 2 for v in spread) / max(1, len(spread) - 1))
        yield _share(float(getattr(c, name))) + (f" (mean {mean:.3f} ± {sd:.3f})" if row.others else "")
    for share in (c.oriented_share, c.faulted_share):
        yield " / ".join(_percent(share(predicted=predicted)) for predicted in (True, False))
    yield f"{row.n_training} / {int(c.counts.sum())}"


def to_markdown(tables: Sequence[TextTable]) -> str:
    """Write tables as Markdown.

    Parameters
    ----------
    tables : sequence of TextTable
        In order.

    Returns
    -------
    str
        A heading, a table and its notes for each.
    """
    parts = []
    for table in tables:
        lines = [table.headings, ("---",) * len(table.headings), *table.rows]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        parts.append("\n\n".join((f"## {table.title}", body, *table.notes)))
    return "\n\n".join(parts) + "\n"


def _particle_share(c: Confusion) -> float:
    """Return the share of the pixels that are particle in truth."""
    n_true = c.true_positive + c.false_negative
    return _ratio(n_true, n_true + c.false_positive + c.true_negative)


def _four(found: float, taken: float) -> tuple[str, str, str, str]:
    """Write a row of two confusion pairs."""
    return _share(found), _share(1 - found), _share(1 - taken), _share(taken)


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0%}"
