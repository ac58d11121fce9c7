"""Workers on this machine that start at once: forked from a process that has imported what they need.

A worker that starts from nothing imports for a second or two, on each core at the same time, and each keeps its own
copy in memory. The process that they are forked from can start while the program itself still imports.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["changed_environment", "start_forkserver", "start_method", "without_tracker_warnings"]

PRELOADED = "hrtem_dask.batch.cluster.preloaded"
BEFORE_START = {
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "6640",
}
"""Environment that Dask gives its workers (``distributed.nanny.pre-spawn-environ``), where the user states none.
Libraries read it when they are loaded, so the process that loads them must have it."""
READ_AT_START = ("PYTHON", "LD_PRELOAD", "GLIBC_", "MALLOC_", "OMP_", "MKL_", "OPENBLAS_")
"""How the names of variables begin that Python and libraries read only when they start. LD_LIBRARY_PATH is none of
them here, since OpenCV changes it when it is imported."""
_SPAWN, _FORKSERVER = "spawn", "forkserver"

_environment: dict[str, str] = {}
"""Environment with which the process was started; empty where it was not."""


def start_forkserver() -> None:
    """Start the process that workers are forked from, and go on at once.

    Nothing happens on other systems than Linux, where libraries may not work after a fork, and if it is running.
    """
    if sys.platform != "linux" or _environment:
        return
    from multiprocessing.forkserver import ensure_running  # not on all systems

    multiprocessing.get_context(_FORKSERVER).set_forkserver_preload([PRELOADED])
    given = {name: os.environ.get(name, value) for name, value in BEFORE_START.items()}
    with without_tracker_warnings(), _environment_set(given | _without_folder()):
        ensure_running()
    _environment.update(os.environ | given)


def _without_folder() -> dict[str, str]:
    """Return what keeps the process from importing what lies in the current folder, unless this program does."""
    try:
        here = str(Path.cwd())
    except FileNotFoundError:  # the folder was removed
        here = ""
    return {} if {"", here} & set(sys.path) else {"PYTHONSAFEPATH": "1"}


def start_method() -> str:
    """Return how multiprocessing is to start workers.

    Returns
    -------
    str
        ``"forkserver"`` where `start_forkserver` has been called, Dask is not configured to use another method, and
        what is read at the start of a process is in the environment of workers as in that of the process that they are
        forked from; else what is configured.
    """
    import dask
    import distributed  # noqa: F401 - its defaults are part of the configuration then

    configured = str(dask.config.get("distributed.worker.multiprocessing-method"))
    of_dask = dask.config.get("distributed.nanny.pre-spawn-environ")
    wanted = BEFORE_START | {name: str(value) for name, value in of_dask.items() if value is not None} | os.environ
    fits = _read_at_start(wanted) == _read_at_start(_environment)
    fits = fits and all(_environment.get(name) == wanted[name] for name in of_dask if name in wanted)
    return _FORKSERVER if _environment and fits and configured == _SPAWN else configured


def changed_environment() -> dict[str, str]:
    """Return what is in the environment of this program now, and is not in that of the process.

    Returns
    -------
    dict of str to str
        For Dask's ``distributed.nanny.environ``; empty where the process was not started, since workers have all of the
        environment then.
    """
    if not _environment:
        return {}
    return {name: value for name, value in os.environ.items() if _environment.get(name) != value}


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are read at the start of a process."""
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


@contextmanager
def without_tracker_warnings() -> Iterator[None]:
    """Keep the process that multiprocessing starts now from warning of what killed workers have not given back.

    Yields
    ------
    None
        The time in which it starts.
    """
    quiet = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning"]))
    with _environment_set({"PYTHONWARNINGS": quiet}):
        yield


@contextmanager
def _environment_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for some time."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
