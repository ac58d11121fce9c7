"""Plan a run: keep the micrographs that are done and unchanged, and group the others into tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hrtem_dask import loading, tables
from hrtem_dask.batch.run.record_analysis import ModelHashes, gain_hash
from hrtem_dask.batch.run.task import AnalysisTask, PlannedMicrograph
from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import code_version, record_hash
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger
from hrtem_dask.storage.corrections import Correction

__all__ = ["RunPlan", "make_plan", "memory_warning"]

SAMPLE_OVERLAYS = 24
"""Number of overlays of a run whose setting ``overlays`` is ``sample``."""
GROUPS_PER_WORKER = 4
"""Least number of groups of a worker, where there are so many micrographs."""
BYTES_PER_PIXEL = 60
"""Memory of a worker per pixel of a micrograph: measured, 3.7 GiB at 8192² pixels with the U-Net, which is 55 bytes per
pixel and the memory of the libraries."""


@dataclass(frozen=True)
class RunPlan:
    """The micrographs of a run: those that will be analyzed, and those that an earlier run has finished."""

    records: tuple[loading.MicrographRecord, ...]
    """Every 2-D image, and one record per signal or file that yields none, in the order of the tables."""
    tasks: tuple[AnalysisTask, ...]
    """Micrographs that have to be analyzed, in groups."""
    kept: Mapping[str, ledger.Entry]
    """Micrographs that an earlier run has finished, by micrograph_id."""
    undrawn: tuple[PlannedMicrograph, ...]
    """Those of them that get an overlay."""
    outdated: tuple[Correction, ...] = field(default=())
    """Corrections that are not used, because the file of their micrograph has changed."""

    @property
    def n_to_analyze(self) -> int:
        """Number of micrographs that have to be analyzed."""
        return sum(len(task.items) for task in self.tasks)


def make_plan(
    records: Sequence[loading.MicrographRecord],
    entries: Mapping[str, ledger.Entry],
    settings: Settings,
    models: ModelHashes,
    corrections: Mapping[str, Correction] | None = None,
    *,
    n_workers: int = 1,
) -> RunPlan:
    """Compare the micrographs that were listed with the ledger of earlier runs.

    Parameters
    ----------
    records : sequence of loading.MicrographRecord
        From `list_sources`.
    entries : mapping of str to ledger.Entry
        The ledger, by micrograph_id.
    settings : Settings
        All settings.
    models : ModelHashes
        Hashes of the models.
    corrections : mapping of str to Correction, optional
        Labels corrected by hand, by micrograph_id; they are measured in place of those of the segmenter.
    n_workers : int
        Number of tasks that the cluster runs at the same time: each gets several groups, so that none waits long for
        the others at the end, and the first result comes early.

    Returns
    -------
    RunPlan
        Failed micrographs are tried again. Finished ones are analyzed again only where their file, their pixel size,
        the settings, a model, the code or their correction has changed.

    Raises
    ------
    SettingsError
        If two micrographs have the same name.
    """
    _require_unique_ids(records)
    kept: dict[str, ledger.Entry] = {}
    items: list[PlannedMicrograph] = []
    undrawn: list[PlannedMicrograph] = []
    outdated: list[Correction] = []
    fixed = _fixed_key(settings, models)
    ok = [r for r in records if r.status == "ok"]
    with_overlay = _choose_overlays([r.micrograph_id for r in ok], settings.execution.overlays)
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
            if record.micrograph_id in with_overlay and entry.status != "set_aside":
                undrawn.append(PlannedMicrograph(record, key, entry.attempts, overlay=True))
            continue
        attempts = entry.attempts if entry else 0
        items.append(PlannedMicrograph(record, key, attempts, record.micrograph_id in with_overlay, correction))
    share = sum(_pixels(item) for item in items) / (GROUPS_PER_WORKER * max(n_workers, 1))
    largest = min(settings.execution.group_megapixels * 1e6, share)
    tasks = tuple(AnalysisTask(group) for group in _groups(items, largest))
    return RunPlan(tuple(records), tasks, kept, tuple(undrawn), tuple(outdated))


def memory_warning(plan: RunPlan, memory_per_worker: int) -> str | None:
    """Return a warning where a micrograph may be too large for the memory of a worker.

    Parameters
    ----------
    plan : RunPlan
        Plan of the run.
    memory_per_worker : int
        Memory limit of a worker in bytes; 0 where it is not known.

    Returns
    -------
    str or None
        A line for the user, or None where the memory suffices or is not known.
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
        f"a worker has {memory_per_worker / 2**30:.1f} GiB: with fewer workers (--workers) each gets more"
    )


def _require_unique_ids(records: Sequence[loading.MicrographRecord]) -> None:
    """Refuse inputs in which two micrographs have the same id: one of them would be lost."""
    seen: dict[str, loading.MicrographRecord] = {}
    for record in records:
        other = seen.setdefault(record.micrograph_id, record)
        if other is not record:
            raise SettingsError(
                f"{other.source.path} and {record.source.path} are both {record.micrograph_id}: "
                "give each file once, or give their common folder as the input"
            )


def _fixed_key(settings: Settings, models: ModelHashes) -> str:
    """Return a hash of what the rows of every micrograph depend on."""
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
    """Return whether the file is the one that was analyzed or corrected; it is read only if its date has changed."""
    stat = loading.source_stat(record.source)
    if stat == (entry.source_size, entry.source_mtime_ns) and stat[1] != 0:  # 0: a store without dates
        return True
    return loading.source_hash(record.source) == entry.source_hash


def _choose_overlays(ids: Sequence[str], overlays: str) -> set[str]:
    """Choose the micrographs that get an overlay: a sample that depends on their names only."""
    if overlays == "all":
        return set(ids)
    ranked = sorted(ids, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())
    return set(ranked[:SAMPLE_OVERLAYS]) if overlays == "sample" else set()


def _pixels(item: PlannedMicrograph) -> int:
    """Return the number of pixels of a micrograph; 0 where its listing does not state it."""
    return (item.record.height_px or 0) * (item.record.width_px or 0)


def _groups(items: Sequence[PlannedMicrograph], pixels: float) -> Iterator[tuple[PlannedMicrograph, ...]]:
    """Group small micrographs, in order, until a group has enough pixels to be worth a task."""
    group: list[PlannedMicrograph] = []
    size = 0
    for item in items:
        group.append(item)
        size += _pixels(item)
        if size >= pixels:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)
