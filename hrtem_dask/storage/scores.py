"""The scores of an evaluation, written: every number as JSON, tables as CSV, the figure as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from hrtem_dask.evaluation.definitions import STATISTICS
from hrtem_dask.evaluation.figure import draw_scores
from hrtem_dask.storage.location import Location

__all__ = ["write_scores"]


def write_scores(
    folder: Location,
    *,
    micrographs: pd.DataFrame,
    objects: pd.DataFrame,
    summary: pd.DataFrame,
    curves: pd.DataFrame,
    regions: pd.DataFrame,
    classes: pd.DataFrame,
    about: Mapping[str, object],
) -> None:
    """Write scores.json, micrographs.csv, objects.csv, curves.csv, regions.csv and scores.svg.

    Parameters
    ----------
    folder : Location
        The folder.
    micrographs : pandas.DataFrame
        A row per method and micrograph.
    objects : pandas.DataFrame
        A row per method and particle of either side.
    summary : pandas.DataFrame
        Of `summarize_scores`, with ``method``.
    curves : pandas.DataFrame
        Of `curve`, with ``method``.
    regions : pandas.DataFrame
        A row per method and classified region; none is written where there is none.
    classes : pandas.DataFrame
        Scores of the classes of regions, with ``method`` and ``subset``.
    about : mapping
        What was scored, how, and what could not be: put into the JSON as it is.
    """
    scores: dict[str, Any] = {}
    for row in summary.to_dict("records"):
        group = scores.setdefault(row["method"], {}).setdefault(row["by"], {}).setdefault(row["group"], {})
        group[row["statistic"]] = {key: _number(row[key]) for key in ("value", "low", "high")}
    by_class: dict[str, Any] = {}
    for row in classes.to_dict("records"):
        subset = by_class.setdefault(row["method"], {}).setdefault(row["subset"], {"n_regions": row["n"]})
        subset[row["score"]] = {key: _number(row[key]) for key in ("value", "low", "high")}
    folder.write_json("scores.json", {**about, "statistics": STATISTICS, "scores": scores, "region_classes": by_class})
    written = {"micrographs": micrographs, "objects": objects, "curves": curves, "regions": regions}
    for name, table in written.items():
        if name != "regions" or len(table):
            folder.write_bytes(f"{name}.csv", table.to_csv(index=False).encode())
    folder.write_bytes("scores.svg", draw_scores(micrographs, summary, curves).encode())


def _number(value: float) -> float | None:
    """Return what JSON can hold: it has no NaN."""
    return None if math.isnan(value) else float(value)
