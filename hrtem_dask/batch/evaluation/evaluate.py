"""Evaluate segmenters: run them where necessary, score the results against the truth, and write the scores."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from distributed import Client

from hrtem_dask import tables
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.evaluation.methods import Method, choose_methods
from hrtem_dask.batch.evaluation.region_scoring import score_classes
from hrtem_dask.batch.evaluation.scoring import MethodScores, rows_with_truth, score_results
from hrtem_dask.batch.listing import find_inputs, list_sources
from hrtem_dask.batch.run.preparation import checked_models
from hrtem_dask.batch.run.run import run
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.evaluation import detectability_table, score_micrograph
from hrtem_dask.provenance import WHOLE_PACKAGE, code_version
from hrtem_dask.settings import Settings
from hrtem_dask.storage.ground_truth import GroundTruth, open_truth
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import Results, open_results
from hrtem_dask.storage.scores import write_scores
from hrtem_dask.storage.simulated import open_simulated

__all__ = ["Evaluation", "SummaryOptions", "evaluate"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SummaryOptions:
    """How the scores of micrographs are summarized."""

    by: Sequence[str] | None = None
    """Columns of the truth or of the results to group by; by default ``material``, where it is known."""
    n_resamples: int = 1000
    """Number of resamples of the bootstrap over micrographs, which gives the 95 % intervals."""
    seed: int = 0
    """Seed of the bootstrap, at least 0."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of one or several segmenters."""

    micrographs: pd.DataFrame
    """A row per method and micrograph: ``method``, ``truth_id``, ``status``, ``reason``, ``analysed``, columns of the
    truth, and its scores. A micrograph that could not be analyzed is scored like an empty mask, and enters only the
    group ``unanalysed as empty`` of the summary."""
    objects: pd.DataFrame
    """A row per method and particle, true ones and found ones."""
    summary: pd.DataFrame
    """A row per method, group and statistic, from `summarize_scores`; in the group ``unanalysed as empty`` micrographs
    that could not be analyzed count as empty masks."""
    curves: pd.DataFrame
    """Precision, recall and Dice over thresholds, per method with a probability, pooled."""
    regions: pd.DataFrame
    """A row per method and classified region, with its true class; empty if the truth is not simulated."""
    classes: pd.DataFrame
    """Scores of the classes of regions: ``method``, ``subset`` (all, clear), ``score``, ``n``, value and interval."""
    detectability: pd.DataFrame
    """A row per method and true particle inside the images, `tables.DETECTABILITY`; empty without true faults."""
    notes: tuple[str, ...]
    """What was left out, with reasons."""
    is_simulated: bool
    """Whether the truth is simulated."""
    folder: Location
    """The folder of the scores."""


