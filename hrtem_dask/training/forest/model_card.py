"""The model card of a classifier of regions: its training data, its scores and its weak points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hrtem_dask.defects import reliability
from hrtem_dask.training.forest.train_forest import TrainedForest

__all__ = ["confusion_text", "forest_card"]


def forest_card(trained: TrainedForest, *, command: str, test: pd.DataFrame | None = None) -> str:
    """Write the model card.

    Parameters
    ----------
    trained : TrainedForest
        The classifier with its scores.
    command : str
        Command line of the training.
    test : pandas.DataFrame, optional
        Rows of `score_subsets` for regions that were not used in training.

    Returns
    -------
    str
        The card as Markdown.
    """
    samples, classifier = trained.samples, trained.classifier
    counts = np.bincount(samples.truth, minlength=len(samples.classes))
    class_counts = ", ".join(f"{name} {n:,}" for name, n in zip(samples.classes, counts, strict=True))
    errors = trained.calibration_errors
    recalls = trained.scores[(trained.scores["subset"] == "all") & trained.scores["score"].str.startswith("recall_")]
    worst = recalls.sort_values("value").head(2)
    worst_recalls = list(zip(worst["score"], worst["value"].astype(float), strict=True))
    parts = [
        "# Classifier of regions",
        f"    {command}",
        "## Data",
        f"{len(samples.truth):,} regions of {len(np.unique(samples.groups)):,} micrographs: {class_counts}. "
        f"{_origin(samples.table)}",
        f"{len(samples.features)} features. Forest: {classifier.metadata['forest']}.",
        f"Probabilities are those {classifier.metadata['probabilities']}. "
        f"A region is unsure if its highest probability is below {classifier.unsure_threshold:.2f}.",
        "## Scores",
        "On held-out micrographs (cross-validation; 95 % intervals by bootstrap over micrographs):",
        _scores_text(trained.scores),
        f"Out-of-bag accuracy {trained.out_of_bag:.3f}. It is too high for new micrographs: the trees were fitted on "
        "other regions of the same micrographs.",
        "Confusion (rows: true class, share of its regions):",
        confusion_text(trained.probability, samples.truth, samples.classes),
    ]
    if test is not None:
        parts += ["On regions that were not used in training:", _scores_text(test)]
    parts += [
        "## Calibration",
        f"Method {classifier.calibration.method}. Expected calibration error {errors['before']:.3f} before, "
        f"{errors['after']:.3f} after.",
        _markdown(reliability(trained.probability, samples.truth, weight=trained.weight).drop(columns="weight")),
        "## Importance",
        "Loss of balanced accuracy when a feature is shuffled:",
        _markdown(trained.importance.head(15).reset_index()) if len(trained.importance) else "Not measured.",
        "## Weak points",
        "Lowest recall: "
        + "; ".join(f"{str(name).removeprefix('recall_')} {value:.3f}" for name, value in worst_recalls),
        "## Ranges of the features in training (1st to 99th percentile)",
        _markdown(pd.DataFrame([(k, *v) for k, v in classifier.ranges.items()], columns=["feature", "1 %", "99 %"])),
    ]
    return "\n\n".join(parts) + "\n"


def confusion_text(probability: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> str:
    """Return the confusion matrix as a table, with rows of sum 1 as in Figure 5f of Groschner et al. (2021).

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (region, class): predicted probabilities, 0 to 1.
    truth : numpy.ndarray of int
        Shape (region,): index of the true class.
    classes : sequence of str
        Names of the classes.

    Returns
    -------
    str
        A Markdown table: true classes by row with their number of regions, predicted classes by column.

    Examples
    --------
    >>> import numpy as np
    >>> probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    >>> print(confusion_text(probability, np.array([0, 1, 0]), ["fault", "none"]))
    | true | n | fault | none |
    | --- | --- | --- | --- |
    | fault | 2 | 0.5 | 0.5 |
    | none | 1 | 0 | 1 |
    """
    predicted = probability.argmax(axis=1)
    shares = pd.crosstab(truth, predicted, normalize="index").reindex(
        index=range(len(classes)), columns=range(len(classes)), fill_value=0.0
    )
    shares.columns = pd.Index(classes)
    shares.insert(0, "true", list(classes))
    shares.insert(1, "n", np.bincount(truth, minlength=len(classes)))
    return _markdown(shares)


def _origin(table: pd.DataFrame) -> str:
    """Return how many regions come from each source and material, as far as the table records it."""
    lines = []
    for name in ("source", "material"):
        if name in table and table[name].notna().any():
            counts = table[name].value_counts()
            lines.append(f"{name}: " + ", ".join(f"{k} {v:,}" for k, v in counts.items()))
    return ". ".join(lines)


def _scores_text(scores: pd.DataFrame) -> str:
    """Return scores as a Markdown table with a column per subset."""
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
    """Return a table of a data frame as Markdown."""

    def cell(value: object) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [list(map(str, table.columns)), ["---"] * table.shape[1]]
    lines += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
