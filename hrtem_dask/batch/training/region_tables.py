"""Measure and label the regions of simulated stores on the workers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.stream import failure_reason, stream
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.simulated import open_simulated
from hrtem_dask.training.forest.region_table import region_rows

__all__ = ["region_table"]

logger = logging.getLogger(__name__)


def region_table(stores: Sequence[str | Path], client: Client, settings: Settings | None = None) -> pd.DataFrame:
    """Measure and label the regions of simulated stores.

    Parameters
    ----------
    stores : sequence of str or path-like
        Folders that `hrtem-dask simulate` wrote.
    client : distributed.Client
        The cluster.
    settings : Settings, optional
        Settings of the segmentation and of the particles, as for a run.

    Returns
    -------
    pandas.DataFrame
        Rows of `training.forest.region_table.region_rows`, in the order of the stores and their micrographs. Those
        that fail are left out and logged as warnings.

    Raises
    ------
    NothingToAnalyseError
        If no micrograph could be measured.
    SettingsError
        If a store is of the regime contrast, which has no classes of regions.
    """
    settings = settings or Settings()
    for store in stores:
        if not open_simulated(store).regime.has_regions:
            raise SettingsError(f"{store} has no regions with classes: give stores of the regime lattice")
    items = [
        (Location.of(store), str(name))
        for store in stores
        for name in open_simulated(store).micrographs["micrograph_id"]
    ]
    parts: dict[tuple[str, str], pd.DataFrame] = {}
    for number, (item, result) in enumerate(stream(client, _measure_one, items, settings, key="regions"), 1):
        if isinstance(result, BaseException):
            logger.warning("%s is left out: %s", item[1], failure_reason(result))
        else:
            parts[item[0].url, item[1]] = result
        if number % max(len(items) // 10, 1) == 0:
            logger.info("regions of %d of %d micrographs measured", number, len(items))
    if not parts:
        raise NothingToAnalyseError(f"no region could be measured in {', '.join(map(str, stores))}")
    ordered = [parts[folder.url, name] for folder, name in items if (folder.url, name) in parts]
    return pd.concat([part for part in ordered if len(part)], ignore_index=True)


def _measure_one(item: tuple[Location, str], settings: Settings) -> pd.DataFrame:
    """Measure one micrograph on a worker."""
    folder, name = item
    return region_rows(open_simulated(folder), name, settings)
