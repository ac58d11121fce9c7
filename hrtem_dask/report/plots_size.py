"""Figures of sizes: distribution with fits, cumulative curve, quantile-quantile plot, precision."""

from __future__ import annotations

import numpy as np
import pandas as pd
from bokeh.models import GlyphRenderer, HoverTool
from bokeh.plotting import figure

from hrtem_dask.population.sizes import families
from hrtem_dask.report.json_types import JsonDict
from hrtem_dask.report.style import BLACK, BLUE, GRAY, GREEN, ORANGE, RED, Plot, data_source, legend, new_figure
from hrtem_dask.report.terms import words

__all__ = ["cumulative_plot", "histogram_plot", "precision_plot", "qq_plot", "size_plots"]

_FAMILY_STYLE: dict[families.Family, tuple[str, str]] = {
    "lognormal": (RED, "solid"),
    "normal": (GREEN, "dashed"),
    "weibull": (BLACK, "dotted"),
}
_LOCATION_SCALE = {
    "lognormal": ("geometric_mean_nm", "geometric_sd"),
    "normal": ("mean_nm", "sd_nm"),
    "weibull": ("scale_nm", "shape"),
}


def size_plots(size: JsonDict, label: str, short: str) -> dict[str, Plot]:
    """Draw all figures of one size of one population.

    Parameters
    ----------
    size : dict
        Statistics of the size, as `population.summarize` returns them.
    label : str
        Name of the size for axes, without unit.
    short : str
        Name of the population, for file names and descriptions.

    Returns
    -------
    dict
        ``histogram``, ``cumulative``, and, if there are values for them, ``qq`` and ``precision``.
    """
    plots = {"histogram": histogram_plot(size, label, short), "cumulative": cumulative_plot(size, label, short)}
    if any(fit["qq"] for fit in size["fits"]["families"].values()):
        plots["qq"] = qq_plot(size, label, short)
    if size["precision"].get("curve"):
        plots["precision"] = precision_plot(size, short)
    return plots


def histogram_plot(size: JsonDict, label: str, short: str) -> Plot:
    """Draw the histogram with the fitted distributions.

    Parameters
    ----------
    size : dict
        Statistics of the size, as `population.summarize` returns them.
    label : str
        Name of the size, without unit.
    short : str
        Name of the population.

    Returns
    -------
    Plot
        Share of particles per bin, weighted by number and by volume, and the share that each fitted family predicts.
    """
    bins = size["histogram"]
    edges = np.array(bins["edges_nm"], dtype=float)
    table = pd.DataFrame(
        {
            "from_nm": edges[:-1],
            "to_nm": edges[1:],
            "n_counted": bins["n_counted"],
            "number_fraction": bins["number_fraction"],
            "volume_fraction": bins["volume_fraction"],
        }
    )
    plot = new_figure(f"{label} (nm)", "share of particles per bin", height=320)
    bars = plot.quad(
        left="from_nm", right="to_nm", bottom=0, top="number_fraction", source=data_source(table),
        fill_color=BLUE, fill_alpha=0.45, line_color="white", legend_label="by number",
    )  # fmt: skip
    steps_x, steps_y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(bins["volume_fraction"], 2), [0]])
    plot.line(steps_x, steps_y, color=ORANGE, line_width=1.6, legend_label="by volume")
    tips = [(label, "@from_nm{0.00}–@to_nm{0.00} nm"), ("particles", "@n_counted"), ("share", "@number_fraction{0.0%}")]
    _hover(plot, bars, tips)
    grid = np.linspace(edges[0], edges[-1], 201)
    for family, (color, dash) in _FAMILY_STYLE.items():
        expected = _expected(size["fits"], family, grid, float(bins["bin_width_nm"]))
        if expected is not None:
            best = " (best)" if size["fits"]["best"] == family else ""
            width = 2.2 if best else 1.2
            plot.line(
                grid, expected, color=color, line_dash=dash, line_width=width, legend_label=f"{words(family)}{best}"
            )
            at = (edges[:-1] + edges[1:]) / 2
            table[f"{family}_fraction"] = _expected(size["fits"], family, at, float(bins["bin_width_nm"]))
    plot.y_range.start = 0
    plot.y_range.end = 1.4 * float(max(*bins["number_fraction"], *bins["volume_fraction"]))  # room for the legend
    legend(plot, location="top_left", columns=3)
    return Plot(plot, table, f"Histogram of the {label} of {short} with the fitted distributions.")


def _expected(fits: JsonDict, family: families.Family, at: np.ndarray, width: float) -> np.ndarray | None:
    """Return the share that a fitted family predicts in bins around some sizes, above the detection limit."""
    parameters = (fits["families"].get(family) or {}).get("parameters")
    if not parameters:
        return None
    first, second = (parameters[name]["value"] for name in _LOCATION_SCALE[family])
    if first is None or second is None:
        return None
    location, scale = first, second
    if family != "normal":
        location, scale = np.log(first), np.log(second) if family == "lognormal" else 1 / second

    def share(sizes: np.ndarray) -> np.ndarray:
        y = families.to_y(np.maximum(sizes, 0), family)
        return families.cdf((y - location) / scale, family)

    limit = fits["detection_limit_nm"]["low"] or 0.0
    below = float(share(np.array([limit]))[0])
    low, high = np.maximum(at - width / 2, limit), np.maximum(at + width / 2, limit)
    return np.asarray((share(high) - share(low)) / (1 - below))


