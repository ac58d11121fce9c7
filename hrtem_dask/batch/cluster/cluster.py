"""The Dask cluster that tasks run on: this machine's cores or GPUs, or a cluster that is already running."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Worker, WorkerPlugin

from hrtem_dask import backend
from hrtem_dask.batch.cluster.closing import close_quietly
from hrtem_dask.errors import SettingsError, error_text, typed_error_text

__all__ = ["AllocatorPlugin", "Cluster", "Device", "InterruptPlugin", "connect"]

Device = Literal["auto", "cpu", "cuda"]

STARTS = 3
"""How often a cluster on this machine is tried to start."""
CONNECT_S = 120.0
"""How long a connection may take (s)."""
FAILURES_ALLOWED = 1
"""Workers that a task may kill besides its first: a task that needs too much memory does so again on the next."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """Which Dask cluster to use.

    Without a scheduler, a cluster is started on this machine and stopped at the end of the call.

    Examples
    --------
    Four worker processes on this machine:

    >>> import hrtem_dask as hd
    >>> hd.Cluster(workers=4)
    Cluster(scheduler=None, workers=4, device=None)

    A running scheduler; ``cluster="tcp://node17:8786"`` means the same:

    >>> hd.Cluster(scheduler="tcp://node17:8786").scheduler
    'tcp://node17:8786'
    """

    scheduler: str | None = None
    """Address of a running scheduler (``tcp://…``), path of its scheduler file, or ``threads`` for threads of this
    process (for tests and debugging)."""
    workers: int | None = None
    """Worker processes on this machine, one thread each; by default one per GPU or core. With ``threads``, the
    number of threads, by default 2."""
    device: Device | None = None
    """Whether workers on this machine use its GPUs (through dask-cuda); by default what the called function asks for,
    such as ``execution.device`` of the settings of a run."""


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


@contextmanager
def connect(cluster: Cluster | Client | str | None = None, *, device: Device = "auto") -> Iterator[Client]:
    """Connect to a cluster, or start one on this machine.

    Parameters
    ----------
    cluster : Cluster, distributed.Client or str, optional
        A connected client is used as it is and left open. A text is a `Cluster.scheduler`: an address, the path of a
        scheduler file, or ``threads``. By default a cluster is started on this machine.
    device : {"auto", "cpu", "cuda"}
        Device of a cluster on this machine, where `cluster` does not state one.

    Yields
    ------
    distributed.Client
        A connected client. A cluster that was started here is closed when the block ends.

    Raises
    ------
    SettingsError
        If the scheduler cannot be reached, or a number of workers is given for a cluster that is already running.

    Examples
    --------
    >>> from hrtem_dask.batch.cluster.cluster import connect
    >>> with connect("threads") as client:
    ...     client.submit(abs, -3).result()
    3
    """
    if isinstance(cluster, Client):
        yield cluster
        return
    if not isinstance(cluster, Cluster):
        cluster = Cluster(scheduler=cluster)
    scheduler, workers = cluster.scheduler, cluster.workers
    if scheduler is not None and scheduler != "threads":
        if workers is not None:
            raise SettingsError(
                f"the cluster of the scheduler {scheduler} has its own workers: leave out workers={workers} "
                "(--workers), which starts workers on this machine, or the scheduler (--scheduler)"
            )
        client = _connect_to(scheduler)
        try:
            client.register_plugin(AllocatorPlugin())
            yield client
        finally:
            close_quietly(client, None)
        return
    settings = {
        "distributed.scheduler.allowed-failures": FAILURES_ALLOWED,
        # a nanny restarts its worker however long that takes; Dask would stop waiting for it after 15 s
        "distributed.deploy.lost-worker-timeout": "1h",
        # on a busy machine a worker needs more than the usual 30 s to start and to connect
        "distributed.comm.timeouts.connect": f"{CONNECT_S:g}s",
    }
    with dask.config.set(settings):
        local, client = _start_and_connect(workers, cluster.device or device, processes=scheduler is None)
        interrupted = False
        try:
            if scheduler is None:
                client.register_plugin(AllocatorPlugin())
                client.register_plugin(InterruptPlugin())
            logger.debug("started %s", local)
            yield client
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            close_quietly(client, local, at_once=interrupted)


def _start_and_connect(workers: int | None, device: Device, *, processes: bool) -> tuple[LocalCluster, Client]:
    """Start a cluster on this machine and connect to it; a worker that does not start is tried again."""
    for number in range(1, STARTS + 1):
        local: LocalCluster | None = None
        try:
            with _no_warning_of_killed_workers():
                local = _start_local(workers, device, processes=processes)
            return local, Client(local, timeout=f"{CONNECT_S:g}s")
        except (OSError, RuntimeError) as error:  # TimeoutError is an OSError
            if local is not None:
                close_quietly(None, local)
            if number == STARTS:
                raise SettingsError(
                    f"no workers could be started on this machine in {STARTS} tries ({typed_error_text(error)}): try "
                    "fewer workers (--workers), when the machine is less busy, or another scheduler (--scheduler)"
                ) from error
            logger.warning("the workers did not start and are tried again: %s", typed_error_text(error))
    raise AssertionError("unreachable")


@contextmanager
def _no_warning_of_killed_workers() -> Iterator[None]:
    """Keep the process that multiprocessing starts now from warning of what killed workers have not given back."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker:UserWarning"]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _connect_to(scheduler: str) -> Client:
    """Connect to a running scheduler."""
    try:
        if "://" not in scheduler and Path(scheduler).exists():
            return Client(scheduler_file=scheduler, timeout="30s")
        return Client(scheduler, timeout="30s")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot reach the scheduler {scheduler!r} ({error_text(error)}): give the address of a running scheduler "
            "or its scheduler file, or leave --scheduler out to use this machine"
        ) from error


def _start_local(workers: int | None, device: Device, *, processes: bool) -> LocalCluster:
    """Start a cluster on this machine."""
    dashboard = f"127.0.0.1:{_free_port(8787)}"
    if not processes:
        return LocalCluster(n_workers=1, threads_per_worker=workers or 2, processes=False, dashboard_address=dashboard)
    if backend.resolve_device(device) == "cuda":
        from dask_cuda import LocalCUDACluster

        gpus: LocalCluster = LocalCUDACluster(n_workers=workers, dashboard_address=dashboard)
        return gpus
    return LocalCluster(
        n_workers=workers or CPU_COUNT, threads_per_worker=1, host="127.0.0.1", dashboard_address=dashboard
    )


def _free_port(preferred: int) -> int:
    """Return the preferred port, or any free one where it is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
