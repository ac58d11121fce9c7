"""Clusters on this machine: processes on its cores, processes on its GPUs, or threads of this process."""

from __future__ import annotations

import inspect
import logging
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Nanny, Worker
from distributed.core import Server
from distributed.system import MEMORY_LIMIT

from hrtem_dask import backend
from hrtem_dask.batch.cluster.closing import close_quietly
from hrtem_dask.batch.cluster.forkserver import without_tracker_warnings
from hrtem_dask.batch.cluster.security import with_security
from hrtem_dask.cluster_settings import Cluster, Device
from hrtem_dask.errors import ClusterError, SettingsError, error_text, suggestion, typed_error_text

__all__ = [
    "CONNECT_S",
    "DASHBOARD_PORT",
    "default_workers",
    "free_port",
    "is_on_gpus",
    "no_port_warning",
    "start_on_this_machine",
]

STARTS = 3
"""How often a cluster on this machine is tried to start."""
DASHBOARD_PORT = 8787
"""Port of the dashboard, where it is free: that of Dask. 0 takes any free one."""
CONNECT_S = 120.0
"""How long a connection may take (s)."""
POOL_SHARE = 0.5
"""Share of a GPU's memory that its pool has at first; it grows."""
MEMORY_PER_WORKER = 2 * 2**30
"""Memory that a worker should have (bytes): what a micrograph of 4096² pixels takes with the U-Net (1.5 GiB measured),
below the share at which a worker pauses. A machine with many cores and little memory gets fewer workers than cores."""

logger = logging.getLogger(__name__)


def start_on_this_machine(cluster: Cluster, device: Device) -> tuple[LocalCluster, Client]:
    """Start a cluster on this machine and connect to it; a worker that does not start is tried again.

    Parameters
    ----------
    cluster : Cluster
        With ``local``, ``cuda`` or ``threads``, or without a scheduler.
    device : {"auto", "cpu", "cuda"}
        Whether its GPUs are used, where `cluster` does not say.

    Returns
    -------
    local : distributed.LocalCluster
        The cluster.
    client : distributed.Client
        Its client.

    Raises
    ------
    ClusterError
        If it does not start.
    SettingsError
        If it cannot be made of the options, or dask-cuda is not installed.
    """
    for number in range(1, STARTS + 1):
        local: LocalCluster | None = None
        try:
            with without_tracker_warnings(), no_port_warning():
                local = _start(cluster, device)
            return local, Client(local, timeout=f"{CONNECT_S:g}s")
        except (OSError, RuntimeError) as error:  # TimeoutError is an OSError
            if local is not None:
                close_quietly(None, local)
            if number == STARTS:
                raise ClusterError(
                    f"no workers could be started on this machine in {STARTS} tries ({typed_error_text(error)}): try "
                    "fewer workers (--workers), when the machine is less busy, or another cluster (--cluster)"
                ) from error
            logger.warning("the workers did not start and are tried again: %s", typed_error_text(error))
    raise AssertionError("unreachable")


def is_on_gpus(cluster: Cluster, device: Device) -> bool:
    """Return whether a cluster on this machine has a worker per GPU.

    Parameters
    ----------
    cluster : Cluster
        With ``local``, ``cuda`` or ``threads``, or without a scheduler.
    device : {"auto", "cpu", "cuda"}
        Whether its GPUs are used, where `cluster` does not say.

    Returns
    -------
    bool
        True for ``cuda``, and without a scheduler where there is a GPU that may be used.
    """
    if cluster.scheduler is None:
        return backend.resolve_device(cluster.device or device) == "cuda"
    return cluster.scheduler == "cuda"


def default_workers() -> int:
    """Return how many workers this machine gets.

    Returns
    -------
    int
        One per core, fewer where there is little memory.
    """
    return max(1, min(int(CPU_COUNT), int(MEMORY_LIMIT // MEMORY_PER_WORKER)))


def free_port(preferred: int) -> int:
    """Find a port of this machine.

    Parameters
    ----------
    preferred : int
        The port that is taken if it is free.

    Returns
    -------
    int
        This port, or any free one.
    """
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(cluster: Cluster, device: Device) -> LocalCluster:
    """Start a cluster on this machine; it listens on loopback only."""
    dashboard = f"127.0.0.1:{free_port(DASHBOARD_PORT)}"
    if cluster.scheduler == "threads":
        threads = cluster.workers or 2
        return LocalCluster(n_workers=1, threads_per_worker=threads, processes=False, dashboard_address=dashboard)
    defaults: dict[str, Any] = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": dashboard}
    made_by: Any = LocalCluster
    if is_on_gpus(cluster, device):
        made_by = _cuda_cluster()
        defaults["n_workers"] = cluster.workers
        defaults |= _memory_pool(cluster.options)
    else:
        defaults["n_workers"] = cluster.workers or default_workers()
    _require_known(made_by, cluster.options)
    given = {name: value for name, value in cluster.options.items() if (name, value) != ("rmm_pool_size", False)}
    try:
        started: LocalCluster = made_by(**{**defaults, **with_security(given)})
    except (TypeError, ValueError, ImportError) as error:
        raise SettingsError(
            f"a {made_by.__name__} cannot be made of the options {dict(cluster.options)} ({error_text(error)}): "
            "correct [cluster.options]"
        ) from error
    return started


def _memory_pool(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options of one memory pool of each GPU for all libraries: each would keep what it frees for itself.

    Without RMM there is none, and a user's own options of RMM but the size say everything.
    """
    of_rmm = {name for name in options if name.startswith("rmm_")}
    if of_rmm - {"rmm_pool_size"} or (not of_rmm and find_spec("rmm") is None):
        return {}
    if options.get("rmm_pool_size") is False:
        return {}
    libraries = [name for name in ("cupy", "torch") if find_spec(name) is not None]
    return {"rmm_pool_size": POOL_SHARE, "rmm_allocator_external_lib_list": libraries}


def _require_known(made_by: Any, options: Mapping[str, object]) -> None:
    """Refuse options that nothing takes: Dask would hand them to its workers, which then do not start."""
    takers = (made_by, LocalCluster, Nanny, Worker, Server)
    known = sorted({name for taker in takers for name in inspect.signature(taker.__init__).parameters})
    for name in options:
        if name not in known:
            raise SettingsError(f"{made_by.__name__} takes no option {name!r}{suggestion(name, known)}")


def _cuda_cluster() -> Any:
    """Return the class of clusters on GPUs."""
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        raise SettingsError(
            f"workers on GPUs need dask-cuda, which cannot be imported ({error_text(error)}): pip install "
            "'hrtem-dask[gpu]', or --device cpu"
        ) from error
    return LocalCUDACluster


@contextmanager
def no_port_warning() -> Iterator[None]:
    """Keep Dask from warning that another program took the port of the dashboard in this moment.

    Dask takes another port then, which the address of the dashboard names.

    Yields
    ------
    None
        The time in which a scheduler starts.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Port \d+ is already in use", category=UserWarning)
        yield
