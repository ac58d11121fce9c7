"""The Dask cluster that tasks run on: started for one call, or already running."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dask
from distributed import Client

from hrtem_dask.batch.cluster.closing import close_quietly
from hrtem_dask.batch.cluster.forkserver import changed_environment, start_forkserver, start_method
from hrtem_dask.batch.cluster.local import CONNECT_S, is_on_gpus, start_on_this_machine
from hrtem_dask.batch.cluster.patience import Patience, set_patience
from hrtem_dask.batch.cluster.plugins import AllocatorPlugin, InterruptPlugin
from hrtem_dask.batch.cluster.slurm import start_slurm
from hrtem_dask.cluster_settings import KINDS, Cluster, Device
from hrtem_dask.errors import ClusterError, SettingsError, error_text, suggestion
from hrtem_dask.settings import Settings

__all__ = ["choose_cluster", "connect"]

FAILURES_ALLOWED = 1
"""Workers that a task may kill besides its first: a task that needs too much memory does so again on the next."""
FAILURES_ALLOWED_IN_A_QUEUE = 3
"""The same for jobs of a queue, which end for other reasons too: preempted, cancelled, at their time limit."""
INTERVALS = {
    "distributed.admin.tick.interval": ("20ms", "500ms"),
    "distributed.admin.system-monitor.interval": ("500ms", "1s"),
    "distributed.worker.profile.interval": ("10ms", "100ms"),
}
"""Intervals of Dask's housekeeping: those of Dask, and those of clusters on this machine."""

logger = logging.getLogger(__name__)


def choose_cluster(given: Cluster | Client | str | None, of_settings: Cluster | None = None) -> Cluster | Client:
    """Combine the cluster that a caller gives with that of the settings.

    Parameters
    ----------
    given : Cluster, distributed.Client or str, optional
        What the caller gives. A text is a `Cluster.scheduler`, or the path of a TOML file with a table ``[cluster]``.
    of_settings : Cluster, optional
        The table ``[cluster]`` of the settings, which says what `given` leaves open, if that is the same kind of
        cluster.

    Returns
    -------
    Cluster or distributed.Client
        The cluster.

    Raises
    ------
    SettingsError
        If the file cannot be read, or numbers contradict the kind of cluster.

    Examples
    --------
    >>> from hrtem_dask import Cluster
    >>> from hrtem_dask.batch.cluster.cluster import choose_cluster
    >>> of_settings = Cluster("slurm", options={"queue": "normal"})
    >>> choose_cluster(Cluster(workers=16), of_settings)
    Cluster(scheduler='slurm', workers=16, device=None, worker_timeout_s=None, options={'queue': 'normal'})
    >>> choose_cluster("threads", of_settings)
    Cluster(scheduler='threads', workers=None, device=None, worker_timeout_s=None, options={})
    """
    if isinstance(given, Client):
        return given
    if not isinstance(given, Cluster):
        given = Cluster(scheduler=given)
    if given.is_file_of_settings:
        of_settings = Settings.from_file(str(given.scheduler)).cluster
        given = replace(given, scheduler=of_settings.scheduler)
    if of_settings is None or given.scheduler not in {None, of_settings.scheduler}:
        return given
    names = ("workers", "device", "worker_timeout_s")
    known = {name: value for name in names if (value := getattr(given, name)) is not None}
    return replace(of_settings, **known, options={**of_settings.options, **given.options})


@contextmanager
def connect(
    cluster: Cluster | Client | str | None = None, *, device: Device = "auto", of_settings: Cluster | None = None
) -> Iterator[Client]:
    """Connect to a cluster, or start one.

    Parameters
    ----------
    cluster : Cluster, distributed.Client or str, optional
        A connected client is used as it is and left open. A text is a `Cluster.scheduler`: ``local``, ``cuda``,
        ``slurm``, ``threads``, an address, the path of a scheduler file, or of a TOML file with a table ``[cluster]``.
        By default a cluster is started on this machine.
    device : {"auto", "cpu", "cuda"}
        Device of a cluster on this machine, where `cluster` does not state one.
    of_settings : Cluster, optional
        The cluster of the settings, for what `cluster` leaves open.

    Yields
    ------
    distributed.Client
        A connected client. A cluster that was started here is closed when the block ends.

    Raises
    ------
    SettingsError
        If the cluster is not known, or a number of workers is given for one that is already running.
    ClusterError
        If the scheduler cannot be reached, or no workers can be started.

    Examples
    --------
    >>> from hrtem_dask.batch.cluster.cluster import connect
    >>> with connect("threads") as client:
    ...     client.submit(abs, -3).result()
    3
    """
    chosen = choose_cluster(cluster, of_settings)
    if isinstance(chosen, Client):
        yield chosen
    elif chosen.is_running:
        with _connected_to(chosen) as client:
            yield client
    elif chosen.scheduler == "slurm":
        with _in_a_queue(chosen) as client:
            yield client
    else:
        with _on_this_machine(chosen, device) as client:
            yield client