def evaluate(
    truth: str | Path,
    *,
    results: str | Path | None = None,
    methods: Sequence[str] | None = None,
    models: Sequence[str | Path] = (),
    out: str | Path = "evaluation",
    only: str | None = None,
    segment_again: bool = True,
    settings: Settings | None = None,
    summary: SummaryOptions | None = None,
    cluster: Cluster | Client | str | None = None,
) -> Evaluation:
    """Score segmenters on micrographs with known truth.

    Parameters
    ----------
    truth : str or path-like
        A simulated store, or a folder that holds the folders ``images`` and ``masks``.
    results : str or path-like, optional
        Results of a run over these micrographs. By default, each method is run into ``<out>/<method>`` and scored.
    methods : sequence of str, optional
        Names among ``unet``, ``otsu``, ``fourier`` and ``fourier_pixels`` (one annulus in cycles per pixel, as in the
        paper); by default all that can be run.
    models : sequence of str or path-like
        Files with weights of U-Nets; each of several is a method, named after its file.
    out : str or path-like
        Folder to write to.
    only : str, optional
        Pattern of names of micrographs; other micrographs are not opened.
    segment_again : bool
        Whether each micrograph is segmented once more, for scores that a results folder does not hold: those of the
        mask of the segmenter itself, and of the probability over thresholds.
    settings : Settings, optional
        Settings of the runs; by default ``Settings()``.
    summary : SummaryOptions, optional
        Groups and bootstrap of the summary; by default ``SummaryOptions()``.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    Evaluation
        The scores, also written to `out`.

    Raises
    ------
    NothingToAnalyseError
        If there is no truth, or no result for these micrographs.
    SettingsError
        If a method or a column is unknown, or a setting cannot be used.
    ModelError
        If a model cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.evaluation.evaluate import SummaryOptions
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n=2)
    >>> evaluation = hd.evaluate(
    ...     folder, methods=["otsu"], out=folder / "scores", summary=SummaryOptions(n_resamples=20), cluster="threads"
    ... )
    >>> evaluation.micrographs[["method", "truth_id", "status"]]
      method       truth_id status
    0   otsu  example_0.tif   done
    1   otsu  example_1.tif   done
    >>> bool((evaluation.micrographs["dice"] > 0.5).all())
    True
    """
    known = open_truth(truth, only=only)
    settings, summary = settings or Settings(), summary or SummaryOptions()
    folder = Location.of(out)
    if folder.url == Location.of(truth).url:
        raise SettingsError(f"{folder.url} holds the truth: give another folder for the scores (--out)")
    chosen = _methods(known, results, methods, models, settings)
    # before a cluster starts
    if results is not None:
        rows_with_truth(known, open_results(results))
    _require_columns(summary.by, _columns_to_come(known, results))
    for method in chosen if results is None else ():
        checked_models(method.settings)
    with connect(cluster, device=settings.execution.device, of_settings=settings.cluster) as client:
        scored = [_score_method(client, known, method, results, folder, segment_again) for method in chosen]
    evaluation = _join(scored, summary, is_simulated=known.is_simulated, folder=folder)
    _write(
        evaluation,
        {
            "truth": str(truth),
            "simulated_truth": known.is_simulated,
            "results": None if results is None else str(results),
            "only": only,
            "bootstrap": {
                "n_resamples": summary.n_resamples,
                "seed": summary.seed,
                "unit": "micrograph",
                "interval": "95 %, expanded percentile",
            },
            "code_version": code_version(WHOLE_PACKAGE),
            "methods": {m.name: {"note": m.note, "settings": m.settings.to_toml()} for m in (s.method for s in scored)},
            "notes": list(evaluation.notes),
        },
    )
    return evaluation


def _join(
    scored: Sequence[MethodScores], options: SummaryOptions, *, is_simulated: bool, folder: Location
) -> Evaluation:
    """Join the tables of all methods, and summarize them."""
    groups = _groups(scored, options.by)
    bootstrap = {"n_resamples": options.n_resamples, "seed": options.seed}
    return Evaluation(
        micrographs=pd.concat([s.rows for s in scored], ignore_index=True),
        objects=pd.concat([s.objects for s in scored], ignore_index=True),
        summary=pd.concat([s.summarize(groups, **bootstrap) for s in scored], ignore_index=True),
        curves=pd.concat([s.pooled_curve() for s in scored], ignore_index=True),
        regions=pd.concat([s.regions.assign(method=s.method.name) for s in scored], ignore_index=True),
        classes=pd.concat([s.classes.assign(method=s.method.name) for s in scored], ignore_index=True),
        detectability=pd.concat([s.detectability.assign(method=s.method.name) for s in scored], ignore_index=True),
        notes=tuple(dict.fromkeys(note for s in scored for note in s.notes)),
        is_simulated=is_simulated,
        folder=folder,
    )


def _write(evaluation: Evaluation, about: dict[str, object]) -> None:
    """Write the tables, the scores and how they were made."""
    write_scores(evaluation.folder, evaluation, about=about)


