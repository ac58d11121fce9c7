"""What one worker does with one group of micrographs: read, analyse, write labels, rows and the commit record.

A micrograph that fails gets a row that says why, and the group goes on.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import analysis, loading, tables
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, overlays, zarr_store
from hrtem_dask.storage.location import Location

__all__ = ["Item", "Outcome", "Task", "failed", "gain_reference", "run_task"]


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


@dataclass(frozen=True)
class Task:
    """A group of micrographs that is done in one go and committed in one part."""

    items: tuple[Item, ...]
    """The micrographs."""

    @property
    def name(self) -> str:
        """Name of its part: the same for the same micrographs, keys and attempts."""
        return ledger.hash_of([(i.record.micrograph_id, i.key, i.attempts) for i in self.items])

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


def run_task(task: Task, settings: Settings, place: Location, model_hash: str | None) -> list[Outcome]:
    """Analyse a group of micrographs and commit it.

    Parameters
    ----------
    task : Task
        The group.
    settings : Settings
        All settings.
    place : Location
        The results folder.
    model_hash : str or None
        Content hash that the model must have.

    Returns
    -------
    list of Outcome
        One per micrograph, in order.
    """
    outcomes, parts = [], []
    for item in task.items:
        outcome, part = _run_item(item, task.name, settings, place, model_hash)
        outcomes.append(outcome)
        parts.append(part)
    joined = ledger.Part(
        **{table: pd.concat([getattr(part, table) for part in parts], ignore_index=True) for table in tables.SCHEMAS}
    )
    ledger.write_part(place, task.name, joined, [o.entry for o in outcomes])
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
    outcomes, rows = [], []
    for item in task.items:
        row = {**loading.to_row(item.record), "status": "failed", "reason": reason}
        rows.append({**row, "settings_hash": settings.science_hash(), "code_version": version("hrtem-dask")})
        outcomes.append(Outcome(_entry(item, task.name, None, "failed"), item.record.source.path, reason, 0, 0.0))
    table = tables.conform(pd.DataFrame(rows), tables.MICROGRAPHS)
    part = ledger.Part(table, tables.empty(tables.REGIONS), tables.empty(tables.PARTICLES), _execution(task.items, {}))
    ledger.write_part(place, task.name, part, [o.entry for o in outcomes])
    return outcomes


def _run_item(
    item: Item, part_name: str, settings: Settings, place: Location, model_hash: str | None
) -> tuple[Outcome, ledger.Part]:
    """Analyse one micrograph; whatever goes wrong becomes its row."""
    began = time.perf_counter()
    record = item.record
    row = {
        **loading.to_row(record),
        "settings_hash": settings.science_hash(),
        "model_hash": model_hash,
        "code_version": version("hrtem-dask"),
    }
    laps: dict[str, Any] = {}
    regions, particles = tables.empty(tables.REGIONS), tables.empty(tables.PARTICLES)
    try:
        row["source_hash"] = loading.source_hash(record.source)
        image = loading.read_image(record)
        laps["seconds_read"] = time.perf_counter() - began
        found = analysis.analyse(
            image,
            pixel_size_nm=record.pixel_size_nm,
            settings=settings,
            segmenter=make_segmenter(settings.segmentation, settings.execution),
            gain=gain_reference(settings.filtering.flat_field),
        )
        flags = ",".join(filter(None, [row.get("calibration_flags"), found.micrograph.get("calibration_flags")]))
        reasons = "; ".join(filter(None, [found.reason, record.reason]))
        row |= {**found.micrograph, "calibration_flags": flags or None}
        row |= {"status": found.status, "reason": reasons or None}
        laps |= found.execution
        wrote = time.perf_counter()
        _write_pictures(place, item, found, settings)
        laps["seconds_write"] = time.perf_counter() - wrote
        regions, particles = found.regions, found.particles
    except Exception as error:  # noqa: BLE001 - whatever a file or an image provokes, the batch goes on and says so
        row |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    rows = pd.DataFrame([row])
    part = ledger.Part(
        micrographs=tables.conform(rows, tables.MICROGRAPHS),
        regions=_named(regions, row, tables.REGIONS),
        particles=_named(particles, row, tables.PARTICLES),
        execution=_execution((item,), laps),
    )
    entry = _entry(item, part_name, row.get("source_hash"), row["status"])
    seconds = time.perf_counter() - began
    return Outcome(entry, record.source.path, row.get("reason"), len(particles), seconds), part


def _write_pictures(place: Location, item: Item, found: analysis.Analysis, settings: Settings) -> None:
    """Write labels and, where asked, the overlay."""
    record = item.record
    labels = place.path("labels.zarr")
    zarr_store.write_labels(Location.of(labels), record.micrograph_id, found.labels, pixel_size_nm=record.pixel_size_nm)
    if item.overlay and settings.execution.overlays != "none":
        overlays.write_overlay(
            place,
            record.micrograph_id,
            found.prepared,
            found.labels,
            found.particles,
            pixel_size_nm=record.pixel_size_nm,
        )


def _named(table: pd.DataFrame, row: dict[str, Any], schema: tables.Schema) -> pd.DataFrame:
    """Add the micrograph's name and sample to rows of regions or particles."""
    return tables.conform(table.assign(micrograph_id=row["micrograph_id"], sample=row.get("sample")), schema)


def _entry(item: Item, part_name: str, source_hash: str | None, status: str) -> ledger.Entry:
    """Return the ledger's line for one micrograph."""
    size, mtime_ns = loading.source_stat(item.record.source)
    return ledger.Entry(
        micrograph_id=item.record.micrograph_id,
        key=item.key,
        source_size=size,
        source_mtime_ns=mtime_ns,
        source_hash=source_hash or "",
        status=status,
        attempts=item.attempts + 1,
        part=part_name,
    )


def _execution(items: tuple[Item, ...], laps: dict[str, Any]) -> pd.DataFrame:
    """Return the rows that may differ between runs."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    rows = [
        {
            "micrograph_id": item.record.micrograph_id,
            "attempts": item.attempts + 1,
            "worker": _worker_address(),
            "peak_memory_mib": peak,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **laps,
        }
        for item in items
    ]
    return tables.conform(pd.DataFrame(rows), tables.EXECUTION)


def _worker_address() -> str | None:
    """Return the address of the worker that this runs on; None outside of one."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return None


@functools.lru_cache(maxsize=2)
def gain_reference(path: str | None) -> np.ndarray | None:
    """Read the gain reference, once per worker.

    Parameters
    ----------
    path : str or None
        Its file, which holds exactly one image; None for no reference.

    Returns
    -------
    numpy.ndarray or None
        Shape (y, x).

    Raises
    ------
    HrtemDaskError
        If the file cannot be read, holds no image, or several.
    """
    if path is None:
        return None
    return loading.read_single_image(path)
