"""A figure that compares methods, as SVG: precision against recall, and the Dice of each micrograph."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import isnan, nan

import pandas as pd

__all__ = ["draw_scores"]

# the palette of M. Okabe and K. Ito, which people with color blindness can read
_COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f7f7f",
)
_PANEL, _LEFT, _TOP, _GAP, _LEGEND = 320, 60, 36, 80, 22


def draw_scores(micrographs: pd.DataFrame, summary: pd.DataFrame, curves: pd.DataFrame) -> str:
    """Draw precision against recall, and the distribution of Dice.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        A row per ``method`` and micrograph, with ``dice`` and ``analysed``.
    summary : pandas.DataFrame
        Rows from `summarize_scores`, with ``method``.
    curves : pandas.DataFrame
        Rows from `curve`, with ``method``; drawn as a line.

    Returns
    -------
    str
        A complete SVG document. In the left panel, a square shows the pooled scores of the segmenter's own mask, a disk
        those of the particles. In the right panel, each dot is a micrograph that is not empty in truth and was
        analysed, and the bar is their mean.
    """
    methods = list(dict.fromkeys(micrographs["method"]))
    colors = {method: _COLORS[i % len(_COLORS)] for i, method in enumerate(methods)}
    pooled = summary[summary["group"] == "all"].pivot(index="method", columns="statistic", values="value")
    right = _LEFT + _PANEL + _GAP
    parts = [*_axes(_LEFT, "recall", "precision"), *_axes(right, "", "Dice of each micrograph", numbers=False)]
    for number, method in enumerate(methods):
        parts += _curve(curves[curves["method"] == method], colors[method])
        scores = pooled.loc[method] if method in pooled.index else pd.Series(dtype=float)
        parts += _point(
            scores.get("mask_recall_pooled", nan), scores.get("mask_precision_pooled", nan), colors[method], True
        )
        parts += _point(scores.get("recall_pooled", nan), scores.get("precision_pooled", nan), colors[method], False)
        x = right + _PANEL * (number + 0.5) / len(methods)
        rows = micrographs[(micrographs["method"] == method) & micrographs["analysed"]]
        parts += _strip(rows["dice"].dropna(), x, _PANEL / len(methods) / 4, colors[method])
        y = _TOP + _PANEL + 52 + _LEGEND * number
        parts.append(f'<rect x="{_LEFT}" y="{y - 9}" width="10" height="10" fill="{colors[method]}"/>')
        parts.append(_text(_LEFT + 16, y, method, anchor="start"))
    note = "line: thresholds; □ the segmenter's mask, ● particles, pooled; right: micrographs not empty, bar: mean"
    parts.append(_text(_LEFT + 150, _TOP + _PANEL + 52, note, anchor="start", size=10))
    width, height = right + _PANEL + 20, _TOP + _PANEL + 60 + _LEGEND * len(methods)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _axes(left: float, x_name: str, y_name: str, *, numbers: bool = True) -> Iterator[str]:
    """Draw a panel with axes from 0 to 1."""
    yield f'<rect x="{left}" y="{_TOP}" width="{_PANEL}" height="{_PANEL}" fill="none" stroke="#444"/>'
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        y = _TOP + _PANEL * (1 - tick)
        yield f'<line x1="{left}" x2="{left + _PANEL}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd" stroke-width="0.5"/>'
        yield _text(left - 8, y + 4, f"{tick:g}", anchor="end")
        if numbers:
            yield _text(left + _PANEL * tick, _TOP + _PANEL + 16, f"{tick:g}")
    yield _text(left + _PANEL / 2, _TOP + _PANEL + 34, x_name)
    yield _text(left, _TOP - 12, y_name, anchor="start")


def _curve(curve: pd.DataFrame, color: str) -> Iterator[str]:
    """Draw precision against recall as a line."""
    known = curve.dropna(subset=["precision", "recall"]) if len(curve) else curve
    if len(known):
        points = " ".join(f"{_x(r):.1f},{_y(p):.1f}" for r, p in zip(known["recall"], known["precision"], strict=True))
        yield f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def _point(recall: float, precision: float, color: str, square: bool) -> Iterator[str]:
    """Draw one pair of scores, unless it is NaN."""
    if isnan(recall + precision):
        return
    x, y = _x(recall), _y(precision)
    if square:
        box = f'x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"'
        yield f'<rect {box} fill="white" stroke="{color}" stroke-width="2"/>'
    else:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{color}"/>'


def _strip(values: pd.Series, center: float, half: float, color: str) -> Iterator[str]:
    """Draw each value as a dot, spread sideways in order, and their mean."""
    for number, value in enumerate(values.sort_values()):
        x = (
            center + half * ((number * 0.618) % 1 - 0.5) * 2
        )  # steps of the golden ratio spread evenly and are reproducible
        yield f'<circle cx="{x:.1f}" cy="{_y(value):.1f}" r="2" fill="{color}" fill-opacity="0.5"/>'
    if len(values):
        y = _y(float(values.mean()))
        yield (
            f'<line x1="{center - 1.4 * half:.1f}" x2="{center + 1.4 * half:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="black" stroke-width="2"/>'
        )


def _x(value: float) -> float:
    """Return the horizontal position of a score in the left panel."""
    return _LEFT + _PANEL * value


def _y(value: float) -> float:
    """Return the vertical position of a score."""
    return _TOP + _PANEL * (1 - value)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12) -> str:
    """Return a text element."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#222">{escape(text)}</text>'
