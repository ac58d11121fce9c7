"""Segmenters against truth: run them where that is not done yet, score on the workers, write the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.evaluation.methods import Method, choose_methods
from hrtem_dask.batch.evaluation.region_scoring import score_classes
from hrtem_dask.batch.evaluation.scoring import Scored, score_results
from hrtem_dask.batch.listing import find_inputs, list_sources
from hrtem_dask.batch.run.run import run
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.provenance import WHOLE_PACKAGE, code_version
from hrtem_dask.settings import Settings
from hrtem_dask.storage.ground_truth import GroundTruth, open_truth
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import open_results
from hrtem_dask.storage.scores import write_scores

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """How well segmenters do."""

    micrographs: pd.DataFrame
    """A row per method and micrograph: ``method``, ``truth_id``, ``status``, ``reason``, ``analysed``, what is known of
    the micrograph, and its scores. One that could not be analysed is scored as if nothing had been found on it, and
    is left out of the summary's groups but ``unanalysed as empty``."""
    objects: pd.DataFrame
    """A row per method and particle, true ones and found ones."""
    summary: pd.DataFrame
    """A row per method, group and statistic, of `summarize_scores`; the group ``unanalysed as empty`` counts what could
    not be analysed as micrographs on which nothing was found."""
    curves: pd.DataFrame
    """Precision, recall and Dice over thresholds, per method with a probability, pooled."""
    regions: pd.DataFrame
    """A row per method and classified region, with its true class; empty where truth is not simulated."""
    classes: pd.DataFrame
    """Scores of the classes of regions: ``method``, ``subset`` (all, clear), ``score``, ``n``, value and interval."""
    notes: tuple[str, ...]
    """What was left out, and why."""
    is_simulated: bool
    """Whether the truth is simulated."""
    place: Location
    """Where the scores lie."""


