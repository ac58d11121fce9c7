"""Figures of defects against size, and of what a run can see at each size."""

from __future__ import annotations

import pandas as pd
from bokeh.models import HoverTool, Whisker

from hrtem_dask.report.json_types import JsonDict
from hrtem_dask.report.style import BLACK, BLUE, GRAY, ORANGE, RED, Plot, data_source, legend, new_figure
from hrtem_dask.report.terms import words

__all__ = ["defect_plot", "detectability_plot"]

_DETECTABILITY = (
    ("found", "found", BLACK, "solid"),
    ("assessable", "assessable", BLUE, "dashed"),
    ("sensitivity", "sensitivity", RED, "dotdash"),
    ("false_alarms", "false alarms", ORANGE, "dotted"),
)

_SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1]


def defect_plot(curve: JsonDict, short: str) -> Plot | None:
    """Draw the share of faulted particles against size.

    Parameters
    ----------
    curve : dict
        ``relations.overall.defect_curve`` of summary.json.
    short : str
        Name of the population.

    Returns
    -------
    Plot or None
        Bins with intervals, logistic curve with its band, isotonic curve; None if no particle is assessable.
    """
    if not curve["bins"]:
        return None
    bins = pd.DataFrame(curve["bins"])
    bins["middle"] = (bins["from"] + bins["to"]) / 2
    plot = new_figure(words(curve["descriptor"]), "share with a fault", width=640, height=380, y_range=(-0.02, 1.24))
    limits = bins.assign(low=[b["low"] for b in bins["bounds"]], high=[b["high"] for b in bins["bounds"]]).dropna(
        subset=["low", "high"]
    )
    bounds = data_source(limits[["middle", "low", "high"]])
    plot.segment("middle", "low", "middle", "high", source=bounds, color=GRAY, line_width=7, line_alpha=0.35,
                 legend_label="if none or all unknown ones have a fault")  # fmt: skip
    if curve["corrected"] and curve["corrected"]["logistic"] and curve["detectability"]["is_measured"]:
        true = pd.DataFrame(curve["corrected"]["logistic"])
        plot.line("value", "fraction", source=data_source(true), color=BLACK, line_dash="dotdash", line_width=2.2,
                  legend_label="corrected for detectability")  # fmt: skip
        for end in ("low", "high"):
            plot.line("value", end, source=data_source(true), color=BLACK, line_dash="dotted")
    if curve["logistic"]:
        band = pd.DataFrame(curve["logistic"])
        plot.varea(x="value", y1="low", y2="high", source=data_source(band), fill_color=BLUE, fill_alpha=0.18,
                   legend_label="95 % band, by micrograph")  # fmt: skip
        plot.line("value", "fraction", source=data_source(band), color=BLUE, line_width=2.2, legend_label="logistic")
    if curve["isotonic"]:
        steps = pd.DataFrame({k: curve["isotonic"][k] for k in ("value", "fraction")})
        plot.line("value", "fraction", source=data_source(steps), color=RED, line_dash="dashed", line_width=1.6,
                  legend_label="isotonic")  # fmt: skip
    points = plot.scatter(
        "middle", "estimate", source=data_source(bins), size=8, color=BLACK, legend_label="bins, 95 % interval"
    )
    known = bins.dropna(subset=["low", "high"])
    if len(known):
        source = data_source(known[["middle", "low", "high"]])
        whisker = Whisker(base="middle", lower="low", upper="high", source=source, line_color=BLACK)
        whisker.upper_head.size = whisker.lower_head.size = 6
        plot.add_layout(whisker)
    tips = [("size", "@from{0.00}–@to{0.00}"), ("share", "@estimate{0.0%}"), ("particles", "@n")]
    plot.add_tools(HoverTool(renderers=[points], tooltips=tips))
    plot.yaxis.ticker = _SHARES
    legend(plot, location="top_left", columns=3)
    columns = ["from", "to", "n", "n_unknown", "n_micrographs", "estimate", "low", "high"]
    extra = {f"bound_{end}": [b[end] for b in bins["bounds"]] for end in ("low", "high")}
    if "corrected" in bins:
        names = {"estimate": "corrected", "low": "corrected_low", "high": "corrected_high"}
        extra |= {name: [b[key] for b in bins["corrected"]] for key, name in names.items()}
    return Plot(
        plot,
        bins[columns].assign(**extra),
        f"Share of faulted particles of {short} against size, with logistic curve and band.",
    )


def detectability_plot(curve: JsonDict) -> Plot | None:
    """Draw how often particles are found, assessable and seen as faulted, against size.

    Parameters
    ----------
    curve : dict
        ``defect_curve`` of a population in summary.json.

    Returns
    -------
    Plot or None
        Found share, assessable share, sensitivity and false alarms with their bands; None where nothing is known.
    """
    known = curve["detectability"]
    if known is None:
        return None
    plot = new_figure(words(curve["descriptor"]), "share", width=640, height=260, y_range=(-0.02, 1.2))
    table = pd.DataFrame({"value": known["value"]})
    for name, label, color, dash in _DETECTABILITY:
        band = pd.DataFrame(known[name]).assign(value=known["value"])
        table = table.join(band[["share", "low", "high"]].add_prefix(f"{name}_"))
        plot.varea(x="value", y1="low", y2="high", source=data_source(band), fill_color=color, fill_alpha=0.12)
        plot.line("value", "share", source=data_source(band), color=color, line_dash=dash, line_width=2.2,
                  legend_label=label)  # fmt: skip
    plot.yaxis.ticker = _SHARES
    legend(plot, location="top_left", columns=4)
    return Plot(plot, table, "Found share, assessable share, sensitivity and false alarms against size.")
