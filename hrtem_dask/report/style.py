"""How every figure looks: colours that colour-blind readers tell apart, type, axes, vector graphics for paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from bokeh.models import HoverTool
from bokeh.plotting import figure

__all__ = ["BLACK", "BLUE", "COLOURS", "GREEN", "GREY", "ORANGE", "RED", "Plot", "new_figure"]

BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, BLACK, GREY = "#cc79a7", "#56b4e9", "#1a1a1a", "#8a8a8a"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY)
"""M. Okabe, K. Ito, Color Universal Design (2008)."""
MAX_VECTOR_POINTS = 3000
"""Clouds of more points are drawn as pixels: a page of vectors would be slow."""


@dataclass(frozen=True)
class Plot:
    """A figure of the page."""

    figure: Any
    """What Bokeh draws."""
    table: pd.DataFrame
    """What it shows, to be downloaded."""
    alt: str
    """What it shows, for those who do not see it."""
    html: dict[str, str] = field(default_factory=dict)


def new_figure(
    x_label: str, y_label: str, *, width: int = 440, height: int = 300, tools: str = "pan,wheel_zoom,box_zoom,reset,save",
    hover: list[tuple[str, str]] | None = None, **more: Any,
) -> Any:  # fmt: skip
    """Return an empty figure in the report's style.

    Parameters
    ----------
    x_label, y_label : str
        Titles of the axes, with the unit.
    width, height : int
        Size in CSS px; at most 660 wide fits on A4.
    tools : str
        Bokeh's tools.
    hover : list of tuple of str, optional
        What is shown under the pointer.
    **more : object
        For `bokeh.plotting.figure`.

    Returns
    -------
    bokeh.plotting.figure
        The figure; the wheel scrolls the page until its tool is chosen.
    """
    plot = figure(
        width=width, height=height, tools=tools, x_axis_label=x_label, y_axis_label=y_label, output_backend="svg",
        active_scroll=None, toolbar_location="above", min_border_right=12, **more,
    )  # fmt: skip
    if hover:
        plot.add_tools(HoverTool(tooltips=hover))
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


def legend(plot: Any, *, location: str = "top_right") -> None:
    """Give a figure's legend the report's style.

    Parameters
    ----------
    plot : bokeh.plotting.figure
        With labelled glyphs.
    location : str
        Corner; a click on an entry hides its curve.
    """
    plot.legend.location = location
    plot.legend.label_text_font_size = "12px"
    plot.legend.border_line_color = None
    plot.legend.background_fill_alpha = 0.75
    plot.legend.padding = 4
    plot.legend.spacing = 0
    plot.legend.click_policy = "hide"
