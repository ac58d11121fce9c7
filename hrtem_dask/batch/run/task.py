"""A task of a run: one worker reads and analyzes a group of micrographs, and writes labels, rows and commit record.

A micrograph that fails gets a row with the reason, and the group goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import psutil

from hrtem_dask import analysis, backend, loading, tables
from hrtem_dask.batch.cluster.collector import spare_collector
from hrtem_dask.batch.dashboard.population_state import MicrographSummary, summarize_micrograph
from hrtem_dask.batch.run.gain import gain_reference
from hrtem_dask.batch.run.memory import Files
from hrtem_dask.batch.run.record_analysis import Analysed, ModelHashes, analyse_record
from hrtem_dask.batch.run.stored_analysis import read_stored
from hrtem_dask.batch.run.time_limit import overtime_reason, time_limit
from hrtem_dask.errors import error_text, typed_error_text
from hrtem_dask.provenance import code_version, record_hash
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, overlays, results, zarr_store
from hrtem_dask.storage.checksums import find_damage
from hrtem_dask.storage.corrections import Correction
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.packing.label_bytes import encode_labels, write_label_files
from hrtem_dask.storage.run_lock import require_owner

__all__ = [
    "AnalysisTask",
    "Outcome",
    "PlannedMicrograph",
    "check_parts",
    "commit_failed",
    "draw_overlay",
    "run_task",
]

logger = logging.getLogger(__name__)
_OF_LABELS = (
    "field_kind",
    "n_regions",
    "n_particles",
    "n_counted",
    "n_too_small",
    "n_uncertain",
    "coverage",
    "verdict",
    "doubt_reasons",
)
"""Columns of `tables.MICROGRAPHS` that mean nothing without the labels."""


@dataclass(frozen=True)
class PlannedMicrograph:
    """One micrograph of a task."""

    record: loading.MicrographRecord
    """Record of the listing."""
    key: str
    """Hash of everything but its file that its rows depend on; see `ledger.Entry`."""
    attempts: int
    """Number of earlier attempts."""
    overlay: bool
    """Whether to write a picture of its outlines."""
    correction: Correction | None = None
    """Labels corrected by hand, which are measured in place of those of the segmenter."""
    labels_key: str = ""
    """Hash of what its labels depend on; see `ledger.Entry`."""
    stored: ledger.Entry | None = None
    """Entry of an earlier run whose labels are the same, and are not made again."""


@dataclass(frozen=True)
class AnalysisTask:
    """A group of micrographs that one worker analyzes and commits together, as one part of the tables."""

    items: tuple[PlannedMicrograph, ...]
    """The micrographs, in order."""
    packed: bool = False
    """Whether their labels go into one pack instead of folders."""
    is_alone: bool = False
    """Whether it is tried with nothing else running, after its worker died or memory ran out."""

    @property
    def name(self) -> str:
        """Name of the part that it writes: the same for the same micrographs, keys and attempts."""
        return record_hash([(i.record.micrograph_id, i.key, i.attempts) for i in self.items])

    def split(self) -> list[AnalysisTask]:
        """Return one task per micrograph, to find the micrograph that killed a worker or takes too much memory.

        Returns
        -------
        list of AnalysisTask
            Tasks of one micrograph each, in order.
        """
        return [AnalysisTask((item,), self.packed, is_alone=True) for item in self.items]


@dataclass(frozen=True)
class Outcome:
    """How one micrograph ended: a record small enough to send back."""

    entry: ledger.Entry
    """Its line of the ledger."""
    source: str
    """Path of its file."""
    reason: str | None
    """Why it failed or was set aside."""
    n_particles: int
    """Number of particles found."""
    seconds: float
    """Duration (s)."""
    summary: MicrographSummary = field(default_factory=MicrographSummary)
    """Its contribution to the live page *Population*."""


def check_parts(parts: Sequence[tuple[str, Sequence[ledger.Entry]]], folder: Location) -> dict[str, str]:
    """Compare parts of earlier runs, and the labels of their micrographs, with what was written.

    Parameters
    ----------
    parts : sequence of tuple
        Name of each part, and the entries whose micrographs are kept.
    folder : Location
        The results folder.

    Returns
    -------
    dict
        `micrograph_id` → what is missing or damaged.
    """
    return {name: why for part, entries in parts for name, why in find_damage(folder, part, entries).items()}


def run_task(
    task: AnalysisTask, settings: Settings, folder: Location, models: ModelHashes, owner: str | None = None
) -> list[Outcome]:
    """Analyze a group of micrographs and commit it.

    Parameters
    ----------
    task : AnalysisTask
        The group.
    settings : Settings
        All settings.
    folder : Location
        The results folder.
    models : ModelHashes
        Hashes that the models must have.
    owner : str, optional
        `RunLock.token` of the run: without its lock a task of a dead run would write into what the next run writes.

    Returns
    -------
    list of Outcome
        One per micrograph, in order.

    Raises
    ------
    ResultsFolderError
        If another run holds the lock of the results folder.
    MemoryError
        If memory ran out, and the task is not alone: others may have taken it.
    """
    require_owner(folder, owner)
    tried = "alone" if task.is_alone else "fresh worker" if ledger.was_begun(folder, task.name) else None
    ledger.write_intent(folder, task.name, {i.record.micrograph_id: i.attempts + 1 for i in task.items})
    outcomes: list[Outcome] = []
    results: list[Analysed] = []
    pack: dict[str, label_packs.LabelFiles] = {}
    for item in task.items:
        began = time.perf_counter()
        limit = settings.execution.timeout_per_file_s
        ended = None if limit is None else overtime_reason(folder, item)
        files = Files.of(item.record, settings)
        ended = ended or (files.problem() if files is not None else None)
        with time_limit(folder, item, limit), nullcontext() if files is None or ended else files.used():
            if ended is None:
                read = None if item.stored is None else functools.partial(read_stored, folder, item.stored)
                analysed = analyse_record(item.record, settings, models, item.correction, read)
            else:
                analysed = _failed(item, ended, settings)
            if analysed.out_of_memory and not task.is_alone:
                raise MemoryError(analysed.row["reason"])
            require_owner(folder, owner)
            picture, labels_hash = _write_pictures(folder, item, analysed, settings, pack if task.packed else None)
        analysed.execution = _execution(item, analysed)
        steps = [
            tried,
            None if files is None or ended else "arrays in files",
            analysed.execution.get("out_of_memory_steps"),
        ]
        analysed.execution["out_of_memory_steps"] = ", ".join(map(str, filter(None, steps))) or None
        results.append(analysed)
        status, reason = analysed.row["status"], analysed.row.get("reason")
        entry = _entry(item, task.name, analysed.stat, analysed.row.get("source_hash"), status)
        packed = item.record.micrograph_id in pack
        entry = dataclasses.replace(entry, labels_hash=labels_hash, fingerprint=analysed.fingerprint, packed=packed)
        seconds = time.perf_counter() - began
        summary = _summary(analysed, picture)
        outcomes.append(Outcome(entry, item.record.source.path, reason, len(analysed.particle_rows), seconds, summary))
        analysed.found = None  # its images are written: a group holds those of one micrograph at a time
    require_owner(folder, owner)
    committed = _commit(task, results, outcomes, folder, label_packs.pack_labels(pack) if pack else None)
    spare_collector()  # now everything that tasks need is imported
    return committed


def commit_failed(task: AnalysisTask, reason: str, settings: Settings, folder: Location) -> list[Outcome]:
    """Commit a group whose worker died, as failed.

    Parameters
    ----------
    task : AnalysisTask
        The group.
    reason : str
        Why it failed, in words.
    settings : Settings
        All settings.
    folder : Location
        The results folder.

    Returns
    -------
    list of Outcome
        One per micrograph.
    """
    outcomes, results = [], []
    for item in task.items:
        _remove_pictures(folder, item.record.micrograph_id)
        failed = _failed(item, reason, settings)
        failed.execution = _execution(item, failed)
        results.append(failed)
        entry = _entry(item, task.name, (0, 0), None, "failed")
        outcomes.append(Outcome(entry, item.record.source.path, reason, 0, 0.0))
    return _commit(task, results, outcomes, folder)


def _failed(item: PlannedMicrograph, reason: str, settings: Settings) -> Analysed:
    """Return the row of a micrograph that cannot be tried any more."""
    row = {**loading.to_row(item.record), "status": "failed", "reason": reason}
    return Analysed(row | {"settings_hash": settings.science_hash(), "code_version": code_version()})


def _commit(
    task: AnalysisTask,
    results: Sequence[Analysed],
    outcomes: list[Outcome],
    folder: Location,
    labels: bytes | None = None,
) -> list[Outcome]:
    """Write the rows of a group and its commit record; return the outcomes."""
    part = ledger.Part(
        micrographs=tables.arrow_of_records([one.row for one in results], tables.MICROGRAPHS),
        execution=tables.arrow_of_records([one.execution for one in results], tables.EXECUTION),
        regions=tables.arrow_table([one.region_rows for one in results], tables.REGIONS),
        particles=tables.arrow_table([one.particle_rows for one in results], tables.PARTICLES),
        windows=_joined([one.windows for one in results]),
        fault_traces=_joined([one.fault_traces for one in results]),
        instance_runs=_joined([one.instance_runs for one in results]),
    )
    ledger.write_part(folder, task.name, part, [outcome.entry for outcome in outcomes], labels)
    return outcomes


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of several tables of one schema."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def draw_overlay(item: PlannedMicrograph, settings: Settings, folder: Location) -> None:
    """Draw the overlay of a micrograph that an earlier run analyzed.

    Parameters
    ----------
    item : PlannedMicrograph
        The micrograph.
    settings : Settings
        Settings, of which `filtering` and `execution.device` are used.
    folder : Location
        The results folder, with its tables.
    """
    record = item.record
    image = analysis.visible_field(loading.read_image(record), settings).image
    prepared, _ = analysis.prepare(image, settings, gain=gain_reference(settings.filtering.flat_field))
    labels = label_packs.read_labels(folder, record.micrograph_id)
    traces = results.open_results(folder).table("fault_traces")
    overlays.write_overlay(
        folder,
        record.micrograph_id,
        backend.to_numpy(prepared),
        labels,
        None,
        pixel_size_nm=record.pixel_size_nm,
        fault_traces=traces[traces["micrograph_id"] == record.micrograph_id],
    )


def _summary(analysed: Analysed, picture: np.ndarray | None) -> MicrographSummary:
    """Return the contribution to the live page; a page is no reason to lose a micrograph."""
    try:
        is_doubtful = analysed.row.get("verdict") == "doubtful"
        return summarize_micrograph(analysed.particle_rows, picture, n_doubtful=int(is_doubtful))
    except Exception:
        logger.warning("%s is not on the live page", analysed.row["micrograph_id"], exc_info=True)
        return MicrographSummary()


def _write_pictures(
    folder: Location,
    item: PlannedMicrograph,
    analysed: Analysed,
    settings: Settings,
    pack: dict[str, label_packs.LabelFiles] | None,
) -> tuple[np.ndarray | None, str]:
    """Write labels, or add them to a pack, and if planned the overlay; return the overlay and the hash of the labels.

    Without labels the micrograph has failed; without its overlay it has not.
    """
    record, found = item.record, analysed.found
    picture = None
    if found is None:
        _remove_pictures(folder, record.micrograph_id)
        return None, ""
    began = time.perf_counter()
    try:
        labels_hash = _store_labels(folder, item, found.labels, pack)
    except Exception as error:  # noqa: BLE001 - a full disk is no reason to lose the other micrographs' rows
        analysed.row |= {"status": "failed", "reason": f"its labels could not be written: {error_text(error)}"}
        analysed.row |= dict.fromkeys(_OF_LABELS)
        analysed.without_rows()
        return None, ""
    try:
        if item.overlay and settings.execution.overlays != "none":
            picture = overlays.write_overlay(
                folder,
                record.micrograph_id,
                found.prepared,
                found.labels,
                found.particles,
                pixel_size_nm=record.pixel_size_nm,
                fault_traces=found.fault_traces,
            )
    except Exception as error:  # noqa: BLE001 - the next run draws it
        logger.warning("no overlay of %s: %s", record.micrograph_id, typed_error_text(error))
    analysed.execution["seconds_write"] = time.perf_counter() - began
    return picture, labels_hash


def _store_labels(
    folder: Location, item: PlannedMicrograph, labels: np.ndarray, pack: dict[str, label_packs.LabelFiles] | None
) -> str:
    """Write the labels of one micrograph, or add them to a pack; return their hash."""
    record, store = item.record, folder.inside(ledger.LABELS)
    files = encode_labels(record.micrograph_id, labels, pixel_size_nm=record.pixel_size_nm)
    if pack is None:
        write_label_files(store, record.micrograph_id, files)
        return zarr_store.files_hash(files)
    if item.attempts:  # labels of an earlier attempt, which are out of date
        zarr_store.remove(store, record.micrograph_id)
    pack[record.micrograph_id] = files
    return zarr_store.files_hash(files)


def _remove_pictures(folder: Location, micrograph_id: str) -> None:
    """Remove labels and overlay of an earlier attempt, which would contradict the row."""
    zarr_store.remove(folder.inside(ledger.LABELS), micrograph_id)
    overlays.remove_overlay(folder, micrograph_id)


def _execution(item: PlannedMicrograph, analysed: Analysed) -> dict[str, object]:
    """Return what may differ between runs: who did it, when, and how long it took."""
    return {
        "micrograph_id": item.record.micrograph_id,
        "attempts": item.attempts + 1,
        "worker": _worker_address(),
        "peak_memory_mib": psutil.Process().memory_info().rss / 2**20,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **analysed.execution,
    }


def _entry(
    item: PlannedMicrograph, part_name: str, stat: tuple[int, int], source_hash: str | None, status: str
) -> ledger.Entry:
    """Return the entry of one micrograph in the ledger."""
    return ledger.Entry(
        micrograph_id=item.record.micrograph_id,
        key=item.key,
        source_size=stat[0],
        source_mtime_ns=stat[1],
        source_hash=source_hash or "",
        status=status,
        attempts=item.attempts + 1,
        part=part_name,
        labels_key=item.labels_key,
    )


def _worker_address() -> str | None:
    """Return the address of the worker that runs this code; None outside of a worker."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return None
