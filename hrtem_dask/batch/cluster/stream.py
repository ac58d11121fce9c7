"""A bounded stream of tasks: every worker is busy, and no more tasks are in flight than that takes."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from distributed import Client, Future, as_completed, wait
from distributed.scheduler import KilledWorker

from hrtem_dask.errors import SettingsError, typed_error_text

__all__ = ["failure_reason", "stream", "stream_with_retry", "worker_died"]

FIRST_WORKER_S = 60.0
"""How long to wait for a worker (s): those of a queue may not have started yet."""
LEFT_BEHIND_S = 60.0
"""How long a caller who stops early waits for the tasks in flight (s)."""
REFRESH_S = 2.0
"""How often to ask for the number of workers (s); asking costs the scheduler some time with many of them."""

Item = TypeVar("Item")

logger = logging.getLogger(__name__)


def stream(
    client: Client,
    function: Callable[..., Any],
    items: Sequence[Item],
    *arguments: object,
    key: str | None = None,
    limit: int | None = None,
) -> Iterator[tuple[Item, Any]]:
    """Call a function on each item on the workers, as they come free.

    Parameters
    ----------
    client : distributed.Client
        The cluster; workers that join or leave are taken into account.
    function : callable
        Called as ``function(item, *arguments)``.
    items : sequence
        The items, sent in order.
    *arguments : object
        The same for every call.
    key : str, optional
        Name of the tasks on the dashboard; by default the function's.
    limit : int, optional
        Largest number of tasks in flight; by default two per thread of the cluster.

    Yields
    ------
    item : object
        One of the items.
    result : object
        What the function returned, or the exception that it raised or that ended it.

    Raises
    ------
    SettingsError
        If the cluster has no worker, and none comes within a minute.

    Examples
    --------
    >>> from hrtem_dask.batch.cluster.cluster import connect
    >>> from hrtem_dask.batch.cluster.stream import stream
    >>> with connect("threads") as client:
    ...     sorted(stream(client, abs, [-1, -2]))
    [(-2, 2), (-1, 1)]
    """
    if not items:
        return
    _await_worker(client)
    waiting = iter(enumerate(items))
    pending = as_completed()
    in_flight: dict[Hashable, tuple[Item, Future[Any]]] = {}
    prefix = f"{key or function.__name__.strip('_')}-{uuid.uuid4().hex[:8]}"

    threads, counted_at = 0, -REFRESH_S

    def fill() -> None:
        nonlocal threads, counted_at
        if limit is None and time.monotonic() - counted_at >= REFRESH_S:
            threads = sum(w["nthreads"] for w in client.scheduler_info(n_workers=-1)["workers"].values())
            counted_at = time.monotonic()
        while len(in_flight) < (limit or 2 * max(1, threads)):
            number_item = next(waiting, None)
            if number_item is None:
                return
            number, item = number_item
            future = client.submit(function, item, *arguments, key=f"{prefix}-{number}", pure=False)
            in_flight[future.key] = item, future
            pending.add(future)

    logger.debug("%d tasks %s", len(items), prefix)
    fill()
    interrupted = False
    try:
        for future in pending:
            item, _ = in_flight.pop(future.key)
            yield item, _result_or_error(future)
            future.release()
            fill()
    except KeyboardInterrupt:  # someone waits; what a task writes counts for nothing until its commit
        interrupted = True
        raise
    finally:
        if not interrupted:
            _let_finish(client, [future for _, future in in_flight.values()])


def worker_died(error: BaseException) -> bool:
    """Return whether a task failed because its worker died.

    Parameters
    ----------
    error : BaseException
        The error of the task.

    Returns
    -------
    bool
        True for the error that Dask gives to every task of a worker that died too often.
    """
    return isinstance(error, KilledWorker)


def failure_reason(error: BaseException) -> str:
    """Describe in words why a task failed.

    Parameters
    ----------
    error : BaseException
        The error of the task, which was tried alone if its worker died.

    Returns
    -------
    str
        Type and text of the error, or that the worker died.
    """
    if worker_died(error):
        return "its worker died each time it was tried alone, most likely out of memory"
    return typed_error_text(error)


def stream_with_retry(
    client: Client,
    function: Callable[..., Any],
    items: Sequence[Item],
    *arguments: object,
    key: str,
    split: Callable[[Item], Iterable[Item]] = lambda item: (item,),
    retry: Callable[[BaseException], bool] = worker_died,
) -> Iterator[tuple[Item, Any]]:
    """Do what `stream` does, and find out which item kills its worker.

    A worker that dies takes all of its tasks with it, whichever of them was the cause. They are tried again at the
    end, one by one and with nothing else in flight. The task whose worker then dies again is the cause.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    function : callable
        Called as ``function(item, *arguments)``; it must be safe to call twice.
    items : sequence
        The items, sent in order.
    *arguments : object
        The same for every call.
    key : str
        Name of the tasks on the dashboard; those tried again are called ``<key>-alone``.
    split : callable, optional
        Parts an item into smaller ones before they are tried again; by default the item stays whole.
    retry : callable, optional
        Whether an item that ended in this error is tried again; by default `worker_died`.

    Yields
    ------
    item : object
        One of the items, or a part of one.
    result : object
        What the function returned, or the exception of the last try.
    """
    again: list[Item] = []
    for item, result in stream(client, function, items, *arguments, key=key):
        if isinstance(result, BaseException) and retry(result):
            again.extend(split(item))
        else:
            yield item, result
    if again:
        logger.debug("%d tasks %s are tried again one by one", len(again), key)
    yield from stream(client, function, again, *arguments, key=f"{key}-alone", limit=1)


def _result_or_error(future: Future[Any]) -> Any:
    """Return what a task returned, or the error that ended it."""
    error = future.exception()
    if error is not None:
        return error
    try:
        return future.result()
    except KilledWorker as died:
        # the task had ended, its worker died before the result was fetched, and so did the next ones
        return died


def _let_finish(client: Client, futures: Sequence[Future[Any]]) -> None:
    """Wait for the tasks in flight of a caller who stops early: they could write into what the next call writes."""
    if futures and client.status == "running":
        with contextlib.suppress(TimeoutError):
            wait(futures, timeout=LEFT_BEHIND_S)


def _await_worker(client: Client) -> None:
    """Raise where no worker comes; otherwise the stream would wait for ever without a message."""
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except TimeoutError as error:
        address = client.scheduler.address if client.scheduler else "the scheduler"
        raise SettingsError(
            f"no worker at {address} after {FIRST_WORKER_S:g} s: start workers there (dask worker {address}), or "
            "leave --scheduler out to use this machine"
        ) from error
