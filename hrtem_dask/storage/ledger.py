"""The ledger of a run: what has been done, so that a second run does only what is missing or has changed.

A worker writes the tables of one group of micrographs as a *part*, and its commit record last: a part without one
was cut off and counts for nothing. A commit names each micrograph with its *key*, which holds everything that its
rows depend on. The tables of the run are made of the parts by `compact`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_table, write_table

__all__ = ["Entry", "Part", "hash_of", "read_entries", "read_parts", "remove_stale_parts", "write_part"]

FOLDER = "parts"


@dataclass(frozen=True)
class Entry:
    """What the ledger knows of one micrograph."""

    micrograph_id: str
    """The micrograph."""
    key: str
    """Hash of everything but the file's content that its rows depend on: settings, model, code, pixel size."""
    source_size: int
    """Size of its file in bytes."""
    source_mtime_ns: int
    """Time at which its file was last changed."""
    source_hash: str
    """Hash of its file's content."""
    status: str
    """done, empty, set_aside or failed."""
    attempts: int
    """Times its task has run."""
    part: str
    """Name of the part that holds its rows."""


@dataclass(frozen=True)
class Part:
    """The tables of one group of micrographs."""

    micrographs: pd.DataFrame
    """One row per micrograph."""
    regions: pd.DataFrame
    """One row per region."""
    particles: pd.DataFrame
    """One row per particle."""
    execution: pd.DataFrame
    """One row per micrograph: what may differ between runs."""


def hash_of(content: Any) -> str:
    """Return a short hash of anything that JSON can hold.

    Parameters
    ----------
    content : object
        What JSON can hold; keys are sorted.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def write_part(place: Location, name: str, part: Part, entries: Iterable[Entry]) -> None:
    """Write a part, and its commit record last.

    Parameters
    ----------
    place : Location
        The results folder.
    name : str
        Name of the part, the same for the same micrographs and keys: a task that runs twice writes one part.
    part : Part
        Its tables.
    entries : iterable of Entry
        One per micrograph.
    """
    for table, schema in tables.SCHEMAS.items():
        write_table(place, f"{FOLDER}/{name}.{table}.parquet", getattr(part, table), schema)
    place.write_json(f"{FOLDER}/{name}.commit.json", [dataclasses.asdict(e) for e in entries])


def read_entries(place: Location) -> dict[str, Entry]:
    """Read what has been done.

    Parameters
    ----------
    place : Location
        The results folder; an empty or absent one has nothing done.

    Returns
    -------
    dict
        `micrograph_id` → its entry; of several, the one with the most attempts.
    """
    entries: dict[str, Entry] = {}
    for commit in place.names(FOLDER, ".commit.json"):
        for fields in json.loads(place.read_bytes(commit)):
            entry = Entry(**fields)
            known = entries.get(entry.micrograph_id)
            if known is None or entry.attempts > known.attempts:
                entries[entry.micrograph_id] = entry
    return entries


def read_parts(place: Location, entries: Mapping[str, Entry]) -> Part:
    """Gather the rows of some micrographs, in the order in which they are named.

    Parameters
    ----------
    place : Location
        The results folder.
    entries : mapping
        `micrograph_id` → its entry.

    Returns
    -------
    Part
        All their rows. Two runs over the same micrographs gather the same rows in the same order, however the
        micrographs were grouped.
    """
    order = {name: i for i, name in enumerate(entries)}
    wanted = {(e.micrograph_id, e.part) for e in entries.values()}
    gathered: dict[str, pd.DataFrame] = {}
    for table, schema in tables.SCHEMAS.items():
        frames = [tables.empty(schema)]
        for part in sorted({e.part for e in entries.values()}):
            frame = read_table(place, f"{FOLDER}/{part}.{table}.parquet", schema)
            frames.append(frame[[(i, part) in wanted for i in frame["micrograph_id"]]])
        rows = pd.concat(frames, ignore_index=True)
        rank = rows["micrograph_id"].map(order).to_numpy(dtype="int64")
        gathered[table] = rows.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)
    return Part(**gathered)


def remove_stale_parts(place: Location, entries: Mapping[str, Entry]) -> None:
    """Delete parts that no micrograph needs any more: replaced ones, and ones that were cut off.

    Parameters
    ----------
    place : Location
        The results folder.
    entries : mapping
        `micrograph_id` → its entry, of every micrograph that the ledger knows.
    """
    needed = {e.part for e in entries.values()}
    for name in list(place.names(FOLDER, "")):
        if name.removeprefix(f"{FOLDER}/").split(".")[0] not in needed:
            place.remove(name)
