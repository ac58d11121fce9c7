"""Figures of shape, of defects against size, of correlations, of samples and of single micrographs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from bokeh.models import ColorBar, FixedTicker, HoverTool, LinearColorMapper
from bokeh.palettes import RdBu11

from hrtem_dask.population.particle_table import is_counted
from hrtem_dask.report.json_types import JsonDict
from hrtem_dask.report.style import (
    BLACK,
    BLUE,
    COLORS,
    GRAY,
    MAX_VECTOR_POINTS,
    RED,
    Plot,
    data_source,
    legend,
    new_figure,
    room_above,
)
from hrtem_dask.report.terms import words

__all__ = [
    "angle_plot",
    "correlation_plot",
    "embedding_plot",
    "micrographs_plot",
    "samples_plot",
    "shape_plots",
]

_MARKERS = ("circle", "triangle", "square", "diamond", "inverted_triangle", "plus", "cross", "star")


def shape_plots(distributions: JsonDict, short: str) -> dict[str, Plot]:
    """Draw the distribution of each shape descriptor.

    Parameters
    ----------
    distributions : dict
        Distributions, as `population` computes them: ``relations.overall.shape_distributions`` of summary.json.
    short : str
        Name of the population.

    Returns
    -------
    dict
        Descriptor → histogram.
    """
    plots = {}
    for name, found in distributions.items():
        if not found["histogram"]:
            continue
        edges, weights = np.array(found["histogram"]["edges"]), np.array(found["histogram"]["weights"])
        table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "share": weights / max(weights.sum(), 1e-12)})
        shown = table.iloc[: int(np.flatnonzero(weights).max(initial=0)) + 2]
        shown = shown.iloc[max(int(np.flatnonzero(weights).min(initial=len(weights))) - 1, 0) :]
        plot = new_figure(words(name), "share of particles per bin", width=310, height=230)
        plot.quad(left="from", right="to", bottom=0, top="share", source=data_source(shown),
                  fill_color=BLUE, fill_alpha=0.45, line_color="white")  # fmt: skip
        plot.add_tools(HoverTool(tooltips=[(words(name), "@from{0.00}–@to{0.00}"), ("share", "@share{0.0%}")]))
        plot.y_range.start = 0
        plots[name] = Plot(plot, table, f"Histogram of the {words(name)} of {short}.")
    return plots


def angle_plot(histogram: JsonDict) -> Plot:
    """Draw the directions of elongated instances.

    Parameters
    ----------
    histogram : dict
        ``instances.histogram`` of summary.json.

    Returns
    -------
    Plot
        Number of instances per bin of angle.
    """
    edges = np.array(histogram["edges_deg"], dtype=float)
    table = pd.DataFrame({"from_deg": edges[:-1], "to_deg": edges[1:], "n": histogram["n"]})
    plot = new_figure("direction (°)", "instances per bin", width=420, height=240)
    plot.quad(left="from_deg", right="to_deg", bottom=0, top="n", source=data_source(table),
              fill_color=BLUE, fill_alpha=0.45, line_color="white")  # fmt: skip
    plot.add_tools(HoverTool(tooltips=[("direction", "@from_deg–@to_deg°"), ("instances", "@n")]))
    plot.y_range.start = 0
    return Plot(plot, table, "Histogram of the directions of elongated instances.")


def correlation_plot(rows: list[JsonDict], coefficient: str = "spearman") -> Plot | None:
    """Draw the correlations of all pairs as a heat map.

    Parameters
    ----------
    rows : list of dict
        ``relations.overall.correlations`` of summary.json.
    coefficient : {"spearman", "pearson"}
        Coefficient that is drawn.

    Returns
    -------
    Plot or None
        Heat map with the coefficient in each cell, in bold type if its adjusted p is at most 0.05, and in brackets if
        the pair shares an ingredient and is therefore not tested; None if there are no pairs.
    """
    table = pd.DataFrame(rows)
    if table.empty or not (table := table[table["coefficient"] == coefficient]).estimate.notna().any():
        return None
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    shown = table.dropna(subset=["estimate"]).copy()
    mirrored = shown.rename(columns={"first": "second", "second": "first"})
    shown = pd.concat([shown, mirrored], ignore_index=True)
    shown["first"], shown["second"] = shown["first"].map(words), shown["second"].map(words)
    labels = [words(name) for name in names]
    significant = shown["p_adjusted"].astype(float).le(0.05)
    # without the zero before the point, so that a number and its brackets fit into a cell
    shown["text"] = [f"{r:.2f}".replace("-", "−").replace("0.", ".") for r in shown["estimate"]]
    shown["text"] = shown["text"].where(~shown["shared_ingredients"].astype(bool), "(" + shown["text"] + ")")
    shown["shared"] = [", ".join(names) or "nothing" for names in shown["shared_ingredients"]]
    shown = shown.drop(columns="shared_ingredients")
    shown["style"] = np.where(significant, "bold", "normal")
    shown["color"] = np.where(shown["estimate"].abs() > 0.5, "white", BLACK)
    plot = new_figure("", "", width=660, height=560, x_range=labels, y_range=labels[::-1], tools="save")
    mapper = LinearColorMapper(palette=RdBu11, low=-1, high=1)
    cells = plot.rect("first", "second", width=1, height=1, source=data_source(shown), line_color="white",
                      fill_color={"field": "estimate", "transform": mapper})  # fmt: skip
    plot.text("first", "second", text="text", source=data_source(shown), text_align="center",
              text_font_size="11px",
              text_baseline="middle", text_color="color", text_font_style="style")  # fmt: skip
    tips = [("pair", "@first – @second"), ("coefficient", "@text"), ("95 %", "@low{0.00} to @high{0.00}")]
    tips += [("adjusted p", "@p_adjusted{0.0000}"), ("shared ingredients", "@shared"), ("n", "@n")]
    plot.add_tools(HoverTool(renderers=[cells], tooltips=tips))
    bar = ColorBar(color_mapper=mapper, ticker=FixedTicker(ticks=[-1, -0.5, 0, 0.5, 1]), width=10)
    plot.add_layout(bar, "right")
    plot.xaxis.major_label_orientation = "vertical"
    plot.grid.grid_line_color = None
    columns = ["first", "second", "estimate", "low", "high", "p_value", "p_adjusted", "n", "shared_ingredients"]
    table = table.assign(shared_ingredients=table["shared_ingredients"].map("; ".join))
    return Plot(plot, table[columns], "Heat map of the rank correlations of all pairs of descriptors.")


def micrographs_plot(micrographs: pd.DataFrame, particles: pd.DataFrame, size: str) -> Plot | None:
    """Draw the median size of each micrograph against the predicted quality of its mask.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.
    size : str
        Column with the size in nm.

    Returns
    -------
    Plot or None
        One point per micrograph. If no Dice coefficient was predicted, the x axis is the order in the table. None if
        no counted particle has a size.
    """
    counted = particles[is_counted(particles)]
    medians = counted.groupby("micrograph_id")[size].median().astype(float)
    columns = ["micrograph_id", "sample", "predicted_dice", "n_counted", "quality_flags", "calibration_flags"]
    table = micrographs.loc[micrographs["status"] == "done", columns].copy()
    table["median_nm"] = table["micrograph_id"].map(medians)
    table["predicted_dice"] = table["predicted_dice"].astype(float)
    table["order"] = np.arange(1, len(table) + 1)
    shown = table.dropna(subset=["median_nm"])
    if shown.empty:
        return None
    by_dice = shown["predicted_dice"].notna().any()
    x = "predicted_dice" if by_dice else "order"
    label = "predicted Dice coefficient of the mask" if by_dice else "micrograph, in the order of the table"
    plot = new_figure(label, f"median {words(size)}", width=640, height=320)
    if len(shown) > MAX_VECTOR_POINTS:
        plot.output_backend = "canvas"
    flagged = shown["quality_flags"].notna() | shown["calibration_flags"].notna()
    for rows, color, marker, name in (
        (shown[~flagged], BLUE, "circle", "no flag"),
        (shown[flagged], RED, "triangle", "flagged"),
    ):
        if len(rows):
            plot.scatter(x, "median_nm", source=data_source(rows), size=7, color=color, marker=marker, alpha=0.7,
                         legend_label=name)  # fmt: skip
    tips = [("micrograph", "@micrograph_id"), ("median", "@median_nm{0.00} nm"), ("particles", "@n_counted")]
    plot.add_tools(HoverTool(tooltips=[*tips, ("flags", "@quality_flags @calibration_flags")]))
    plot.y_range.start, plot.y_range.end = room_above(shown["median_nm"].to_numpy(dtype=float))
    legend(plot, location="top_left", columns=2)
    return Plot(plot, table, "Median size of each micrograph against the predicted quality of its mask.")


def samples_plot(comparisons: JsonDict, statistic: str, label: str) -> Plot | None:
    """Draw one statistic of every sample with its interval.

    Parameters
    ----------
    comparisons : dict
        ``relations.comparisons`` of summary.json.
    statistic : str
        For instance ``mean``.
    label : str
        Title of the axis, with unit.

    Returns
    -------
    Plot or None
        One point per sample; None if no sample has the statistic.
    """
    rows = [{"sample": name, **stats[statistic]} for name, stats in comparisons["samples"].items()]
    table = pd.DataFrame(rows)[["sample", "estimate", "low", "high", "n", "n_micrographs"]]
    if not table["estimate"].notna().any():
        return None
    names = [str(name) for name in table["sample"]]
    plot = new_figure(label, "", width=440, height=110 + 26 * len(names), y_range=names[::-1])
    known = table.astype({"low": float, "high": float, "estimate": float})
    plot.segment("low", "sample", "high", "sample", source=data_source(known.dropna()), color=BLUE, line_width=2)
    points = plot.scatter("estimate", "sample", source=data_source(known), size=9, color=BLUE)
    tips = [("sample", "@sample"), ("value", "@estimate{0.000}"), ("95 %", "@low{0.000}–@high{0.000}"), ("n", "@n")]
    plot.add_tools(HoverTool(renderers=[points], tooltips=tips))
    return Plot(plot, table, f"{label} of every sample with its interval.")


def embedding_plot(regions: pd.DataFrame) -> Plot:
    """Draw the map of regions in which similar ones lie close together.

    Parameters
    ----------
    regions : pandas.DataFrame
        Rows of `tables.REGIONS` with ``embedding_1``, ``embedding_2`` and ``cluster``.

    Returns
    -------
    Plot
        One point per region, colored by cluster; −1 marks regions without a cluster.
    """
    table = regions[["micrograph_id", "region_id", "region_class", "cluster", "embedding_1", "embedding_2"]].copy()
    table["region_class"] = table["region_class"].fillna("not classified")
    plot = new_figure("first component", "second component", width=640, height=400)
    if len(table) > MAX_VECTOR_POINTS:
        plot.output_backend = "canvas"
    for i, (cluster, rows) in enumerate(table.groupby("cluster")):
        none = cluster == -1
        plot.scatter(
            "embedding_1", "embedding_2", source=data_source(rows), size=4 if none else 7, alpha=0.7,
            color=GRAY if none else COLORS[i % 6], marker=_MARKERS[i % len(_MARKERS)],
            legend_label="no cluster" if none else f"cluster {cluster}",
        )  # fmt: skip
    tips = [("region", "@micrograph_id / @region_id"), ("class", "@region_class"), ("cluster", "@cluster")]
    plot.add_tools(HoverTool(tooltips=tips))
    plot.y_range.start, plot.y_range.end = room_above(table["embedding_2"].to_numpy(dtype=float))
    legend(plot, location="top_left", columns=4)
    return Plot(plot, table, "Regions in two components of their features, colored by cluster.")
