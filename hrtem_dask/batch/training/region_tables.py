"""Labelled region tables of simulated stores, made on the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.settings import Settings
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.simulated import open_simulated
from hrtem_dask.training.forest.region_table import region_rows

__all__ = ["region_table"]


def region_table(
    stores: Sequence[str | Path],
    client: Client,
    settings: Settings | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure and label the regions of simulated stores.

    Parameters
    ----------
    stores : sequence of str or path-like
        What `hrtem-dask simulate` wrote.
    client : distributed.Client
        The cluster.
    settings : Settings, optional
        As for a run: segmenter and rules of particles.
    say : callable
        Takes lines for the user, such as micrographs that failed.

    Returns
    -------
    pandas.DataFrame
        Rows of `training.region_table.region_rows`, in the order of the stores and their micrographs.

    Raises
    ------
    NothingToAnalyseError
        If no micrograph could be measured.
    """
    settings = settings or Settings()
    items = [
        (Location.of(store), str(name))
        for store in stores
        for name in open_simulated(store).micrographs["micrograph_id"]
    ]
    parts: dict[tuple[str, str], pd.DataFrame] = {}
    for number, (item, result) in enumerate(stream(client, _measure_one, items, settings, key="regions"), 1):
        if isinstance(result, BaseException):
            say(f"{item[1]} is left out: {type(result).__name__}: {result}")
        else:
            parts[item[0].url, item[1]] = result
        if number % max(len(items) // 10, 1) == 0:
            say(f"regions of {number} of {len(items)} micrographs measured")
    if not parts:
        raise NothingToAnalyseError(f"no region could be measured in {', '.join(map(str, stores))}")
    ordered = [parts[place.url, name] for place, name in items if (place.url, name) in parts]
    return pd.concat([part for part in ordered if len(part)], ignore_index=True)


def _measure_one(item: tuple[Location, str], settings: Settings) -> pd.DataFrame:
    """Measure one micrograph on a worker."""
    place, name = item
    return region_rows(open_simulated(place), name, settings)