def _methods(
    truth: GroundTruth,
    results: str | Path | None,
    methods: Sequence[str] | None,
    models: Sequence[str | Path],
    settings: Settings,
) -> list[Method]:
    """Return the methods to score: the one that made the results, or those that will be run."""
    if results is None:
        if not truth.inputs:
            raise NothingToAnalyseError(f"there are {len(truth.micrographs)} masks and no image to run on")
        return choose_methods(methods, models, settings, _pixel_size_nm(truth, settings))
    if methods or models:
        raise SettingsError(
            "give either --results, which are scored, or --methods and --model, which are run; not both"
        )
    run_settings = Settings.from_toml(open_results(results).folder.read_bytes("run.toml").decode())
    return [Method(run_settings.segmentation.chosen_method, run_settings)]


def _pixel_size_nm(truth: GroundTruth, settings: Settings) -> float | None:
    """Return the median pixel size (nm) of the truth, or else of the images; None where none is known."""
    if settings.loading.pixel_size_nm is not None or settings.loading.pixels:
        return settings.loading.pixel_size_nm
    if "pixel_size_nm" in truth.table:
        return float(truth.table["pixel_size_nm"].median())
    sizes = [r.pixel_size_nm[0] for r in list_sources(find_inputs(truth.inputs), settings) if r.pixel_size_nm]
    return float(np.median(sizes)) if sizes else None


def _score_method(
    client: Client,
    truth: GroundTruth,
    method: Method,
    results: str | Path | None,
    folder: Location,
    segment_again: bool,
) -> MethodScores:
    """Run a method, unless there are results, and score it."""
    if results is None:
        results = folder.path(method.name)
        logger.info("running %s%s%s", method.name, ": " if method.note else "", method.note)
        run(truth.inputs, results, settings=method.settings, cluster=client)
    opened = open_results(results)
    scored = score_results(client, truth, opened, method, segment_again=segment_again)
    regions, classes = score_classes(client, truth, opened, method.settings)
    return replace(scored, regions=regions, classes=classes, detectability=_detectability(truth, opened, scored))


def _detectability(truth: GroundTruth, results: Results, scored: MethodScores) -> pd.DataFrame:
    """Return what the run made of each true particle; empty where the truth has no faults."""
    if truth.folder is None or not truth.has_regions:
        return tables.empty(tables.DETECTABILITY)
    store, micrographs = open_simulated(truth.folder), results.micrographs
    names = dict(zip(micrographs["micrograph_id"], truth.join(micrographs), strict=True))
    found = results.particles
    found = found.assign(truth_id=found["micrograph_id"].map(names))
    analyzed = scored.rows.loc[scored.rows["analysed"].astype(bool), "truth_id"]
    objects = scored.objects[scored.objects["truth_id"].isin(analyzed)]
    return detectability_table(objects, store.particles, store.micrographs, found[found["truth_id"].notna()])


def _groups(scored: Sequence[MethodScores], by: Sequence[str] | None) -> list[str]:
    """Return the columns to group by."""
    columns = scored[0].rows.columns
    if by is None:
        return [name for name in ("material",) if name in columns and scored[0].rows[name].notna().any()]
    _require_columns(by, columns)
    return list(by)


def _columns_to_come(truth: GroundTruth, results: str | Path | None) -> set[str]:
    """Return the columns that rows of scores will have."""
    nothing = np.zeros((1, 1), dtype=np.int32)
    of_scores = score_micrograph(nothing, nothing, pixel_size_nm=None).row
    of_run = [c.name for c in tables.MICROGRAPHS] if results is None else open_results(results).micrographs.columns
    return {*truth.table.columns, *of_run, *of_scores, "method", "analysed"}


def _require_columns(by: Sequence[str] | None, columns: Iterable[str]) -> None:
    """Refuse to group by columns that do not exist."""
    unknown = [name for name in by or () if name not in columns]
    if unknown:
        raise SettingsError(f"no column {unknown[0]!r} to group by: the columns are {', '.join(sorted(columns))}")
