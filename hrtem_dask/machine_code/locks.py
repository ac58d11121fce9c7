"""Locks of files, by which processes of a machine wait for the one that makes machine code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["Lock"]


@dataclass(frozen=True)
class Lock:
    """A lock, where the system and the file system of its file have such locks."""

    path: Path
    """File of the lock, which stays."""

    def take_with_others(self) -> int:
        """Take the lock together with others that do the same, and hold it until all copies of a file are closed.

        Returns
        -------
        int
            Number of the file.
        """
        file = self._opened()
        if sys.platform != "win32" and file is not None:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_SH)
            return file
        return os.open(os.devnull, os.O_RDONLY)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else has the lock, and hold it.

        Yields
        ------
        None
            The time in which it is held; nothing is where there are no locks.
        """
        file = self._opened()
        try:
            if sys.platform != "win32" and file is not None:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX)  # given back with its file, also when the process dies
            yield
        finally:
            if file is not None:
                os.close(file)

    def _opened(self) -> int | None:
        """Open the file; None where it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            return None
