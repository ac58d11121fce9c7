"""Workers in the jobs of a SLURM queue, by dask-jobqueue; jobs that end too early are submitted again."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import threading
from pathlib import Path
from typing import Any, TypeAlias

import dask
from dask.utils import parse_bytes, parse_timedelta
from distributed import Client
from distributed.core import Status

from hrtem_dask.batch.cluster.closing import close_quietly
from hrtem_dask.batch.cluster.local import CONNECT_S, DASHBOARD_PORT, free_port, no_port_warning
from hrtem_dask.batch.cluster.security import with_security
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import ClusterError, SettingsError, error_text

__all__ = ["JobKeeper", "job_script", "memory_of_job", "n_jobs", "processes_of_job", "start_slurm"]

Queue: TypeAlias = Any
"""`dask_jobqueue.SLURMCluster`, which is imported only where it is used."""
JOBS = 4
"""Number of jobs where the number of workers is not given."""
CORES = 8
"""Cores of a job, each with a worker, where neither the settings nor the site say it."""
MEMORY_PER_CORE_GB = 4
"""Memory of a job per core (GB)."""
WALLTIME = "02:00:00"
"""Time limit of a job."""
LIFETIME_MARGIN_S = 600.0
"""How long before the time limit workers stop (s), at most a fifth of the limit."""
POLL_S = 15.0
"""How often the queue is asked for the jobs (s)."""
SQUEUE_S = 60.0
"""How long an answer of the queue may take (s)."""
USELESS_JOBS = 3
"""Number of times that all jobs may end before any worker connects; then the jobs have an error."""
OF_THE_CLUSTER = frozenset({"scheduler_options", "scheduler_cls", "silence_logs", "shared_temp_directory", "loop"})
"""Options of `dask_jobqueue.SLURMCluster` that are not those of its jobs."""

logger = logging.getLogger(__name__)


def start_slurm(cluster: Cluster) -> tuple[Queue, Client, JobKeeper]:
    """Submit jobs to the queue and connect to the scheduler, which runs in this process.

    Parameters
    ----------
    cluster : Cluster
        With ``slurm``.

    Returns
    -------
    queue : dask_jobqueue.SLURMCluster
        The cluster.
    client : distributed.Client
        Its client; workers come when their jobs start.
    keeper : JobKeeper
        What submits lost jobs again until it is stopped.

    Raises
    ------
    SettingsError
        If dask-jobqueue is not installed, or an option is not valid.
    ClusterError
        If the queue does not take the jobs.
    """
    options = _options(cluster)
    scheduler = {
        "dashboard_address": f"127.0.0.1:{free_port(DASHBOARD_PORT)}",
        **dict(options.pop("scheduler_options", {})),
    }
    made_by = _slurm_cluster()
    try:
        with no_port_warning():
            queue: Queue = made_by(scheduler_options=scheduler, **options)
    except (TypeError, ValueError, ImportError) as error:
        raise SettingsError(f"SLURM jobs cannot be made of these options: {error_text(error)}") from error
    keeper = JobKeeper(queue, n_jobs(cluster))
    try:
        client = Client(queue, timeout=f"{CONNECT_S:g}s")
        keeper.start()
    except BaseException:
        keeper.stop()
        close_quietly(None, queue)
        raise
    return queue, client, keeper


def job_script(cluster: Cluster) -> str:
    """Return the script of a job, as it would be submitted.

    Parameters
    ----------
    cluster : Cluster
        With ``slurm``.

    Returns
    -------
    str
        The script; the address of the scheduler is known only when it runs.

    Raises
    ------
    SettingsError
        If dask-jobqueue is not installed, or an option is not valid.
    """
    options = {name: value for name, value in _options(cluster).items() if name not in OF_THE_CLUSTER}
    try:
        job = _slurm_cluster().job_cls("tcp://ADDRESS_OF_THE_SCHEDULER", name="NAME", **options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"SLURM jobs cannot be made of these options: {error_text(error)}") from error
    return str(job.job_script())


def n_jobs(cluster: Cluster) -> int:
    """Return how many jobs are submitted.

    Parameters
    ----------
    cluster : Cluster
        With ``slurm``.

    Returns
    -------
    int
        As many as hold its workers.
    """
    return JOBS if cluster.workers is None else math.ceil(cluster.workers / processes_of_job(cluster))


def processes_of_job(cluster: Cluster) -> int:
    """Return how many workers a job has.

    Parameters
    ----------
    cluster : Cluster
        With ``slurm``.

    Returns
    -------
    int
        Its processes.
    """
    return int(_options(cluster).get("processes") or _of_site("processes") or 1)


def memory_of_job(cluster: Cluster) -> int:
    """Return how much memory a job has.

    Parameters
    ----------
    cluster : Cluster
        With ``slurm``.

    Returns
    -------
    int
        Bytes.
    """
    return int(parse_bytes(_options(cluster).get("memory") or _of_site("memory")))


class JobKeeper:
    """Submit jobs, and submit those again that have ended; a thread asks the queue for them.

    Dask forgets a worker that is lost, but does not start its job again. A job that was preempted and waits in the
    queue is left alone: its workers come back under the same name.

    Parameters
    ----------
    queue : dask_jobqueue.SLURMCluster
        The cluster.
    jobs : int
        How many jobs there should be.
    """

    def __init__(self, queue: Queue, jobs: int) -> None:
        self._queue, self._jobs = queue, jobs
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hrtem-dask-jobs", daemon=True)
        self._known: set[str] = set()
        self._n_useless = 0
        self._problem: str | None = None
        self.n_resubmitted = 0
        """Number of jobs that were submitted again."""

    def start(self) -> None:
        """Submit the jobs, and look after them.

        Raises
        ------
        ClusterError
            If the queue does not take them.
        """
        try:
            # not its method scale, which submits later and prints a traceback where that fails
            self._queue.sync(self._submit)
        except (OSError, RuntimeError, ValueError) as error:
            for job in self._queue.workers.values():
                if job.job_id is None:
                    job.status = Status.failed  # Dask would not close a cluster with jobs that never began
            raise ClusterError(
                f"SLURM does not take the jobs ({_last_lines(error)}): correct [cluster.options]; --dry-run shows the "
                "script of a job"
            ) from error
        self._thread.start()

    def stop(self) -> None:
        """Look after the jobs no longer."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(SQUEUE_S)

    def problem(self) -> str | None:
        """Return why no worker will come any more.

        Returns
        -------
        str or None
            What to do; None where nothing is known to be wrong.
        """
        return self._problem

    def n_queued(self) -> int:
        """Return how many jobs wait or run.

        Returns
        -------
        int
            Those that the queue knows.
        """
        return len(self._known)

    async def _submit(self) -> None:
        """Submit what is missing."""
        queue = self._queue
        while len(queue.worker_spec) < self._jobs:
            queue.worker_spec.update(queue.new_worker_spec())
        await queue._correct_state()
        self._known = {str(job.job_id) for job in queue.workers.values()}

    def _keep(self) -> None:
        """Ask the queue now and then, and submit lost jobs again."""
        while not self._stopped.wait(POLL_S):
            listed = _listed_jobs()
            if listed is None:  # a busy controller: nothing is known
                continue
            self._known = {str(job.job_id) for job in dict(self._queue.workers).values()} & listed
            try:
                self._queue.sync(self._replace, listed)
            except Exception as error:  # noqa: BLE001 - the controller may answer next time
                logger.warning("jobs could not be submitted again: %s", _last_lines(error))

    async def _replace(self, listed: set[str]) -> None:
        """Submit the jobs again that are no longer in the queue."""
        queue = self._queue
        lost = {name: job for name, job in queue.workers.items() if str(job.job_id) not in listed}
        if self._stopped.is_set() or (not lost and len(queue.workers) >= self._jobs):
            return
        if queue.scheduler.workers:
            self._n_useless = 0
        else:
            self._n_useless += len(lost)
            if self._n_useless >= USELESS_JOBS * self._jobs:
                self._problem = (
                    f"{self._n_useless} jobs of SLURM have ended before a worker connected, the last was "
                    f"{', '.join(str(job.job_id) for job in lost.values())}: see their output in "
                    f"{_options_of(queue).get('log_directory')}, and what --dry-run shows"
                )
                self._stopped.set()
                return
        for name in lost:
            del queue.workers[name]
        if lost:
            self.n_resubmitted += len(lost)
            logger.info("%d jobs have ended and are submitted again", len(lost))
        await self._submit()


