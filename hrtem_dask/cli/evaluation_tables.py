"""The tables that `hrtem-dask evaluate` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    from hrtem_dask.batch.evaluation.evaluate import Evaluation
    from hrtem_dask.reproduction.published_scores import Published

__all__ = ["print_evaluation"]


class _Scores:
    """The summary, with access by method, group and statistic."""

    def __init__(self, summary: pd.DataFrame) -> None:
        rows = summary.to_dict("records")
        self._rows = {(r["method"], r["by"], r["group"], r["statistic"]): r for r in rows}
        self.groups = list(dict.fromkeys((str(r["method"]), str(r["by"]), str(r["group"])) for r in rows))

    def value(self, group: tuple[str, str, str], statistic: str) -> float:
        """Return a score."""
        return float(self._rows[*group, statistic]["value"])

    def text(self, group: tuple[str, str, str], statistic: str, *, percent: bool = False, ci: bool = False) -> str:
        """Format a score, with its interval if that is asked for and known."""
        row = self._rows[*group, statistic]
        value, low, high = (_number(row[name], percent) for name in ("value", "low", "high"))
        text = f"{value} [{low}, {high}]" if ci and not math.isnan(row["low"]) else value
        return f"{text} %" if percent and value != "–" else text


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the scores in the layout of the paper's Table 1 and Figure 2, and further scores."""
    from rich.console import Console

    console = Console()
    scores = _Scores(evaluation.summary)
    kind = "simulated micrographs" if evaluation.is_simulated else "micrographs"
    console.print(f"\nPixels of {kind}, without empty ones (the layout of the paper's Table 1)")
    console.print(_pixels(scores))
    console.print("\nShare of true particle and true background pixels, pooled (the layout of the paper's Figure 2)")
    console.print(_confusion(scores))
    console.print("\nParticles found: IoU at least 0.5, including particles cut by the border")
    console.print(_particles(scores))
    console.print(
        "\nSize bias of matched particles, and of the median of all found; without particles cut by the border"
    )
    console.print(_sizes(scores))
    if any(scores.value(g, "n_empty") for g in scores.groups if g[1] == "all"):
        console.print("\nMicrographs that are empty in truth")
        console.print(_empties(scores))
    if any(not math.isnan(scores.value(g, "average_precision")) for g in scores.groups):
        console.print("\nOver thresholds, pooled; the best threshold is chosen on the same micrographs")
        console.print(_thresholds(scores))
    if len(evaluation.classes):
        console.print("\nClasses of found regions, without regions cut by the border; clear: visibility 1.7 or more")
        console.print(_classes(evaluation.classes))
    for line in (*_FOOTNOTES, *evaluation.notes):
        console.print(line, markup=False, highlight=False, style="dim")
    console.print(f"scores: {evaluation.folder.url}", markup=False, highlight=False, soft_wrap=True)


_FOOTNOTES = (
    "mask: the mask of the segmenter, as in the paper; particles: after opening, closing, filling and splitting.",
    "Intervals: 95 %, by bootstrap over micrographs (5 or more), for shares by Wilson.",
    "Particles below the counting limit are left out of truth and results.",
    "Paper: Groschner et al. 2021, 43 real micrographs of 512² pixels, as printed; its data are not the ones above.",
    "Its Figure 2 has no numbers in the text: its share of particle pixels found is the recall of Table 1.",
)


