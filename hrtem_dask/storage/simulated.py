"""A simulated store: micrographs as `ingest` writes them, and beside them all that is true of them.

OUT/micrographs.zarr/<micrograph_id>/intensity      what `hrtem-dask run` analyses
OUT/truth/labels.zarr/<micrograph_id>/labels        the particle of each pixel
OUT/truth/region_labels.zarr/<micrograph_id>/labels the region of each pixel
OUT/truth/{micrographs,regions,particles}.parquet   made at the end from truth/parts
OUT/truth/parts/<micrograph_id>.json                written last by a worker: without it a micrograph is not there
OUT/simulation.toml                                 ranges, seed, code version
"""

from __future__ import annotations

import functools
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import tomli_w

from hrtem_dask import tables
from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.truth import TRUTH_MICROGRAPHS, TRUTH_PARTICLES, TRUTH_REGIONS, SimulatedMicrograph
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_table, write_table

__all__ = [
    "SimulatedStore",
    "create_simulated",
    "finished_ids",
    "gather_truth",
    "open_simulated",
    "remove_simulated",
    "simulated_id",
    "truth_ids",
    "write_simulated",
]

# the table of micrographs comes last: where it is there, the others are
TRUTH_TABLES: dict[str, tables.Schema] = {
    "regions": TRUTH_REGIONS,
    "particles": TRUTH_PARTICLES,
    "micrographs": TRUTH_MICROGRAPHS,
}
IMAGES, LABELS, REGION_LABELS = "micrographs.zarr", "truth/labels.zarr", "truth/region_labels.zarr"
PARTS, RECIPE = "truth/parts", "simulation.toml"


