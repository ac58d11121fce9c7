"""The ledger of a run: what has been done, so that a second run does only what is missing or has changed.

A worker announces the group of micrographs that it begins, writes its tables as a *part*, and its commit record last. A
part without one was cut off and counts for nothing; so does an older part of its micrographs, since their labels may
have been overwritten. A commit names each micrograph with its *key*, which holds everything that its rows depend on.
The tables of the run are made of the parts by `compact`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_rows, write_table

__all__ = [
    "RARE_TABLES",
    "Entry",
    "Part",
    "read_entries",
    "read_parts",
    "remove_replaced_parts",
    "write_intent",
    "write_part",
]

FOLDER = "parts"
RARE_TABLES = ("windows", "fault_traces")
"""Tables of fields that one crystal fills: most parts have no row of them, and then no file."""


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
    """done, empty, set_aside or failed; interrupted where it was begun and not committed."""
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
    windows: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.WINDOWS))
    """One row per window of a field that one crystal fills."""
    fault_traces: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.FAULT_TRACES))
    """One row per fault of such a field."""


def write_intent(folder: Location, name: str, attempts: Mapping[str, int]) -> None:
    """Announce that some micrographs are begun: what an earlier run has of them no longer counts.

    Parameters
    ----------
    folder : Location
        The results folder.
    name : str
        Name of the part that will be written.
    attempts : mapping
        Name of the micrograph → number of this attempt, from 1.
    """
    folder.write_json(f"{FOLDER}/{name}.intent.json", dict(attempts))


def write_part(folder: Location, name: str, part: Part, entries: Iterable[Entry]) -> None:
    """Write a part, and its commit record last.

    Parameters
    ----------
    folder : Location
        The results folder.
    name : str
        Name of the part, the same for the same micrographs and keys: a task that runs twice writes one part.
    part : Part
        Its tables; only the columns of the schemas are kept, since covariates join when a run ends.
    entries : iterable of Entry
        One per micrograph.
    """
    for table, schema in tables.SCHEMAS.items():
        rows = getattr(part, table)[[column.name for column in schema]]
        file = f"{FOLDER}/{name}.{table}.parquet"
        if table in RARE_TABLES and rows.empty:
            folder.remove(file)  # of an earlier attempt that was cut off
        else:
            write_table(folder, file, rows, schema)
    folder.write_json(f"{FOLDER}/{name}.commit.json", [dataclasses.asdict(e) for e in entries])


def read_entries(folder: Location) -> dict[str, Entry]:
    """Read what has been done.

    Parameters
    ----------
    folder : Location
        The results folder; an empty or absent one has nothing done.

    Returns
    -------
    dict
        `micrograph_id` → its entry; of several, the one with the most attempts. A later attempt that was begun and
        not committed gives an entry ``interrupted``. A record that cannot be read counts as not there.
    """
    entries: dict[str, Entry] = {}
    begun = {name.split("/")[-1].split(".")[0] for name in folder.names(FOLDER, ".intent.json")}
    for commit in folder.names(FOLDER, ".commit.json"):
        try:
            read = [Entry(**fields) for fields in json.loads(folder.read_bytes(commit))]
        except (ValueError, TypeError):
            continue
        begun -= {entry.part for entry in read}
        for entry in read:
            _keep_latest(entries, entry)
    for part in sorted(begun):
        try:
            attempts = json.loads(folder.read_bytes(f"{FOLDER}/{part}.intent.json"))
        except ValueError:
            continue
        for name, attempt in attempts.items():
            _keep_latest(entries, Entry(name, "", 0, 0, "", "interrupted", attempt, part))
    return entries


def _keep_latest(entries: dict[str, Entry], entry: Entry) -> None:
    """Keep the entry with the most attempts."""
    known = entries.get(entry.micrograph_id)
    if known is None or entry.attempts > known.attempts:
        entries[entry.micrograph_id] = entry


def read_parts(folder: Location, entries: Mapping[str, Entry]) -> Part:
    """Gather the rows of some micrographs, in the order in which they are named.

    Parameters
    ----------
    folder : Location
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
    wanted: dict[str, list[str]] = {}
    for entry in entries.values():
        wanted.setdefault(entry.part, []).append(entry.micrograph_id)
    gathered: dict[str, pd.DataFrame] = {}
    for table, schema in tables.SCHEMAS.items():
        files = {f"{FOLDER}/{part}.{table}.parquet": wanted[part] for part in sorted(wanted)}
        if table in RARE_TABLES:
            present = set(folder.names(FOLDER, f".{table}.parquet"))
            files = {name: ids for name, ids in files.items() if name in present}
        rows = read_rows(folder, files, schema)
        rank = rows["micrograph_id"].map(order).to_numpy(dtype="int64")
        gathered[table] = rows.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)
    return Part(**gathered)


def remove_replaced_parts(folder: Location, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
    """Delete the parts that a run has replaced.

    Parts that this run did not know are left alone: they may be those of another run that goes on beside it.

    Parameters
    ----------
    folder : Location
        The results folder.
    before : mapping
        The ledger as it was when the run began.
    after : mapping
        The ledger as it is now, of every micrograph that it knows.
    """
    replaced = {e.part for e in before.values()} - {e.part for e in after.values()}
    for name in list(folder.names(FOLDER, "")):
        if name.removeprefix(f"{FOLDER}/").split(".")[0] in replaced:
            folder.remove(name)
