"""A simulated store: micrographs as `ingest` writes them, and their truth.

OUT/micrographs.zarr/<micrograph_id>/intensity      the images, which `hrtem-dask run` analyzes
OUT/truth/labels.zarr/<micrograph_id>/0             the particle of each pixel
OUT/truth/region_labels.zarr/<micrograph_id>/0      the region of each pixel (regime lattice)
OUT/truth/annotation.zarr/<micrograph_id>/0         1 on burnt-in bars and letters (regime contrast)
OUT/truth/{micrographs,particles}.parquet           made at the end from truth/parts
OUT/truth/regions.parquet                           the same (regime lattice)
OUT/truth/parts/<micrograph_id>.json                written last by a worker: without it the micrograph does not count
OUT/simulation.toml                                 regime, ranges, seed, code version
"""

from __future__ import annotations

import functools
import os
import tomllib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.errors import SettingsError
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_table
from hrtem_dask.storage.regimes import IMAGES, LABELS, LATTICE, Regime, find_regime

__all__ = ["SimulatedStore", "open_simulated", "truth_ids"]

RECIPE = "simulation.toml"
TRUTH = "truth/micrographs.parquet"
"""The table that is written last: if it exists, all of them do."""


@dataclass(frozen=True)
class SimulatedStore:
    """A simulated store, opened for reading; tables are read once and shared, so do not modify them."""

    folder: Location
    """Folder of the store."""
    regime: Regime = LATTICE
    """Regime of its micrographs."""

    @functools.cached_property
    def micrographs(self) -> pd.DataFrame:
        """One row per micrograph, in the order of its index: `TRUTH_MICROGRAPHS` or `CONTRAST_MICROGRAPHS`."""
        return self._table("micrographs")

    @functools.cached_property
    def regions(self) -> pd.DataFrame:
        """One row per region, `TRUTH_REGIONS`; a store of the regime contrast has none and raises SettingsError."""
        return self._table("regions")

    @functools.cached_property
    def particles(self) -> pd.DataFrame:
        """One row per particle: `TRUTH_PARTICLES` or `CONTRAST_PARTICLES`."""
        return self._table("particles")

    def image(self, micrograph_id: str) -> np.ndarray:
        """Read one micrograph.

        Parameters
        ----------
        micrograph_id : str
            Its name, such as ``sim-0-000007``.

        Returns
        -------
        numpy.ndarray of uint16
            Shape (y, x): counts.

        Raises
        ------
        KeyError
            If there is no such micrograph.
        """
        group: Any = zarr_store.open_store(self.folder.inside(IMAGES))[micrograph_id]
        return np.asarray(group["intensity"][:])

    def labels(self, micrograph_id: str) -> np.ndarray:
        """Read the particle of each pixel.

        Parameters
        ----------
        micrograph_id : str
            Its name.

        Returns
        -------
        numpy.ndarray of int32
            Shape (y, x): particle_id, 0 = background.

        Raises
        ------
        KeyError
            If there is no such micrograph.
        """
        return zarr_store.read_labels(self.folder.inside(LABELS), micrograph_id)

    def region_labels(self, micrograph_id: str) -> np.ndarray:
        """Read the region of each pixel.

        Parameters
        ----------
        micrograph_id : str
            Name of the micrograph.

        Returns
        -------
        numpy.ndarray of int32
            Shape (y, x): region_id, 0 = background.

        Raises
        ------
        KeyError
            If there is no such micrograph.
        SettingsError
            If the store is of the regime contrast, which has no regions.
        """
        return self._label_image("region_labels", micrograph_id)

    def annotation(self, micrograph_id: str) -> np.ndarray:
        """Read the mask of the marks that are burnt into a micrograph: scale bars, letters, arrows and strips.

        Parameters
        ----------
        micrograph_id : str
            Name of the micrograph, such as ``con-0-000007``.

        Returns
        -------
        numpy.ndarray of bool
            Shape (y, x): True on marks.

        Raises
        ------
        KeyError
            If there is no such micrograph.
        SettingsError
            If the store is of the regime lattice, which has no marks.
        """
        return np.asarray(self._label_image("annotation", micrograph_id) != 0)

    def _label_image(self, kind: str, micrograph_id: str) -> np.ndarray:
        """Read a label image that only some regimes have."""
        if kind not in self.regime.label_images:
            raise self._without(kind.replace("_", " "))
        return zarr_store.read_labels(self.folder.inside(self.regime.label_images[kind]), micrograph_id)

    def _table(self, name: str) -> pd.DataFrame:
        """Read a table of truth."""
        if name not in self.regime.truth_tables:
            raise self._without(name)
        return read_table(self.folder, f"truth/{name}.parquet", self.regime.truth_tables[name])

    def _without(self, content: str) -> SettingsError:
        """Return the error for something that the regime does not have."""
        return SettingsError(f"{self.folder.url} is a store of the regime {self.regime.name}, which has no {content}")


def open_simulated(folder: str | os.PathLike[str] | Location) -> SimulatedStore:
    """Open what `hrtem-dask simulate` wrote.

    Parameters
    ----------
    folder : str, path-like or Location
        The folder, or its fsspec URL.

    Returns
    -------
    SimulatedStore
        Its images, label images and tables.

    Raises
    ------
    FileNotFoundError
        If no simulation has ended there.
    SettingsError
        If this version does not know the regime of the store.
    """
    location = Location.of(folder)
    if not location.exists(TRUTH):
        begun = location.exists(RECIPE)
        remedy = "it was cut off: run the same `hrtem-dask simulate` again" if begun else "name the folder it wrote to"
        raise FileNotFoundError(
            f"no simulated store in {location.url!r}: truth/micrographs.parquet is absent; {remedy}"
        )
    recipe = tomllib.loads(location.read_bytes(RECIPE).decode()) if location.exists(RECIPE) else {}
    return SimulatedStore(location, find_regime(recipe))


def truth_ids(micrographs: pd.DataFrame, store: SimulatedStore) -> pd.Series:
    """Find the simulated micrograph of each row of a run's table is.

    A run names micrographs by stem and a hash of the path (``sim-0-000007-3f2a9c41d0``), so that images of two stores
    cannot be confused; the name in the store is the ``title`` it finds there. So ``micrographs.assign(truth_id=
    truth_ids(micrographs, store)).merge(store.micrographs, left_on="truth_id", right_on="micrograph_id")`` joins.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        ``micrographs`` of the results of a run over the store or its ``micrographs.zarr``.
    store : SimulatedStore
        The store.

    Returns
    -------
    pandas.Series of str
        For each row the `micrograph_id` in the store, null for rows that are no micrograph of it.

    Raises
    ------
    SettingsError
        If two rows are the same micrograph, as in a run over two stores of one seed.
    """
    titles = micrographs["title"].where(micrographs["title"].isin(store.micrographs["micrograph_id"]))
    again = titles[titles.notna() & titles.duplicated()]
    if len(again):
        raise SettingsError(
            f"{again.iloc[0]} is there twice, from {micrographs.loc[titles == again.iloc[0], 'source'].tolist()}: "
            "run over one simulated store at a time, or pick the rows of one by their source"
        )
    return titles.rename("truth_id")
