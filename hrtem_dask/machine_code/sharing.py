"""Machine code for a run: read from files, or made by several processes at once."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from contextlib import suppress

from hrtem_dask.machine_code.locks import Lock
from hrtem_dask.machine_code.loops import Loop, make_for_others

__all__ = ["load_or_share"]

MAX_MAKERS = 6
"""Most processes that make machine code; each takes some 30 MiB."""


def load_or_share(loops: Sequence[Loop]) -> bool:
    """Read machine code from files, so that processes that are forked from this one have it.

    Where one is missing, as after an installation, several processes make the others and this one goes on: who needs
    the loops of a module waits until they are made, and reads them. Only for a process that has no threads and starts
    processes by forking; nothing can be shared where nothing can be written, and then this process makes all.

    Parameters
    ----------
    loops : sequence of Loop
        The loops, those of a module together, in the order in which they are needed.

    Returns
    -------
    bool
        Whether all of them are in memory now.
    """
    for number, loop in enumerate(loops):
        if not loop.load() and loop.lock is not None and len(loops) > number + 1:
            _share(loops[number + 1 :])
            return False
    return True


def _share(loops: Sequence[Loop]) -> None:
    """Make machine code in processes that nothing waits for."""
    reading, writing = os.pipe()
    os.write(writing, bytes(range(len(loops))))  # each process takes the next number
    os.close(writing)
    held: dict[Lock, int] = {}
    for loop in loops:
        if loop.lock is not None and loop.lock not in held:
            held[loop.lock] = loop.lock.take_with_others()  # before anyone else can
    for _ in range(min(os.cpu_count() or 1, MAX_MAKERS, len(loops))):
        child = os.fork()
        if child == 0:
            _make_as_orphan(reading, loops, held)
        os.waitpid(child, 0)
    for file in (reading, *held.values()):
        os.close(file)


def _make_as_orphan(reading: int, loops: Sequence[Loop], held: dict[Lock, int]) -> None:
    """Make machine code in a child of this process, which no one has to wait for, and end it."""
    parent = os.getppid()
    try:
        if os.fork() == 0:
            gc.disable()
            _close_all_but({reading, *held.values()})
            make_for_others()
            while (taken := os.read(reading, 1)) and _lives(parent):
                for lock in set(held).difference(loop.lock for loop in loops[taken[0] :]):
                    os.close(held.pop(lock))  # free when all these processes are past its module
                with suppress(Exception):  # told by the worker that needs it
                    loops[taken[0]].load()
    finally:
        os._exit(0)


def _close_all_but(kept: set[int]) -> None:
    """Close the files of this process: who reads the other end of one would wait for its end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    first = 3
    for file in sorted(kept):
        os.closerange(first, file)
        first = file + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _lives(process: int) -> bool:
    """Return whether a process is there."""
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
