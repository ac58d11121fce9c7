"""Assembly of the page: numbers, figures and pictures are inserted into the template."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import jinja2
import pandas as pd
from bokeh.embed import components
from bokeh.resources import Resources
from markupsafe import Markup

from hrtem_dask import tables
from hrtem_dask.errors import HrtemDaskError, error_text
from hrtem_dask.population.fault_conditions import fault_condition_lines
from hrtem_dask.report import gallery, plots_defects, plots_relations
from hrtem_dask.report.contents import gather, plain_json, weighted_particles, without_doubtful
from hrtem_dask.report.json_types import JsonDict
from hrtem_dask.report.numbering import number_figures_and_tables
from hrtem_dask.report.numbers_shown import Numbers, look_up, pointer
from hrtem_dask.report.overview import overlay_pictures
from hrtem_dask.report.plots_size import size_plots
from hrtem_dask.report.style import Plot
from hrtem_dask.report.tables import csv_uri
from hrtem_dask.report.terms import words
from hrtem_dask.report.unlabelled import describe_clusters, embedded_regions
from hrtem_dask.storage.results import Results, open_results

__all__ = ["write_report"]

SIZES = {"equivalent_diameter_nm": "equivalent circular diameter", "feret_min_nm": "minimum Feret diameter"}
MAIN_SIZE = "equivalent_diameter_nm"
MAX_SAMPLES = 12
"""Largest number of samples with figures of their own; the numbers of every sample are in the tables."""


def write_report(
    results: str | os.PathLike[str] | Results,
    *,
    leave_out_doubtful: bool = False,
    seed: int = 0,
    confusion: Mapping[str, Mapping[str, int]] | None = None,
    confusion_measured_on: str = "",
    detectability: str | os.PathLike[str] | None = None,
    reference: str | None = None,
    bias_from: str | os.PathLike[str] | None = None,
) -> str:
    """Write ``report.html`` into a results folder, and all numbers on it into ``summary.json``.

    Parameters
    ----------
    results : str, path-like or Results
        The results folder of `run`.
    leave_out_doubtful : bool
        Whether the statistics leave out the particles of micrographs whose verdict is doubtful. By default they are
        kept, and sizes that depend on them are marked.
    seed : int
        Seed of the random draws: particles of the gallery, and the correction by a confusion matrix.
    confusion : mapping, optional
        Confusion matrix of the fault classifier, measured on the same kind of data: true fault state → predicted
        fault state → number of particles. It is used to correct the defect fraction (`population.relations`). Without
        it the fraction is not corrected.
    confusion_measured_on : str
        Description of the data on which the confusion matrix was measured; required if a matrix is given.
    detectability : str or path-like, optional
        The file ``detectability.csv`` that ``hrtem-dask evaluate`` wrote for simulated micrographs like these. It
        corrects the curves of defects against size. Without it, they are compared with the detectability on simulated
        micrographs that come with the package, and no dependence on the size is called an effect.
    reference : str, optional
        Certified mean size of a reference material and its expanded uncertainty, such as ``30.2±0.6`` (nm, k = 2): the
        measured mean is compared with it, which gives the bias.
    bias_from : str or path-like, optional
        Results folder of a reference material, reported with ``reference`` and measured in the same way: its bias term
        enters the budgets of the sizes here.

    Returns
    -------
    str
        Path or URL of the page: a single file that needs no network.

    Raises
    ------
    FileNotFoundError
        If the folder has no results of a completed run.
    ConfusionError
        If the confusion matrix cannot be used for a correction.
    SettingsError
        If the table of detectability, the reference or its results cannot be used.

    Examples
    --------
    A run leaves four tables; here they are empty.

    >>> import tempfile
    >>> from hrtem_dask import tables, write_report
    >>> with tempfile.TemporaryDirectory() as results:
    ...     for name, schema in tables.SCHEMAS.items():
    ...         tables.empty(schema).to_parquet(f"{results}/{name}.parquet")
    ...     write_report(results).endswith("/report.html")
    True
    """
    opened = open_results(results.folder if isinstance(results, Results) else results)  # the tables as they are now
    micrographs = opened.micrographs
    particles = weighted_particles(opened.particles, micrographs)
    summary = gather(
        opened,
        particles,
        micrographs,
        leave_out_doubtful=leave_out_doubtful,
        seed=seed,
        confusion=confusion,
        confusion_measured_on=confusion_measured_on,
        detectability=detectability,
        reference=reference,
        bias_from=bias_from,
    )
    if leave_out_doubtful:
        particles = without_doubtful(particles, micrographs)
    chosen = gallery.choose(particles, seed=seed)
    regions = embedded_regions(opened.regions)
    summary["gallery"] = plain_json(chosen)
    summary["unlabelled"] = plain_json(describe_clusters(regions, particles))
    plots = _plots(summary, particles, micrographs)
    if summary["unlabelled"]["clusters"]:
        plots["embedding"] = plots_relations.embedding_plot(regions)
    html = _render(summary, plots, _pictures(opened, summary), overlay_pictures(opened, micrographs))
    opened.folder.write_json("summary.json", summary)
    opened.folder.write_bytes("report.html", html.encode())
    return opened.folder.path("report.html")


def populations(summary: JsonDict) -> list[tuple[str, str]]:
    """List the populations that get figures.

    Parameters
    ----------
    summary : dict
        Content of summary.json.

    Returns
    -------
    list of tuple of str
        JSON pointer and name of each sample (at most `MAX_SAMPLES`); of all particles together if there are fewer than
        two samples.
    """
    names = list(summary["samples"])
    if len(names) <= 1:
        return [("/all", "all particles")]
    return [(pointer("samples", name), name or "no sample stated") for name in names[:MAX_SAMPLES]]


def defect_populations(summary: JsonDict) -> list[tuple[str, str, JsonDict]]:
    """List the populations whose shape and defects are shown.

    Parameters
    ----------
    summary : dict
        Content of summary.json.

    Returns
    -------
    list of tuple
        JSON pointer, name and content: all particles together, then each sample of several with counted particles (at
        most `MAX_SAMPLES`).
    """
    related = summary["relations"]
    found = [("/relations/overall", "all particles", related["overall"])]
    if len(related["samples"]) > 1:
        with_particles = [k for k, found in related["samples"].items() if found["defect_fraction"]["n_counted"]]
        names = with_particles[:MAX_SAMPLES]
        found += [
            (pointer("relations", "samples", name), name or "no sample stated", related["samples"][name])
            for name in names
        ]
    return found


def shape_populations(summary: JsonDict) -> list[tuple[str, str, JsonDict]]:
    """List the populations whose medians of shape are shown.

    Parameters
    ----------
    summary : dict
        Content of summary.json.

    Returns
    -------
    list of tuple
        Name, JSON pointer and budgets by descriptor; populations without a shape are left out.
    """
    budgets = summary["comparability"]["shape_budgets"]
    found = [("all particles", "/comparability/shape_budgets/overall", budgets["overall"])]
    if len(budgets["samples"]) > 1:
        found += [
            (name or "no sample stated", pointer("comparability", "shape_budgets", "samples", name), rows)
            for name, rows in list(budgets["samples"].items())[:MAX_SAMPLES]
        ]
    return [row for row in found if row[2]]


def strongest_pairs(rows: list[JsonDict], limit: int = 10) -> list[int]:
    """Find the strongest rank correlations between independent quantities.

    Parameters
    ----------
    rows : list of dict
        Correlations, as `population.correlations` returns them.
    limit : int
        Largest number of pairs.

    Returns
    -------
    list of int
        Indices into `rows`, strongest first. Pairs that share an ingredient are left out.
    """
    candidates = [
        i
        for i, row in enumerate(rows)
        if row["coefficient"] == "spearman" and row["estimate"] is not None and not row["shared_ingredients"]
    ]
    return sorted(candidates, key=lambda i: -abs(rows[i]["estimate"]))[:limit]


def _plots(summary: JsonDict, particles: pd.DataFrame, micrographs: pd.DataFrame) -> dict[str, Plot]:
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
    if summary["instances"]:
        plots["instances/angles"] = plots_relations.angle_plot(summary["instances"]["histogram"])
    for path, name, found in defect_populations(summary):
        plots[f"{path}/defects"] = plots_defects.defect_plot(found["defect_curve"], name)
        plots[f"{path}/detectability"] = plots_defects.detectability_plot(found["defect_curve"])
    plots["correlations"] = plots_relations.correlation_plot(related["correlations"])
    plots["micrographs"] = plots_relations.micrographs_plot(micrographs, particles, summary["relations"]["size"])
    if len(summary["samples"]) > 1:
        compared = summary["relations"]["comparisons"]
        plots["samples/mean"] = plots_relations.samples_plot(compared, "mean", "mean diameter (nm)")
        plots["samples/defect_fraction"] = plots_relations.samples_plot(
            compared, "defect_fraction", "share with a fault"
        )
    return {name: plot for name, plot in plots.items() if plot is not None}


def _pictures(results: Results, summary: JsonDict) -> dict[tuple[str, int], dict[str, str]]:
    """Draw every particle of the gallery; where that fails, give the reason."""
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
            pictures[key] = {"reason": error_text(error)}
    return pictures


def _render(
    summary: JsonDict,
    plots: dict[str, Plot],
    pictures: dict[tuple[str, int], dict[str, str]],
    overlays: list[dict[str, str]],
) -> str:
    """Insert the content into the template."""
    script, divs = components({name: plot.figure for name, plot in plots.items()}) if plots else ("", {})
    shown = {
        name: dataclasses.asdict(dataclasses.replace(plot, figure=None, table=pd.DataFrame()))
        | {
            "div": Markup(divs[name]),
            "csv": csv_uri(plot.table),
            "file": name.strip("/").replace("/", "_") + ".csv",
        }
        for name, plot in plots.items()
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hrtem_dask", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["upper_first"] = lambda text: text[:1].upper() + text[1:]
    numbers = Numbers(summary)
    bokeh = Markup(
        "\n".join(f"<script>{raw}</script>" for raw in Resources(mode="inline", components=["bokeh"]).js_raw)
    )
    page = environment.get_template("report.html.j2").render(
        s=summary,
        n=numbers.show,
        ci=numbers.interval,
        expanded=numbers.expanded,
        pointer=pointer,
        pointer_of=lambda path, name: path + pointer(name),
        lookup=lambda path: look_up(summary, path),
        formulas={column.name: column.formula for column in tables.PARTICLES},
        strongest=strongest_pairs(summary["relations"]["overall"]["correlations"]),
        words=words,
        plots=shown,
        pictures=pictures,
        populations=populations(summary),
        defect_populations=defect_populations(summary),
        shape_populations=shape_populations(summary),
        verdict_of=lambda path: look_up(summary, "/verdicts" + path.removeprefix("/all")),
        fault_lines=fault_condition_lines(summary["fault_conditions"]),
        sizes=SIZES,
        bokeh=bokeh,
        script=Markup(script),
        overlays=overlays,
    )
    return number_figures_and_tables(page)
