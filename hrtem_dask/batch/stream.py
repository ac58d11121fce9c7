"""A bounded stream of tasks: every worker busy, and no more in flight than that takes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from distributed import Client, as_completed

__all__ = ["stream"]

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
    """
    waiting = iter(enumerate(items))
    pending = as_completed()
    in_flight: dict[Any, Item] = {}
    prefix = f"{key or function.__name__.strip('_')}-{uuid.uuid4().hex[:8]}"

    def fill() -> None:
        threads = sum(w["nthreads"] for w in client.scheduler_info(n_workers=-1)["workers"].values())
        while len(in_flight) < (limit or 2 * max(1, threads)):
            number_item = next(waiting, None)
            if number_item is None:
                return
            number, item = number_item
            future = client.submit(function, item, *arguments, key=f"{prefix}-{number}", pure=False)
            in_flight[future.key] = item
            pending.add(future)

    fill()
    for future in pending:
        item = in_flight.pop(future.key)
        error = future.exception()
        yield item, future.result() if error is None else error
        future.release()
        fill()
