"""Run the tasks of a hyper-parameter search on a cluster; the regions are sent to each worker once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distributed import Client

from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.training.forest.region_samples import RegionSamples
from hrtem_dask.training.forest.search import MapTasks

__all__ = ["on_cluster"]


def on_cluster(client: Client) -> MapTasks:
    """Return a function that runs the tasks of `training.forest.train_forest.train_forest` on a cluster.

    Parameters
    ----------
    client : distributed.Client
        A connected client.

    Returns
    -------
    callable
        Returns the results in the order of the items, equal to those of `training.forest.search.run_here`. The error
        of a task is raised in this process.
    """
    return functools.partial(_run, client)


def _run(client: Client, function: Callable[..., Any], items: Sequence[Any], samples: RegionSamples) -> Iterator[Any]:
    """Run all tasks, then return their results in order."""
    shared = client.scatter(samples, broadcast=True, hash=False)
    results: dict[int, Any] = {}
    numbered = list(enumerate(items))
    for (number, _), result in stream(client, _call, numbered, function, shared, key=function.__name__.strip("_")):
        if isinstance(result, BaseException):
            raise result
        results[number] = result
    return (results[i] for i in range(len(items)))


def _call(numbered: tuple[int, Any], function: Callable[..., Any], samples: RegionSamples) -> Any:
    """Run one task on a worker."""
    return function(numbered[1], samples)