def _table(*headings: str) -> Table:
    """Return a table without lines: names on the left, numbers on the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < 2 else "right", overflow="fold")
    return table


def _pixels(scores: _Scores) -> Table:
    """Return Dice, precision and recall."""
    table = _table(
        "method", "micrographs", "n", "Dice, mean", "Dice", "precision", "recall", "of particles: Dice, mean",
        "paper: Dice",
        "precision", "recall",
    )  # fmt: skip
    for group in scores.groups:
        # without a second segmentation the mask of the segmenter is not known: particles replace it
        prefix = "" if math.isnan(scores.value(group, "mask_dice_pooled")) else "mask_"
        paper = _paper(group)
        table.add_row(
            *_names(group),
            f"{scores.value(group, 'n_micrographs') - scores.value(group, 'n_empty'):.0f}",
            scores.text(group, f"{prefix}dice_mean", ci=True),
            *(scores.text(group, f"{prefix}{name}_pooled") for name in ("dice", "precision", "recall")),
            scores.text(group, "dice_mean", ci=True),
            *((paper.dice, paper.precision or "–", paper.recall or "–") if paper else ("–",) * 3),
        )
    return table


def _confusion(scores: _Scores) -> Table:
    """Return the shares of particle and background pixels that were classified correctly."""
    table = _table("method", "micrographs", "particle: found", "missed", "background: kept", "taken", "paper: found")
    for group in scores.groups:
        prefix = "" if math.isnan(scores.value(group, "mask_dice_pooled")) else "mask_"
        found = scores.value(group, f"{prefix}recall_pooled")
        taken = scores.value(group, f"{prefix}false_positive_rate")
        paper = _paper(group)
        values = (_number(v, False) for v in (found, 1 - found, 1 - taken, taken))
        table.add_row(*_names(group), *values, paper.recall or "–" if paper else "–")
    return table


def _particles(scores: _Scores) -> Table:
    """Return hits, merges, splits and the bias of counts."""
    table = _table(
        "method", "micrographs", "precision", "recall", "F1", "F1, IoU .5–.95", "merges", "splits", "count bias"
    )
    for group in scores.groups:
        table.add_row(
            *_names(group),
            *(scores.text(group, f"object_{name}") for name in ("precision", "recall")),
            scores.text(group, "object_f1", ci=True),
            scores.text(group, "object_f1_iou50_95"),
            *(scores.text(group, name, percent=True) for name in ("merges_per_particle", "splits_per_particle")),
            scores.text(group, "count_bias_pooled", percent=True, ci=True),
        )
    return table


def _classes(classes: pd.DataFrame) -> Table:
    """Lay out the scores of region classes, a column per method and subset."""
    from rich.table import Table

    table = Table("score")
    groups = list(classes.groupby(["method", "subset"], sort=False))
    for (method, subset), rows in groups:
        table.add_column(f"{method}, {subset} ({rows['n'].iloc[0]})", justify="right")
    lookup = {key: rows.set_index("score") for key, rows in groups}
    for score in classes["score"].drop_duplicates():
        cells = []
        for key, _ in groups:
            row = lookup[key].loc[score]
            known = not math.isnan(row["value"])
            cells.append(f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" if known else "–")
        table.add_row(str(score).replace("_", " "), *cells)
    return table


def _sizes(scores: _Scores) -> Table:
    """Return the bias of the equivalent diameter and of the area."""
    table = _table(
        "method", "micrographs", "diameter: mean", "median", "area: mean", "median", "all particles: diameter"
    )
    for group in scores.groups:
        table.add_row(
            *_names(group),
            scores.text(group, "size_bias_mean", percent=True, ci=True),
            scores.text(group, "size_bias_median", percent=True, ci=True),
            *(scores.text(group, f"area_bias_{name}", percent=True) for name in ("mean", "median")),
            scores.text(group, "population_size_bias", percent=True, ci=True),
        )
    return table


def _empties(scores: _Scores) -> Table:
    """Return false particles on empty micrographs."""
    table = _table(
        "method", "micrographs", "n", "with no false particle", "no false pixel", "false area, mean px", "nm²"
    )
    for group in scores.groups:
        if scores.value(group, "n_empty"):
            table.add_row(
                *_names(group),
                f"{scores.value(group, 'n_empty'):.0f}",
                scores.text(group, "empty_clean_share", percent=True, ci=True),
                scores.text(group, "empty_without_pixels_share", percent=True),
                *(f"{scores.value(group, f'empty_false_area_{unit}'):.4g}" for unit in ("px", "nm2")),
            )
    return table


def _thresholds(scores: _Scores) -> Table:
    """Return areas under the curves."""
    table = _table("method", "micrographs", "average precision", "best Dice", "at threshold")
    for group in scores.groups:
        if not math.isnan(scores.value(group, "average_precision")):
            table.add_row(
                *_names(group),
                scores.text(group, "average_precision", ci=True),
                scores.text(group, "best_dice_pooled", ci=True),
                f"{scores.value(group, 'best_threshold'):.2f}",
            )
    return table


def _paper(group: tuple[str, str, str]) -> Published | None:
    """Return the scores of the paper for the same method and material."""
    from hrtem_dask.reproduction.published_scores import PUBLISHED

    method, by, name = group
    if by not in {"all", "material"}:
        return None
    # each of several networks is named after its file
    return PUBLISHED.get((method if method in {"otsu", "fourier", "fourier_pixels"} else "unet", name))


def _names(group: tuple[str, str, str]) -> tuple[Text, Text]:
    """Return method and group, as Text: in a plain string "[b]" would be markup."""
    from rich.text import Text

    method, by, name = group
    return Text(method), Text(name if by in {"all", "material"} else f"{by} {name}")


def _number(value: float, percent: bool) -> str:
    """Format a score."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f}" if percent else f"{value:.3f}"
