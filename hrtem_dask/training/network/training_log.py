"""The log of a training: a CSV table with a row per epoch, and its curves as SVG."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["COLUMNS", "Curves", "Row", "curves_svg", "draw_panels", "log_csv"]

COLUMNS = (
    "epoch",
    "training_loss",
    "validation_loss",
    "dice_mean",
    "dice_median",
    "precision",
    "recall",
    "empty_false_share",
    "learning_rate",
    "seconds",
)
"""Columns of the log. `seconds` is the training time since the first epoch, without interruptions. `empty_false_share`
is the share of the area of empty micrographs that is falsely predicted as particle."""

Row = Mapping[str, float]
"""One epoch, with all of `COLUMNS`."""
Curves = Sequence[tuple[str, str]]
"""Column and color of each curve of a panel."""
WIDTH, HEIGHT, MARGIN = 520, 260, 46
LOSSES = (("training_loss", "#0072b2"), ("validation_loss", "#d55e00"))
SHARES = (("dice_mean", "#0072b2"), ("dice_median", "#56b4e9"), ("precision", "#009e73"), ("recall", "#d55e00"))


def log_csv(rows: Sequence[Row]) -> str:
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
    >>> row = dict.fromkeys(COLUMNS, 0.5) | {"epoch": 1.0, "recall": float("nan")}
    >>> print(log_csv([row]).splitlines()[1])
    1,0.5,0.5,0.5,0.5,0.5,,0.5,0.5,0.5
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(["" if math.isnan(row[c]) else f"{row[c]:.6g}" for c in COLUMNS])
    return text.getvalue()


def curves_svg(rows: Sequence[Row], *, title: str = "") -> str:
    """Plot losses and validation scores against epochs.

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
    return draw_panels(rows, LOSSES, SHARES, x="epoch", title=title)


def draw_panels(rows: Sequence[Row], losses: Curves, shares: Curves, *, x: str, title: str = "") -> str:
    """Plot columns of a log.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the log.
    losses : sequence of tuple of str
        Curves of the left panel, which ends at the highest value.
    shares : sequence of tuple of str
        Curves of the right panel, from 0 to 1.
    x : str
        Column along x.
    title : str
        Title above the panels.

    Returns
    -------
    str
        An SVG document with two panels.
    """
    highest = max((r[c] for r in rows for c, _ in losses if not math.isnan(r[c])), default=1.0) or 1.0
    panels = _panel(rows, losses, highest, 0, x) + _panel(rows, shares, 1.0, WIDTH, x)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT + 20}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{MARGIN}" y="14" font-size="13">{escape(title)}</text>{panels}</svg>\n'
    )


def _panel(rows: Sequence[Row], curves: Curves, top: float, left: int, x: str) -> str:
    """Return a panel: axes, curves and their names."""
    last = max((r[x] for r in rows), default=1) or 1
    x0, y0, width, height = left + MARGIN, HEIGHT - MARGIN + 20, WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    parts = []
    for i in range(5):
        y, value = y0 - height * i / 4, top * i / 4
        parts.append(f'<path d="M{x0} {y:.1f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{x0 - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    parts.append(f'<text x="{x0 + width}" y="{y0 + 16}" text-anchor="end">{x} {last:g}</text>')
    for i, (name, color) in enumerate(curves):
        points = [
            f"{x0 + width * r[x] / last:.1f},{y0 - height * min(r[name], top) / top:.1f}"
            for r in rows
            if not math.isnan(r[name])
        ]
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts.append(f'<text x="{x0 + i * width // 4}" y="{y0 + 32}" fill="{color}">{name}</text>')
    return "".join(parts)