@dataclass(frozen=True)
class SimulatedStore:
    """A simulated store, opened for reading; tables are read once and shared, so do not modify them."""

    folder: Location
    """Where it lies."""

    @functools.cached_property
    def micrographs(self) -> pd.DataFrame:
        """One row per micrograph, `TRUTH_MICROGRAPHS`, in the order of its index."""
        return self._table("micrographs")

    @functools.cached_property
    def regions(self) -> pd.DataFrame:
        """One row per region, `TRUTH_REGIONS`."""
        return self._table("regions")

    @functools.cached_property
    def particles(self) -> pd.DataFrame:
        """One row per particle, `TRUTH_PARTICLES`."""
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
        group: Any = zarr_store.open_store(_inside(self.folder, IMAGES))[micrograph_id]
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
        return zarr_store.read_labels(_inside(self.folder, LABELS), micrograph_id)

    def region_labels(self, micrograph_id: str) -> np.ndarray:
        """Read the region of each pixel.

        Parameters
        ----------
        micrograph_id : str
            Its name.

        Returns
        -------
        numpy.ndarray of int32
            Shape (y, x): region_id, 0 = background.

        Raises
        ------
        KeyError
            If there is no such micrograph.
        """
        return zarr_store.read_labels(_inside(self.folder, REGION_LABELS), micrograph_id)

    def _table(self, name: str) -> pd.DataFrame:
        return read_table(self.folder, f"truth/{name}.parquet", TRUTH_TABLES[name])


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
    """
    location = Location.of(folder)
    if not location.exists("truth/micrographs.parquet"):
        begun = location.exists(RECIPE)
        remedy = "it was cut off: run the same `hrtem-dask simulate` again" if begun else "name the folder it wrote to"
        raise FileNotFoundError(
            f"no simulated store in {location.url!r}: truth/micrographs.parquet is absent; {remedy}"
        )
    return SimulatedStore(location)


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


def simulated_id(seed: int, index: int) -> str:
    """Return the name of a simulated micrograph.

    Parameters
    ----------
    seed : int
        Seed of the series.
    index : int
        Number in the series, from 0.

    Returns
    -------
    str
        Such as ``sim-0-000007``.
    """
    return f"sim-{seed}-{index:06d}"


def create_simulated(folder: Location, *, ranges: Mapping[str, object], seed: int, code_version: str) -> str | None:
    """Make the folder, or check that it was made for the same series.

    Parameters
    ----------
    folder : Location
        The folder.
    ranges : mapping
        What micrographs are drawn from, as TOML holds it.
    seed : int
        Seed of the series.
    code_version : str
        Version of this package.

    Returns
    -------
    str or None
        A note for the user, where micrographs that exist already were simulated by other code.

    Raises
    ------
    SettingsError
        If the folder holds a series of another seed or other ranges.
    """
    recipe = {"code_version": code_version, "seed": seed, "ranges": dict(ranges)}
    if not folder.exists(RECIPE):
        for name in (IMAGES, LABELS, REGION_LABELS):
            zarr_store.create_store(_inside(folder, name))
        folder.write_bytes(RECIPE, tomli_w.dumps(recipe).encode())
        return None
    before = tomllib.loads(folder.read_bytes(RECIPE).decode())
    # through TOML, so that tuples and lists are the same
    asked = tomllib.loads(tomli_w.dumps(recipe))
    if before["seed"] != seed:
        raise SettingsError(
            f"{folder.url} holds a series of seed {before['seed']}, not {seed}: give --seed {before['seed']}, or "
            "another folder"
        )
    if before["ranges"] != asked["ranges"]:
        names = {**before["ranges"], **asked["ranges"]}
        changed = [n for n in names if before["ranges"].get(n) != asked["ranges"].get(n)]
        was, now = before["ranges"].get(changed[0]), asked["ranges"].get(changed[0])
        raise SettingsError(
            f"{folder.url} holds micrographs of other ranges: {changed[0]} is {was!r} there, not {now!r} (differing: "
            f"{', '.join(changed)}); give the same ranges ({RECIPE} there has them), or another folder"
        )
    if before["code_version"] != code_version:
        begun = before["code_version"]
        return f"{folder.url} was begun by code {begun}; further micrographs are simulated by {code_version}"
    return None


def write_simulated(folder: Location, simulated: SimulatedMicrograph) -> None:
    """Write one micrograph and its truth; workers do so side by side.

    Parameters
    ----------
    folder : Location
        The folder, made by `create_simulated`.
    simulated : SimulatedMicrograph
        What to write; what the folder has under that name is replaced.
    """
    name, size = simulated.micrograph_id, (simulated.pixel_size_nm, simulated.pixel_size_nm)
    folder.remove(_part(name))  # it describes the micrograph that is replaced
    voltages = simulated.micrograph["voltage_kv"].dropna()
    known: dict[str, object] = {"title": name, "pixel_size_source": "file: simulated"}
    known |= {"voltage_kv": float(voltages.iloc[0])} if len(voltages) else {}
    zarr_store.write_micrograph(_inside(folder, IMAGES), name, simulated.image, pixel_size_nm=size, metadata=known)
    zarr_store.write_labels(_inside(folder, LABELS), name, simulated.labels, pixel_size_nm=size)
    zarr_store.write_labels(_inside(folder, REGION_LABELS), name, simulated.region_labels, pixel_size_nm=size)
    truth = {
        "micrographs": simulated.micrograph,
        "regions": simulated.regions,
        "particles": simulated.particles,
    }
    folder.write_json(_part(name), {table: _rows(truth[table], schema) for table, schema in TRUTH_TABLES.items()})


def remove_simulated(folder: Location, micrograph_id: str) -> None:
    """Remove what is left of a micrograph that could not be finished; an absent one is no error.

    Parameters
    ----------
    folder : Location
        The folder.
    micrograph_id : str
        Its name.
    """
    folder.remove(_part(micrograph_id))
    for name in (IMAGES, LABELS, REGION_LABELS):
        zarr_store.remove(_inside(folder, name), micrograph_id)


def finished_ids(folder: Location) -> set[str]:
    """Return the names of the micrographs that are finished, truth included.

    Parameters
    ----------
    folder : Location
        The folder.

    Returns
    -------
    set of str
        Their names.
    """
    gathered = set(open_simulated(folder).micrographs["micrograph_id"]) if _is_gathered(folder) else set()
    return gathered | {name.rpartition("/")[2].removesuffix(".json") for name in folder.names(PARTS, ".json")}


def gather_truth(folder: Location) -> None:
    """Make the tables of truth from what the workers wrote, in the order of the series.

    Parameters
    ----------
    folder : Location
        The folder.
    """
    names = list(folder.names(PARTS, ".json"))
    if not names and _is_gathered(folder):
        return
    parts = [json.loads(folder.read_bytes(name)) for name in names]
    gathered = {table: _gathered(folder, table, schema, parts) for table, schema in TRUTH_TABLES.items()}
    order = gathered["micrographs"].set_index("micrograph_id")["index"].astype(int)
    for table, schema in TRUTH_TABLES.items():
        rows = gathered[table]
        numbers = order.reindex(rows["micrograph_id"]).to_numpy()
        write_table(folder, f"truth/{table}.parquet", rows.iloc[numbers.argsort(kind="stable")], schema)
    for name in names:
        folder.remove(name)


def _gathered(folder: Location, table: str, schema: tables.Schema, parts: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of one table: of earlier runs, and of new parts, which win."""
    rows = [row for part in parts for row in part[table]]
    new = tables.conform(pa.Table.from_pylist(rows, schema=tables.arrow_schema(schema)).to_pandas(), schema)
    if not _is_gathered(folder):
        return new
    old = read_table(folder, f"truth/{table}.parquet", schema)
    renewed = {part["micrographs"][0]["micrograph_id"] for part in parts}
    return pd.concat([old[~old["micrograph_id"].isin(renewed)], new], ignore_index=True)


def _rows(table: pd.DataFrame, schema: tables.Schema) -> list[dict[str, Any]]:
    """Return rows as JSON holds them, null for what is not known."""
    arrow = pa.Table.from_pandas(
        tables.conform(table, schema), schema=tables.arrow_schema(schema), preserve_index=False
    )
    return [dict(row) for row in arrow.to_pylist()]


def _is_gathered(folder: Location) -> bool:
    """Return whether the tables of truth have been made."""
    return folder.exists("truth/micrographs.parquet")


def _part(micrograph_id: str) -> str:
    """Return the file of a micrograph's truth."""
    return f"{PARTS}/{micrograph_id}.json"


def _inside(folder: Location, name: str) -> Location:
    """Return a folder inside."""
    return Location(folder.path(name))
