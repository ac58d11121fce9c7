"""The model card of a classifier of regions: what it was trained on, how good it is, and where it fails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hrtem_dask.defects import reliability
from hrtem_dask.training.forest.train_forest import TrainedDefects

__all__ = ["confusion_text", "defects_card"]


def defects_card(trained: TrainedDefects, *, command: str, test: pd.DataFrame | None = None) -> str:
    """Write the card.

    Parameters
    ----------
    trained : TrainedDefects
        The classifier.
    command : str
        The command line that made it.
    test : pandas.DataFrame, optional
        Rows of `score_subsets` on regions that had no part in training.

    Returns
    -------
    str
        Markdown.
    """
    samples, classifier = trained.samples, trained.classifier
    counts = np.bincount(samples.truth, minlength=len(samples.classes))
    counts_said = ", ".join(f"{name} {n:,}" for name, n in zip(samples.classes, counts, strict=True))
    errors = trained.calibration_errors
    weakest = trained.scores[(trained.scores["subset"] == "all") & trained.scores["score"].str.startswith("recall_")]
    worst = weakest.sort_values("value").head(2)
    worst_recalls = list(zip(worst["score"], worst["value"].astype(float), strict=True))
    parts = [
        "# Classifier of regions",
        f"    {command}",
        "## Data",
        f"{len(samples.truth):,} regions of {len(np.unique(samples.groups)):,} micrographs: {counts_said}. "
        f"{_about(samples.table)}",
        f"{len(samples.features)} features. Forest: {classifier.metadata['forest']}.",
        f"Probabilities are those {classifier.metadata['probabilities']}. "
        f"Below {classifier.unsure_threshold:.2f} a region is unsure.",
        "## How good it is",
        "On micrographs left out (cross-validation; 95 % intervals by bootstrap over micrographs):",
        _scores_text(trained.scores),
        f"Out-of-bag accuracy {trained.out_of_bag:.3f}: it is no estimate for new micrographs, whose other regions "
        "trees have not seen.",
        "Confusion (rows: true class, share of its regions):",
        confusion_text(trained.probability, samples.truth, samples.classes),
    ]
    if test is not None:
        parts += ["On regions that had no part in training:", _scores_text(test)]
    parts += [
        "## Calibration",
        f"Method {classifier.calibration.method}. Expected calibration error {errors['before']:.3f} before, "
        f"{errors['after']:.3f} after.",
        _markdown(reliability(trained.probability, samples.truth, weight=trained.weight).drop(columns="weight")),
        "## Importance",
        "Loss of balanced accuracy where a feature is shuffled:",
        _markdown(trained.importance.head(15).reset_index()) if len(trained.importance) else "Not measured.",
        "## What fails",
        "Least recall: "
        + "; ".join(f"{str(name).removeprefix('recall_')} {value:.3f}" for name, value in worst_recalls),
        "## Ranges of the features in training (1st to 99th percentile)",
        _markdown(pd.DataFrame([(k, *v) for k, v in classifier.ranges.items()], columns=["feature", "1 %", "99 %"])),
    ]
    return "\n\n".join(parts) + "\n"


def confusion_text(probability: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> str:
    """Return the confusion matrix as a table, rows of sum 1 as in the paper's Figure 5f.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (region, class).
    truth : numpy.ndarray of int
        Shape (region,).
    classes : sequence of str
        Names of the classes.

    Returns
    -------
    str
        Markdown.
    """
    said = probability.argmax(axis=1)
    shares = pd.crosstab(truth, said, normalize="index").reindex(
        index=range(len(classes)), columns=range(len(classes)), fill_value=0.0
    )
    shares.columns = pd.Index(classes)
    shares.insert(0, "true", list(classes))
    shares.insert(1, "n", np.bincount(truth, minlength=len(classes)))
    return _markdown(shares)


def _about(table: pd.DataFrame) -> str:
    """Say where the regions are from, as far as the table tells."""
    lines = []
    for name in ("source", "material"):
        if name in table and table[name].notna().any():
            counts = table[name].value_counts()
            lines.append(f"{name}: " + ", ".join(f"{k} {v:,}" for k, v in counts.items()))
    return ". ".join(lines)


def _scores_text(scores: pd.DataFrame) -> str:
    """Return scores as a table, a column per subset."""
    text = scores.assign(
        text=[
            f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low == low else "")
            for value, low, high in scores[["value", "low", "high"]].itertuples(index=False)
        ],
        subset=[f"{name} (n = {n})" for name, n in scores[["subset", "n"]].itertuples(index=False)],
    )
    wide = text.pivot(index="score", columns="subset", values="text").fillna("")
    order, columns = dict.fromkeys(text["score"]), dict.fromkeys(text["subset"])
    return _markdown(wide.loc[list(order), list(columns)].reset_index())


def _markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown."""

    def cell(value: object) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [list(map(str, table.columns)), ["---"] * table.shape[1]]
    lines += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
