"""Write the scores of an evaluation: numbers as JSON, tables as CSV, the figure as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd

from hrtem_dask.evaluation.definitions import STATISTICS
from hrtem_dask.evaluation.figure import draw_scores
from hrtem_dask.spreadsheet_text import without_formulas
from hrtem_dask.storage.location import Location

__all__ = ["Scores", "write_scores"]


class Scores(Protocol):
    """Tables of an evaluation."""

    @property
    def micrographs(self) -> pd.DataFrame:
        """A row per method and micrograph."""

    @property
    def objects(self) -> pd.DataFrame:
        """A row per method and particle, true ones and predicted ones."""

    @property
    def summary(self) -> pd.DataFrame:
        """Result of `evaluation.summarize_scores`, with ``method``."""

    @property
    def curves(self) -> pd.DataFrame:
        """Result of `evaluation.curve`, with ``method``."""

    @property
    def regions(self) -> pd.DataFrame:
        """A row per method and classified region; no file is written where there is none."""

    @property
    def classes(self) -> pd.DataFrame:
        """Class scores of regions, with ``method`` and ``subset``."""

    @property
    def detectability(self) -> pd.DataFrame:
        """What a run made of each true particle, with ``method``; no file is written where there is none."""


def write_scores(folder: Location, tables: Scores, *, about: Mapping[str, object]) -> None:
    """Write scores.json, micrographs.csv, objects.csv, curves.csv, regions.csv, detectability.csv and scores.svg.

    Of several methods, each has a file of its own with its detectability, which a report takes.

    Parameters
    ----------
    folder : Location
        The folder.
    tables : Scores
        Tables of the evaluation.
    about : mapping
        What was scored, how, and what could not be scored; it becomes part of the JSON as it is.
    """
    scores: dict[str, Any] = {}
    for row in tables.summary.to_dict("records"):
        group = scores.setdefault(row["method"], {}).setdefault(row["by"], {}).setdefault(row["group"], {})
        group[row["statistic"]] = {key: _number(row[key]) for key in ("value", "low", "high")}
    by_class: dict[str, Any] = {}
    for row in tables.classes.to_dict("records"):
        subset = by_class.setdefault(row["method"], {}).setdefault(row["subset"], {"n_regions": row["n"]})
        subset[row["score"]] = {key: _number(row[key]) for key in ("value", "low", "high")}
    folder.write_json("scores.json", {**about, "statistics": STATISTICS, "scores": scores, "region_classes": by_class})
    for name in ("micrographs", "objects", "curves", "regions"):
        table = getattr(tables, name)
        if name != "regions" or len(table):
            folder.write_bytes(f"{name}.csv", without_formulas(table).to_csv(index=False).encode())
    methods = [(str(name), rows) for name, rows in tables.detectability.groupby("method")]
    for name, rows in methods:
        file = "detectability.csv" if len(methods) == 1 else f"detectability_{name}.csv"
        folder.write_bytes(file, without_formulas(rows.drop(columns="method")).to_csv(index=False).encode())
    folder.write_bytes("scores.svg", draw_scores(tables.micrographs, tables.summary, tables.curves).encode())


def _number(value: float) -> float | None:
    """Return what JSON can hold: it has no NaN."""
    return None if math.isnan(value) else float(value)