def evaluate(
    truth: str | Path,
    *,
    results: str | Path | None = None,
    methods: Sequence[str] | None = None,
    models: Sequence[str | Path] = (),
    out: str | Path = "evaluation",
    only: str | None = None,
    by: Sequence[str] | None = None,
    segment_again: bool = True,
    settings: Settings | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Score segmenters on micrographs whose truth is known.

    Parameters
    ----------
    truth : str or path-like
        A simulated store, or a folder that holds ``images`` and ``masks``.
    results : str or path-like, optional
        Results of a run over these micrographs, to be scored. Without it, each method is run into ``OUT/<method>``.
    methods : sequence of str, optional
        Of ``unet``, ``otsu``, ``fourier`` and ``fourier_pixels`` (one annulus in cycles per pixel, the paper's way); by
        default all that can be run.
    models : sequence of str or path-like
        Weights of U-Nets; several are methods of their own, by file name.
    out : str or path-like
        Folder to write to.
    only : str, optional
        Pattern of names of micrographs; others are not opened.
    by : sequence of str, optional
        Columns of truth or of the results by which to group; by default ``material``, where it is known.
    segment_again : bool
        Segment each micrograph once more for what a results folder does not hold: the segmenter's own mask, and the
        probability over thresholds.
    settings : Settings, optional
        Of the runs.
    n_resamples : int
        Resamples of the bootstrap over micrographs.
    seed : int
        Its seed.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        Workers on this machine.
    client : distributed.Client, optional
        A connected client, used and left open.
    say : callable
        Takes lines for the user.

    Returns
    -------
    Evaluation
        The scores, also written to `out`.

    Raises
    ------
    NothingToAnalyseError
        If there is no truth, or no result of these micrographs.
    SettingsError
        If a method or a column is unknown, or a setting impossible.
    """
    known = open_truth(truth, only=only)
    settings = settings or Settings()
    place = Location.of(out)
    todo = _methods(known, results, methods, models, settings)
    arguments = (known, todo, results, place, segment_again, say)
    if client is not None:
        scored = list(_score_methods(client, *arguments))
    else:
        with connect(scheduler, workers=workers, device=settings.execution.device) as own:
            scored = list(_score_methods(own, *arguments))
    groups = _groups(scored, by)
    options = {"n_resamples": n_resamples, "seed": seed}
    evaluation = Evaluation(
        micrographs=pd.concat([s.rows for s in scored], ignore_index=True),
        objects=pd.concat([s.objects for s in scored], ignore_index=True),
        summary=pd.concat([s.summarize(groups, **options) for s in scored], ignore_index=True),
        curves=pd.concat([s.pooled_curve() for s in scored], ignore_index=True),
        regions=pd.concat([s.regions.assign(method=s.method.name) for s in scored], ignore_index=True),
        classes=pd.concat([s.classes.assign(method=s.method.name) for s in scored], ignore_index=True),
        notes=tuple(dict.fromkeys(note for s in scored for note in s.notes)),
        is_simulated=known.is_simulated,
        place=place,
    )
    about = {
        "truth": str(truth),
        "simulated_truth": known.is_simulated,
        "results": None if results is None else str(results),
        "only": only,
        "bootstrap": {**options, "unit": "micrograph", "interval": "95 %, percentile"},
        "code_version": code_version(WHOLE_PACKAGE),
        "methods": {m.name: {"note": m.note, "settings": m.settings.to_toml()} for m in (s.method for s in scored)},
        "notes": list(evaluation.notes),
    }
    write_scores(place, evaluation, about=about)
    return evaluation


def _methods(
    truth: GroundTruth,
    results: str | Path | None,
    methods: Sequence[str] | None,
    models: Sequence[str | Path],
    settings: Settings,
) -> list[Method]:
    """Return what is to be scored: the one that made the results, or those to be run."""
    if results is None:
        if not truth.inputs:
            raise NothingToAnalyseError(f"there are {len(truth.micrographs)} masks and no image to run on")
        return choose_methods(methods, models, settings, _pixel_size_nm(truth, settings))
    if methods or models:
        raise SettingsError("give either --results to score, or --methods and --model to run: not both")
    recipe = Settings.from_toml(open_results(results).folder.read_bytes("run.toml").decode())
    return [Method(recipe.segmentation.chosen_method, recipe)]


def _pixel_size_nm(truth: GroundTruth, settings: Settings) -> float | None:
    """Return the median pixel size, as truth or else the images have it; None where none is known."""
    if settings.loading.pixel_size_nm is not None or settings.loading.pixels:
        return settings.loading.pixel_size_nm
    if "pixel_size_nm" in truth.table:
        return float(truth.table["pixel_size_nm"].median())
    sizes = [r.pixel_size_nm[0] for r in list_sources(find_inputs(truth.inputs), settings) if r.pixel_size_nm]
    return float(np.median(sizes)) if sizes else None


def _score_methods(
    client: Client,
    truth: GroundTruth,
    methods: Sequence[Method],
    results: str | Path | None,
    place: Location,
    segment_again: bool,
    say: Callable[[str], None],
) -> Iterator[Scored]:
    """Run what is to be run, and score it."""
    for method in methods:
        folder = results
        if folder is None:
            folder = place.path(method.name)
            say(f"running {method.name}{': ' if method.note else ''}{method.note}")
            run(truth.inputs, folder, settings=method.settings, client=client)
        done = open_results(folder)
        scored = score_results(client, truth, done, method, segment_again=segment_again, say=say)
        regions, classes = score_classes(client, truth, done, method.settings, say=say)
        yield replace(scored, regions=regions, classes=classes)


def _groups(scored: Sequence[Scored], by: Sequence[str] | None) -> list[str]:
    """Return the columns to group by."""
    columns = scored[0].rows.columns
    if by is None:
        return [name for name in ("material",) if name in columns and scored[0].rows[name].notna().any()]
    unknown = [name for name in by if name not in columns]
    if unknown:
        raise SettingsError(f"no column {unknown[0]!r} to group by: there are {', '.join(sorted(columns))}")
    return list(by)
