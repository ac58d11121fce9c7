"""Scores of the random forest in Groschner et al. (2021) beside those of forests fitted here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hrtem_dask.evaluation.region_classes import RegionConfusion
from hrtem_dask.reproduction.published_scores import PUBLISHED_FOREST
from hrtem_dask.reproduction.text_table import TextTable, format_percent, format_share
from hrtem_dask.tables import REGION_CLASSES

__all__ = ["ForestRow", "figure_5f", "forest_scores"]


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """Scores of a forest on its test set."""

    name: str
    """Name of the forest: the data that it was fitted on."""
    n_training: int
    """Number of regions that it was fitted on."""
    out_of_bag: float
    """Share of the training regions classified correctly by the trees that were fitted without them, 0 to 1."""
    confusion: RegionConfusion
    """Confusion matrix of the test set."""
    others: tuple[RegionConfusion, ...] = ()
    """Confusion matrices for other random orders of the regions, for the standard deviation."""


def figure_5f(row: ForestRow) -> TextTable:
    """Return Figure 5f: the confusion matrix of a forest with normalized rows.

    Parameters
    ----------
    row : ForestRow
        Scores of the forest.

    Returns
    -------
    TextTable
        True classes by row, predicted classes by column.
    """
    shares, n_true = row.confusion.shares, row.confusion.counts.sum(axis=1)
    lines = tuple(
        (name, *(format_share(v) for v in shares[i]), str(int(n_true[i]))) for i, name in enumerate(REGION_CLASSES)
    )
    return TextTable(
        f"Figure 5f: share of each true class (row) predicted as each class (column); {row.name}",
        ("true class", *REGION_CLASSES, "regions"),
        lines,
        ("The matrix of the paper is a picture; its numbers are not printed in the text.",),
    )


def forest_scores(rows: Sequence[ForestRow]) -> TextTable:
    """Return the scores of the forest in the paper and its notebook beside those of forests fitted here.

    Parameters
    ----------
    rows : sequence of ForestRow
        Scores of the forests fitted here.

    Returns
    -------
    TextTable
        A column for the paper and one for each forest.
    """
    paper = PUBLISHED_FOREST
    names = (
        "frequency-weighted accuracy", "out-of-bag accuracy", "balanced accuracy", "accuracy",
        "oriented: predicted / true", "faulted of these: predicted / true", "regions: fitted on / scored",
    )  # fmt: skip
    published = (
        f"{paper.frequency_weighted_accuracy:.3f} (the text: {paper.accuracy_said}, “class balanced”)",
        f"{paper.out_of_bag:.3f}", "not stated", "not stated",
        f"{paper.oriented_predicted:.0%} / {paper.oriented_true:.0%}",
        f"{paper.faulted_predicted:.0%} / {paper.faulted_true:.0%}",
        "335 / 166 (the notebook)",
    )  # fmt: skip
    columns = [published, *(tuple(_forest_column(row)) for row in rows)]
    return TextTable(
        "Random forest of 500 trees on the paper's five features",
        ("", "the paper", *(row.name for row in rows)),
        tuple((name, *cells) for name, *cells in zip(names, *columns, strict=True)),
        (
            "frequency-weighted: each region is weighted by the frequency of its class, as in the notebook; balanced: "
            "mean over the classes of the share classified correctly; ±: standard deviation over random orders of the "
            "regions, which give different splits.",
            "oriented: with or without a stacking fault, as a share of all regions; the paper does not state the "
            "denominator of its share.",
        ),
    )


def _forest_column(row: ForestRow) -> Iterator[str]:
    """Yield the cells of one forest."""
    c = row.confusion
    for name in ("frequency_weighted_accuracy", "out_of_bag", "balanced_accuracy", "accuracy"):
        if name == "out_of_bag":
            yield format_share(row.out_of_bag)
            continue
        values = [float(getattr(other, name)) for other in (c, *row.others)]
        mean = math.fsum(values) / len(values)
        sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / max(1, len(values) - 1))
        yield format_share(float(getattr(c, name))) + (f" (mean {mean:.3f} ± {sd:.3f})" if row.others else "")
    for share in (c.oriented_share, c.faulted_share):
        yield " / ".join(format_percent(share(predicted=predicted)) for predicted in (True, False))
    yield f"{row.n_training} / {int(c.counts.sum())}"
