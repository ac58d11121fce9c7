"""The end of a cluster: whatever happens to its workers then, the work is done."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from distributed import Client, Nanny, SpecCluster

from hrtem_dask.errors import typed_error_text

__all__ = ["close_quietly"]

CLOSE_S = 60.0
"""How long a cluster on this machine may take to close (s); its nannies kill their workers after 4 s."""
KILL_S = 10.0
"""How long to wait for a killed process (s)."""
_LOGGERS = ("distributed", "tornado", "asyncio")

logger = logging.getLogger(__name__)


def close_quietly(client: Client | None, local: SpecCluster | None, *, at_once: bool = False) -> None:
    """Close a client and a cluster on this machine; what goes wrong is a debug message.

    A worker that does not end in time would make Dask raise an error and print tracebacks, though all results are
    written. Its process is killed instead, so that it does not stay.

    Parameters
    ----------
    client : distributed.Client or None
        The client; None where there is none.
    local : distributed.SpecCluster or None
        The cluster that was started by this process; None for one that stays.
    at_once : bool
        Whether its workers are killed first, with what they are doing: someone waits for the program to end.
    """
    workers = _worker_processes(local)
    with _silenced():
        if at_once:
            _kill(workers)
        if client is not None:
            _attempt("the client", client.close)
        if local is not None and not _attempt("the cluster", lambda: local.close(timeout=CLOSE_S)):
            _abandon(local)
        _kill(workers)
        deadline = time.monotonic() + KILL_S
        while any(map(_is_alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)


def _kill(processes: Sequence[psutil.Process]) -> None:
    """Kill processes that may have ended."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _attempt(what: str, close: Callable[[], object]) -> bool:
    """Call a function; return whether it succeeded."""
    try:
        close()
    except Exception as error:  # noqa: BLE001 - the work is done, and an error of its own has another way out
        logger.debug("%s did not close: %s", what, typed_error_text(error))
        return False
    return True


def _abandon(local: SpecCluster) -> None:
    """Close the scheduler of a cluster that did not close, and keep Dask from trying again when Python ends."""
    local.shutdown_on_close = False
    scheduler = local.scheduler
    if scheduler is not None:
        _attempt("the scheduler", lambda: local.sync(scheduler.close, callback_timeout=KILL_S))


def _worker_processes(local: SpecCluster | None) -> list[psutil.Process]:
    """Return the processes of the workers on this machine; none for those that are threads."""
    found = []
    nannies = [one for one in dict(local.workers).values() if isinstance(one, Nanny)] if local is not None else []
    for nanny in nannies:
        pid: Any = nanny.pid  # None where its process has ended
        if isinstance(pid, int) and pid != os.getpid():
            with suppress(psutil.Error):
                found.append(psutil.Process(pid))
    return found


def _is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; its end is left for its nanny to collect."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence the loggers of Dask while it closes."""
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in _LOGGERS]
    changed = [one for one in map(logging.getLogger, names) if not one.disabled]
    for one in changed:
        one.disabled = True
    try:
        yield
    finally:
        for one in changed:
            one.disabled = False
