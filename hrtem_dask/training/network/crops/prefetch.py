"""Batches made ahead of time by a background thread, while the network computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

__all__ = ["prefetch"]

Batch = TypeVar("Batch")


def prefetch(make: Callable[[int], Batch], steps: range, *, ahead: int = 4) -> Generator[Batch, None, None]:
    """Make batches in a background thread.

    Parameters
    ----------
    make : callable
        Makes the batch of a step.
    steps : range
        Numbers of the steps, in the order of the batches.
    ahead : int
        Largest number of waiting batches.

    Yields
    ------
    object
        Batches in the order of the steps. An error of `make` is raised here.

    Examples
    --------
    >>> list(prefetch(lambda step: step**2, range(3)))
    [0, 1, 4]
    """
    ready: queue.Queue[Batch | BaseException] = queue.Queue(ahead)
    stop = threading.Event()

    def work() -> None:
        for step in steps:
            try:
                made: Batch | BaseException = make(step)
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for the batch
                made = error
            while not stop.is_set():
                try:
                    ready.put(made, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if stop.is_set():
                return

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        for _ in steps:
            made = ready.get()
            if isinstance(made, BaseException):
                raise made
            yield made
    finally:
        stop.set()
        thread.join()
