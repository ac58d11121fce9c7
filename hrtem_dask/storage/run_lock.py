"""A lock on a results folder: one run writes to it at a time, and a dead one does not keep others out.

The lock is the file ``run.lock``, which names its owner: host, process and time. The owner writes it again every few
seconds. Who finds it refuses to go on, unless the owner is dead: its process has ended on this machine, or it is on
another machine and does not write any more. Times of other machines are never compared with those of this one.

On a disk the file is created as a whole or not at all, so of two runs one gets the lock. Object stores are asked to
write only if there is no such object; one that cannot do so has a gap of some milliseconds, and the loser stops as soon
as it finds the other's lock.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import psutil

from hrtem_dask.errors import ResultsFolderError, typed_error_text
from hrtem_dask.storage.location import Location

__all__ = ["LOCK", "Owner", "RunLock", "lock_holder", "require_owner"]

LOCK = "run.lock"
BEAT_S = 10.0
"""How often the owner writes the lock (s)."""
DEAD_S = 60.0
"""How long an owner on another machine may be silent (s)."""
POLL_S = 1.0
"""How often a lock is looked at whose owner may be dead (s)."""
_NO_FOLDER = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
"""Errors of a place where no folder can be made, or no file written."""
_START_TOLERANCE_S = 5.0
"""Two readings of the start of one process differ where the clock was set in between."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """Who holds the lock."""

    token: str
    """Random name of the run."""
    host: str
    """Name of the machine, for messages."""
    machine: str
    """What tells apart machines and the containers on them, in which process numbers mean different processes."""
    pid: int
    """Number of the process."""
    process_start: float
    """Start of the process (s since 1970): numbers are used again."""
    since: str
    """Time at which the lock was taken."""
    beat: int = 0
    """Number of times that it was written."""

    @classmethod
    def this_process(cls) -> Owner:
        """Return an owner for a run of this process.

        Returns
        -------
        Owner
            With a token of its own.
        """
        pid = os.getpid()
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        return cls(uuid.uuid4().hex, socket.gethostname(), _machine(), pid, psutil.Process(pid).create_time(), now)

    def __str__(self) -> str:
        """Return the owner in words."""
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def is_local(self) -> bool:
        """Whether the process number belongs to this machine."""
        return self.machine == _machine()

    @property
    def has_ended(self) -> bool:
        """Whether the process of an owner on this machine has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_start) < _START_TOLERANCE_S
            return not same or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:  # it exists, and belongs to someone else
            return False