def cumulative_plot(size: JsonDict, label: str, short: str) -> Plot:
    """Draw the cumulative curves.

    Parameters
    ----------
    size : dict
        Statistics of the size, as `population.summarize` returns them.
    label : str
        Name of the size, without unit.
    short : str
        Name of the population.

    Returns
    -------
    Plot
        Share of particles below each size, by number and by volume; D10, D50 and D90 are marked.
    """
    table = pd.DataFrame(size["cumulative"])
    plot = new_figure(f"{label} (nm)", "cumulative share", height=320, y_range=(0, 1.02))
    for column, color, name, dash in (
        ("number_size_nm", BLUE, "by number", "solid"),
        ("volume_size_nm", ORANGE, "by volume", "dashed"),
    ):
        line = plot.line(
            column, "fraction", source=data_source(table), color=color, line_width=2, line_dash=dash, legend_label=name
        )
        _hover(plot, line, [(label, f"@{column}{{0.00}} nm"), ("share below", "@fraction{0%}")])
    number = size["number_weighted"]
    marks = [(number[k]["value"], q) for k, q in (("d10_nm", 0.1), ("median_nm", 0.5), ("d90_nm", 0.9))]
    marks = [(x, q) for x, q in marks if x is not None]
    plot.scatter([x for x, _ in marks], [q for _, q in marks], size=9, color=BLUE, line_color="white",
                 legend_label="D10, D50, D90")  # fmt: skip
    legend(plot, location="bottom_right")
    return Plot(plot, table, f"Cumulative distribution of the {label} of {short} by number and by volume.")


def qq_plot(size: JsonDict, label: str, short: str) -> Plot:
    """Draw observed against expected quantiles.

    Parameters
    ----------
    size : dict
        Statistics of the size, as `population.summarize` returns them.
    label : str
        Name of the size, without unit.
    short : str
        Name of the population.

    Returns
    -------
    Plot
        One curve per family; it lies on the gray line if the family describes the sizes.
    """
    parts = []
    plot = new_figure(f"expected {label} (nm)", f"observed {label} (nm)", height=320)
    for family, (color, _) in _FAMILY_STYLE.items():
        qq = (size["fits"]["families"].get(family) or {}).get("qq")
        if qq:
            part = pd.DataFrame(qq).assign(family=family)
            parts.append(part)
            marker = {"lognormal": "circle", "normal": "triangle", "weibull": "square"}[family]
            points = plot.scatter(
                "expected_nm", "observed_nm", source=data_source(part), marker=marker, size=5, color=color, alpha=0.75,
                legend_label=words(family),
            )  # fmt: skip
            _hover(plot, points, [("expected", "@expected_nm{0.00} nm"), ("observed", "@observed_nm{0.00} nm")])
    table = pd.concat(parts, ignore_index=True)
    ends = [float(table["observed_nm"].min()), float(table["observed_nm"].max())]
    plot.line(ends, ends, color=GRAY, line_width=1.5, legend_label="equal")
    legend(plot, location="top_left")
    return Plot(plot, table, f"Observed against expected quantiles of the {label} of {short}, for each family.")


def precision_plot(size: JsonDict, short: str) -> Plot:
    """Draw the precision of mean and median against the number of particles.

    Parameters
    ----------
    size : dict
        Statistics of the size, as `population.summarize` returns them.
    short : str
        Name of the population.

    Returns
    -------
    Plot
        Relative half width of the 95 % interval against the number of particles, both logarithmic.
    """
    precision = size["precision"]
    table = pd.DataFrame(precision["curve"])
    plot = new_figure(
        "particles", "half width of the 95 % interval (%)", height=320, x_axis_type="log", y_axis_type="log"
    )
    for column, color, marker, name in (
        ("mean_relative_half_width", BLUE, "circle", "mean"),
        ("median_relative_half_width", RED, "triangle", "median"),
    ):
        shown = table.assign(percent=100 * table[column])[["n_particles", "percent"]]
        plot.line("n_particles", "percent", source=data_source(shown), color=color, legend_label=name)
        points = plot.scatter("n_particles", "percent", source=data_source(shown), color=color, marker=marker, size=7,
                              legend_label=name)  # fmt: skip
        _hover(plot, points, [("particles", "@n_particles{0}"), ("half width", "@percent{0.0} %")])
    target = 100 * precision["target_relative_precision"]
    plot.line(
        [table["n_particles"].min(), table["n_particles"].max()], [target, target], color=GRAY, line_dash="dashed",
        legend_label="target",
    )  # fmt: skip
    legend(plot)
    return Plot(plot, table, f"Precision of the mean and median size of {short} against the number of particles.")


def _hover(plot: figure, glyph: GlyphRenderer, tips: list[tuple[str, str]]) -> None:
    """Show the values of one glyph when the mouse is over it."""
    plot.add_tools(HoverTool(renderers=[glyph], tooltips=tips))
