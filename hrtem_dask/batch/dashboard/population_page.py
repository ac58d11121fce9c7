"""The page *Population* of Dask's dashboard, drawn by Bokeh on the scheduler."""

from __future__ import annotations

import base64
import functools
import html
import time
from collections.abc import Callable
from typing import Any

import scipy
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import BasicTicker, ColumnDataSource, Div, Range1d, Row
from bokeh.plotting import figure
from distributed import Scheduler
from distributed.dashboard.components import add_periodic_callback
from distributed.dashboard.components.scheduler import BOKEH_THEME, env
from distributed.dashboard.core import BokehApplication
from distributed.dashboard.scheduler import template_variables
from tornado.ioloop import IOLoop

from hrtem_dask import tables
from hrtem_dask.batch.dashboard.departed_visitors import ignore_departed_visitors
from hrtem_dask.batch.dashboard.population_state import PopulationState

__all__ = ["add_page"]

REFRESH_MS = 1000
HEIGHT_PX = 260
MIN_WIDTH_PX = 340
"""Narrowest plot whose title and numbers can be read."""
RATE_WINDOW_S = 60.0
COLORS = {  # the palette of Okabe and Ito (2008), which color-blind readers can distinguish
    "done": "#009E73",
    "empty": "#56B4E9",
    "set aside": "#E69F00",
    "failed": "#D55E00",
    "left": "#DDDDDD",
    "fault": "#D55E00",
    "no fault": "#0072B2",
    "unknown": "#BBBBBB",
}


def add_page(scheduler: Scheduler, page: str, state: Callable[[], PopulationState]) -> None:
    """Add the page to a running dashboard, and to the navigation of its pages.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        The scheduler that this runs on.
    page : str
        Last part of the page's address.
    state : callable
        Returns the state that the page shows.

    Raises
    ------
    RuntimeError
        If the scheduler shows no dashboard.
    """
    prefixes = [app.prefix for app in scheduler.http_application.applications if hasattr(app, "prefix")]
    if not prefixes:
        raise RuntimeError("the scheduler was started without a dashboard")
    variables = template_variables(scheduler)
    # the navigation of every page is drawn from this list
    variables["pages"].insert(1, page)
    document = functools.partial(_draw, state)
    app = BokehApplication({f"/{page}": document}, scheduler, prefix=prefixes[0], template_variables=variables)
    scheduler.http_application.add_application(app)
    ignore_departed_visitors()
    app.initialize(IOLoop.current())
    app.start()


def _draw(state: Callable[[], PopulationState], scheduler: Scheduler, extra: dict[str, Any], doc: Document) -> None:
    """Fill a document for one visitor."""
    del scheduler
    page = _Page(state)
    page.update()
    add_periodic_callback(doc, page, REFRESH_MS)
    doc.add_root(page.root)
    doc.title = "Dask: Population"
    doc.theme = BOKEH_THEME
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)


