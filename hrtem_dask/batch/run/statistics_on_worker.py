"""The statistics of a small run are computed on a worker, while the program writes the tables."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence

import pandas as pd
from distributed import Client

from hrtem_dask.errors import typed_error_text
from hrtem_dask.population import PopulationOptions
from hrtem_dask.population.reduction import SIZES
from hrtem_dask.population.whole_run import Begin, RunStatistics, begin_here, describe_run, joined

__all__ = ["statistics_on_worker"]

MAX_PARTICLES = 20_000
"""Largest number of particles that are sent to a worker, some 3 MB. Beside the analysis of more of them, the time of
their statistics is short."""
RESULT_S = 10.0
"""How long a worker may take from the moment at which the program has nothing else to do (s)."""

logger = logging.getLogger(__name__)


def statistics_on_worker(client: Client) -> Begin:
    """Return what computes the statistics of a run on one of the workers.

    Parameters
    ----------
    client : distributed.Client
        The cluster, whose workers have nothing else to do at the end of a run.

    Returns
    -------
    callable
        As `begin_here`, and with the same result, also if no worker gives one: they may be lost by then.
    """

    def begin(
        particles: Sequence[pd.DataFrame], micrographs: pd.DataFrame, options: PopulationOptions
    ) -> Callable[[], RunStatistics]:
        pieces = list(particles)
        try:
            if sum(map(len, pieces)) > MAX_PARTICLES or not _has_processes(client):
                return begin_here(pieces, micrographs, options)
            name = f"statistics-{uuid.uuid4().hex[:8]}"
            futures = [  # one size on each of two workers
                client.submit(describe_run, pieces, micrographs, options, (size,), key=f"{name}-{i}", pure=False)
                for i, size in enumerate(SIZES)
            ]
        except Exception as error:  # noqa: BLE001 - a cluster that is lost is no reason to lose a run that has ended
            logger.debug("the statistics are computed here: %s", typed_error_text(error))
            return begin_here(pieces, micrographs, options)

        def result() -> RunStatistics:
            try:
                found = joined([future.result(timeout=RESULT_S) for future in futures])
            except Exception as error:  # noqa: BLE001 - the same; an error of the statistics comes again here
                logger.debug("the statistics are computed here: %s", typed_error_text(error))
                return describe_run(pieces, micrographs, options)
            return found

        return result

    return begin


def _has_processes(client: Client) -> bool:
    """Return whether there are workers that are no threads of this process."""
    return any(worker.get("nanny") for worker in client.scheduler_info(n_workers=-1)["workers"].values())
