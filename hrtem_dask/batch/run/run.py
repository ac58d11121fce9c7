"""Analyze a batch of micrographs: a bounded stream of tasks on a cluster, a ledger, and the tables of the run."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distributed import Client

from hrtem_dask import crystals, loading, tables
from hrtem_dask.analysis.segmenters import make_segmenter
from hrtem_dask.batch.cluster.cluster import Cluster, connect
from hrtem_dask.batch.cluster.stream import failure_reason, stream, stream_with_retry, worker_died
from hrtem_dask.batch.copies import compare_on_workers, find_copies
from hrtem_dask.batch.dashboard.live import PopulationReporter, add_population_page
from hrtem_dask.batch.listing import find_inputs, list_on_workers, warn_of_unmatched_rows
from hrtem_dask.batch.run.plan import RunPlan, make_plan, memory_warning
from hrtem_dask.batch.run.progress import RunLog, progress_bar
from hrtem_dask.batch.run.record_analysis import ModelHashes, gain_reference
from hrtem_dask.batch.run.task import AnalysisTask, Outcome, check_parts, commit_failed, draw_overlay, run_task
from hrtem_dask.chosen_settings import SettingsLike, choose_settings
from hrtem_dask.defects import make_classifier
from hrtem_dask.errors import SettingsError, TooManyFailuresError
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, overlays, zarr_store
from hrtem_dask.storage.compaction import compact, write_run_file
from hrtem_dask.storage.corrections import sound_corrections
from hrtem_dask.storage.exchange.ro_crate import write_crate
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.run_lock import RunLock

__all__ = ["RunSummary", "analyse_tasks", "checked_models", "run"]

PARTS_PER_TASK = 32
"""Parts of earlier runs that one task compares with their hashes: a few milliseconds each."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSummary:
    """How a run ended."""

    results: str
    """The results folder."""
    counts: dict[str, int]
    """Number of micrographs per status: done, empty, set_aside, failed."""
    n_particles: int
    """Number of particles, counted or not."""
    n_skipped: int
    """Number of micrographs that an earlier run had finished already."""
    seconds: float
    """Duration of the run (s)."""
    n_too_small: int = 0
    """Number of objects below the counting limit."""
    verdicts: Mapping[str, Any] = field(default_factory=dict)
    """How many micrographs are doubtful, and why: see `population.verdicts.describe_verdicts`."""
    same_fields: Mapping[str, Any] = field(default_factory=dict)
    """Micrographs that show the field of another one: see `population.same_fields.describe_same_fields`."""
    taken_as_bright: Mapping[str, int] = field(default_factory=dict)
    """What their files say about the way of imaging → number of micrographs whose particles are therefore bright."""

    @property
    def analysed(self) -> int:
        """Number of micrographs that were taken through every stage."""
        return sum(self.counts.get(status, 0) for status in tables.ANALYZED_STATUSES)


@dataclass(frozen=True)
class _Job:
    """Everything that a run needs, checked before it begins."""

    inputs: Sequence[str]
    sources: Sequence[loading.Source]
    folder: Location
    settings: Settings
    samples: loading.SampleMetadata | None
    models: ModelHashes
    lock: RunLock
    limit: int | None
    max_failures: int | None