def _options(cluster: Cluster) -> dict[str, Any]:
    """Return the options of a SLURM cluster: given ones, those of the site's jobqueue.yaml, and defaults."""
    options = with_security(cluster.options)
    defaults: dict[str, Any] = {"job_name": "hrtem-dask", "walltime": WALLTIME, "log_directory": str(_log_folder())}
    if _of_site("walltime") not in {None, "00:30:00"}:  # the latter is dask-jobqueue's own
        del defaults["walltime"]
    if _of_site("log-directory") is not None:
        del defaults["log_directory"]
    cores = int(options.get("cores") or _of_site("cores") or CORES)
    if _of_site("cores") is None:
        defaults["cores"] = cores
    if _of_site("processes") is None:
        defaults["processes"] = cores  # one thread per worker
    if _of_site("memory") is None:
        defaults["memory"] = f"{MEMORY_PER_CORE_GB * cores}GB"
    options = defaults | options
    given = [str(one) for one in options.get("worker_extra_args") or _of_site("worker-extra-args") or []]
    limit = options.get("walltime") or _of_site("walltime")
    if limit and not any(one.startswith("--lifetime") for one in given):
        given += _lifetime(_seconds(str(limit)))
    options["worker_extra_args"] = given
    return options


def _options_of(queue: Queue) -> dict[str, Any]:
    """Return the options of the jobs of a cluster."""
    return dict(queue.new_spec["options"])


