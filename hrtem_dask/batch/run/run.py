"""The batch: a bounded stream of tasks over a cluster, with a ledger, ending in the tables of the run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client
from distributed.scheduler import KilledWorker

from hrtem_dask import crystals, loading
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.batch.dashboard.live import open_feed
from hrtem_dask.batch.listing import find_inputs, list_on_workers
from hrtem_dask.batch.run import plan as planning
from hrtem_dask.batch.run.progress import RunLog, progress_bar
from hrtem_dask.batch.run.record_analysis import ModelHashes, gain_reference
from hrtem_dask.batch.run.task import Outcome, Task, draw_overlay, failed, run_task
from hrtem_dask.defects import make_classifier
from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, overlays, zarr_store
from hrtem_dask.storage.compaction import compact, write_run_file
from hrtem_dask.storage.corrections import read_corrections
from hrtem_dask.storage.location import Location

__all__ = ["RunSummary", "analyse_tasks", "checked_models", "run"]


@dataclass(frozen=True)
class RunSummary:
    """How a run ended."""

    results: str
    """The results folder."""
    counts: dict[str, int]
    """Micrographs per status: done, empty, set_aside, failed."""
    n_particles: int
    """Particles, counted or not."""
    n_skipped: int
    """Micrographs that an earlier run had done already."""
    seconds: float
    """Time the run took (s)."""

    @property
    def analysed(self) -> int:
        """Number of micrographs that were taken through every stage."""
        return self.counts.get("done", 0) + self.counts.get("empty", 0)


def run(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    settings: Settings | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    metadata: str | Path | None = None,
    client: Client | None = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> RunSummary:
    """Analyse micrographs into a results folder.

    A second run into the same folder skips what is done, tries again what failed, and redoes what changed.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    out : str or path-like
        The results folder, or an fsspec URL.
    settings : Settings, optional
        All stages' settings; the defaults otherwise.
    scheduler : str, optional
        Address of a running Dask scheduler, its scheduler file, or ``"threads"``; by default this machine's cores
        or GPUs.
    workers : int, optional
        Workers on this machine.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates; see `loading.read_metadata`.
    client : distributed.Client, optional
        A connected client, used instead of `scheduler` and `workers` and left open.
    progress : bool
        Show a progress bar.
    say : callable
        Takes lines for the user, such as the dashboard's address.

    Returns
    -------
    RunSummary
        Counts per status; the tables lie in `out`.

    Raises
    ------
    NothingToAnalyseError
        If the inputs hold no file.
    SettingsError, ModelError
        If a setting or the model cannot be used: said before anything is computed.
    """
    began = time.perf_counter()
    settings = _with_absolute_paths(settings or Settings())
    place = Location.of(out)
    samples = loading.read_metadata(metadata) if metadata is not None else None
    models = checked_models(settings)
    sources = find_inputs(inputs, leave_out=place)
    if client is not None:
        return _run(client, sources, place, settings, samples, models, progress, say, began)
    with connect(scheduler, workers=workers, device=settings.execution.device) as own:
        return _run(own, sources, place, settings, samples, models, progress, say, began)


def _run(
    client: Client,
    sources: Sequence[loading.Source],
    place: Location,
    settings: Settings,
    samples: loading.SampleMetadata | None,
    models: ModelHashes,
    progress: bool,
    say: Callable[[str], None],
    began: float,
) -> RunSummary:
    """Run on a connected client."""
    feed = open_feed(client, say)
    for complaint in samples.unmatched_rows(sources) if samples is not None else ():
        say(complaint)
    records = list_on_workers(client, sources, settings, samples)
    entries = ledger.read_entries(place)
    corrections = read_corrections(place)
    plan = planning.make_plan(records, entries, settings, models, corrections)
    forgotten = {n for n, e in entries.items() if e.status != "interrupted"} - {r.micrograph_id for r in records}
    if forgotten:
        say(f"{len(forgotten)} micrographs of earlier runs are not among these inputs: the tables leave them out")
    write_run_file(place, settings, models=dataclasses.asdict(models))
    zarr_store.create_store(Location.of(place.path("labels.zarr")))
    to_do = sum(len(task.items) for task in plan.tasks)
    say(f"{len(records)} images listed in {len(sources)} files: {to_do} to analyse, {len(plan.kept)} done before")
    _say_corrections(plan, say)
    if (doubt := planning.memory_doubt(plan, _memory_per_worker(client))) is not None:
        say(doubt)
    done = dict(plan.kept)
    feed.begin(place, plan)
    with RunLog(place) as log, progress_bar(to_do, shown=progress) as advance:
        log.write(
            "start", listed=len(records), to_analyse=to_do, kept=len(plan.kept), models=dataclasses.asdict(models)
        )
        try:
            for outcome in analyse_tasks(client, plan.tasks, settings, place, models):
                done[outcome.entry.micrograph_id] = outcome.entry
                log.write(
                    outcome.entry.status,
                    micrograph_id=outcome.entry.micrograph_id,
                    source=outcome.source,
                    reason=outcome.reason,
                    n_particles=outcome.n_particles,
                    seconds=round(outcome.seconds, 3),
                )
                advance(outcome)
                feed.add(outcome)
        finally:
            feed.end()  # a run that is cut off must not stay "running" on a shared scheduler
        counts, n_particles = compact(place, plan.records, done, entries, settings)
        undrawn = [i for i in plan.undrawn if not overlays.overlay_exists(place, i.record.micrograph_id)]
        for item, result in stream(client, draw_overlay, undrawn, settings, place):
            if isinstance(result, BaseException):
                log.write("no overlay", micrograph_id=item.record.micrograph_id, reason=str(result))
        seconds = time.perf_counter() - began
        log.write("end", **counts, n_particles=n_particles, seconds=round(seconds, 3))
    return RunSummary(place.url, counts, n_particles, len(plan.kept), seconds)


def _memory_per_worker(client: Client) -> int:
    """Return the smallest memory limit of a worker in bytes; 0 where none is known."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return min((int(w["memory_limit"] or 0) for w in workers), default=0)


