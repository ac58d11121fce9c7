"""A bounded stream of tasks: every worker is busy, and no more tasks are in flight than that takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import time
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from hrtem_dask.batch.cluster.patience import lost_scheduler, patience_of
from hrtem_dask.errors import ClusterError, typed_error_text

__all__ = ["failure_reason", "result_or_error", "stream", "stream_with_retry", "worker_died"]

LEFT_BEHIND_S = 60.0
"""How long a caller who stops early waits for the tasks in flight (s)."""
REFRESH_S = 2.0
"""How often to ask for the number of workers (s); asking costs the scheduler some time with many of them."""
NOTICED_S = 5.0
"""How long a client may take to know that its scheduler is lost, after a request to it has failed (s)."""
RESULT_S = 30.0
"""How long fetching a result may take (s) before the workers are counted."""
FIRST_WORKER_STEP_S = 0.1
"""How often to ask for the first worker (s)."""

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
    ClusterError
        If the cluster has no worker for too long (see `patience.Patience`), or its scheduler is gone.

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
    patience = patience_of(client)
    threads = _await_worker(client)
    counted_at = time.monotonic()
    waiting = iter(enumerate(items))
    ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    in_flight: dict[Hashable, tuple[Item, Future[Any]]] = {}
    prefix = f"{key or function.__name__.strip('_')}-{uuid.uuid4().hex[:8]}"

    def count() -> None:
        nonlocal threads, counted_at
        if time.monotonic() - counted_at >= REFRESH_S:
            threads, counted_at = patience.check(client), time.monotonic()

    def fill() -> None:
        while len(in_flight) < (limit or 2 * max(1, threads)):
            number_item = next(waiting, None)
            if number_item is None:
                return
            number, item = number_item
            future = client.submit(function, item, *arguments, key=f"{prefix}-{number}", pure=False)
            in_flight[future.key] = item, future
            future.add_done_callback(ended.put)

    logger.debug("%d tasks %s", len(items), prefix)
    interrupted = False
    try:
        fill()
        while in_flight:
            try:
                future = ended.get(timeout=REFRESH_S)
            except queue.Empty:
                count()
                continue
            item, _ = in_flight.pop(future.key)
            yield item, result_or_error(client, future)
            future.release()
            count()
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


def result_or_error(client: Client, future: Future[Any]) -> Any:
    """Wait for a task.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    future : distributed.Future
        The task.

    Returns
    -------
    object
        What it returned, or the exception that it raised or that ended it.

    Raises
    ------
    ClusterError
        If the cluster has no worker for too long, its scheduler is gone, or someone has cancelled the task.
    """
    try:
        while True:
            try:
                error = future.exception(timeout=RESULT_S)
                return future.result(timeout=RESULT_S) if error is None else error
            except TimeoutError:  # its worker died before the result was fetched, and it is computed again
                patience_of(client).check(client)
    except KilledWorker as died:
        # the task had ended, its worker died before the result was fetched, and so did the next ones
        return died
    except (CancelledError, asyncio.CancelledError) as error:
        raise _cancelled(client) from error
    except (OSError, RuntimeError) as error:  # the scheduler was lost while the result was fetched
        if not _notices_the_loss(client):
            raise
        raise ClusterError(lost_scheduler(client)) from error


def _notices_the_loss(client: Client) -> bool:
    """Return whether the scheduler is lost: the client knows that a moment after a request has failed."""
    deadline = time.monotonic() + NOTICED_S
    while client.status == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(client.status != "running")


def _cancelled(client: Client) -> ClusterError:
    """Return why a task was cancelled, which this package never does."""
    if client.status == "running":
        return ClusterError(
            "the scheduler was restarted, or someone has cancelled the tasks: what is done is kept, and the same "
            "command goes on"
        )
    return ClusterError(lost_scheduler(client))


def _let_finish(client: Client, futures: Sequence[Future[Any]]) -> None:
    """Wait for the tasks in flight of a caller who stops early: they could write into what the next call writes."""
    if futures and client.status == "running":
        # the scheduler may be lost by now, or in the meantime: then the client has cancelled them
        with contextlib.suppress(TimeoutError, CancelledError, asyncio.CancelledError, OSError):
            wait(futures, timeout=LEFT_BEHIND_S)


def _await_worker(client: Client) -> int:
    """Wait for the first worker; return the number of threads. Raise where none comes."""
    patience = patience_of(client)
    while not (threads := patience.check(client)):
        time.sleep(FIRST_WORKER_STEP_S)
    return threads
