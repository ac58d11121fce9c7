"""Style of all figures: colors that color-blind readers can distinguish, fonts, axes, vector graphics for print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from bokeh import plotting
from bokeh.models import ColumnDataSource

__all__ = [
    "BLACK",
    "BLUE",
    "COLORS",
    "GRAY",
    "GREEN",
    "ORANGE",
    "RED",
    "Plot",
    "data_source",
    "legend",
    "new_figure",
    "room_above",
]

BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, BLACK, GRAY = "#cc79a7", "#56b4e9", "#1a1a1a", "#8a8a8a"
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GRAY)
"""Palette of M. Okabe and K. Ito, Color Universal Design (2008)."""
MAX_VECTOR_POINTS = 3000
"""Scatter plots with more points are drawn as pixels, since a browser is slow with so many vectors."""


@dataclass(frozen=True)
class Plot:
    """A figure of the page."""

    figure: plotting.figure
    """Bokeh figure."""
    table: pd.DataFrame
    """Values that the figure shows; the page offers them as CSV."""
    alt: str
    """Description for readers who cannot see the figure."""


def new_figure(
    x_label: str, y_label: str, *, width: int = 440, height: int = 300,
    tools: str = "pan,wheel_zoom,box_zoom,reset,save",
    **more: Any,
) -> plotting.figure:  # fmt: skip
    """Make an empty figure in the style of the report.

    Parameters
    ----------
    x_label, y_label : str
        Titles of the axes, with units.
    width, height : int
        Size in CSS pixels; up to 660 wide fits on A4.
    tools : str
        Names of Bokeh's tools, comma-separated.
    **more : object
        Further options of `bokeh.plotting.figure`.

    Returns
    -------
    bokeh.plotting.figure
        The figure. The mouse wheel scrolls the page until the user chooses the zoom tool.
    """
    plot = plotting.figure(
        width=width, height=height, tools=tools, x_axis_label=x_label, y_axis_label=y_label, output_backend="svg",
        active_scroll=None, toolbar_location="above", min_border_right=12, **more,
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    for axis in plot.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "13px"
        axis.axis_label_text_color = BLACK
        axis.axis_line_color = axis.major_tick_line_color = "#555555"
        axis.major_label_text_font_size = "12px"
        axis.major_label_text_color = BLACK
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = "#e8e8e8"
    return plot


def data_source(table: pd.DataFrame) -> ColumnDataSource:
    """Convert the columns of a table to a data source of Bokeh.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table.

    Returns
    -------
    bokeh.models.ColumnDataSource
        Numeric columns as floats (NaN for null), all others as strings (empty for null).
    """
    columns: dict[str, np.ndarray | list[str]] = {}
    for name in table:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column):
            columns[str(name)] = column.to_numpy(dtype=float, na_value=np.nan)
        else:
            columns[str(name)] = [str(v) for v in column.astype(object).where(column.notna(), "")]
    return ColumnDataSource(columns)


def legend(plot: plotting.figure, *, location: str = "top_right", columns: int = 1) -> None:
    """Apply the style of the report to the legend of a figure.

    Parameters
    ----------
    plot : bokeh.plotting.figure
        Figure whose glyphs have legend labels.
    location : str
        Place in the figure. A click on an entry hides its curve.
    columns : int
        Entries side by side: with more than one, the legend fits into a strip above the points (`room_above`).
    """
    plot.legend.location = location
    if columns > 1:
        plot.legend.orientation = "horizontal"
        plot.legend.ncols = columns
    plot.legend.label_text_font_size = "12px"
    plot.legend.border_line_color = None
    plot.legend.background_fill_alpha = 0.75
    plot.legend.padding = 4
    plot.legend.spacing = 12 if columns > 1 else 0
    plot.legend.click_policy = "hide"


def room_above(values: np.ndarray, share: float = 0.2) -> tuple[float, float]:
    """Return a range for an axis that leaves a strip above the points for the legend.

    Parameters
    ----------
    values : array_like
        What is drawn; NaN is ignored. At least one value is finite.
    share : float
        Height of the strip over that of the points.

    Returns
    -------
    tuple of float
        Lower and upper end.

    Examples
    --------
    >>> room_above(np.array([0.0, 10.0]))
    (-0.5, 12.0)
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    low, high = float(finite.min()), float(finite.max())
    height = (high - low) or abs(high) or 1.0
    return low - 0.05 * height, high + share * height
