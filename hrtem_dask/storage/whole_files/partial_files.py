"""Write a file beside its place, bring it to the disk, and give it its name: alone, or several files together.

To wait for the disk takes some milliseconds for each file in turn, and hardly longer for several at the same time.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["create_file", "together", "whole_file"]

AT_ONCE = 8
"""Largest number of files that are brought to the disk at the same time."""

_of_thread = threading.local()
"""``waiting``: the files of a block of `together`, with the paths that they will have."""


@contextmanager
def whole_file(path: str, *, on_disk: bool = True) -> Iterator[BinaryIO]:
    """Open a file to write it; it gets its name when all of it is on the disk.

    Parameters
    ----------
    path : str
        Its path; its folder exists.
    on_disk : bool
        Whether to wait for the disk. Without, other processes see the whole file nevertheless, and a failure of power
        may leave less.

    Yields
    ------
    file
        The file, which has another name until then. If the block ends with an error, nothing is changed.
    """
    waiting: list[tuple[Path, str]] | None = getattr(_of_thread, "waiting", None)
    partial = _beside(path)
    try:
        with partial.open("wb") as file:
            yield file
            if on_disk and waiting is None:
                _flush(file)
        if waiting is None or not on_disk:
            partial.replace(path)
        else:
            waiting.append((partial, path))
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def together() -> Iterator[None]:
    """Give the files that this thread writes in a block their names at its end, when all of them are on the disk.

    Yields
    ------
    None
        The block, in which none of its files can be read. If it ends with an error, nothing is changed. Files get their
        names in the order in which they were written.
    """
    if getattr(_of_thread, "waiting", None) is not None:
        yield
        return
    waiting: list[tuple[Path, str]] = []
    _of_thread.waiting = waiting
    try:
        try:
            yield
        finally:
            _of_thread.waiting = None
        if waiting:
            with ThreadPoolExecutor(min(AT_ONCE, len(waiting))) as threads:
                list(threads.map(_flush_closed, [partial for partial, _ in waiting]))
        for partial, path in waiting:
            partial.replace(path)
    finally:
        for partial, _ in waiting:
            partial.unlink(missing_ok=True)


def create_file(path: str, content: bytes) -> bool:
    """Create a file with its content, unless it exists.

    Parameters
    ----------
    path : str
        Its path; its folder exists.
    content : bytes
        Its bytes.

    Returns
    -------
    bool
        Whether it was created.
    """
    partial = _beside(path)
    try:
        with partial.open("wb") as beside:
            beside.write(content)
            _flush(beside)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            try:
                with Path(path).open("xb") as file:
                    file.write(content)
            except FileExistsError:
                return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def _beside(path: str) -> Path:
    """Return a new path beside another one."""
    return Path(f"{path}.{uuid.uuid4().hex[:8]}.partial")


def _flush(file: BinaryIO) -> None:
    """Bring what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _flush_closed(path: Path) -> None:
    """Bring a file that is closed to the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
