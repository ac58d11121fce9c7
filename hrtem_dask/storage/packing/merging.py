"""Many small parts become one large part, while a run goes on.

The large part is written like any other, its commit last. Only then are the small ones deleted, each one's record
first. So at every moment each micrograph has a commit whose tables and labels are there: a run that is killed
meanwhile finds its micrographs in the small parts, in the large one, or in both, which say the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hrtem_dask import tables
from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.provenance import bytes_hash, record_hash
from hrtem_dask.storage import ledger
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.zarr_store import files_hash

__all__ = ["merge_parts", "merged_name"]

_Commit = tuple[list[ledger.Entry], dict[str, str]]


def merged_name(parts: Mapping[str, Sequence[str]]) -> str:
    """Return the name of the part that some parts become.

    Parameters
    ----------
    parts : mapping
        Name of a part → micrographs that are kept of it.

    Returns
    -------
    str
        The same for the same parts: a merge that runs twice writes one part.
    """
    return record_hash({name: list(ids) for name, ids in parts.items()})


def merge_parts(
    folder: Location, parts: Mapping[str, Sequence[str]], may_write: Callable[[], None] = lambda: None
) -> str:
    """Merge parts into one, and delete them.

    Parameters
    ----------
    folder : Location
        The results folder.
    parts : mapping
        Name of a part → micrographs whose rows and labels are kept of it.
    may_write : callable, optional
        Called before anything is committed or deleted; raises where another run has taken over.

    Returns
    -------
    str
        Name of the new part.

    Raises
    ------
    ResultsFolderError
        If a part is damaged, or the run has lost its lock; the parts stay as they are then.
    OSError
        If a file cannot be read or written; the same.
    """
    name = merged_name(parts)
    commits = {part: _commit(folder, part) for part in parts}
    if _commit(folder, name) is None:
        entries, hashes = _write_merged(folder, name, _whole(folder, parts, commits))
        may_write()
        ledger.write_commit(folder, name, entries, hashes)
    for part, commit in commits.items():
        may_write()
        for file in ledger.part_files(part, None if commit is None else commit[1]):
            folder.remove(file)
    return name


def _commit(folder: Location, part: str) -> _Commit | None:
    """Read the record of a commit; None where there is none, or it is damaged."""
    try:
        return ledger.read_commit(folder, part)
    except (OSError, ValueError, RecursionError):
        return None


def _whole(
    folder: Location, parts: Mapping[str, Sequence[str]], commits: Mapping[str, _Commit | None]
) -> list[tuple[str, list[ledger.Entry], dict[str, str]]]:
    """Return name, entries that are kept, and hashes of each part; refuse a part without a record."""
    found = []
    for part, ids in parts.items():
        commit = commits[part]
        known = {} if commit is None else {entry.micrograph_id: entry for entry in commit[0]}
        if commit is None or not set(ids) <= set(known):
            raise ResultsFolderError(f"the record of the part {part} in {folder.url} is missing or damaged")
        found.append((part, [known[micrograph_id] for micrograph_id in ids], commit[1]))
    return found


def _write_merged(
    folder: Location, name: str, parts: Sequence[tuple[str, list[ledger.Entry], dict[str, str]]]
) -> tuple[list[ledger.Entry], dict[str, str]]:
    """Write tables and labels of the large part; return its entries and hashes."""
    hashes: dict[str, str] = {}
    labels: dict[str, dict[str, bytes]] = {}
    for part, entries, _ in parts:
        labels |= _packed_labels(folder, part, entries)
    if labels:
        content = label_packs.pack_labels(labels)
        folder.write_bytes(label_packs.pack_file(name), content)
        hashes[ledger.PACK] = bytes_hash(content)
    for table, schema in tables.SCHEMAS.items():
        rows = [_rows(folder, table, *part) for part in parts if table in part[2]]
        if rows:
            fields, sink = tables.arrow_schema(schema), pa.BufferOutputStream()
            pq.write_table(pa.concat_tables([one.cast(fields) for one in rows]), sink, compression="zstd")
            content = sink.getvalue().to_pybytes()
            folder.write_bytes(ledger.table_file(name, table), content)
            hashes[table] = bytes_hash(content)
    return [dataclasses.replace(entry, part=name) for _, entries, _ in parts for entry in entries], hashes


def _packed_labels(folder: Location, part: str, entries: Sequence[ledger.Entry]) -> dict[str, dict[str, bytes]]:
    """Return the labels in the pack of a part; refuse those that are not what was written."""
    packed = [entry for entry in entries if entry.packed]
    if not packed:
        return {}
    stored = label_packs.unpack_labels(folder.read_bytes(label_packs.pack_file(part)))
    for entry in packed:
        if files_hash(stored.get(entry.micrograph_id, {})) != entry.labels_hash:
            raise ResultsFolderError(f"the labels of {entry.micrograph_id} in {folder.url} are damaged")
    return {entry.micrograph_id: stored[entry.micrograph_id] for entry in packed}


def _rows(
    folder: Location, table: str, part: str, entries: Sequence[ledger.Entry], hashes: Mapping[str, str]
) -> pa.Table:
    """Return the rows of one table of a part; refuse a table that is not what was written."""
    content = folder.read_bytes(ledger.table_file(part, table))
    if bytes_hash(content) != hashes[table]:
        raise ResultsFolderError(f"{ledger.table_file(part, table)} in {folder.url} is not what was written")
    rows = pq.read_table(pa.BufferReader(content))
    kept = pa.array([entry.micrograph_id for entry in entries], pa.string())
    return rows.filter(pc.is_in(rows["micrograph_id"], kept))
