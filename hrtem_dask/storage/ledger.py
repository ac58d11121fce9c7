"""The ledger of a run: what has been done, so that a second run does only what is missing or has changed.

A worker announces the group of micrographs that it begins, writes its tables as a *part*, and its commit record last. A
part without one was cut off and counts for nothing; so does an older part of its micrographs, since their labels may
have been overwritten. A commit names each micrograph with its *key*, which holds everything that its rows depend on,
and with hashes of its tables and labels. What is missing, cut or exchanged counts for nothing and is done again.
The tables of the run are made of the parts by `compact`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hrtem_dask import tables
from hrtem_dask.errors import ResultsFolderError, error_text
from hrtem_dask.provenance import bytes_hash, record_hash
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.parquet import gather_rows, table_bytes
from hrtem_dask.storage.whole_files.partial_files import together
from hrtem_dask.text_encoding import json_text

__all__ = [
    "RARE_TABLES",
    "Entry",
    "Part",
    "part_files",
    "part_of",
    "read_commit",
    "read_entries",
    "read_in_order",
    "read_parts",
    "remove_replaced_parts",
    "table_file",
    "was_begun",
    "write_commit",
    "write_intent",
    "write_part",
]

FOLDER = "parts"
LABELS = label_packs.LABELS
PACK = "labels"
"""Name of the pack of labels in the hashes of a commit."""

logger = logging.getLogger(__name__)
RARE_TABLES = ("windows", "fault_traces", "instance_runs")
"""Tables of fields that one crystal fills, and of detectors: most parts have no row of them, and then no file."""


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
    labels_hash: str = ""
    """Hash of its labels as they are stored (`zarr_store.content_hash`); empty where it has none."""
    fingerprint: str = ""
    """`loading.similarity.Fingerprint` of its image, by which copies are found; empty where it could not be read."""
    packed: bool = False
    """Whether its labels are in the pack of its part, not in ``labels.zarr``."""
    labels_key: str = ""
    """As `key`, of what its labels, sizes and shapes depend on: they are used again where only later stages change."""


@dataclass(frozen=True)
class Part:
    """The tables of one group of micrographs."""

    micrographs: pd.DataFrame | pa.Table
    """One row per micrograph."""
    regions: pd.DataFrame | pa.Table
    """One row per region."""
    particles: pd.DataFrame | pa.Table
    """One row per particle."""
    execution: pd.DataFrame | pa.Table
    """One row per micrograph: what may differ between runs."""
    windows: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.WINDOWS))
    """One row per window of a field that one crystal fills."""
    fault_traces: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.FAULT_TRACES))
    """One row per fault of such a field."""
    instance_runs: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.INSTANCE_RUNS))
    """Masks of instances that a detector found, as runs."""


def was_begun(folder: Location, name: str) -> bool:
    """Return whether the analysis of a part has begun before.

    Parameters
    ----------
    folder : Location
        The results folder.
    name : str
        Name of the part, which is another one for each attempt of a run: it was begun by a worker that died.

    Returns
    -------
    bool
        Whether its intent is there.
    """
    return folder.exists(f"{FOLDER}/{name}.intent.json")


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
    # not waiting for the disk: labels do not either, and after a failure of power their hashes tell what is left
    folder.write_bytes(f"{FOLDER}/{name}.intent.json", json_text(dict(attempts)).encode(), on_disk=False)


def write_part(folder: Location, name: str, part: Part, entries: Iterable[Entry], labels: bytes | None = None) -> None:
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
    labels : bytes, optional
        The pack of their labels (`label_packs.pack_labels`), where they are not in ``labels.zarr``.
    """
    hashes = {}
    with together():
        if labels is not None:
            folder.write_bytes(label_packs.pack_file(name), labels)
            hashes[PACK] = bytes_hash(labels)
        for table, schema in tables.SCHEMAS.items():
            rows = getattr(part, table)
            if table in RARE_TABLES and rows.empty:
                folder.remove(table_file(name, table))  # of an earlier attempt that was cut off
                continue
            content = table_bytes(rows, schema, is_part=True)
            folder.write_bytes(table_file(name, table), content)
            hashes[table] = bytes_hash(content)
    write_commit(folder, name, entries, hashes)


