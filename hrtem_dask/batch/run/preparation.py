"""Before a run analyzes anything: settings and models are checked, inputs listed, earlier results compared."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

from hrtem_dask import crystals, loading
from hrtem_dask.analysis.segmenters import make_segmenter
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.batch.listing import list_on_workers, warn_of_unmatched_rows
from hrtem_dask.batch.run.gain import gain_reference
from hrtem_dask.batch.run.memory import can_use_files
from hrtem_dask.batch.run.plan import RunPlan, check_memory, make_plan
from hrtem_dask.batch.run.record_analysis import ModelHashes
from hrtem_dask.batch.run.task import check_parts
from hrtem_dask.defects import make_classifier
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, zarr_store
from hrtem_dask.storage.compaction import write_run_file
from hrtem_dask.storage.corrections import sound_corrections
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.run_lock import RunLock

__all__ = ["Job", "checked_models", "compare_with_ledger", "list_micrographs", "prepare_run", "with_absolute_paths"]

PARTS_PER_TASK = 32
"""Parts of earlier runs that one task compares with their hashes: a few milliseconds each."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Everything that a run needs, checked before it begins."""

    inputs: Sequence[str]
    """What the caller named."""
    sources: Sequence[loading.Source]
    """The files that were found."""
    folder: Location
    """The results folder."""
    settings: Settings
    """All settings, with absolute paths."""
    samples: loading.SampleMetadata | None
    """Table of samples and covariates."""
    models: ModelHashes
    """Hashes of the models."""
    lock: RunLock
    """Lock of the results folder."""
    limit: int | None
    """Largest number of micrographs to analyze; None for all."""
    max_failures: int | None
    """Largest number of images that may fail; None for all."""
    retry_failed: bool = True
    """Whether micrographs that failed in an earlier run are tried again."""
    metadata: str | None = None
    """Path of the table of samples and covariates."""
    only: frozenset[str] | None = None
    """Names of the images that are taken; others are left out. None for all."""


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


def prepare_run(client: Client, job: Job) -> tuple[RunPlan, dict[str, ledger.Entry]]:
    """List the micrographs, write the run file, and plan the tasks.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    job : Job
        The run.

    Returns
    -------
    plan : RunPlan
        What has to be analyzed, and what an earlier run has finished.
    entries : dict
        `micrograph_id` → its entry in the ledger of earlier runs.
    """
    folder = job.folder
    n_workers = sum(client.nthreads().values())
    records = list_micrographs(client, job)
    plan, entries = compare_with_ledger(job, records, n_workers)
    if damaged := _find_damage(client, plan, folder):
        plan, entries = compare_with_ledger(job, records, n_workers, damaged)
    warning = check_memory(
        plan,
        _memory_per_worker(client),
        n_workers,
        when_too_large=job.settings.execution.memory_plan,
        workers_can=lambda: _all_can_use_files(client, job.settings.execution.device),
    )
    if warning is not None:
        logger.warning("%s", warning)
    _warn_of_workers_without_limits(client, job.settings)
    absent = {n for n, e in entries.items() if e.status != "interrupted"} - {r.micrograph_id for r in records}
    if absent:
        logger.warning(
            "%d micrographs of earlier runs are not among these inputs: the tables leave them out", len(absent)
        )
    write_run_file(
        folder,
        job.settings,
        models=dataclasses.asdict(job.models),
        inputs=job.inputs,
        metadata=job.metadata,
        limit=job.limit,
    )
    folder.make_way(ledger.LABELS, folder=True)
    all_packed = bool(plan.tasks) and all(task.packed for task in plan.tasks)
    if folder.exists(ledger.LABELS) or not all_packed:
        zarr_store.create_store(folder.inside(ledger.LABELS))
    logger.info(
        "%d images listed in %d files: %d to analyze, %d done before",
        len(records), len(job.sources), plan.n_to_analyze, len(plan.kept),
    )  # fmt: skip
    if plan.n_with_labels:
        logger.info("labels of %d micrographs reused: only settings of later stages have changed", plan.n_with_labels)
    _log_corrections(plan)
    return plan, entries


def list_micrographs(client: Client, job: Job) -> Sequence[loading.MicrographRecord]:
    """List the micrographs of the inputs, up to the limit.

    Parameters
    ----------
    client : distributed.Client
        The cluster, whose workers read the headers.
    job : Job
        The run.

    Returns
    -------
    sequence of loading.MicrographRecord
        In the order of the tables.
    """
    warn_of_unmatched_rows(job.samples, job.sources)
    records = list_on_workers(client, job.sources, job.settings, job.samples)
    if job.only is not None:
        records = [record for record in records if record.micrograph_id in job.only]
    return _first(records, job.limit)


def compare_with_ledger(
    job: Job, records: Sequence[loading.MicrographRecord], n_workers: int, damaged: Sequence[str] = ()
) -> tuple[RunPlan, dict[str, ledger.Entry]]:
    """Plan what has to be analyzed; nothing is written.

    Parameters
    ----------
    job : Job
        The run.
    records : sequence of loading.MicrographRecord
        From `list_micrographs`.
    n_workers : int
        Number of tasks that run at the same time.
    damaged : sequence of str
        Micrographs of earlier runs that have to be done again.

    Returns
    -------
    plan : RunPlan
        What has to be analyzed, and what an earlier run has finished.
    entries : dict
        `micrograph_id` → its entry in the ledger of earlier runs.
    """
    entries = ledger.read_entries(job.folder)
    entries |= {name: dataclasses.replace(entries[name], key="", status="interrupted") for name in damaged}
    corrections = sound_corrections(job.folder, {record.micrograph_id for record in records})
    plan = make_plan(
        records, entries, job.settings, job.models, corrections, n_workers=n_workers, retry_failed=job.retry_failed
    )
    return plan, entries


def _warn_of_workers_without_limits(client: Client, settings: Settings) -> None:
    """Warn where no limit of time can be kept: a thread cannot be ended, and nobody would start another worker."""
    if settings.execution.timeout_per_file_s is None:
        return
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    n_without = sum(not w.get("nanny") or w["nthreads"] != 1 for w in workers)
    if n_without:
        logger.warning(
            "the limit of time per file is not kept by %d of %d workers: they have several threads, or no nanny that "
            "starts another one",
            n_without,
            len(workers),
        )


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


def _memory_per_worker(client: Client) -> int:
    """Return the smallest memory limit of a worker in bytes; 0 where none is known."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return min((int(w["memory_limit"] or 0) for w in workers), default=0)


def _all_can_use_files(client: Client, device: str) -> bool:
    """Ask the workers whether they can keep arrays in files; those that are lost meanwhile say nothing."""
    answers = client.run(can_use_files, device, on_error="return").values()
    return all(answer is not False for answer in answers)


def with_absolute_paths(settings: Settings) -> Settings:
    """Make paths absolute: a worker may run in another folder.

    Parameters
    ----------
    settings : Settings
        All settings.

    Returns
    -------
    Settings
        The same, with absolute paths of models and references.
    """
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
