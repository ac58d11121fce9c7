"""Functions of numbers and arrays that Numba turns into machine code."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from hrtem_dask.machine_code.locks import Lock

__all__ = ["Loop", "compiled", "loops_of", "make_for_others"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Loop:
    """A function that is machine code for the types that a run calls it with."""

    code: Any
    """What Numba makes of it."""
    types: str
    """Types of its parameters, as Numba writes them."""
    lock: Lock | None
    """Lock of the loops of its module; None where machine code is not kept in files."""

    def load(self) -> bool:
        """Read its machine code from the file, or make it.

        Returns
        -------
        bool
            Whether it was read or in memory already.
        """
        from numba.core import sigutils

        before = sum(self.code.stats.cache_misses.values())
        types, _ = sigutils.normalize_signature(f"({self.types},)")  # type: ignore[no-untyped-call]
        self.code.compile(types)  # files are found by types, not by their text
        return bool(sum(self.code.stats.cache_misses.values()) == before)


_LOOPS: dict[str, list[Loop]] = {}
"""Module → its loops, in their order."""
_HELD: set[Lock] = set()
"""Locks that this process holds: a loop that calls another one of its module makes both."""
_waits_for_others = True


def compiled(types: str | None = None) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Turn a function of numbers and arrays into machine code.

    It is made at the first call, which takes up to a second, and kept beside the module or, where this cannot be
    written, in the user's cache. Processes that need it at the same time wait for the first of them, and read it. Sums
    keep their order, so that results are those of the Python code; a division by zero is infinite or NaN, as in NumPy.

    Parameters
    ----------
    types : str, optional
        Types of the parameters, as Numba writes them, for which `load_or_share` loads the function; without them it
        comes with the functions that call it. It can be called with other types.

    Returns
    -------
    callable
        The decorator.

    Examples
    --------
    >>> @compiled("float64[::1]")
    ... def total(values):
    ...     result = 0.0
    ...     for value in values:
    ...         result += value
    ...     return result
    >>> import numpy as np
    >>> total(np.array([1.0, 2.0]))
    3.0
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        import numba

        # C code calls none of them: without its wrappers a twentieth of the time is saved
        make: Any = functools.partial(numba.njit, error_model="numpy", no_cfunc_wrapper=True)
        try:
            code = make(cache=True)(function)
        except RuntimeError:  # no place can be written: each process makes its own
            code = make()(function)
        if hasattr(code, "stats"):  # not where NUMBA_DISABLE_JIT is set
            lock = _lock_of(function, code)
            if lock is not None:
                code.compile = _anew_where_damaged(code.compile, code)
                code.compile = _in_turn(code.compile, lock)
            if types is not None:
                _LOOPS.setdefault(function.__module__, []).append(Loop(code, types, lock))
        return cast(Callable[_P, _R], code)

    return decorate


def loops_of(modules: Iterable[str]) -> list[Loop]:
    """Return the loops of modules that are imported.

    Parameters
    ----------
    modules : iterable of str
        Names of the modules.

    Returns
    -------
    list of Loop
        Those with types, in the order of the modules.
    """
    return [loop for module in modules for loop in _LOOPS.get(module, ())]


def make_for_others() -> None:
    """Make machine code in this process without waiting for others, which wait for this one."""
    global _waits_for_others
    _waits_for_others = False


def _lock_of(function: Callable[..., Any], code: Any) -> Lock | None:
    """Return the lock of all loops of a module; None where nothing is kept."""
    path = code.stats.cache_path
    return None if path is None else Lock(Path(path) / f"{function.__module__.rpartition('.')[2]}.lock")


def _anew_where_damaged(make: Callable[..., Any], code: Any) -> Callable[..., Any]:
    """Make a loop again whose files are cut off or overwritten, as after a full disk; Numba would raise."""

    def read_or_made(signature: Any) -> Any:
        try:
            return make(signature)
        except (EOFError, pickle.UnpicklingError):
            code._cache.flush()  # an empty list of files; they are written again
            return make(signature)

    return read_or_made


def _in_turn(make: Callable[..., Any], lock: Lock) -> Callable[..., Any]:
    """Let one process at a time make the loops of a module; the next one reads them from the files."""

    def compile_in_turn(signature: Any) -> Any:
        from numba.core.compiler_lock import global_compiler_lock

        with global_compiler_lock:  # before the lock in all threads, or two of them could wait for each other
            if lock in _HELD or not _waits_for_others:
                return make(signature)
            _HELD.add(lock)
            try:
                with lock.alone():
                    return make(signature)
            finally:
                _HELD.discard(lock)

    return compile_in_turn
