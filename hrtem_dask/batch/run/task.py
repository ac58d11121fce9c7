"""What one worker does with one group of micrographs: read, analyse, write labels, rows and the commit record.

A micrograph that fails gets a row that says why, and the group goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import psutil

from hrtem_dask import analysis, backend, loading, tables
from hrtem_dask.batch.dashboard.population_state import MicrographSummary, summarise
from hrtem_dask.batch.run.record_analysis import Analysed, ModelHashes, analyse_record, gain_reference
from hrtem_dask.provenance import code_version, record_hash
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, overlays, zarr_store
from hrtem_dask.storage.corrections import Correction
from hrtem_dask.storage.location import Location

__all__ = ["Item", "Outcome", "Task", "draw_overlay", "failed", "run_task"]


@dataclass(frozen=True)
class Item:
    """One micrograph of a task."""

    record: loading.MicrographRecord
    """What the listing found."""
    key: str
    """See `ledger.Entry`."""
    attempts: int
    """Times it has run before."""
    overlay: bool
    """Whether to write a picture of the outlines."""
    correction: Correction | None = None
    """Labels corrected by hand, to be measured in place of what the segmenter finds."""


@dataclass(frozen=True)
class Task:
    """A group of micrographs that is done in one go and committed in one part."""

    items: tuple[Item, ...]
    """The micrographs."""

    @property
    def name(self) -> str:
        """Name of its part: the same for the same micrographs, keys and attempts."""
        return record_hash([(i.record.micrograph_id, i.key, i.attempts) for i in self.items])

    def split(self) -> list[Task]:
        """Return one task per micrograph.

        Returns
        -------
        list of Task
            For finding the one that killed a worker.
        """
        return [Task((item,)) for item in self.items]


@dataclass(frozen=True)
class Outcome:
    """How one micrograph ended: small enough to send back."""

    entry: ledger.Entry
    """Its line of the ledger."""
    source: str
    """Its file."""
    reason: str | None
    """Why it failed or was set aside."""
    n_particles: int
    """Particles found."""
    seconds: float
    """Time it took (s)."""
    summary: MicrographSummary = field(default_factory=MicrographSummary)
    """What it adds to the live page."""


def run_task(task: Task, settings: Settings, place: Location, models: ModelHashes) -> list[Outcome]:
    """Analyse a group of micrographs and commit it.

    Parameters
    ----------
    task : Task
        The group.
    settings : Settings
        All settings.
    place : Location
        The results folder.
    models : ModelHashes
        Content that the models must have.

    Returns
    -------
    list of Outcome
        One per micrograph, in order.
    """
    ledger.write_intent(place, task.name, {i.record.micrograph_id: i.attempts + 1 for i in task.items})
    outcomes, parts = [], []
    for item in task.items:
        began = time.perf_counter()
        analysed = analyse_record(item.record, settings, models, item.correction)
        picture = _write_pictures(place, item, analysed, settings)
        parts.append(_part(item, analysed))
        status, reason = analysed.row["status"], analysed.row.get("reason")
        entry = _entry(item, task.name, analysed.stat, analysed.row.get("source_hash"), status)
        seconds = time.perf_counter() - began
        summary = summarise(analysed.particles, picture)
        outcomes.append(Outcome(entry, item.record.source.path, reason, len(analysed.particles), seconds, summary))
    joined = {t: pd.concat([getattr(part, t) for part in parts], ignore_index=True) for t in tables.SCHEMAS}
    ledger.write_part(place, task.name, ledger.Part(**joined), [o.entry for o in outcomes])
    return outcomes


def failed(task: Task, reason: str, settings: Settings, place: Location) -> list[Outcome]:
    """Commit a group whose worker died, as failed.

    Parameters
    ----------
    task : Task
        The group.
    reason : str
        What happened, in words.
    settings : Settings
        All settings.
    place : Location
        The results folder.

    Returns
    -------
    list of Outcome
        One per micrograph.
    """
    outcomes, parts = [], []
    for item in task.items:
        row = {**loading.to_row(item.record), "status": "failed", "reason": reason}
        row |= {"settings_hash": settings.science_hash(), "code_version": code_version()}
        _remove_pictures(place, item.record.micrograph_id)
        parts.append(_part(item, Analysed(row)))
        entry = _entry(item, task.name, (0, 0), None, "failed")
        outcomes.append(Outcome(entry, item.record.source.path, reason, 0, 0.0))
    joined = {t: pd.concat([getattr(part, t) for part in parts], ignore_index=True) for t in tables.SCHEMAS}
    ledger.write_part(place, task.name, ledger.Part(**joined), [o.entry for o in outcomes])
    return outcomes


def draw_overlay(item: Item, settings: Settings, place: Location) -> None:
    """Draw the overlay of a micrograph that an earlier run analysed.

    Parameters
    ----------
    item : Item
        The micrograph.
    settings : Settings
        Of these, `filtering` and `execution.device`.
    place : Location
        The results folder, with its tables.
    """
    record = item.record
    prepared, _ = analysis.prepare(
        loading.read_image(record), settings, gain=gain_reference(settings.filtering.flat_field)
    )
    labels = zarr_store.read_labels(Location.of(place.path("labels.zarr")), record.micrograph_id)
    overlays.write_overlay(
        place, record.micrograph_id, backend.to_numpy(prepared), labels, None, pixel_size_nm=record.pixel_size_nm
    )


def _write_pictures(place: Location, item: Item, analysed: Analysed, settings: Settings) -> np.ndarray | None:
    """Write labels and, where asked, the overlay, which is returned; one whose labels cannot be written has failed."""
    record, found = item.record, analysed.found
    picture = None
    if found is None:
        _remove_pictures(place, record.micrograph_id)
        return None
    began = time.perf_counter()
    try:
        zarr_store.write_labels(
            Location.of(place.path("labels.zarr")),
            record.micrograph_id,
            found.labels,
            pixel_size_nm=record.pixel_size_nm,
        )
        if item.overlay and settings.execution.overlays != "none":
            picture = overlays.write_overlay(
                place,
                record.micrograph_id,
                found.prepared,
                found.labels,
                found.particles,
                pixel_size_nm=record.pixel_size_nm,
            )
    except Exception as error:  # noqa: BLE001 - a full disk is no reason to lose the other micrographs' rows
        analysed.row |= {"status": "failed", "reason": f"its labels could not be written: {error}"}
        analysed.row |= dict.fromkeys(("n_regions", "n_particles", "n_counted", "coverage"))
        analysed.regions, analysed.particles = tables.empty(tables.REGIONS), tables.empty(tables.PARTICLES)
    analysed.execution["seconds_write"] = time.perf_counter() - began
    return picture


def _remove_pictures(place: Location, micrograph_id: str) -> None:
    """Remove labels and overlay of an earlier attempt: they would contradict the row."""
    zarr_store.remove(Location.of(place.path("labels.zarr")), micrograph_id)
    overlays.remove_overlay(place, micrograph_id)


def _part(item: Item, analysed: Analysed) -> ledger.Part:
    """Return the tables of one micrograph."""
    execution = {
        "micrograph_id": item.record.micrograph_id,
        "attempts": item.attempts + 1,
        "worker": _worker_address(),
        "peak_memory_mib": psutil.Process().memory_info().rss / 2**20,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **analysed.execution,
    }
    return ledger.Part(
        micrographs=tables.conform(pd.DataFrame([analysed.row]), tables.MICROGRAPHS),
        regions=analysed.regions,
        particles=analysed.particles,
        execution=tables.conform(pd.DataFrame([execution]), tables.EXECUTION),
    )


def _entry(item: Item, part_name: str, stat: tuple[int, int], source_hash: str | None, status: str) -> ledger.Entry:
    """Return the ledger's line for one micrograph."""
    return ledger.Entry(
        micrograph_id=item.record.micrograph_id,
        key=item.key,
        source_size=stat[0],
        source_mtime_ns=stat[1],
        source_hash=source_hash or "",
        status=status,
        attempts=item.attempts + 1,
        part=part_name,
    )


def _worker_address() -> str | None:
    """Return the address of the worker that this runs on; None outside of one."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return None