def _of_site(name: str) -> Any:
    """Return what the configuration of dask-jobqueue at this site says."""
    import dask_jobqueue  # noqa: F401 - it brings its configuration

    return dask.config.get(f"jobqueue.slurm.{name}", None)


def _log_folder() -> Path:
    """Return where jobs write their output: a folder that the nodes see too."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hrtem-dask" / "slurm"


def _lifetime(limit_s: float) -> list[str]:
    """Return the options of a worker that stops before the time limit of its job; not all at the same time."""
    margin = min(LIFETIME_MARGIN_S, limit_s / 5)
    return ["--lifetime", f"{limit_s - margin:.0f}s", "--lifetime-stagger", f"{0.6 * margin:.0f}s"]


def _seconds(limit: str) -> float:
    """Return a time limit of SLURM in seconds.

    >>> [_seconds(text) for text in ("30", "30:00", "02:00:00", "1-12", "1-12:30", "1-12:30:10")]
    [1800.0, 1800.0, 7200.0, 129600.0, 131400.0, 131410.0]
    """
    days, dash, rest = limit.strip().partition("-") if "-" in limit else ("0", "", limit.strip())
    try:
        parts = [int(part) for part in rest.split(":")]
        # after days, hours come first; alone they are minutes
        units = [3600, 60, 1] if dash else {1: [60], 2: [60, 1], 3: [3600, 60, 1]}[len(parts)]
        return float(int(days) * 86400 + sum(n * unit for n, unit in zip(parts, units, strict=False)))
    except (ValueError, KeyError):
        try:
            return float(parse_timedelta(limit))  # such as 2h
        except (ValueError, KeyError) as error:
            raise SettingsError(f"cluster.options.walltime must be a time such as 02:00:00, got {limit!r}") from error


def _slurm_cluster() -> Any:
    """Return the class of SLURM clusters."""
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise SettingsError(
            f"jobs of SLURM need dask-jobqueue, which cannot be imported ({error_text(error)}): pip install "
            "'hrtem-dask[cluster]'"
        ) from error
    return SLURMCluster


def _listed_jobs() -> set[str] | None:
    """Return the ids of the user's jobs that wait, run or are completing; None where SLURM does not answer."""
    command = ["squeue", "--noheader", "--format=%A", f"--user={os.getuid()}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SQUEUE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        logger.debug("squeue does not answer: %s", error_text(error))
        return None
    return set(done.stdout.split())


def _last_lines(error: BaseException) -> str:
    """Return what the program of the queue printed."""
    lines = [line.strip() for line in error_text(error).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("sbatch: ")]
    return "; ".join(said or lines[:1])
