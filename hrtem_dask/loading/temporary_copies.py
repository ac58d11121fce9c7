"""Folders for temporary copies, which are removed also after a process that had no time to remove its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["remove_left_copies", "temporary_folder"]

PREFIX = "hrtem_dask-"
_LOCK = ".in-use"
NO_LOCK_S = 3600.0
"""Age (s) after which a folder without a lock is no longer one that is just being made."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide a folder for temporary copies.

    Yields
    ------
    pathlib.Path
        An empty folder, removed afterwards; folders that killed processes left are removed before.
    """
    remove_left_copies()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / f"{_LOCK}-new").open("wb") as lock:
            if _try_lock(lock):
                (folder / f"{_LOCK}-new").rename(folder / _LOCK)  # it is locked from the moment it has its name
            yield folder


def remove_left_copies() -> None:
    """Remove the folders of temporary copies whose process has ended without removing them.

    A process holds a lock on a file in its folder, which ends with the process, however that ends. On systems without
    such locks, folders are kept.
    """
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if not folder.is_symlink() and folder.is_dir() and _is_left(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Return whether no process uses a folder."""
    try:
        with (folder / _LOCK).open("rb+") as lock:
            return _try_lock(lock)
    except FileNotFoundError:
        return os.name == "posix" and time.time() - folder.stat().st_mtime > NO_LOCK_S


def _try_lock(file: IO[bytes]) -> bool:
    """Lock a file, and return whether no other process holds its lock; False where there are no such locks."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
