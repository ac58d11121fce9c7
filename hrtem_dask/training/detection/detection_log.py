"""The log of a training of a detector: a CSV table with a row per epoch, and its curves as SVG."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

from hrtem_dask.training.network.training_log import draw_panels

__all__ = ["COLUMNS", "curves_svg", "log_csv"]

COLUMNS = ("images", "loss", "map50", "map75", "learning_rate", "seconds")
"""Columns of the log: training images so far, mean loss, mean average precision of the averaged weights on validation
images at an intersection over union of 0.50 and 0.75, learning rate, training time (s) without interruptions."""


def log_csv(rows: Sequence[Mapping[str, float]]) -> str:
    """Return rows as CSV text.

    Parameters
    ----------
    rows : sequence of mapping
        One per epoch, with all of `COLUMNS`.

    Returns
    -------
    str
        Text with a header; cells of NaN are empty.

    Examples
    --------
    >>> print(log_csv([dict.fromkeys(COLUMNS, 0.25) | {"map75": float("nan")}]).splitlines()[1])
    0.25,0.25,0.25,,0.25,0.25
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([["" if math.isnan(row[c]) else f"{row[c]:.6g}" for c in COLUMNS] for row in rows])
    return text.getvalue()


def curves_svg(rows: Sequence[Mapping[str, float]], *, title: str = "") -> str:
    """Plot the loss and the scores of validation against the number of training images.

    Parameters
    ----------
    rows : sequence of mapping
        One per epoch, with all of `COLUMNS`.
    title : str
        Title above the panels.

    Returns
    -------
    str
        An SVG document with two panels.
    """
    scores = (("map50", "#0072b2"), ("map75", "#d55e00"))
    return draw_panels(rows, (("loss", "#0072b2"),), scores, x="images", title=title)
