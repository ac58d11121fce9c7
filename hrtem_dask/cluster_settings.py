"""Where tasks run: the cores or GPUs of this machine, the jobs of a queue, or a scheduler that is already running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hrtem_dask.errors import SettingsError

__all__ = ["KINDS", "Cluster", "Device"]

Device = Literal["auto", "cpu", "cuda"]
KINDS = ("local", "cuda", "slurm", "threads")
"""Clusters that are started for one call; any other `Cluster.scheduler` is one that already runs."""


@dataclass(frozen=True)
class Cluster:
    """Which Dask cluster to use: the table ``[cluster]`` of the settings.

    Without a scheduler, a cluster is started on this machine and stopped at the end of the call.

    Raises
    ------
    SettingsError
        If a number is not positive, or a setting does not belong to the kind of cluster.

    Examples
    --------
    Four worker processes on this machine:

    >>> import hrtem_dask as hd
    >>> hd.Cluster(workers=4)
    Cluster(scheduler=None, workers=4, device=None, worker_timeout_s=None, options={})

    32 workers in the jobs of a queue; options are those of ``dask_jobqueue.SLURMCluster``:

    >>> cluster = hd.Cluster("slurm", workers=32, options={"queue": "normal", "cores": 16, "memory": "64GB"})

    A running scheduler; ``cluster="tcp://node17:8786"`` means the same:

    >>> hd.Cluster(scheduler="tcp://node17:8786").scheduler
    'tcp://node17:8786'
    """

    scheduler: str | None = None
    """``local`` for the cores of this machine, ``cuda`` for its GPUs (through dask-cuda), ``slurm`` for jobs of SLURM
    (through dask-jobqueue), address of a running scheduler (``tcp://…``), path of its scheduler file or of a TOML
    file with a table ``[cluster]``, or ``threads`` for threads of this process (for tests and debugging). By
    default, the GPUs or cores of this machine."""
    workers: int | None = None
    """Worker processes, one thread each; by default one per GPU or core of this machine, and 4 jobs of SLURM. With
    ``threads``, the number of threads, by default 2."""
    device: Device | None = None
    """Whether workers on this machine use its GPUs; by default what the called function asks for, such as
    ``execution.device`` of the settings of a run."""
    worker_timeout_s: float | None = None
    """How long a call goes on without any worker (s), then it ends with an error. By default 60 s for the first one and
    600 s after the last one is lost; without limit while jobs wait in a queue."""
    options: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Whatever `distributed.LocalCluster` (``local``), `dask_cuda.LocalCUDACluster` (``cuda``) or
    `dask_jobqueue.SLURMCluster` (``slurm``) take, by name; they replace the defaults of this package."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if not isinstance(self.scheduler, str | None):
            raise SettingsError(
                f"a cluster must be text such as local or tcp://node17:8786, got {self.scheduler!r}: the number of "
                "workers is Cluster(workers=…)"
            )
        for name in ("workers", "worker_timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"cluster.{name} must be above 0, got {value!r}: leave it out for the default")
        if self.is_running and self.workers is not None:
            raise SettingsError(
                f"the cluster of the scheduler {self.scheduler} has its own workers: leave out workers={self.workers} "
                "(--workers), or the scheduler (--cluster), which starts workers on this machine"
            )
        if self.options and (self.is_running or self.scheduler == "threads"):
            raise SettingsError(
                f"cluster.options belong to local, cuda or slurm, not to {self.scheduler}: leave them out"
            )

    @property
    def is_running(self) -> bool:
        """Whether the scheduler is one that already runs."""
        return self.scheduler is not None and self.scheduler not in KINDS and not self.is_file_of_settings

    @property
    def is_file_of_settings(self) -> bool:
        """Whether the scheduler is the path of a TOML file, whose table ``[cluster]`` says what to use."""
        return self.scheduler is not None and self.scheduler.endswith(".toml")