def run(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    settings: SettingsLike | None = None,
    pixel_size_nm: float | None = None,
    method: str | None = None,
    material: str | None = None,
    metadata: str | Path | None = None,
    limit: int | None = None,
    max_failures: int | None = None,
    cluster: Cluster | Client | str | None = None,
    progress: bool = False,
) -> RunSummary:
    """Analyze micrographs into a results folder.

    A second run into the same folder skips micrographs that are done, tries failed ones again, and repeats those whose
    file or settings have changed.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    out : str or path-like
        The results folder, or an fsspec URL.
    settings : Settings, mapping, str or path-like, optional
        Settings of all stages, a dictionary of those that differ from the defaults, or the path of a TOML file.
    pixel_size_nm : float, optional
        Pixel size (nm) of all files, instead of what they state: ``loading.pixel_size_nm``.
    method : {"unet", "otsu", "fourier"}, optional
        How particles are separated from the support: ``segmentation.method``.
    material : str, optional
        Known material, such as ``"Au"``, whose lattice checks the pixel size: ``fourier.material``.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates; see `loading.read_metadata`.
    limit : int, optional
        Analyze only the first micrographs, so many at most, to try settings out. The same call without it goes on.
    max_failures : int, optional
        End the run when more micrographs than that have failed; by default it goes on to the end.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute: a connected client, which is left open; a `Cluster`; the address of a running Dask scheduler
        or its scheduler file; or ``"threads"`` for threads of this process. By default, the cores or GPUs of this
        machine, as ``settings.execution.device`` states.
    progress : bool
        Whether to show a progress bar on stderr.

    Returns
    -------
    RunSummary
        Counts per status; the tables lie in `out`.

    Raises
    ------
    NothingToAnalyseError
        If the inputs hold no file.
    SettingsError, ModelError
        If a setting or a model cannot be used; this is checked before anything is computed.
    ResultsFolderError
        If another run is writing into `out`.
    TooManyFailuresError
        If more than `max_failures` micrographs have failed. What is done is kept.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
    >>> summary = hd.run(folder / "images", folder / "results", method="otsu", cluster="threads")
    >>> summary.counts
    {'done': 1, 'empty': 0, 'set_aside': 0, 'failed': 0}
    >>> len(hd.open_results(folder / "results").particles) == summary.n_particles
    True
    """
    began, started_at = time.perf_counter(), datetime.now(UTC)
    chosen = choose_settings(settings, pixel_size_nm=pixel_size_nm, method=method, material=material)
    chosen = _with_absolute_paths(chosen)
    folder = Location.of(out)
    samples = loading.read_metadata(metadata) if metadata is not None else None
    models = checked_models(chosen)
    given = [str(one) for one in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    sources = find_inputs(inputs, leave_out=folder)
    for name, value, least in (("limit", limit, 1), ("max_failures", max_failures, 0)):
        if value is not None and value < least:
            raise SettingsError(f"{name} must be {least} or more, got {value}: leave it out for no limit")
    job = _Job(given, sources, folder, chosen, samples, models, RunLock(folder), limit, max_failures)
    with job.lock, connect(cluster, device=chosen.execution.device) as client:
        page = add_population_page(client)
        plan, entries = _make_plan(client, job)
        page.begin(folder, plan)
        with RunLog(folder) as log:
            done = _analyse(client, job, plan, log, page, progress)
            job.lock.check()
            listed = [record for record in plan.records if record.status == "ok"]
            marks = {record.micrograph_id: done[record.micrograph_id].fingerprint for record in listed}
            copies = find_copies(listed, marks, compare_on_workers(client))
            ended = compact(folder, plan.records, done, entries, chosen, copies)
            _draw_missing_overlays(client, job, plan, log)
            write_crate(folder, began=_text(started_at), ended=_text(datetime.now(UTC)))
            seconds = time.perf_counter() - began
            log.write("end", **ended.counts, n_particles=ended.n_particles, seconds=round(seconds, 3))
    return RunSummary(
        results=folder.url,
        counts=ended.counts,
        n_particles=ended.n_particles,
        n_skipped=len(plan.kept),
        seconds=seconds,
        n_too_small=ended.n_too_small,
        verdicts=ended.verdicts,
        same_fields=ended.same_fields,
        taken_as_bright=_taken_as_bright(plan.records, chosen),
    )


def _text(moment: datetime) -> str:
    """Return date and time as ISO 8601 text."""
    return moment.isoformat(timespec="seconds")


def _taken_as_bright(records: Sequence[loading.MicrographRecord], settings: Settings) -> dict[str, int]:
    """Count the micrographs whose particles are bright because their files say so."""
    if settings.segmentation.particles_are != "auto":
        return {}
    bright = [r.imaging for r in records if r.status == "ok" and loading.stated_polarity(r) == "bright"]
    return dict(Counter(bright).most_common())


def _make_plan(client: Client, job: _Job) -> tuple[RunPlan, dict[str, ledger.Entry]]:
    """List the micrographs, write the run file, and plan the tasks; return the entries of earlier runs too."""
    folder = job.folder
    warn_of_unmatched_rows(job.samples, job.sources)
    records = _first(list_on_workers(client, job.sources, job.settings, job.samples), job.limit)
    entries = ledger.read_entries(folder)
    corrections = sound_corrections(folder, {record.micrograph_id for record in records})
    plan = make_plan(records, entries, job.settings, job.models, corrections)
    if damaged := _find_damage(client, plan, folder):
        again = {name: dataclasses.replace(entries[name], key="", status="interrupted") for name in damaged}
        entries |= again
        plan = make_plan(records, entries, job.settings, job.models, corrections)
    absent = {n for n, e in entries.items() if e.status != "interrupted"} - {r.micrograph_id for r in records}
    if absent:
        logger.warning(
            "%d micrographs of earlier runs are not among these inputs: the tables leave them out", len(absent)
        )
    write_run_file(folder, job.settings, models=dataclasses.asdict(job.models), inputs=job.inputs)
    folder.make_way(ledger.LABELS, folder=True)
    zarr_store.create_store(folder.inside(ledger.LABELS))
    logger.info(
        "%d images listed in %d files: %d to analyze, %d done before",
        len(records), len(job.sources), plan.n_to_analyze, len(plan.kept),
    )  # fmt: skip
    _log_corrections(plan)
    if (warning := memory_warning(plan, _memory_per_worker(client))) is not None:
        logger.warning("%s", warning)
    return plan, entries


def _first(records: Sequence[loading.MicrographRecord], limit: int | None) -> Sequence[loading.MicrographRecord]:
    """Return the records up to the last micrograph that the limit allows."""
    good = [i for i, record in enumerate(records) if record.status == "ok"]
    if limit is None or len(good) <= limit:
        return records
    logger.info("only the first %d of %d micrographs are analyzed (limit)", limit, len(good))
    return records[: good[limit - 1] + 1]


def _find_damage(client: Client, plan: RunPlan, folder: Location) -> list[str]:
    """Return the micrographs of earlier runs whose tables or labels are not what was written, and log why."""
    by_part: dict[str, list[ledger.Entry]] = {}
    for entry in plan.kept.values():
        by_part.setdefault(entry.part, []).append(entry)
    parts = list(by_part.items())
    batches = [parts[i : i + PARTS_PER_TASK] for i in range(0, len(parts), PARTS_PER_TASK)]
    damaged: dict[str, str] = {}
    for _, result in stream(client, check_parts, batches, folder, key="check"):
        if isinstance(result, BaseException):
            raise result
        damaged |= result
    if damaged:
        by_reason = {why: name for name, why in reversed(damaged.items())}
        reasons = [f"{name}: {why}" for why, name in by_reason.items()]
        shown = "; ".join(reasons[:3]) + ("; …" if len(reasons) > 3 else "")
        logger.warning("%d micrographs are done again, because their results are damaged (%s)", len(damaged), shown)
    return list(damaged)


def _analyse(
    client: Client, job: _Job, plan: RunPlan, log: RunLog, page: PopulationReporter, progress: bool
) -> dict[str, ledger.Entry]:
    """Analyze what is planned; return the entries of all micrographs, by micrograph_id."""
    done = dict(plan.kept)
    reasons = Counter(str(r.reason) for r in plan.records if r.status == "failed")
    log.write(
        "start",
        listed=len(plan.records),
        to_analyse=plan.n_to_analyze,
        kept=len(plan.kept),
        not_to_analyse=Counter(r.status for r in plan.records if r.status != "ok"),
        failures=reasons,
        models=dataclasses.asdict(job.models),
    )
    with progress_bar(plan.n_to_analyze, shown=progress) as advance:
        try:
            _require_few_failures(reasons, job, plan)
            for outcome in analyse_tasks(client, plan.tasks, job.settings, job.folder, job.models, job.lock):
                done[outcome.entry.micrograph_id] = outcome.entry
                log.write(
                    outcome.entry.status,
                    micrograph_id=outcome.entry.micrograph_id,
                    source=outcome.source,
                    reason=outcome.reason,
                    n_particles=outcome.n_particles,
                    seconds=round(outcome.seconds, 3),
                )
                logger.debug("%s: %s", outcome.entry.micrograph_id, outcome.entry.status)
                advance(outcome)
                page.add(outcome)
                if outcome.entry.status == "failed":
                    reasons[str(outcome.reason)] += 1
                    _require_few_failures(reasons, job, plan)
        finally:
            page.end()  # a run that is cut off must not stay "running" on a shared scheduler
    return done


def _require_few_failures(reasons: Counter[str], job: _Job, plan: RunPlan) -> None:
    """End the run where more micrographs have failed than are allowed."""
    if job.max_failures is not None and reasons.total() > job.max_failures:
        reason, n = reasons.most_common(1)[0]
        raise TooManyFailuresError(
            f"{reasons.total()} of {len(plan.records)} images have failed, more than the {job.max_failures} "
            f"allowed; {n} because: {reason}. What is done is kept: the same command goes on, and tries them again"
        )


def _draw_missing_overlays(client: Client, job: _Job, plan: RunPlan, log: RunLog) -> None:
    """Draw overlays of micrographs that an earlier run analyzed without one."""
    missing = [m for m in plan.undrawn if not overlays.overlay_exists(job.folder, m.record.micrograph_id)]
    for micrograph, result in stream(client, draw_overlay, missing, job.settings, job.folder):
        if isinstance(result, BaseException):
            log.write("no overlay", micrograph_id=micrograph.record.micrograph_id, reason=str(result))


def _memory_per_worker(client: Client) -> int:
    """Return the smallest memory limit of a worker in bytes; 0 where none is known."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return min((int(w["memory_limit"] or 0) for w in workers), default=0)


def _with_absolute_paths(settings: Settings) -> Settings:
    """Make paths absolute: a worker may run in another folder."""
    flat_field = settings.filtering.flat_field
    changed: dict[str, dict[str, str]] = {}
    for stage, model in (("segmentation", settings.segmentation.model), ("defects", settings.defects.model)):
        if model is not None:
            changed[stage] = {"model": str(Path(model).expanduser().absolute())}
    if flat_field is not None and "://" not in flat_field:
        changed["filtering"] = {"flat_field": str(Path(flat_field).expanduser().absolute())}
    return settings.updated(changed)


def _log_corrections(plan: RunPlan) -> None:
    """Log what happens to labels that were corrected by hand."""
    again = sum(micrograph.correction is not None for task in plan.tasks for micrograph in task.items)
    if again:
        logger.info("%d micrographs keep their corrected labels, which are measured again", again)
    if plan.outdated:
        names = ", ".join(c.micrograph_id for c in plan.outdated[:3]) + (" …" if len(plan.outdated) > 3 else "")
        logger.warning(
            "%d micrographs were corrected and their files have changed since: they are analyzed again without the "
            "corrections, which stay in corrections/ (%s)",
            len(plan.outdated),
            names,
        )


def checked_models(settings: Settings) -> ModelHashes:
    """Check settings and models before anything is computed.

    Parameters
    ----------
    settings : Settings
        All settings.

    Returns
    -------
    ModelHashes
        Hashes of the models.

    Raises
    ------
    SettingsError, ModelError
        If a setting or a model cannot be used.
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
    segmenter = make_segmenter(dataclasses.replace(settings, execution=on_host))
    classifier = make_classifier(settings.defects)
    return ModelHashes(segmenter.model_hash, None if classifier is None else classifier.model_hash)


def analyse_tasks(
    client: Client,
    tasks: Sequence[AnalysisTask],
    settings: Settings,
    folder: Location,
    models: ModelHashes,
    lock: RunLock,
) -> Iterator[Outcome]:
    """Run the tasks; find out which micrograph killed a worker.

    The micrographs of a worker that died are analyzed again at the end, one by one. A micrograph that then kills its
    worker again is committed as failed.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    tasks : sequence of AnalysisTask
        Tasks of `plan.make_plan`.
    settings : Settings
        All settings.
    folder : Location
        The results folder.
    models : ModelHashes
        Hashes of the models.
    lock : RunLock
        The lock of the results folder, which this run holds.

    Yields
    ------
    Outcome
        How each micrograph ended.

    Raises
    ------
    ResultsFolderError
        If another run has taken the lock.
    """
    arguments = (settings, folder, models, lock.token)
    for task, result in stream_with_retry(client, run_task, tasks, *arguments, key="analyse", split=AnalysisTask.split):
        lock.check()
        if not isinstance(result, BaseException):
            yield from result
        elif worker_died(result):
            yield from commit_failed(task, failure_reason(result), settings, folder)
        else:
            raise result
