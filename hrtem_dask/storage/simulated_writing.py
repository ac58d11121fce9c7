"""Writing of a simulated store: workers write micrographs side by side, and their truth is gathered at the end."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import tomli_w

from hrtem_dask import tables
from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.contrast import ContrastMicrograph
from hrtem_dask.simulation.scenes import DetectionScene
from hrtem_dask.simulation.truth import SimulatedMicrograph
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_table, write_table
from hrtem_dask.storage.regimes import IMAGES, LATTICE, Regime, find_regime
from hrtem_dask.storage.simulated import RECIPE, TRUTH, open_simulated

__all__ = [
    "Simulated",
    "create_simulated",
    "finished_ids",
    "gather_truth",
    "remove_simulated",
    "simulated_id",
    "write_simulated",
]

PARTS = "truth/parts"
Simulated = SimulatedMicrograph | ContrastMicrograph | DetectionScene
"""A simulated micrograph of any regime."""
Recipe = dict[str, Any]
"""Content of ``simulation.toml``."""
Row = dict[str, str | int | float | bool | None]
Part = dict[str, list[Row]]
"""The truth of one micrograph: name of the table → its rows."""


def simulated_id(seed: int, index: int, regime: Regime = LATTICE) -> str:
    """Return the name of a simulated micrograph.

    Parameters
    ----------
    seed : int
        Seed of the series.
    index : int
        Number in the series, from 0.
    regime : Regime
        Regime of the series.

    Returns
    -------
    str
        Such as ``sim-0-000007``.

    Examples
    --------
    >>> simulated_id(0, 7)
    'sim-0-000007'
    """
    return f"{regime.prefix}-{seed}-{index:06d}"


def create_simulated(
    folder: Location, *, ranges: Mapping[str, object], seed: int, code_version: str, regime: Regime = LATTICE
) -> str | None:
    """Make the folder, or check that it was made for the same series.

    Parameters
    ----------
    folder : Location
        The folder.
    ranges : mapping
        Ranges that micrographs are drawn from, as TOML holds them.
    seed : int
        Seed of the series.
    code_version : str
        Version of this package.
    regime : Regime
        Regime of the series.

    Returns
    -------
    str or None
        A note for the user, if existing micrographs were simulated by other code.

    Raises
    ------
    SettingsError
        If the folder holds a series of another regime, another seed or other ranges, or results of a run.
    """
    recipe = {"code_version": code_version, "regime": regime.name, "seed": seed, "ranges": dict(ranges)}
    if not folder.exists(RECIPE):
        if folder.exists("run.toml"):
            raise SettingsError(f"{folder.url} is the results folder of a run: give another folder")
        for name in (IMAGES, *regime.label_images.values()):
            zarr_store.create_store(folder.inside(name))
        folder.write_bytes(RECIPE, tomli_w.dumps(recipe).encode())
        return None
    before = tomllib.loads(folder.read_bytes(RECIPE).decode())
    # through TOML, so that tuples and lists are the same
    requested = tomllib.loads(tomli_w.dumps(recipe))
    _check_same_series(folder, before, requested)
    if before["code_version"] != code_version:
        begun = before["code_version"]
        return f"{folder.url} was begun by code {begun}; further micrographs are simulated by {code_version}"
    return None


def _check_same_series(folder: Location, before: Recipe, requested: Recipe) -> None:
    """Refuse a series of another regime, another seed or other ranges."""
    regime, seed = find_regime(before).name, before["seed"]
    if regime != requested["regime"]:
        raise SettingsError(
            f"{folder.url} holds micrographs of the regime {regime}, not {requested['regime']}: give "
            f"--regime {regime}, or another folder"
        )
    if seed != requested["seed"]:
        raise SettingsError(
            f"{folder.url} holds a series of seed {seed}, not {requested['seed']}: give --seed {seed}, or "
            "another folder"
        )
    if before["ranges"] != requested["ranges"]:
        names = {**before["ranges"], **requested["ranges"]}
        changed = [n for n in names if before["ranges"].get(n) != requested["ranges"].get(n)]
        was, now = before["ranges"].get(changed[0]), requested["ranges"].get(changed[0])
        raise SettingsError(
            f"{folder.url} holds micrographs of other ranges: {changed[0]} is {was!r} there, not {now!r} (differing: "
            f"{', '.join(changed)}); give the same ranges ({RECIPE} there has them), or another folder"
        )


def write_simulated(folder: Location, simulated: Simulated, regime: Regime = LATTICE) -> None:
    """Write one micrograph and its truth; workers do so side by side.

    Parameters
    ----------
    folder : Location
        The folder, made by `create_simulated`.
    simulated : SimulatedMicrograph, ContrastMicrograph or DetectionScene
        The micrograph; one of the same name in the folder is replaced.
    regime : Regime
        Regime of the micrograph.
    """
    name, size = simulated.micrograph_id, (simulated.pixel_size_nm, simulated.pixel_size_nm)
    folder.remove(_part(name))  # it describes the micrograph that is replaced
    known: dict[str, object] = {"title": name, "pixel_size_source": "file: simulated"}
    voltage = simulated.micrograph.iloc[0].get("voltage_kv")
    known |= {} if pd.isna(voltage) else {"voltage_kv": float(voltage)}
    zarr_store.write_micrograph(folder.inside(IMAGES), name, simulated.image, pixel_size_nm=size, metadata=known)
    for attribute, store in regime.label_images.items():
        zarr_store.write_labels(folder.inside(store), name, getattr(simulated, attribute), pixel_size_nm=size)
    truth = {
        table: simulated.micrograph if table == "micrographs" else getattr(simulated, table)
        for table in regime.truth_tables
    }
    folder.write_json(
        _part(name), {table: _rows(truth[table], schema) for table, schema in regime.truth_tables.items()}
    )


def remove_simulated(folder: Location, micrograph_id: str, regime: Regime = LATTICE) -> None:
    """Remove what is left of a micrograph that could not be finished; an absent one is no error.

    Parameters
    ----------
    folder : Location
        The folder.
    micrograph_id : str
        Name of the micrograph.
    regime : Regime
        Regime of the micrograph.
    """
    folder.remove(_part(micrograph_id))
    for name in (IMAGES, *regime.label_images.values()):
        zarr_store.remove(folder.inside(name), micrograph_id)


def finished_ids(folder: Location) -> set[str]:
    """Return the names of the micrographs that are finished, truth included.

    Parameters
    ----------
    folder : Location
        The folder.

    Returns
    -------
    set of str
        Names of the micrographs.
    """
    gathered = set(open_simulated(folder).micrographs["micrograph_id"]) if folder.exists(TRUTH) else set()
    return gathered | {name.rpartition("/")[2].removesuffix(".json") for name in folder.names(PARTS, ".json")}


def gather_truth(folder: Location, regime: Regime = LATTICE) -> None:
    """Make the tables of truth from what the workers wrote, in the order of the series.

    Parameters
    ----------
    folder : Location
        The folder.
    regime : Regime
        Regime of the series.
    """
    names = list(folder.names(PARTS, ".json"))
    if not names and folder.exists(TRUTH):
        return
    parts: list[Part] = [json.loads(folder.read_bytes(name)) for name in names]
    gathered = {table: _gathered(folder, table, schema, parts) for table, schema in regime.truth_tables.items()}
    order = gathered["micrographs"].set_index("micrograph_id")["index"].astype(int)
    for table, schema in regime.truth_tables.items():
        rows = gathered[table]
        numbers = order.reindex(rows["micrograph_id"]).to_numpy()
        write_table(folder, f"truth/{table}.parquet", rows.iloc[numbers.argsort(kind="stable")], schema)
    for name in names:
        folder.remove(name)


def _gathered(folder: Location, table: str, schema: tables.Schema, parts: list[Part]) -> pd.DataFrame:
    """Return the rows of one table: of earlier runs, and of new parts, which replace them."""
    rows = [row for part in parts for row in part[table]]
    new = tables.conform(pa.Table.from_pylist(rows, schema=tables.arrow_schema(schema)).to_pandas(), schema)
    if not folder.exists(TRUTH):
        return new
    old = read_table(folder, f"truth/{table}.parquet", schema)
    renewed = {part["micrographs"][0]["micrograph_id"] for part in parts}
    return pd.concat([old[~old["micrograph_id"].isin(renewed)], new], ignore_index=True)


def _rows(table: pd.DataFrame, schema: tables.Schema) -> list[Row]:
    """Return rows as JSON holds them, with null for unknown values."""
    arrow = pa.Table.from_pandas(
        tables.conform(table, schema), schema=tables.arrow_schema(schema), preserve_index=False
    )
    return [dict(row) for row in arrow.to_pylist()]


def _part(micrograph_id: str) -> str:
    """Return the file of a micrograph's truth."""
    return f"{PARTS}/{micrograph_id}.json"
