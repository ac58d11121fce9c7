"""What worker processes are told when they start, also those that take the place of dead ones."""

from __future__ import annotations

import signal
from contextlib import suppress

from distributed import Worker, WorkerPlugin

from hrtem_dask import backend

__all__ = ["AllocatorPlugin", "InterruptPlugin"]


class AllocatorPlugin(WorkerPlugin):
    """Let glibc keep freed memory, which halves the time of a network's large buffers.

    Dask's nanny sets ``MALLOC_TRIM_THRESHOLD_`` low, so that each micrograph's buffers are returned to the system
    and faulted in again. The environment cannot be changed once the worker runs, but `mallopt` can.
    """

    name = "hrtem-dask-allocator"

    def setup(self, worker: Worker) -> None:
        """Raise glibc's thresholds in the worker's process.

        Parameters
        ----------
        worker : distributed.Worker
            The worker that starts.
        """
        del worker
        backend.keep_freed_memory()


class InterruptPlugin(WorkerPlugin):
    """Leave Ctrl-C to the program that started the workers.

    A terminal sends it to all processes of the program. A worker that takes it for itself dies with a traceback, and
    its nanny starts another one.
    """

    name = "hrtem-dask-interrupt"

    def setup(self, worker: Worker) -> None:
        """Ignore the signal in the worker's process, also in that of one that takes the place of a dead worker.

        Parameters
        ----------
        worker : distributed.Worker
            The worker that starts.
        """
        if worker.nanny is not None:
            with suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)