def write_commit(folder: Location, name: str, entries: Iterable[Entry], hashes: Mapping[str, str]) -> None:
    """Write the record of a commit, after everything that it names.

    Parameters
    ----------
    folder : Location
        The results folder.
    name : str
        Name of the part.
    entries : iterable of Entry
        One per micrograph.
    hashes : mapping of str to str
        Table, or ``labels`` for the pack → hash of its content.
    """
    record: dict[str, Any] = {"entries": [dataclasses.asdict(e) for e in entries], "tables": dict(hashes)}
    folder.write_json(f"{FOLDER}/{name}.commit.json", record | {"record_hash": record_hash(record)})


def table_file(part: str, table: str) -> str:
    """Return the path of one table of a part.

    Parameters
    ----------
    part : str
        Name of the part.
    table : str
        Name of the table.

    Returns
    -------
    str
        File inside the results folder.

    Examples
    --------
    >>> table_file("4e1f", "particles")
    'parts/4e1f.particles.parquet'
    """
    return f"{FOLDER}/{part}.{table}.parquet"


def part_files(part: str, hashes: Mapping[str, str] | None = None) -> list[str]:
    """Return the files of a part, in the order in which they are deleted.

    Parameters
    ----------
    part : str
        Name of the part.
    hashes : mapping, optional
        From `read_commit`; by default every file that a part can have is returned.

    Returns
    -------
    list of str
        Files inside the results folder. The record of the commit comes before what it names, so that a part that is
        deleted in part counts for nothing.
    """
    records = [f"{FOLDER}/{part}.intent.json", f"{FOLDER}/{part}.commit.json"]
    known = {*tables.SCHEMAS, PACK} if hashes is None else set(hashes)
    pack = [label_packs.pack_file(part)] if PACK in known else []
    return [*records, *(table_file(part, table) for table in tables.SCHEMAS if table in known), *pack]


def part_of(name: str) -> str:
    """Return the part that a file belongs to.

    Parameters
    ----------
    name : str
        File inside the results folder.

    Returns
    -------
    str
        Name of the part.
    """
    return name.rpartition("/")[2].split(".")[0]


