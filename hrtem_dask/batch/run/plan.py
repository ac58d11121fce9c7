"""What a run has to do: leave out what is done and unchanged, group the rest into tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hrtem_dask import loading, tables
from hrtem_dask.batch.run.record_analysis import ModelHashes, gain_hash
from hrtem_dask.batch.run.task import Item, Task
from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import code_version, record_hash
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger
from hrtem_dask.storage.corrections import Correction

__all__ = ["Plan", "make_plan", "memory_doubt"]

SAMPLE_OVERLAYS = 24
BYTES_PER_PIXEL = 60
"""Measured: 3.7 GiB at 8192² with the U-Net, 55 bytes per pixel and what the libraries take."""


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    records: tuple[loading.MicrographRecord, ...]
    """Every 2-D image, and one record per signal or file that yields none, in the order of the tables."""
    tasks: tuple[Task, ...]
    """What has to be analysed."""
    kept: Mapping[str, ledger.Entry]
    """What an earlier run has done already, by micrograph_id."""
    undrawn: tuple[Item, ...]
    """Of these, the ones that want an overlay."""
    outdated: tuple[Correction, ...] = field(default=())
    """Corrections that are left out, since the micrograph's file has changed since."""


def make_plan(
    records: Sequence[loading.MicrographRecord],
    entries: Mapping[str, ledger.Entry],
    settings: Settings,
    models: ModelHashes,
    corrections: Mapping[str, Correction] | None = None,
) -> Plan:
    """Compare what there is with what has been done.

    Parameters
    ----------
    records : sequence of loading.MicrographRecord
        From `list_sources`.
    entries : mapping
        The ledger.
    settings : Settings
        All settings.
    models : ModelHashes
        Content of the models.
    corrections : mapping, optional
        `micrograph_id` → labels corrected by hand, which are measured in place of what the segmenter finds.

    Returns
    -------
    Plan
        Failed micrographs are tried again; done ones only where their file, pixel size, the settings, a model,
        the code or their correction have changed.

    Raises
    ------
    SettingsError
        If two micrographs have one name.
    """
    _require_unique_ids(records)
    kept: dict[str, ledger.Entry] = {}
    items: list[Item] = []
    undrawn: list[Item] = []
    outdated: list[Correction] = []
    fixed = _fixed_key(settings, models)
    ok = [r for r in records if r.status == "ok"]
    pictured = _pictured([r.micrograph_id for r in ok], settings.execution.overlays)
    for record in ok:
        correction = (corrections or {}).get(record.micrograph_id)
        if correction is not None and not _unchanged(record, correction):
            outdated.append(correction)
            correction = None
        corrected = [] if correction is None else [correction.labels_hash]
        key = record_hash([fixed, record.pixel_size_nm, record.pixel_size_source, *corrected])
        entry = entries.get(record.micrograph_id)
        if entry is not None and entry.key == key and entry.status != "failed" and _unchanged(record, entry):
            kept[record.micrograph_id] = entry
            if record.micrograph_id in pictured and entry.status != "set_aside":
                undrawn.append(Item(record, key, entry.attempts, overlay=True))
            continue
        attempts = entry.attempts if entry else 0
        items.append(Item(record, key, attempts, record.micrograph_id in pictured, correction))
    tasks = tuple(Task(group) for group in _groups(items, settings.execution.group_megapixels * 1e6))
    return Plan(tuple(records), tasks, kept, tuple(undrawn), tuple(outdated))


def memory_doubt(plan: Plan, memory_per_worker: int) -> str | None:
    """Say before anything is computed where a micrograph may be too large for a worker.

    Parameters
    ----------
    plan : Plan
        What will be done.
    memory_per_worker : int
        Memory limit of a worker in bytes; 0 where it is not known.

    Returns
    -------
    str or None
        A line for the user, or None where all is well.
    """
    records = [item.record for task in plan.tasks for item in task.items]
    largest = max(records, key=lambda r: (r.height_px or 0) * (r.width_px or 0), default=None)
    if largest is None or not memory_per_worker:
        return None
    needed = BYTES_PER_PIXEL * (largest.height_px or 0) * (largest.width_px or 0)
    if needed < 0.6 * memory_per_worker:  # Dask spills from 60 % and pauses at 80 %
        return None
    return (
        f"{largest.source.path} ({largest.height_px} × {largest.width_px}) needs about {needed / 2**30:.1f} GiB, "
        f"a worker has {memory_per_worker / 2**30:.1f} GiB: fewer workers (--workers) leave more to each"
    )


def _require_unique_ids(records: Sequence[loading.MicrographRecord]) -> None:
    """Refuse inputs that name one file twice: one of them would be lost."""
    seen: dict[str, loading.MicrographRecord] = {}
    for record in records:
        other = seen.setdefault(record.micrograph_id, record)
        if other is not record:
            raise SettingsError(
                f"{other.source.path} and {record.source.path} are both {record.micrograph_id}: "
                "name each file once, or give their common folder as the input"
            )


def _fixed_key(settings: Settings, models: ModelHashes) -> str:
    """Return a hash of all that the rows of every micrograph depend on."""
    return record_hash(
        {
            "settings": settings.science_hash(),
            "model": models.segmentation,
            "defect_model": models.defects,
            "flat_field": gain_hash(settings.filtering.flat_field),
            "code": code_version(),
            "schema": tables.SCHEMA_VERSION,
        }
    )


def _unchanged(record: loading.MicrographRecord, entry: ledger.Entry | Correction) -> bool:
    """Say whether the file is still the one that was analysed or corrected; it is read only where its date changed."""
    stat = loading.source_stat(record.source)
    if stat == (entry.source_size, entry.source_mtime_ns) and stat[1] != 0:  # 0: the place knows no dates
        return True
    return loading.source_hash(record.source) == entry.source_hash


def _pictured(ids: Sequence[str], overlays: str) -> set[str]:
    """Choose the micrographs that get an overlay: a sample that does not depend on order or time."""
    if overlays == "all":
        return set(ids)
    ranked = sorted(ids, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())
    return set(ranked[:SAMPLE_OVERLAYS]) if overlays == "sample" else set()


def _groups(items: Sequence[Item], pixels: float) -> Iterator[tuple[Item, ...]]:
    """Group small micrographs, in order, until a group has enough pixels to be worth a task."""
    group: list[Item] = []
    size = 0
    for item in items:
        group.append(item)
        size += (item.record.height_px or 0) * (item.record.width_px or 0)
        if size >= pixels:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)
