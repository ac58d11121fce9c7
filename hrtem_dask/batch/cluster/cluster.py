"""Where tasks run: a cluster of this machine's cores or GPUs, or one that is already there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Worker, WorkerPlugin

from hrtem_dask import backend
from hrtem_dask.errors import SettingsError

__all__ = ["AllocatorPlugin", "connect"]

FAILURES_ALLOWED = 1
"""Workers that a task may kill besides its first: what eats all memory once does so again."""


class AllocatorPlugin(WorkerPlugin):
    """Let glibc keep freed memory, which halves the time of a network's large buffers.

    Dask's nanny sets ``MALLOC_TRIM_THRESHOLD_`` low, so that each micrograph's buffers are returned to the system
    and faulted in again; the environment cannot be mended from here, `mallopt` can.
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


@contextmanager
def connect(scheduler: str | None = None, *, workers: int | None = None, device: str = "auto") -> Iterator[Client]:
    """Connect to a cluster, or start one on this machine.

    Parameters
    ----------
    scheduler : str, optional
        Address (``tcp://…``), path of a scheduler file, or ``threads`` for threads of this process (for tests and
        debugging). Without one, a local cluster is started and stopped at the end.
    workers : int, optional
        Worker processes of the local cluster, one thread each; by default one per GPU, else one per core.
    device : {"auto", "cpu", "cuda"}
        Whether the local cluster is one of GPUs (dask-cuda).

    Yields
    ------
    distributed.Client
        Connected; a cluster that was started here is closed when the block ends.

    Raises
    ------
    SettingsError
        If the scheduler cannot be reached, or workers are asked for beside it.
    """
    if scheduler is not None and scheduler != "threads":
        if workers is not None:
            raise SettingsError(
                f"--workers {workers} starts workers here, --scheduler {scheduler} has its own: give one"
            )
        with _existing(scheduler) as client:
            client.register_plugin(AllocatorPlugin())
            yield client
        return
    settings = {
        "distributed.scheduler.allowed-failures": FAILURES_ALLOWED,
        # a nanny restarts its worker however long that takes; the cluster would give it up after 15 s
        "distributed.deploy.lost-worker-timeout": "1h",
    }
    with (
        dask.config.set(settings),
        _local_cluster(workers, device, processes=scheduler is None) as cluster,
        Client(cluster) as client,
    ):
        if scheduler is None:
            client.register_plugin(AllocatorPlugin())
        yield client


def _existing(scheduler: str) -> Client:
    """Connect to a running scheduler."""
    try:
        if "://" not in scheduler and Path(scheduler).exists():
            return Client(scheduler_file=scheduler, timeout="30s")
        return Client(scheduler, timeout="30s")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot reach the scheduler {scheduler!r} ({error}): give a running scheduler's address or its scheduler "
            "file, or leave --scheduler out to use this machine"
        ) from error


def _local_cluster(workers: int | None, device: str, *, processes: bool) -> Any:
    """Start a cluster on this machine."""
    dashboard = f"127.0.0.1:{_free_port(8787)}"
    if not processes:
        return LocalCluster(n_workers=1, threads_per_worker=workers or 2, processes=False, dashboard_address=dashboard)
    if backend.resolve_device(device) == "cuda":
        from dask_cuda import LocalCUDACluster

        return LocalCUDACluster(n_workers=workers, dashboard_address=dashboard)
    return LocalCluster(
        n_workers=workers or CPU_COUNT, threads_per_worker=1, host="127.0.0.1", dashboard_address=dashboard
    )


def _free_port(wished: int) -> int:
    """Return the wished port, or any free one where it is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wished))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