@contextmanager
def _on_this_machine(cluster: Cluster, device: Device) -> Iterator[Client]:
    """Start a cluster on this machine."""
    settings: dict[str, object] = {
        "distributed.scheduler.allowed-failures": FAILURES_ALLOWED,
        # a nanny restarts its worker however long that takes; Dask would stop waiting for it after 15 s
        "distributed.deploy.lost-worker-timeout": "1h",
        # on a busy machine a worker needs more than the usual 30 s to start and to connect
        "distributed.comm.timeouts.connect": f"{CONNECT_S:g}s",
    }
    if cluster.scheduler != "threads" and not is_on_gpus(cluster, device):  # CUDA does not work after a fork
        start_forkserver()
        settings |= {
            "distributed.worker.multiprocessing-method": start_method(),
            "distributed.nanny.environ": dask.config.get("distributed.nanny.environ") | changed_environment(),
        }
    with dask.config.set(settings | _seldom()):
        local, client = start_on_this_machine(cluster, device)
        set_patience(client, Patience(cluster.worker_timeout_s, cluster.worker_timeout_s, "try fewer workers"))
        interrupted = False
        try:
            if cluster.scheduler != "threads":
                client.register_plugin(AllocatorPlugin())
                client.register_plugin(InterruptPlugin())
            logger.debug("started %s", local)
            yield client
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            close_quietly(client, local, at_once=interrupted)


def _seldom() -> dict[str, str]:
    """Return the intervals of Dask's housekeeping that are longer here, but for those that the user has set.

    With Dask's own, a program and two workers that do nothing keep 8 % of a core busy, the cores that the workers need.
    """
    return {name: own for name, (of_dask, own) in INTERVALS.items() if dask.config.get(name) == of_dask}


@contextmanager
def _in_a_queue(cluster: Cluster) -> Iterator[Client]:
    """Submit jobs to a queue."""
    settings = {
        "distributed.scheduler.allowed-failures": FAILURES_ALLOWED_IN_A_QUEUE,
        # the queue is asked for lost jobs; Dask would cancel a preempted one that waits to run again
        "distributed.deploy.lost-worker-timeout": "1000h",
        "distributed.comm.timeouts.connect": f"{CONNECT_S:g}s",
    }
    with dask.config.set(settings):
        queue, client, keeper = start_slurm(cluster)
        patience = Patience(
            cluster.worker_timeout_s,
            cluster.worker_timeout_s,
            remedy="see the output of the jobs, and squeue",
            n_queued=keeper.n_queued,
            problem=keeper.problem,
        )
        set_patience(client, patience)
        try:
            client.register_plugin(AllocatorPlugin())
            logger.debug("started %s", queue)
            yield client
        finally:
            keeper.stop()
            close_quietly(client, queue)


@contextmanager
def _connected_to(cluster: Cluster) -> Iterator[Client]:
    """Connect to a scheduler that is already running."""
    client = _connect(str(cluster.scheduler))
    set_patience(client, Patience(cluster.worker_timeout_s, cluster.worker_timeout_s))
    try:
        client.register_plugin(AllocatorPlugin())
        yield client
    finally:
        close_quietly(client, None)


def _connect(scheduler: str) -> Client:
    """Connect to a running scheduler."""
    is_file = "://" not in scheduler and Path(scheduler).exists()
    if not is_file and ":" not in scheduler:
        raise SettingsError(
            f"{scheduler!r} is no cluster: it must be {', '.join(KINDS)}, the address of a scheduler such as "
            f"tcp://node17:8786, or an existing scheduler file{suggestion(scheduler, KINDS)}"
        )
    try:
        if is_file:
            return Client(scheduler_file=scheduler, timeout="30s")
        return Client(scheduler, timeout="30s")
    except (OSError, ValueError, TypeError) as error:  # the latter where certificates are lacking
        raise ClusterError(
            f"cannot reach the scheduler {scheduler!r} ({error_text(error)}): give the address of a running scheduler "
            "or its scheduler file, or leave --cluster out to use this machine"
        ) from error
