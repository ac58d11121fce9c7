"""Plan a run: keep the micrographs that are done and unchanged, and group the others into tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hrtem_dask import loading, tables
from hrtem_dask.batch.run.gain import gain_hash
from hrtem_dask.batch.run.memory import (
    NETWORK_BYTES,
    PAUSE_FRACTION,
    fixed_bytes,
    image_bytes,
    may_use_files,
    network_bytes,
    suffices_for_files,
)
from hrtem_dask.batch.run.record_analysis import ModelHashes
from hrtem_dask.batch.run.task import AnalysisTask, PlannedMicrograph
from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import code_version, record_hash
from hrtem_dask.settings import DETECTION_METHODS, Settings
from hrtem_dask.storage import ledger
from hrtem_dask.storage.corrections import Correction

__all__ = ["RunPlan", "check_memory", "make_plan", "planned_memory"]

SAMPLE_OVERLAYS = 24
"""Number of overlays of a run whose setting ``overlays`` is ``sample``."""
PACK_ABOVE = 500
"""Number of micrographs above which labels are packed, with the setting ``execution.labels`` ``"auto"``."""


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
    network_bytes: int = NETWORK_BYTES
    """Memory that the network of a worker takes, whatever the size of the micrographs; 0 without one."""
    may_use_files: bool = False
    """Whether the arrays of a micrograph that is too large for memory may be kept in files."""

    @property
    def n_to_analyze(self) -> int:
        """Number of micrographs that have to be analyzed."""
        return sum(len(task.items) for task in self.tasks)

    @property
    def n_with_labels(self) -> int:
        """Number of these whose labels an earlier run has made."""
        return sum(item.stored is not None for task in self.tasks for item in task.items)


def make_plan(
    records: Sequence[loading.MicrographRecord],
    entries: Mapping[str, ledger.Entry],
    settings: Settings,
    models: ModelHashes,
    corrections: Mapping[str, Correction] | None = None,
    *,
    n_workers: int = 1,
    retry_failed: bool = True,
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
    retry_failed : bool
        Whether micrographs that failed are tried again; otherwise their rows stay until file or settings change.

    Returns
    -------
    RunPlan
        Finished ones are analyzed again only where their file, their pixel size,
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
    fixed, fixed_of_labels = _fixed_key(settings, models), _labels_key(settings, models)
    ok = [r for r in records if r.status == "ok"]
    # overlapping instances are more than labels
    may_use_labels = settings.segmentation.chosen_method not in DETECTION_METHODS
    with_overlay = _choose_overlays([r.micrograph_id for r in ok], settings.execution.overlays)
    for record in ok:
        correction = (corrections or {}).get(record.micrograph_id)
        if correction is not None and not _unchanged(record, correction):
            outdated.append(correction)
            correction = None
        corrected = [] if correction is None else [correction.labels_hash]
        key = record_hash([fixed, record.pixel_size_nm, record.pixel_size_source, *corrected])
        entry = entries.get(record.micrograph_id)
        if entry is not None and entry.key == key and _is_kept(record, entry, retry_failed=retry_failed):
            kept[record.micrograph_id] = entry
            if record.micrograph_id in with_overlay and entry.status not in {"set_aside", "failed"}:
                undrawn.append(PlannedMicrograph(record, key, entry.attempts, overlay=True))
            continue
        labels_key = record_hash([fixed_of_labels, record.pixel_size_nm, record.pixel_size_source, *corrected])
        is_stored = may_use_labels and correction is None and _has_labels(record, entry, labels_key)
        planned = PlannedMicrograph(
            record,
            key,
            entry.attempts if entry else 0,
            record.micrograph_id in with_overlay,
            correction,
            labels_key,
            entry if is_stored else None,
        )
        items.append(planned)
    largest = settings.execution.group_megapixels * 1e6
    packed = settings.execution.labels == "packed" or (settings.execution.labels == "auto" and len(ok) > PACK_ABOVE)
    tasks = tuple(AnalysisTask(group, packed) for group in _groups(items, largest, max(n_workers, 1)))
    return RunPlan(
        tuple(records), tasks, kept, tuple(undrawn), tuple(outdated), network_bytes(settings), may_use_files(settings)
    )


def planned_memory(plan: RunPlan) -> tuple[int, loading.MicrographRecord | None]:
    """Return the memory that a worker needs for the largest micrograph.

    Parameters
    ----------
    plan : RunPlan
        Plan of the run.

    Returns
    -------
    needed : int
        Bytes, with those of the libraries; 0 where nothing is to be analyzed.
    record : loading.MicrographRecord or None
        That micrograph.
    """
    records = [item.record for task in plan.tasks for item in task.items]
    largest = max(records, key=lambda r: (r.height_px or 0) * (r.width_px or 0), default=None)
    if largest is None:
        return 0, None
    return fixed_bytes(plan.network_bytes) + image_bytes(largest), largest


def check_memory(
    plan: RunPlan,
    memory_per_worker: int,
    n_workers: int,
    *,
    when_too_large: Literal["files", "refuse", "warn"] = "files",
    workers_can: Callable[[], bool] = lambda: True,
) -> str | None:
    """Compare the memory that is planned with that of the workers.

    Parameters
    ----------
    plan : RunPlan
        Plan of the run.
    memory_per_worker : int
        Memory limit of a worker in bytes; 0 where it is not known.
    n_workers : int
        Number of workers.
    when_too_large : {"files", "refuse", "warn"}
        What happens if the memory does not suffice: see ``execution.memory_plan``.
    workers_can : callable
        Asks whether every worker can keep arrays in files, where that matters.

    Returns
    -------
    str or None
        A warning where it may not suffice, or None where it does or is not known.

    Raises
    ------
    SettingsError
        If it does not suffice, `when_too_large` is ``"refuse"``, or it is ``"files"`` and arrays cannot be kept there.
    """
    needed, largest = planned_memory(plan)
    if largest is None or not memory_per_worker or needed < PAUSE_FRACTION * memory_per_worker:
        return None
    fitting = min(int(n_workers * memory_per_worker / needed), n_workers - 1)
    remedy = (
        f"with fewer workers (--workers {fitting}) each gets more"
        if fitting >= 1
        else "use workers with more memory, or leave this file out"
    )
    asked = when_too_large == "files" and plan.may_use_files
    asked = asked and suffices_for_files(memory_per_worker, plan.network_bytes)
    files = asked and workers_can()
    if asked and not files:
        remedy += ' (arrays in files need Linux with glibc, and execution.device = "cpu" where workers have GPUs)'
    if files:
        return (
            f"{largest.source.path} ({largest.height_px} × {largest.width_px}) needs about {needed / 2**30:.1f} GiB, "
            f"a worker has {memory_per_worker / 2**30:.1f} GiB: micrographs of this size take several times as long, "
            f"with their arrays in files (up to {image_bytes(largest) / 2**30:.1f} GiB, in Dask's temporary-directory)"
            f"{f'; {remedy}' if fitting >= 1 else ''}"
        )
    message = (
        f"{largest.source.path} ({largest.height_px} × {largest.width_px}) needs about {needed / 2**30:.1f} GiB, "
        f"a worker has {memory_per_worker / 2**30:.1f} GiB: {remedy}"
    )
    if needed > memory_per_worker and when_too_large != "warn":
        raise SettingsError(f'{message}; execution.memory_plan = "warn" tries it nevertheless')
    return message


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


def _labels_key(settings: Settings, models: ModelHashes) -> str:
    """Return a hash of what the labels of every micrograph depend on."""
    return record_hash(
        {
            "settings": settings.labels_hash(),
            "model": models.segmentation,
            "flat_field": gain_hash(settings.filtering.flat_field),
            "code": code_version(),
            "schema": tables.SCHEMA_VERSION,
        }
    )


def _has_labels(record: loading.MicrographRecord, entry: ledger.Entry | None, labels_key: str) -> bool:
    """Return whether an earlier run has found on this micrograph what the segmenter would find again."""
    if entry is None or entry.labels_key != labels_key or entry.status not in tables.ANALYZED_STATUSES:
        return False
    return bool(entry.labels_hash) and _unchanged(record, entry)


def _is_kept(record: loading.MicrographRecord, entry: ledger.Entry, *, retry_failed: bool) -> bool:
    """Return whether the result of an earlier run with the same key stays."""
    if entry.status != "failed":
        return _unchanged(record, entry)
    # of a file whose worker died, or that could not be read, no content is known
    return not retry_failed and (not entry.source_hash or _unchanged(record, entry))


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


def _groups(
    items: Sequence[PlannedMicrograph], pixels: float, n_workers: int
) -> Iterator[tuple[PlannedMicrograph, ...]]:
    """Group small micrographs, in order, until a group has enough pixels to be worth a task.

    The first group of each worker is a single micrograph, so that the first results come early. Then come rounds of one
    group per worker, all of one size, which take half of what is left, so that groups become smaller and no worker
    waits long for the others at the end (factoring; S. F. Hummel, E. Schonberg, L. E. Flynn, Communications of the ACM
    35 (1992) no. 8, 90).
    """
    group: list[PlannedMicrograph] = []
    size, enough, n_groups, left = 0, 0.0, 0, sum(map(_pixels, items))
    for item in items:
        if group and size + _pixels(item) > 2 * enough:  # a large one has a group of its own
            yield tuple(group)
            n_groups, left = n_groups + 1, left - size
            group, size = [], 0
        if not group and n_groups >= n_workers and n_groups % n_workers == 0:
            enough = min(pixels, left / (2 * n_workers))
        group.append(item)
        size += _pixels(item)
        if size >= enough:
            yield tuple(group)
            n_groups, left = n_groups + 1, left - size
            group, size = [], 0
    if group:
        yield tuple(group)
