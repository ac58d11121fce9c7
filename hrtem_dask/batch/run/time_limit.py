"""A limit of time for one micrograph: a worker that exceeds it is ended, and leaves a note of the reason.

Code in threads cannot be ended from outside, so the worker's process ends, and its nanny starts another one. Whoever
gets the group next finds the note, and commits the micrograph as failed without trying it again.
"""

from __future__ import annotations

import faulthandler
import functools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from distributed import get_worker

from hrtem_dask.provenance import record_hash
from hrtem_dask.storage import ledger
from hrtem_dask.storage.location import Location

if TYPE_CHECKING:
    from hrtem_dask.batch.run.task import PlannedMicrograph

__all__ = ["overtime_reason", "remove_notes", "time_limit"]

SUFFIX = ".overtime.json"
GRACE_S = 30.0
"""How much later (s) a worker is ended that runs code which does not let the note be written."""


def overtime_reason(folder: Location, item: PlannedMicrograph) -> str | None:
    """Return why this attempt at a micrograph was ended.

    Parameters
    ----------
    folder : Location
        The results folder.
    item : PlannedMicrograph
        The micrograph.

    Returns
    -------
    str or None
        The reason, or None where it was not ended.
    """
    name = _note(item)
    if not folder.exists(name):
        return None
    try:
        return str(json.loads(folder.read_bytes(name))["reason"])
    except (OSError, ValueError, KeyError, TypeError):  # cut off: it was ended all the same
        return "it took longer than the limit of time for one micrograph"


@contextmanager
def time_limit(folder: Location, item: PlannedMicrograph, seconds: float | None) -> Iterator[None]:
    """End this worker if the block takes too long.

    Parameters
    ----------
    folder : Location
        The results folder, which gets the note.
    item : PlannedMicrograph
        The micrograph that the block works on.
    seconds : float or None
        Limit (s); None for none. Without a nanny, which would start another worker, there is no limit.
    """
    if seconds is None or not _may_end():
        yield
        return
    reason = (
        f"it took longer than {seconds:g} s, the limit of time for one micrograph (--timeout-per-file), and its worker "
        "was ended"
    )
    timer = threading.Timer(seconds, _end, (folder, _note(item), reason))
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True, file=_nowhere())
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()


def remove_notes(folder: Location) -> None:
    """Remove the notes of a run that has ended: the rows have the reasons.

    Parameters
    ----------
    folder : Location
        The results folder.
    """
    for name in folder.names(ledger.FOLDER, SUFFIX):
        folder.remove(name)


def _note(item: PlannedMicrograph) -> str:
    """Return the file of the note: another one for each attempt."""
    return f"{ledger.FOLDER}/{record_hash([item.record.micrograph_id, item.key, item.attempts])}{SUFFIX}"


def _end(folder: Location, name: str, reason: str) -> None:
    """Leave the note, and end this process."""
    with suppress(Exception):  # without a note, the micrograph is tried again, and ended again
        folder.write_json(name, {"reason": reason})
    os._exit(1)


def _may_end() -> bool:
    """Return whether this process is a worker with one thread, in whose place a nanny starts another one."""
    try:
        worker = get_worker()
    except ValueError:
        return False
    return worker.nanny is not None and worker.state.nthreads == 1


@functools.cache
def _nowhere() -> IO[str]:
    """Return a file that takes the traceback, which nobody reads."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open as long as the process lives
