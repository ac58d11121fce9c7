"""A bounded stream of tasks: every worker busy, and no more in flight than that takes."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from distributed import Client, as_completed, wait

from hrtem_dask.errors import SettingsError

__all__ = ["stream"]

FIRST_WORKER_S = 60.0
"""How long to wait for a worker: those of a queue may not have started yet."""
LEFT_BEHIND_S = 60.0
"""How long a caller who gives up waits for what is in flight."""
REFRESH_S = 2.0
"""How often to ask for the number of workers; asking costs the scheduler some time with many of them."""

Item = TypeVar("Item")


def stream(
    client: Client,
    function: Callable[..., Any],
    items: Sequence[Item],
    *arguments: Any,
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
        Tasks in flight; by default two per thread of the cluster.

    Yields
    ------
    item : object
        One of the items.
    result : object
        What the function returned, or the exception that it raised or died of.

    Raises
    ------
    SettingsError
        If the cluster has no worker, and none comes within a minute.
    """
    if not items:
        return
    _await_worker(client)
    waiting = iter(enumerate(items))
    pending = as_completed()
    in_flight: dict[Any, tuple[Item, Any]] = {}
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

    fill()
    try:
        for future in pending:
            item, _ = in_flight.pop(future.key)
            error = future.exception()
            yield item, future.result() if error is None else error
            future.release()
            fill()
    finally:
        _let_finish(client, [future for _, future in in_flight.values()])


def _let_finish(client: Client, futures: Sequence[Any]) -> None:
    """Wait for what a caller who gave up has left in flight: it could write into what the next call writes."""
    if futures and client.status == "running":
        with contextlib.suppress(TimeoutError):
            wait(futures, timeout=LEFT_BEHIND_S)


def _await_worker(client: Client) -> None:
    """Raise where there is nobody to do the work; without this, it would wait for ever without a word."""
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except TimeoutError as error:
        address = client.scheduler.address if client.scheduler else "the scheduler"
        raise SettingsError(
            f"no worker at {address} after {FIRST_WORKER_S:g} s: start workers there (dask worker {address}), or "
            "leave --scheduler out to use this machine"
        ) from error
