"""Analyze a batch of micrographs: a bounded stream of tasks on a cluster, a ledger, and the tables of the run."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distributed import Client

from hrtem_dask import loading, tables
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.batch.copies import compare_on_workers, find_copies
from hrtem_dask.batch.dashboard.live import PopulationReporter, add_population_page
from hrtem_dask.batch.listing import find_inputs
from hrtem_dask.batch.run.part_merger import PartMerger
from hrtem_dask.batch.run.plan import RunPlan
from hrtem_dask.batch.run.preparation import Job, checked_models, prepare_run, with_absolute_paths
from hrtem_dask.batch.run.progress import RunLog, progress_bar
from hrtem_dask.batch.run.statistics_on_worker import statistics_on_worker
from hrtem_dask.batch.run.task import draw_overlay
from hrtem_dask.batch.run.task_results import analyse_tasks
from hrtem_dask.batch.run.time_limit import remove_notes
from hrtem_dask.batch.stores import said_in_one_line
from hrtem_dask.chosen_settings import SettingsLike, choose_settings
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import SettingsError, TooManyFailuresError, reason_alone
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, overlays, zarr_store
from hrtem_dask.storage.compaction import compact
from hrtem_dask.storage.exchange.ro_crate import write_crate
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import open_results
from hrtem_dask.storage.run_lock import RunLock

__all__ = ["RunSummary", "make_job", "run", "run_job"]

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
    n_analyzed: int = 0
    """Number of micrographs that this run has analyzed, or tried to."""
    n_reused: int = 0
    """Number of these whose labels an earlier run had made, because only settings of later stages have changed."""
    n_too_small: int = 0
    """Number of objects below the counting limit."""
    n_uncertain: int = 0
    """Number of pieces of masks that are no particles, because the network is not sure of them."""
    verdicts: Mapping[str, Any] = field(default_factory=dict)
    """How many micrographs are doubtful, and why: see `population.verdicts.describe_verdicts`."""
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Status (set_aside, failed) → reason → number of images, most frequent first."""
    same_fields: Mapping[str, Any] = field(default_factory=dict)
    """Micrographs that show the field of another one: see `population.same_fields.describe_same_fields`."""
    fault_conditions: Mapping[str, Any] = field(default_factory=dict)
    """What the fault states rest on: see `population.fault_conditions.describe_fault_conditions`."""
    n_counted: int = 0
    """Number of particles that enter statistics."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason → number of particles that do not enter statistics."""
    n_unset_pixels: int = 0
    """Number of analyzed micrographs with the pixel size that programs write where none was set: `unset_pixel`."""
    taken_as_bright: Mapping[str, int] = field(default_factory=dict)
    """What their files say about the way of imaging → number of micrographs whose particles are therefore bright."""
    sizes: Sequence[str] = ()
    """Median size of all particles, and of each of several samples, in words: see `population.size_lines`."""
    report_is_old: bool = False
    """Whether a report in the folder describes other tables; it says so at its top. `write_report` writes it again."""

    @property
    def analysed(self) -> int:
        """Number of micrographs that were taken through every stage."""
        return sum(self.counts.get(status, 0) for status in tables.ANALYZED_STATUSES)


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
    retry_failed: bool = True,
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
    retry_failed : bool
        Whether micrographs that failed in an earlier run are tried again.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute: a connected client, which is left open; a `Cluster`; the address of a running Dask scheduler
        or its scheduler file; or ``"threads"`` for threads of this process. By default, the cores or GPUs of this
        machine, as ``settings.execution.device`` states.
    progress : bool
        Whether to show a progress bar on stderr; else lines about the progress are logged.

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
    StoreError
        If an object store of the inputs or of `out` cannot be reached any more. What is done is kept.

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
    chosen = choose_settings(settings, pixel_size_nm=pixel_size_nm, method=method, material=material)
    job = make_job(
        inputs,
        out,
        chosen,
        metadata=metadata,
        limit=limit,
        max_failures=max_failures,
        retry_failed=retry_failed,
    )
    return run_job(job, cluster, progress=progress)