class RunLock:
    """The lock of one run, held while a ``with`` block runs.

    Parameters
    ----------
    folder : Location
        The results folder; it is made if it is absent.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, RunLock(Location.of(folder)) as lock:
    ...     lock.check()
    """

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._owner = Owner.this_process()
        self._stop = threading.Event()
        self._lost_to: Owner | None = None
        self._thread = threading.Thread(target=self._beat, name="hrtem-dask-run-lock", daemon=True)

    def __enter__(self) -> Self:
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.release()

    @property
    def token(self) -> str:
        """Random name of the run, for `require_owner`."""
        return self._owner.token

    def acquire(self) -> None:
        """Take the lock, if it is free or its owner is dead.

        Raises
        ------
        ResultsFolderError
            If another run holds it, or the folder cannot be written.
        """
        try:
            while not self._folder.create_bytes(LOCK, _encode(self._owner)):
                self._take_over()
                if _read(self._folder)[1] == self._owner:
                    break
        except ResultsFolderError:
            raise
        except OSError as error:
            if not self._folder.is_local or error.errno not in _NO_FOLDER:
                raise
            raise ResultsFolderError(
                f"no results can be written into {self._folder.url} ({error.strerror}): name a folder that can be made "
                "and written (--out)"
            ) from error
        except Exception as error:  # without credentials, for instance: object stores have errors of their own
            raise ResultsFolderError(f"cannot write to {self._folder.url}: {typed_error_text(error)}") from error
        self._thread.start()

    def check(self) -> None:
        """Raise an error if another run has taken the lock.

        Raises
        ------
        ResultsFolderError
            If this run has lost the lock, because it was silent for too long.
        """
        if self._lost_to is not None:
            raise ResultsFolderError(_taken(self._folder, self._lost_to))

    def release(self) -> None:
        """Give the lock back; that of another run stays."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(BEAT_S)
        with suppress(Exception):  # a lock that stays is that of an ended process
            found = _read(self._folder)[1]
            if found is not None and found.token == self.token:
                self._folder.remove(LOCK)

    def _take_over(self) -> None:
        """Replace the lock of a dead run; refuse to if it may be alive."""
        content, holder = _read(self._folder)
        if content is None:  # it was given back
            return
        if holder is not None and holder.is_local:
            if not holder.has_ended:
                raise ResultsFolderError(_held(self._folder, holder))
        elif not self._stays_silent(content, holder):
            return
        name = f"{LOCK}.{holder.token if holder is not None else 'damaged'}.taking-over"
        # of several runs that found the same dead owner, one gets this file
        if not self._folder.create_bytes(name, _encode(self._owner)):
            time.sleep(POLL_S)
            rival = _parse(self._read_bytes(name))
            if rival is None or not rival.is_local or rival.has_ended:  # it died while it took over
                self._folder.remove(name)
            return
        try:
            if _read(self._folder)[0] == content:
                logger.warning("the lock of a run that has ended is taken over (%s)", holder or "unreadable")
                self._folder.write_bytes(LOCK, _encode(self._owner))
        finally:
            self._folder.remove(name)

    def _stays_silent(self, content: bytes, holder: Owner | None) -> bool:
        """Watch a lock of another machine; return whether it stays as it is, and refuse to go on if it is written."""
        who = str(holder) if holder is not None else "a run whose lock cannot be read"
        logger.warning("%s is locked by %s: waiting for a sign of life, at most %g s", self._folder.url, who, DEAD_S)
        deadline = time.monotonic() + DEAD_S
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            now, owner = _read(self._folder)
            if now is None:
                return False
            if now != content:
                if owner is None:
                    return False
                raise ResultsFolderError(_held(self._folder, owner))
        return True

    def _read_bytes(self, name: str) -> bytes:
        """Read a file of the lock; empty where there is none."""
        try:
            return self._folder.read_bytes(name)
        except OSError:
            return b""

    def _beat(self) -> None:
        """Write the lock again and again, and notice if another run has taken it."""
        while not self._stop.wait(BEAT_S):
            try:
                content, found = _read(self._folder)
                if found is not None and found.token != self.token:
                    self._lost_to = found
                    return
                self._owner = dataclasses.replace(self._owner, beat=self._owner.beat + 1)
                if content is None:  # someone deleted it
                    self._folder.create_bytes(LOCK, _encode(self._owner))
                else:
                    self._folder.write_bytes(LOCK, _encode(self._owner))
            except Exception as error:  # noqa: BLE001 - a full disk, for instance: the next time it may succeed
                logger.debug("the lock could not be written: %s", typed_error_text(error))


def require_owner(folder: Location, token: str | None) -> None:
    """Raise an error where a task belongs to a run that has lost the lock.

    A worker may outlive its run: it must not write into what the next run writes.

    Parameters
    ----------
    folder : Location
        The results folder.
    token : str or None
        `RunLock.token` of the run of the task; None for a task without a lock.

    Raises
    ------
    ResultsFolderError
        If another run holds the lock.
    """
    if token is None:
        return
    owner = _read(folder)[1]
    if owner is not None and owner.token != token:
        raise ResultsFolderError(_taken(folder, owner))


def lock_holder(folder: Location) -> Owner | None:
    """Return who holds the lock of a results folder.

    Parameters
    ----------
    folder : Location
        The results folder.

    Returns
    -------
    Owner or None
        None where nobody does: there is no lock, it cannot be read, or the process that took it on this machine has
        ended. An owner on another machine may have ended without giving it back.
    """
    owner = _read(folder)[1]
    return None if owner is None or (owner.is_local and owner.has_ended) else owner


def _held(folder: Location, owner: Owner) -> str:
    """Return the message for a folder that another run writes to."""
    if not owner.is_local:
        remedy = "end that run"
    elif owner.pid == os.getpid():
        remedy = "it is this process"
    else:
        remedy = f"end that process ({owner.pid})"
    return (
        f"another run is writing to {folder.url} ({owner}): wait until it has ended, use another results folder, or "
        f"{remedy}"
    )


def _taken(folder: Location, owner: Owner) -> str:
    """Return the message for a run that has lost its lock."""
    return (
        f"another run has taken over {folder.url} ({owner}), because this one gave no sign of life for "
        f"{DEAD_S:g} s: this run stops. Run again when the other has ended"
    )


def _encode(owner: Owner) -> bytes:
    """Return the content of the lock."""
    return json.dumps(dataclasses.asdict(owner), indent=1, ensure_ascii=False).encode()


def _parse(content: bytes) -> Owner | None:
    """Return the owner that a lock names; None where it is damaged."""
    try:
        owner = Owner(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None
    types: dict[str, Any] = {"pid": int, "beat": int, "process_start": (int, float)}
    return owner if all(isinstance(v, types.get(n, str)) for n, v in vars(owner).items()) else None


def _read(folder: Location) -> tuple[bytes | None, Owner | None]:
    """Return the content of the lock, None where there is none, and its owner, None where it cannot be read."""
    try:
        content = folder.read_bytes(LOCK)
    except (FileNotFoundError, IsADirectoryError):  # the next beat makes way for it
        return None, None
    return content, _parse(content)


def _machine() -> str:
    """Return what tells apart machines, and containers on one machine."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)