def _with_absolute_paths(settings: Settings) -> Settings:
    """Make paths absolute: a worker may run in another folder."""
    flat_field = settings.filtering.flat_field
    changed: dict[str, dict[str, Any]] = {}
    for stage, model in (("segmentation", settings.segmentation.model), ("defects", settings.defects.model)):
        if model is not None:
            changed[stage] = {"model": str(Path(model).expanduser().absolute())}
    if flat_field is not None and "://" not in flat_field:
        changed["filtering"] = {"flat_field": str(Path(flat_field).expanduser().absolute())}
    return settings.updated(changed)


def _say_corrections(plan: planning.Plan, say: Callable[[str], None]) -> None:
    """Say what becomes of labels that were corrected by hand."""
    again = sum(item.correction is not None for task in plan.tasks for item in task.items)
    if again:
        say(f"{again} micrographs keep their corrected labels, which are measured again")
    if plan.outdated:
        names = ", ".join(c.micrograph_id for c in plan.outdated[:3]) + (" …" if len(plan.outdated) > 3 else "")
        say(
            f"{len(plan.outdated)} micrographs were corrected and their files have changed since: they are analysed "
            f"anew, their corrected labels stay in corrections/ ({names})"
        )


def checked_models(settings: Settings) -> ModelHashes:
    """Refuse what cannot work before anything is computed.

    Parameters
    ----------
    settings : Settings
        All settings.

    Returns
    -------
    ModelHashes
        Content of the models.

    Raises
    ------
    SettingsError, ModelError
        If a setting or the model cannot be used.
    """
    in_nm = settings.segmentation.chosen_method == "fourier" and settings.segmentation.annulus_per_px is None
    if settings.loading.pixels and in_nm:
        raise SettingsError("the Fourier filter needs pixel sizes: with --pixels choose --method unet or otsu")
    if settings.fourier.material is not None:
        try:
            crystals.find_material(settings.fourier.material)
        except ValueError as error:
            raise SettingsError(f"fourier.material: {error}") from error
    gain_reference(settings.filtering.flat_field)
    # the workers' device may not be this machine's
    on_host = dataclasses.replace(settings.execution, device="cpu")
    segmenter, classifier = make_segmenter(settings.segmentation, on_host), make_classifier(settings.defects)
    return ModelHashes(segmenter.model_hash, None if classifier is None else classifier.model_hash)


def analyse_tasks(
    client: Client, tasks: Sequence[Task], settings: Settings, place: Location, models: ModelHashes
) -> Iterator[Outcome]:
    """Run the tasks; find out which micrograph killed a worker.

    A worker that dies takes all of its tasks with it, guilty or not: they are tried again at the end, micrograph by
    micrograph, with nothing else in flight. One that then kills its worker again has failed.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    tasks : sequence of Task
        From `plan.make_plan`.
    settings : Settings
        All settings.
    place : Location
        The results folder.
    models : ModelHashes
        Content of the models.

    Yields
    ------
    Outcome
        How each micrograph ended.
    """
    suspects: list[Task] = []
    for task, result in stream(client, run_task, tasks, settings, place, models, key="analyse"):
        if not isinstance(result, BaseException):
            yield from result
        elif isinstance(result, KilledWorker):
            suspects.extend(task.split())
        else:
            raise result
    for task, result in stream(client, run_task, suspects, settings, place, models, key="analyse-alone", limit=1):
        if not isinstance(result, BaseException):
            yield from result
        elif isinstance(result, KilledWorker):
            reason = "its worker died each time it was tried alone, most likely out of memory"
            yield from failed(task, reason, settings, place)
        else:
            raise result