def make_job(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    settings: Settings,
    *,
    metadata: str | Path | None = None,
    limit: int | None = None,
    max_failures: int | None = None,
    retry_failed: bool = True,
    only: frozenset[str] | None = None,
) -> Job:
    """Check everything that a run needs before it begins.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    out : str or path-like
        The results folder.
    settings : Settings
        Settings of all stages.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates.
    limit : int, optional
        Largest number of micrographs to analyze.
    max_failures : int, optional
        Largest number of images that may fail.
    retry_failed : bool
        Whether micrographs that failed in an earlier run are tried again.
    only : frozenset of str, optional
        Names of the images that are taken; by default all.

    Returns
    -------
    Job
        What `run_job` does.

    Raises
    ------
    NothingToAnalyseError, SettingsError, ModelError
        As `run`.
    """
    chosen = with_absolute_paths(settings)
    folder = Location.of(out)
    if folder.is_local and Path(folder.url).is_file():
        raise SettingsError(f"{folder.url} is a file: name a folder for the results, which may be a new one (--out)")
    samples = loading.read_metadata(metadata) if metadata is not None else None
    models = checked_models(chosen)
    sources = find_inputs(inputs, leave_out=folder)
    given = [_absolute(one) for one in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    for name, value, least in (("limit", limit, 1), ("max_failures", max_failures, 0)):
        _require_count(name, value, least)
    table = None if metadata is None else _absolute(metadata)
    return Job(
        given, sources, folder, chosen, samples, models, RunLock(folder), limit, max_failures, retry_failed, table, only
    )


def _absolute(path: str | Path) -> str:
    """Return a path that means the same in every working folder."""
    text = str(path)
    return text if "://" in text else str(Path(text).expanduser().absolute())


def run_job(job: Job, cluster: Cluster | Client | str | None, *, progress: bool = False) -> RunSummary:
    """Do what `run` does.

    Parameters
    ----------
    job : Job
        From `make_job`.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    RunSummary
        Counts per status.
    """
    began, started_at = time.perf_counter(), datetime.now(UTC)
    chosen, folder = job.settings, job.folder
    with (
        said_in_one_line(),
        job.lock,
        connect(cluster, device=chosen.execution.device, of_settings=chosen.cluster) as client,
    ):
        page = add_population_page(client)
        plan, entries = prepare_run(client, job)
        page.begin(folder, plan)
        with RunLog(folder) as log:
            done = _analyse(client, job, plan, entries, log, page, progress)
            job.lock.check()
            listed = [record for record in plan.records if record.status == "ok"]
            marks = {record.micrograph_id: done[record.micrograph_id].fingerprint for record in listed}
            copies = find_copies(listed, marks, compare_on_workers(client))
            ended = compact(folder, plan.records, done, entries, chosen, copies, statistics_on_worker(client))
            _draw_missing_overlays(client, job, plan, log)
            results = open_results(folder)
            micrographs = results.micrographs
            overlays.write_overlay_index(folder, micrographs)
            remove_notes(folder)
            analyzed = micrographs.loc[micrographs["status"].isin(tables.ANALYZED_STATUSES), "micrograph_id"]
            if folder.exists(ledger.LABELS):
                in_folders = [name for name in analyzed if not done[name].packed]
                zarr_store.write_collection(folder.inside(ledger.LABELS), in_folders)
            write_crate(results, began=_text(started_at), ended=_text(datetime.now(UTC)))
            seconds = time.perf_counter() - began
            log.write("end", **ended.counts, n_particles=ended.n_particles, seconds=round(seconds, 3))
    return RunSummary(
        results=folder.url,
        counts=ended.counts,
        n_particles=ended.n_particles,
        n_skipped=len(plan.kept),
        seconds=seconds,
        n_analyzed=plan.n_to_analyze,
        n_reused=plan.n_with_labels,
        n_too_small=ended.n_too_small,
        n_uncertain=ended.n_uncertain,
        verdicts=ended.verdicts,
        reasons=ended.reasons,
        same_fields=ended.same_fields,
        fault_conditions=ended.fault_conditions,
        n_counted=ended.n_counted,
        excluded=ended.excluded,
        n_unset_pixels=ended.n_unset_pixels,
        sizes=tuple(ended.sizes),
        report_is_old=ended.report_is_old,
        taken_as_bright=_taken_as_bright(plan.records, chosen),
    )


def _require_count(name: str, value: object, least: int) -> None:
    """Refuse what is no number of micrographs."""
    if value is not None and not (isinstance(value, int) and value >= least):
        raise SettingsError(f"{name} must be a whole number, {least} or more, got {value!r}: leave it out for no limit")


def _text(moment: datetime) -> str:
    """Return date and time as ISO 8601 text."""
    return moment.isoformat(timespec="seconds")


def _taken_as_bright(records: Sequence[loading.MicrographRecord], settings: Settings) -> dict[str, int]:
    """Count the micrographs whose particles are bright because their files say so."""
    if settings.segmentation.particles_are != "auto":
        return {}
    bright = [r.imaging for r in records if r.status == "ok" and loading.stated_polarity(r) == "bright"]
    return dict(Counter(bright).most_common())


def _analyse(
    client: Client,
    job: Job,
    plan: RunPlan,
    known: Mapping[str, ledger.Entry],
    log: RunLog,
    page: PopulationReporter,
    progress: bool,
) -> dict[str, ledger.Entry]:
    """Analyze what is planned; return the entries of all micrographs, by micrograph_id."""
    done = dict(plan.kept)
    merger = PartMerger(client, job.folder, job.lock.token, plan.kept, known)
    failed = [record for record in plan.records if record.status == "failed"]
    reasons = Counter(reason_alone(str(r.reason), r.source.path) for r in failed)
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
            for outcome in analyse_tasks(client, plan.tasks, job.settings, job.folder, job.models, job.lock, merger):
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
                    reasons[reason_alone(str(outcome.reason), outcome.source)] += 1
                    _require_few_failures(reasons, job, plan)
        finally:
            page.end()  # a run that is cut off must not stay "running" on a shared scheduler
    return merger.finish(done)


def _require_few_failures(reasons: Counter[str], job: Job, plan: RunPlan) -> None:
    """End the run where more micrographs have failed than are allowed."""
    if job.max_failures is not None and reasons.total() > job.max_failures:
        reason, n = reasons.most_common(1)[0]
        raise TooManyFailuresError(
            f"{reasons.total()} of {len(plan.records)} images have failed, more than the {job.max_failures} "
            f"allowed; {n} because: {reason}. What is done is kept: the same command goes on, and tries them again"
        )


def _draw_missing_overlays(client: Client, job: Job, plan: RunPlan, log: RunLog) -> None:
    """Draw overlays of micrographs that an earlier run analyzed without one."""
    missing = [m for m in plan.undrawn if not overlays.overlay_exists(job.folder, m.record.micrograph_id)]
    for micrograph, result in stream(client, draw_overlay, missing, job.settings, job.folder):
        if isinstance(result, BaseException):
            log.write("no overlay", micrograph_id=micrograph.record.micrograph_id, reason=str(result))
