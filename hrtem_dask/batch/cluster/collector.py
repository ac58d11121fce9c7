"""Python's garbage collector in worker processes."""

from __future__ import annotations

import functools
import gc

from distributed import get_worker

__all__ = ["spare_collector"]


@functools.cache
def spare_collector() -> bool:
    """Leave everything that exists now out of later garbage collections, once per worker process.

    The imported libraries hold some hundred thousand objects that never become garbage. Looking through them again and
    again costs a worker about a twentieth of its time.

    Returns
    -------
    bool
        False where nothing was done, because this is no process that a nanny has started for a worker: the program of
        a user may want its garbage collected.
    """
    try:
        worker = get_worker()
    except ValueError:
        return False
    if worker.nanny is None:
        return False
    gc.collect()
    gc.freeze()
    return True
