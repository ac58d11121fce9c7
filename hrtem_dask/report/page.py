"""The page: numbers, figures and pictures put into the template."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jinja2
import pandas as pd
from bokeh.embed import components
from bokeh.resources import Resources
from markupsafe import Markup

from hrtem_dask import tables
from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.report import gallery, plots_relations
from hrtem_dask.report.contents import gather, plain_json, weighted_particles
from hrtem_dask.report.numbers_shown import Numbers, look_up, pointer
from hrtem_dask.report.plots_relations import words
from hrtem_dask.report.plots_size import size_plots
from hrtem_dask.report.style import Plot
from hrtem_dask.report.tables import csv_uri
from hrtem_dask.report.unlabelled import describe_clusters, embedded_regions
from hrtem_dask.storage.results import Results, open_results

__all__ = ["write_report"]

SIZES = {"equivalent_diameter_nm": "equivalent circular diameter", "feret_min_nm": "minimum Feret diameter"}
MAIN_SIZE = "equivalent_diameter_nm"
MAX_SAMPLES = 12
"""Samples that get figures of their own; every one has its numbers."""


def write_report(
    results: Any,
    *,
    seed: int = 0,
    confusion: Mapping[str, Mapping[str, int]] | None = None,
    confusion_measured_on: str = "",
) -> str:
    """Write ``report.html`` into a results folder, and every number that it prints into ``summary.json``.

    Parameters
    ----------
    results : str, path-like or Results
        The results folder of `run`.
    seed : int
        Seed of what is drawn at random: particles of the gallery.
    confusion : mapping, optional
        True fault state → predicted one → number of particles, measured on the same kind of data; it corrects the
        defect fraction (`population.relations`). None corrects nothing.
    confusion_measured_on : str
        On which data it was measured; must be said where it is given.

    Returns
    -------
    str
        Path or URL of the page: one file, which needs no network.

    Raises
    ------
    FileNotFoundError
        If no run has ended there.
    ConfusionError
        If the confusion matrix cannot correct anything.
    """
    opened = open_results(results.folder if isinstance(results, Results) else results)  # the tables as they are now
    micrographs = opened.micrographs
    particles = weighted_particles(opened.particles, micrographs)
    summary = gather(
        opened, particles, micrographs, seed=seed, confusion=confusion, confusion_measured_on=confusion_measured_on
    )
    chosen = gallery.choose(particles, seed=seed)
    regions = embedded_regions(opened.regions)
    summary["gallery"] = plain_json(chosen)
    summary["unlabelled"] = plain_json(describe_clusters(regions, particles))
    plots = _plots(summary, particles, micrographs)
    if summary["unlabelled"]["clusters"]:
        plots["embedding"] = plots_relations.embedding_plot(regions)
    html = _render(summary, plots, _pictures(opened, summary))
    opened.folder.write_json("summary.json", summary)
    opened.folder.write_bytes("report.html", html.encode())
    return opened.folder.path("report.html")


def populations(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Name the populations whose figures are drawn.

    Parameters
    ----------
    summary : dict
        What summary.json holds.

    Returns
    -------
    list of tuple of str
        JSON pointer and name: every sample, or all together where there is one or none.
    """
    names = list(summary["samples"])
    if len(names) <= 1:
        return [("/all", "all particles")]
    return [(pointer("samples", name), name or "no sample stated") for name in names[:MAX_SAMPLES]]


def strongest_pairs(rows: list[dict[str, Any]], limit: int = 10) -> list[int]:
    """Find the strongest rank correlations that are a discovery.

    Parameters
    ----------
    rows : list of dict
        Of `population.correlations.correlations`.
    limit : int
        At most so many.

    Returns
    -------
    list of int
        Places in `rows`, the strongest first; pairs made of the same lengths are left out.
    """
    places = [
        i
        for i, row in enumerate(rows)
        if row["coefficient"] == "spearman" and row["estimate"] is not None and not row["same_ingredients"]
    ]
    return sorted(places, key=lambda i: -abs(rows[i]["estimate"]))[:limit]


def _plots(summary: dict[str, Any], particles: pd.DataFrame, micrographs: pd.DataFrame) -> dict[str, Plot]:
    """Draw every figure."""
    plots: dict[str, Plot | None] = {}
    for path, name in populations(summary):
        population = look_up(summary, path)
        for size, label in SIZES.items():
            if size in population:
                for kind, plot in size_plots(population[size], label, name).items():
                    if kind != "precision" or size == MAIN_SIZE:
                        plots[f"{path}/{size}/{kind}"] = plot
    related = summary["relations"]["overall"]
    for kind, plot in plots_relations.shape_plots(related["shape_distributions"], "all particles").items():
        plots[f"shape/{kind}"] = plot
    plots["defects"] = plots_relations.defect_plot(related["defect_curve"], "all particles")
    plots["correlations"] = plots_relations.correlation_plot(related["correlations"])
    plots["micrographs"] = plots_relations.micrographs_plot(micrographs, particles, summary["relations"]["size"])
    if len(summary["samples"]) > 1:
        of = summary["relations"]["comparisons"]
        plots["samples/mean"] = plots_relations.samples_plot(of, "mean", "mean diameter (nm)")
        plots["samples/defect_fraction"] = plots_relations.samples_plot(of, "defect_fraction", "share with a fault")
    return {name: plot for name, plot in plots.items() if plot is not None}


def _pictures(results: Results, summary: dict[str, Any]) -> dict[tuple[str, int], dict[str, str]]:
    """Draw every particle of the gallery, or say why one cannot be drawn."""
    wanted = [row for rows in summary["gallery"].values() for row in rows]
    wanted += [row for cluster in summary["unlabelled"]["clusters"] for row in cluster["examples"]]
    pictures: dict[tuple[str, int], dict[str, str]] = {}
    for row in wanted:
        key = (str(row["micrograph_id"]), int(row["particle_id"]))
        if key in pictures:
            continue
        try:
            pictures[key] = {"uri": gallery.picture(results, *key)}
        except (HrtemDaskError, OSError, ValueError, KeyError) as error:
            pictures[key] = {"reason": str(error)}
    return pictures


def _render(summary: dict[str, Any], plots: dict[str, Plot], pictures: dict[tuple[str, int], dict[str, str]]) -> str:
    """Fill the template."""
    script, divs = components({name: plot.figure for name, plot in plots.items()}) if plots else ("", {})
    shown = {
        name: dataclasses.asdict(dataclasses.replace(plot, figure=None, table=pd.DataFrame()))
        | {"div": Markup(divs[name]), "csv": csv_uri(plot.table), "file": name.strip("/").replace("/", "_") + ".csv"}
        for name, plot in plots.items()
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hrtem_dask", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = Numbers(summary)
    bokeh = Markup(
        "\n".join(f"<script>{raw}</script>" for raw in Resources(mode="inline", components=["bokeh"]).js_raw)
    )
    return environment.get_template("report.html.j2").render(
        s=summary,
        n=numbers.show,
        ci=numbers.interval,
        pointer=pointer,
        pointer_of=lambda path, name: path + pointer(name),
        lookup=lambda path: look_up(summary, path),
        formulas={column.name: column.formula for column in tables.PARTICLES},
        strongest=strongest_pairs(summary["relations"]["overall"]["correlations"]),
        words=words,
        plots=shown,
        pictures=pictures,
        populations=populations(summary),
        sizes=SIZES,
        bokeh=bokeh,
        script=Markup(script),
    )