class _Page:
    """The plots of one visitor, brought up to date as the state changes."""

    def __init__(self, state: Callable[[], PopulationState]) -> None:
        self.state = state
        self.heading = Div(name="heading", sizing_mode="stretch_width")
        self.overlays = Div(sizing_mode="stretch_width")
        self.progress, self.progress_source = _stack("Micrographs", ["done", "empty", "set aside", "failed", "left"])
        self.faults, self.faults_source = _stack("Stacking faults", ["fault", "no fault", "unknown"])
        self.faults.height = HEIGHT_PX
        self.size, self.size_source = _size_plot()
        self.rate, self.rate_source = _rate_plot()
        self.fraction, self.fraction_source = _fraction_plot()
        self.root = column(
            self.heading,
            _side_by_side(self.progress),
            _side_by_side(self.size, self.rate),
            _side_by_side(self.faults, self.fraction),
            self.overlays,
            sizing_mode="stretch_width",
            margin=(10, 20, 10, 20),
        )

    def update(self) -> None:
        """Draw the present state."""
        state = self.state()
        statuses = [state.statuses[name] for name in tables.STATUSES]
        _set(self.heading, text=_heading(state))
        _fill_stack(self.progress_source, [*statuses, state.n_left])
        self._update_sizes(state)
        self._update_faults(state)
        times, analysed, fault, known = zip(*state.history, strict=True) if state.history else ((), (), (), ())
        _set(self.rate_source, data={"minutes": [t / 60 for t in times], "analysed": list(analysed)})
        _set(self.rate.title, text=f"Throughput: {_rate_text(state)}")
        points = [(n, f, *_interval(f, n)) for f, n in zip(fault, known, strict=True) if n]
        columns = zip(*points, strict=True) if points else ((), (), (), ())
        n, f, low, high = (list(c) for c in columns)
        share = [a / b for a, b in zip(f, n, strict=True)]
        _set(self.fraction_source, data={"n": n, "share": share, "low": low, "high": high})
        _set(self.fraction.x_range, end=max([1, *n]))
        _set(self.overlays, text=_gallery(state))

    def _update_sizes(self, state: PopulationState) -> None:
        edges, counts = state.histogram()
        data = {"left": edges[:-1].tolist(), "right": edges[1:].tolist(), "n": counts.tolist()}
        _set(self.size_source, data=data)
        median = state.median_nm()
        sized = state.sizes.total()
        without = state.n_counted - sized
        parts = [f"Size: {sized} counted"]
        parts += [f"unweighted median {median:.3g} nm"] if median is not None else []
        parts += [f"{without} without a pixel size are not shown"] if without else []
        _set(self.size.title, text=", ".join(parts))

    def _update_faults(self, state: PopulationState) -> None:
        states = state.fault_states
        fault, no_fault, unknown = states["fault"], states["no_fault"], states["unknown"]
        _fill_stack(self.faults_source, [fault, no_fault, unknown])
        known = fault + no_fault
        text = f"Stacking faults: none {'known' if unknown else 'classified'} yet"
        if known:
            share, low, high = (100 * value for value in (fault / known, *_interval(fault, known)))
            text = f"Stacking faults: {fault} of {known} known ({share:.0f} %, {low:.0f} to {high:.0f} %)"
        if unknown:
            text += f"; {unknown} unknown"
        _set(self.faults.title, text=text)


def _side_by_side(*plots: figure) -> Row:
    """Return plots beside one another, or below one another where the window is narrow."""
    for plot in plots:
        plot.min_width = MIN_WIDTH_PX
    return row(*plots, sizing_mode="stretch_width", styles={"display": "flex", "flex-wrap": "wrap"})


def _stack(title: str, names: list[str]) -> tuple[figure, ColumnDataSource]:
    """Return a plot of horizontal bars, one per name, with their counts."""
    source = ColumnDataSource({"name": names, "n": [0] * len(names), "color": [COLORS[n] for n in names]})
    plot = _figure(title, "number", "", y_range=names[::-1], height=60 + 28 * len(names))
    plot.hbar(y="name", right="n", height=0.75, color="color", source=source)
    plot.text(x="n", y="name", text="n", x_offset=5, text_baseline="middle", text_font_size="13px", source=source)
    plot.x_range.range_padding, plot.x_range.start = 0.2, 0  # room for the number beside the longest bar
    plot.xaxis.ticker = _whole_numbers()
    return plot, source


def _fill_stack(source: ColumnDataSource, numbers: list[int]) -> None:
    _set(source, data={**source.data, "n": numbers})


def _size_plot() -> tuple[figure, ColumnDataSource]:
    source = ColumnDataSource({"left": [], "right": [], "n": []}, name="sizes")
    plot = _figure("Size", "equivalent diameter (nm)", "counted particles")
    plot.quad(left="left", right="right", bottom=0, top="n", color="#0072B2", line_color="white", source=source)
    plot.x_range.range_padding, plot.x_range.range_padding_units = 0.5, "absolute"
    plot.y_range.start = 0
    plot.yaxis.ticker = _whole_numbers()
    return plot, source


def _rate_plot() -> tuple[figure, ColumnDataSource]:
    source = ColumnDataSource({"minutes": [], "analysed": []})
    plot = _figure("Throughput", "time since the run began (min)", "micrographs analyzed")
    plot.step(x="minutes", y="analysed", mode="after", line_width=2, color="#009E73", source=source)
    plot.y_range.start = plot.x_range.start = 0
    plot.yaxis.ticker = _whole_numbers()
    return plot, source


