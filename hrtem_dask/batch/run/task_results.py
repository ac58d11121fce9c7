"""Tasks of a run on the workers, and what is tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from distributed import Client

from hrtem_dask import backend
from hrtem_dask.batch.cluster.stream import failure_reason, stream_with_retry, worker_died
from hrtem_dask.batch.run.part_merger import PartMerger
from hrtem_dask.batch.run.record_analysis import ModelHashes
from hrtem_dask.batch.run.task import AnalysisTask, Outcome, commit_failed, run_task
from hrtem_dask.batch.stores import StoreWatch, Unreachable, said_in_one_line
from hrtem_dask.errors import StoreError
from hrtem_dask.settings import Settings
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.run_lock import RunLock

__all__ = ["analyse_tasks"]


def _may_succeed_alone(error: BaseException) -> bool:
    """Return whether a task is worth another try with nothing else running."""
    return worker_died(error) or backend.is_out_of_memory(error)


def _run_task(task: AnalysisTask, *arguments: Any) -> list[Outcome] | Unreachable:
    """Run a task; a store that cannot be reached is a result, since the worker would print an error."""
    try:
        with said_in_one_line():
            return run_task(task, *arguments)
    except StoreError as error:
        return Unreachable(str(error))


def analyse_tasks(
    client: Client,
    tasks: Sequence[AnalysisTask],
    settings: Settings,
    folder: Location,
    models: ModelHashes,
    lock: RunLock,
    merger: PartMerger | None = None,
) -> Iterator[Outcome]:
    """Run the tasks; find out which micrograph killed a worker.

    The micrographs of a worker that died, or whose memory ran out, are analyzed again at the end, one by one. A
    micrograph that then kills its worker again is committed as failed.

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
    merger : PartMerger, optional
        Gets the parts that are committed.

    Yields
    ------
    Outcome
        How each micrograph ended.

    Raises
    ------
    ResultsFolderError
        If another run has taken the lock.
    StoreError
        If the store of the results or of the micrographs cannot be reached.
    """
    arguments = (settings, folder, models, lock.token)
    options: dict[str, Any] = {"key": "analyse", "split": AnalysisTask.split, "retry": _may_succeed_alone}
    watch = StoreWatch()
    for task, result in stream_with_retry(client, _run_task, tasks, *arguments, **options):
        if isinstance(result, Unreachable):
            raise StoreError(result.reason)
        lock.check()
        if isinstance(result, BaseException):
            if not _may_succeed_alone(result):
                raise result
            result = commit_failed(task, failure_reason(result), settings, folder)
        for outcome in result:
            watch.see(outcome.source, outcome.reason)
        if merger is not None:
            merger.add([outcome.entry for outcome in result])
        yield from result
