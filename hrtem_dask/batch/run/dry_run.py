"""What a run would do: micrographs, files, bytes, memory and time, before anything is written."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dask.utils import parse_bytes
from distributed import Client
from distributed.system import MEMORY_LIMIT

from hrtem_dask import backend, loading
from hrtem_dask.batch.cluster.cluster import choose_cluster, connect
from hrtem_dask.batch.cluster.local import default_workers
from hrtem_dask.batch.cluster.slurm import job_script, memory_of_job, n_jobs, processes_of_job
from hrtem_dask.batch.listing import find_inputs
from hrtem_dask.batch.run.part_merger import parts_left
from hrtem_dask.batch.run.plan import RunPlan, planned_memory
from hrtem_dask.batch.run.preparation import (
    Job,
    checked_models,
    compare_with_ledger,
    list_micrographs,
    with_absolute_paths,
)
from hrtem_dask.batch.run.task import AnalysisTask, PlannedMicrograph, run_task
from hrtem_dask.chosen_settings import SettingsLike, choose_settings
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.storage import ledger, zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.run_lock import RunLock

__all__ = ["DryRun", "dry_run"]

PROBES = 3
"""Number of micrographs that are analyzed to estimate time and bytes."""
FIXED_FILES = 16
"""Files at the end of a run that do not depend on the number of micrographs."""
GIB = 2**30


@dataclass(frozen=True)
class DryRun:
    """What a run would do."""

    listed: Mapping[str, int]
    """Images by what would happen: to analyze, done before, set_aside, failed."""
    n_files: int
    """Files and folders that it would write, about."""
    n_bytes: int
    """Bytes that it would write, about."""
    n_workers: int
    """Number of workers."""
    memory_needed: int
    """Memory that the largest micrograph needs (bytes)."""
    memory_per_worker: int
    """Memory of a worker (bytes); 0 where it is not known."""
    seconds: float | None
    """Time that the analysis would take on these workers (s); None where nothing is to be analyzed."""
    n_probes: int
    """Number of micrographs that were analyzed on this machine for this estimate."""
    job_script: str | None
    """Script of a job of a queue; None without a queue."""

    def lines(self) -> list[str]:
        """Return this as lines of text.

        Returns
        -------
        list of str
            For a terminal.
        """
        counts = ", ".join(f"{n} {what}" for what, n in self.listed.items())
        known = f"{self.memory_per_worker / GIB:.1f} GiB" if self.memory_per_worker else "an unknown amount"
        lines = [
            f"images:      {counts}",
            f"would write: about {self.n_files} files and folders, {_bytes(self.n_bytes)}",
            f"memory:      the largest micrograph needs about {_bytes(self.memory_needed)}; each "
            f"of {self.n_workers} workers has {known}",
        ]
        if self.memory_per_worker and self.memory_needed > self.memory_per_worker:
            lines[-1] += ": this run would be refused (use fewer or larger workers)"
        if self.seconds is not None:
            lines.append(
                f"time:        about {_duration(self.seconds)} with {self.n_workers} workers, from {self.n_probes} of "
                "these micrographs on this machine; without the start of workers, and the time in a queue"
            )
        if self.job_script is not None:
            lines += ["script of a job:", *(f"    {line}" for line in self.job_script.strip().splitlines())]
        return lines


def dry_run(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    settings: SettingsLike | None = None,
    metadata: str | Path | None = None,
    limit: int | None = None,
    retry_failed: bool = True,
    cluster: Cluster | Client | str | None = None,
) -> DryRun:
    """Tell what `run` would do with the same arguments. Nothing is written into the results folder.

    Up to three micrographs are analyzed on this machine, to estimate time and bytes. No job is submitted, and no worker
    started; a cluster that is running is asked for its workers.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    out : str or path-like
        The results folder: what it holds would not be analyzed again.
    settings : Settings, mapping, str or path-like, optional
        Settings of all stages.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates.
    limit : int, optional
        Analyze only the first micrographs.
    retry_failed : bool
        Whether micrographs that failed in an earlier run would be tried again.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute.

    Returns
    -------
    DryRun
        Counts and estimates.

    Raises
    ------
    NothingToAnalyseError
        If the inputs hold no file.
    SettingsError, ModelError
        If a setting or a model cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
    >>> plan = dry_run(
    ...     folder / "images", folder / "results", settings={"segmentation": {"method": "otsu"}}, cluster="threads"
    ... )
    >>> plan.listed["to analyze"], (folder / "results").exists()
    (1, False)
    """
    chosen = with_absolute_paths(choose_settings(settings))
    folder = Location.of(out)
    samples = loading.read_metadata(metadata) if metadata is not None else None
    models = checked_models(chosen)
    given = [str(one) for one in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    sources = find_inputs(inputs, leave_out=folder)
    job = Job(given, sources, folder, chosen, samples, models, RunLock(folder), limit, None, retry_failed)
    where = choose_cluster(cluster, chosen.cluster)
    with _listing_client(where) as client:
        records = list_micrographs(client, job)
        n_workers, memory = _workers(where, client)
    plan, _ = compare_with_ledger(job, records, n_workers)
    seconds, n_bytes, n_files, n_probes = _estimate(plan, job)
    statuses = Counter(str(r.status) for r in plan.records if r.status != "ok")
    return DryRun(
        listed={"to analyze": plan.n_to_analyze, "done before": len(plan.kept), **statuses},
        n_files=n_files,
        n_bytes=n_bytes,
        n_workers=n_workers,
        memory_needed=planned_memory(plan)[0],
        memory_per_worker=memory,
        seconds=None if seconds is None else seconds / n_workers,
        n_probes=n_probes,
        job_script=job_script(where) if isinstance(where, Cluster) and where.scheduler == "slurm" else None,
    )


def _listing_client(where: Cluster | Client) -> AbstractContextManager[Client]:
    """Return a client that reads headers: that of a running cluster, or threads of this process."""
    return connect(where if isinstance(where, Client) or where.is_running else "threads")


def _workers(where: Cluster | Client, client: Client) -> tuple[int, int]:
    """Return number and memory (bytes) of the workers."""
    if isinstance(where, Cluster) and where.scheduler == "slurm":
        processes = processes_of_job(where)
        return n_jobs(where) * processes, memory_of_job(where) // processes
    if isinstance(where, Client) or where.is_running:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        memory = min((int(w["memory_limit"] or 0) for w in workers), default=0)
        return max(1, sum(w["nthreads"] for w in workers)), memory
    if where.scheduler == "threads":
        return where.workers or 2, MEMORY_LIMIT
    n_workers = where.workers or default_workers()
    limit = where.options.get("memory_limit")
    return n_workers, parse_bytes(limit) if isinstance(limit, int | str) else MEMORY_LIMIT // max(n_workers, 1)


def _estimate(plan: RunPlan, job: Job) -> tuple[float | None, int, int, int]:
    """Return seconds of one worker, bytes, files and folders of the run, and the number of micrographs tried."""
    items = [item for task in plan.tasks for item in task.items]
    probes = _spread(sorted(items, key=_pixels))
    if not probes:
        return None, 0, FIXED_FILES, 0
    k, n = len(probes), len(items)
    n_parts, packed = parts_left([len(task.items) for task in plan.tasks]), plan.tasks[0].packed
    n_overlays = sum(item.overlay for item in items)
    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="hrtem-dask-dry-run-") as scratch:
        folder = Location.of(scratch)
        zarr_store.create_store(folder.inside(ledger.LABELS))
        # all together first, which loads the model too
        with_overlays = tuple(dataclasses.replace(p, overlay=True) for p in probes)
        run_task(AnalysisTask(with_overlays, packed, is_alone=True), job.settings, folder, job.models)
        n_part_files, together = _content(Path(scratch, ledger.FOLDER))
        n_label_files, labels = _content(Path(scratch, label_packs.FOLDER if packed else ledger.LABELS))
        _, overlays = _content(Path(scratch, "overlays"))
        for probe in probes:
            alone = dataclasses.replace(probe, overlay=False, attempts=probe.attempts + 1)
            began = _clock(job)
            run_task(AnalysisTask((alone,), packed, is_alone=True), job.settings, folder, job.models)
            seconds += _clock(job) - began
        singles = _content(Path(scratch, ledger.FOLDER))[1] - together
    share = sum(map(_pixels, items)) / max(sum(map(_pixels, probes)), 1)
    # what a part takes without rows, by comparison of one part with several of the same rows
    empty_part = (singles - together) / (k - 1) if k > 1 else together
    rows = max(together - empty_part, 0.0) / k
    n_bytes = (n_parts + 1) * empty_part + 2 * n * rows + labels * share + overlays / k * n_overlays
    n_packs, n_label_images = (n_parts, 0) if packed else (0, n)
    n_files = n_label_images * n_label_files / k + n_packs + n_parts * n_part_files + n_overlays + FIXED_FILES
    return seconds * share, round(n_bytes), round(n_files), k


def _spread(items: Sequence[PlannedMicrograph]) -> list[PlannedMicrograph]:
    """Return a few of the micrographs, from small to large, of different ids."""
    if len(items) <= PROBES:
        return list(items)
    return [items[round(i * (len(items) - 1) / (PROBES - 1))] for i in range(PROBES)]


def _clock(job: Job) -> float:
    """Return the time (s): of the processor, since a worker has one thread, or of the clock with a GPU."""
    on_gpu = backend.resolve_device(job.settings.execution.device) == "cuda"
    return time.perf_counter() if on_gpu else time.process_time()


def _content(folder: Path) -> tuple[int, int]:
    """Return the number of files and folders in a folder, and their bytes."""
    paths = [Path(root, name) for root, folders, files in os.walk(folder) for name in (*folders, *files)]
    return len(paths), sum(path.stat().st_size for path in paths if path.is_file())


def _pixels(item: PlannedMicrograph) -> int:
    """Return the number of pixels of a micrograph; 0 where its listing does not state it."""
    return (item.record.height_px or 0) * (item.record.width_px or 0)


def _bytes(n: int) -> str:
    """Return a number of bytes in words.

    >>> [_bytes(n) for n in (800, 2_500_000, 12_300_000_000)]
    ['1 kB', '2.5 MB', '12.3 GB']
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n / 1e3:.0f} kB"


def _duration(seconds: float) -> str:
    """Return a duration in words.

    >>> [_duration(s) for s in (0.2, 3, 200, 9000)]
    ['less than a second', '3 s', '3 min', '2.5 h']
    """
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