def _fraction_plot() -> tuple[figure, ColumnDataSource]:
    source = ColumnDataSource({"n": [], "share": [], "low": [], "high": []})
    plot = _figure(
        "Share with a fault, 95 % interval",
        "particles of known fault state (independent)",
        "fraction with a fault",
        x_range=Range1d(0, 1),
        y_range=(0, 1),
    )
    plot.varea(x="n", y1="low", y2="high", color="#D55E00", alpha=0.2, source=source)
    plot.line(x="n", y="share", color="#D55E00", line_width=2, source=source)
    plot.xaxis.ticker = _whole_numbers()
    return plot, source


def _whole_numbers() -> BasicTicker:
    return BasicTicker(min_interval=1, num_minor_ticks=0)


def _figure(title: str, x_label: str, y_label: str, *, height: int = HEIGHT_PX, **options: Any) -> figure:
    """Return an empty plot that is legible across a room."""
    plot = figure(
        title=title,
        x_axis_label=x_label,
        y_axis_label=y_label,
        height=height,
        sizing_mode="stretch_width",
        tools="",
        toolbar_location=None,
        **options,
    )
    plot.title.text_font_size = "14px"
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "13px", "12px"
        axis.axis_label_text_font_style = "normal"
    return plot


def _heading(state: PopulationState) -> str:
    """Return the numbers of the run in words."""
    if not state.run:
        return _styled("<b>The run is listing its micrographs.</b>", 18)
    ended = state.n_before + state.n_analysed
    lines = [f"<b>{ended} of {ended + state.n_left} micrographs</b>"]
    lines += [f"{state.n_left} left", f"<b>{state.n_particles} particles</b>, {state.n_counted} of them counted"]
    lines += (
        [f"<b>{state.n_doubtful} micrograph{'' if state.n_doubtful == 1 else 's'} doubtful</b>"]
        if state.n_doubtful
        else []
    )
    lines += [f"{_rate_text(state)}", "running" if state.ended_s is None else "<b>finished</b>"]
    where = f"results: {html.escape(state.results)}"
    before = f"; {state.n_before} of the micrographs ended before this run" if state.n_before else ""
    return _styled(" · ".join(lines), 18) + _styled(where + before, 13)


def _styled(text: str, size_px: int) -> str:
    return f'<div style="font-size: {size_px}px; line-height: 1.5">{text}</div>'


def _rate_text(state: PopulationState) -> str:
    """Return the throughput over the last minute of the run, or over the whole run when it has ended."""
    if state.n_analysed == 0:
        return "no micrograph analyzed yet"
    if state.ended_s is not None:
        elapsed = max(state.ended_s - state.began_s, 1e-3)
        return f"{60 * state.n_analysed / elapsed:.1f} micrographs/min over {elapsed:.0f} s"
    elapsed = time.monotonic() - state.began_s
    past = [n for t, n, _, _ in state.history if t <= elapsed - RATE_WINDOW_S]
    window = max(min(elapsed, RATE_WINDOW_S), 1e-3)
    return f"{60 * (state.n_analysed - (past[-1] if past else 0)) / window:.1f} micrographs/min over {window:.0f} s"


def _interval(hits: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (J. Am. Stat. Assoc. 22 (1927) 209)."""
    found = scipy.stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def _gallery(state: PopulationState) -> str:
    """Return the last overlays, newest first."""
    if not state.overlays:
        return _styled("<b>Last overlays</b>: none so far", 15)
    pictures = [
        '<figure style="margin: 0; width: 240px">'
        f'<img alt="overlay" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
        f'<figcaption style="font-size: 12px; overflow-wrap: anywhere">{html.escape(name)}<br>{caption}</figcaption>'
        "</figure>"
        for name, caption, jpeg in reversed(state.overlays)
    ]
    flow = '<div style="display: flex; flex-wrap: wrap; gap: 12px">' + "".join(pictures) + "</div>"
    return _styled("<b>Last overlays</b>", 15) + flow


def _set(model: Any, **values: Any) -> None:
    """Set the properties that have changed, so that only these are sent to the browser."""
    for name, value in values.items():
        if getattr(model, name) != value:
            setattr(model, name, value)