def read_commit(folder: Location, part: str) -> tuple[list[Entry], dict[str, str]]:
    """Read the record of a commit.

    Parameters
    ----------
    folder : Location
        The results folder.
    part : str
        Name of the part.

    Returns
    -------
    entries : list of Entry
        One per micrograph.
    hashes : dict of str to str
        Table, or ``labels`` for the pack → hash of its content.

    Raises
    ------
    OSError, ValueError, RecursionError
        If it is missing or damaged.
    """
    record = json.loads(folder.read_bytes(f"{FOLDER}/{part}.commit.json"))
    try:
        written = record.pop("record_hash")
        entries = [Entry(**fields) for fields in record["entries"]]
        tables_hashes = dict(record["tables"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("it is no record of a commit") from error
    if written != record_hash(record) or any(entry.part != part for entry in entries):
        raise ValueError("its content was changed")
    return entries, tables_hashes


def _read_intent(folder: Location, part: str) -> dict[str, int]:
    """Read which micrographs were begun: the number of the attempt of each."""
    begun = json.loads(folder.read_bytes(f"{FOLDER}/{part}.intent.json"))
    if not isinstance(begun, dict) or not all(type(attempt) is int for attempt in begun.values()):
        raise ValueError("it is no record of what was begun")
    return begun


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
        not committed gives an entry ``interrupted``. A record that cannot be read counts as not there, and is logged.
    """
    entries: dict[str, Entry] = {}
    begun = {part_of(name) for name in folder.names(FOLDER, ".intent.json")}
    for name in folder.names(FOLDER, ".commit.json"):
        try:
            read, _ = read_commit(folder, part_of(name))
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("%s is damaged and counts for nothing: %s", folder.path(name), error_text(error))
            continue
        begun -= {part_of(name)}
        for entry in read:
            _keep_latest(entries, entry)
    for part in sorted(begun):
        try:
            attempts = _read_intent(folder, part)
        except (OSError, ValueError, RecursionError):  # the commit is missing too, so nothing is lost
            continue
        for name, attempt in attempts.items():
            _keep_latest(entries, Entry(name, "", 0, 0, "", "interrupted", attempt, part))
    return entries


def _keep_latest(entries: dict[str, Entry], entry: Entry) -> None:
    """Keep the entry with the most attempts."""
    known = entries.get(entry.micrograph_id)
    if known is None or entry.attempts > known.attempts:
        entries[entry.micrograph_id] = entry


def read_in_order(
    folder: Location, entries: Mapping[str, Entry], table: str, *, at_once: int = 256
) -> Iterator[pa.Table]:
    """Read what `read_parts` reads in pieces, so that the whole of a large table is never in memory.

    Parameters
    ----------
    folder : Location
        The results folder.
    entries : mapping
        `micrograph_id` → its entry.
    table : str
        For instance ``"particles"``.
    at_once : int
        Number of micrographs of a piece.

    Yields
    ------
    pyarrow.Table
        The rows of the next micrographs, in the order in which they are named; at least one table, which may be empty.

    Raises
    ------
    ResultsFolderError
        As `read_parts`.
    """
    ids = list(entries)
    present = set(folder.names(FOLDER, f".{table}.parquet")) if table in RARE_TABLES else None
    for first in range(0, max(len(ids), 1), at_once):
        yield read_parts(folder, {name: entries[name] for name in ids[first : first + at_once]}, table, present)


def read_parts(
    folder: Location, entries: Mapping[str, Entry], table: str, present: Collection[str] | None = None
) -> pa.Table:
    """Gather the rows of some micrographs in one table, in the order in which the micrographs are named.

    Parameters
    ----------
    folder : Location
        The results folder.
    entries : mapping
        `micrograph_id` → its entry.
    table : str
        For instance ``"particles"``.
    present : collection of str, optional
        The files of this table that there are, where they have been listed and the table is one of `RARE_TABLES`.

    Returns
    -------
    pyarrow.Table
        All their rows. Two runs over the same micrographs gather the same rows in the same order, however the
        micrographs were grouped.

    Raises
    ------
    ResultsFolderError
        If a part is missing or damaged.
    """
    wanted: dict[str, list[str]] = {}
    for entry in entries.values():
        wanted.setdefault(entry.part, []).append(entry.micrograph_id)
    files = {table_file(part, table): wanted[part] for part in sorted(wanted)}
    if table in RARE_TABLES:
        present = set(folder.names(FOLDER, f".{table}.parquet")) if present is None else present
        files = {name: ids for name, ids in files.items() if name in present}
    try:
        rows = gather_rows(folder, files, tables.SCHEMAS[table])
    except (OSError, ValueError, KeyError) as error:  # Arrow's errors are ValueErrors
        raise ResultsFolderError(
            f"a part of the results in {folder.url} is missing or damaged ({error_text(error)}): run again into "
            "this folder, which does its micrographs again"
        ) from error
    rank = pc.index_in(rows["micrograph_id"], value_set=pa.array(list(entries), pa.string())).to_numpy()
    return rows.take(pa.array(np.argsort(rank, kind="stable")))


def remove_replaced_parts(folder: Location, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
    """Delete the parts that a run has replaced, and the remains of parts without a readable record, or merged.

    Other parts that this run did not know are left alone.

    Parameters
    ----------
    folder : Location
        The results folder.
    before : mapping
        The ledger as it was when the run began.
    after : mapping
        The ledger as it is now, of every micrograph that it knows.
    """
    used = {e.part for e in after.values()}
    replaced = {e.part for e in before.values()} - used
    names = [*folder.names(FOLDER, ""), *folder.names(label_packs.FOLDER, label_packs.SUFFIX)]
    begun = {part_of(name) for name in names if name.endswith(".intent.json")}
    ours = {name for name in names if name in part_files(part_of(name))}
    unused = {part_of(name) for name in ours} - used
    remains = {part for part in unused if _is_remains(folder, part, begun, after)}
    for name in names:
        if part_of(name) in replaced or (name in ours and part_of(name) in remains):
            folder.remove(name)


def _is_remains(folder: Location, part: str, begun: Collection[str], after: Mapping[str, Entry]) -> bool:
    """Return whether an unused part has no record, or nothing that later or equal attempts do not have too."""
    try:
        entries, _ = read_commit(folder, part)
    except (OSError, ValueError, RecursionError):
        return part not in begun
    others = [after.get(entry.micrograph_id) for entry in entries]
    return all(other is not None and other.attempts >= e.attempts for e, other in zip(entries, others, strict=True))
