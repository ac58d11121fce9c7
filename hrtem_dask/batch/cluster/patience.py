"""How long a call waits for workers that are not there, and what it says when it gives up."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

from distributed import Client

from hrtem_dask.errors import ClusterError

__all__ = ["Patience", "lost_scheduler", "patience_of", "set_patience"]

FIRST_WORKER_S = 60.0
"""How long to wait for the first worker (s)."""
LOST_WORKERS_S = 600.0
"""How long to wait for a worker after all of them are gone (s): nannies and queues may start others."""
SILENCE_S = 60.0
"""How long a connected scheduler may not answer (s)."""
TELL_S = 300.0
"""How often a call that waits says so (s)."""

logger = logging.getLogger(__name__)


@dataclass
class Patience:
    """How long the calls of one client wait without any worker."""

    first_s: float | None = None
    """Longest wait for the first worker (s); None for `FIRST_WORKER_S`."""
    later_s: float | None = None
    """Longest wait after all workers are gone (s); None for `LOST_WORKERS_S`."""
    remedy: str = "start workers there (dask worker {address}), or leave --cluster out to use this machine"
    """What the user can do; ``{address}`` is the scheduler."""
    n_queued: Callable[[], int] = field(default=lambda: 0)
    """Number of jobs that wait in a queue: while there are any, the wait has no limit."""
    problem: Callable[[], str | None] = field(default=lambda: None)
    """Why no worker will come any more; None where nothing is known to be wrong."""
    had_workers: bool = False
    """Whether there was a worker at any time."""
    _alone_since: float | None = None
    _told_at: float = 0.0
    _silent_since: float | None = None

    def check(self, client: Client) -> int:
        """Count the workers, and end the call where there was none for too long.

        Parameters
        ----------
        client : distributed.Client
            The cluster.

        Returns
        -------
        int
            Number of threads of all workers; 0 where the call should wait on.

        Raises
        ------
        ClusterError
            If there was no worker for too long, no worker will come, or the scheduler does not answer.
        """
        now = time.monotonic()
        threads = _count_threads(client)
        if threads is None:  # a scheduler may be busy for a moment
            self._silent_since = now if self._silent_since is None else self._silent_since
            if client.status != "running" or now - self._silent_since > SILENCE_S:
                raise ClusterError(lost_scheduler(client))
            return 0
        self._silent_since = None
        if threads:
            self.had_workers, self._alone_since = True, None
            return threads
        if self._alone_since is None:
            self._alone_since = self._told_at = now
        if (problem := self.problem()) is not None:
            raise ClusterError(problem)
        n_queued = self.n_queued()
        if n_queued:
            self._alone_since = now
        waited = now - self._alone_since
        limit = self._limit()
        if waited > limit:
            raise ClusterError(self._message(client, limit))
        if now - self._told_at > TELL_S:
            self._told_at = now
            jobs = f": {n_queued} jobs wait in the queue" if n_queued else f", for at most {limit - waited:.0f} s"
            logger.info("waiting for workers%s", jobs)
        return 0

    def _limit(self) -> float:
        """Return how long to wait now (s)."""
        if self.had_workers:
            return LOST_WORKERS_S if self.later_s is None else self.later_s
        return FIRST_WORKER_S if self.first_s is None else self.first_s

    def _message(self, client: Client, limit: float) -> str:
        """Say that no worker came, and what to do."""
        address = client.scheduler.address if client.scheduler else "the scheduler"
        remedy = self.remedy.format(address=address)
        if self.had_workers:
            return (
                f"all workers at {address} are gone, and none came back in {limit:g} s: {remedy}. What is done is "
                "kept: the same command goes on. cluster.worker_timeout_s waits longer"
            )
        return f"no worker at {address} after {limit:g} s: {remedy}"


def _count_threads(client: Client) -> int | None:
    """Return the number of threads of all workers; None where the scheduler does not answer."""
    try:
        if client.status == "running":
            return sum(int(w["nthreads"]) for w in client.scheduler_info(n_workers=-1)["workers"].values())
    except (OSError, RuntimeError, ValueError):  # closed in the meantime
        pass
    return None


def lost_scheduler(client: Client) -> str:
    """Return the message that the scheduler is gone.

    Parameters
    ----------
    client : distributed.Client
        Its client.

    Returns
    -------
    str
        One line, with what to do.
    """
    known = getattr(client.scheduler, "address", None) or getattr(client, "_start_arg", None) or "of this cluster"
    return (
        f"the scheduler {known} does not answer any more: it has ended, or the connection is cut. What is done is "
        "kept: start it again, and the same command goes on"
    )


_of_client: weakref.WeakKeyDictionary[Client, Patience] = weakref.WeakKeyDictionary()


def set_patience(client: Client, patience: Patience) -> None:
    """Set how long the calls of a client wait.

    Parameters
    ----------
    client : distributed.Client
        The client.
    patience : Patience
        How long.
    """
    _of_client[client] = patience


def patience_of(client: Client) -> Patience:
    """Return how long the calls of a client wait.

    Parameters
    ----------
    client : distributed.Client
        The client.

    Returns
    -------
    Patience
        What was set, or the default.
    """
    return _of_client.setdefault(client, Patience())
