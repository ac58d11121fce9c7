"""Hashes of what a run has written, by which damage to it and a report of other tables are found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hrtem_dask import tables
from hrtem_dask.errors import error_text
from hrtem_dask.provenance import bytes_hash, record_hash
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.ledger import FOLDER, LABELS, RARE_TABLES, Entry, part_of, read_commit, table_file
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs

__all__ = [
    "FILE",
    "REPORT",
    "find_damage",
    "find_damaged_tables",
    "mark_old_report",
    "tables_hash",
    "unreadable_commits",
    "write_checksums",
]

FILE = "checksums.json"
REPORT = "report.html"
NOT_IN_REPORT = {"execution.parquet"}
"""Tables that change although no result does."""
OLD_REPORT = """<main>
<section class="verdict doubtful" id="old"><p><strong>This page is older than the results:</strong> the tables in its
folder have changed since it was written. Write it again with <code>hrtem-dask report</code>.</p></section>"""


def write_checksums(folder: Location, hashes: Mapping[str, str]) -> None:
    """Write the hashes of the files that the end of a run has written.

    Parameters
    ----------
    folder : Location
        The results folder.
    hashes : mapping of str to str
        File inside it → `provenance.bytes_hash` of its content.
    """
    folder.write_json(FILE, dict(hashes))


def find_damaged_tables(folder: Location) -> dict[str, str]:
    """Compare the tables of a run with their hashes.

    Parameters
    ----------
    folder : Location
        The results folder.

    Returns
    -------
    dict of str to str
        File → what is wrong with it, in words. Empty where all are as they were written, and for results of a version
        that wrote no hashes.
    """
    if not folder.exists(FILE):
        return {}
    try:
        hashes = json.loads(folder.read_bytes(FILE))
        expected = {str(name): str(value) for name, value in hashes.items()}
    except (OSError, ValueError, AttributeError) as error:
        return {FILE: f"cannot be read ({error_text(error)})"}
    damaged = {}
    for name, value in expected.items():
        try:
            if bytes_hash(folder.read_bytes(name)) != value:
                damaged[name] = "is not what was written"
        except FileNotFoundError:
            damaged[name] = "is missing"
        except OSError as error:
            damaged[name] = f"cannot be read ({error_text(error)})"
    return damaged


def tables_hash(folder: Location) -> str | None:
    """Return a hash of all tables that a report describes.

    Parameters
    ----------
    folder : Location
        The results folder.

    Returns
    -------
    str or None
        16 hexadecimal digits; None where the hashes of the tables are not known.
    """
    try:
        hashes = json.loads(folder.read_bytes(FILE))
        return record_hash({name: value for name, value in hashes.items() if name not in NOT_IN_REPORT})
    except (OSError, ValueError, AttributeError):
        return None


def mark_old_report(folder: Location) -> bool:
    """Let a report that describes other tables say so at its top.

    Parameters
    ----------
    folder : Location
        The results folder, after its hashes have been written.

    Returns
    -------
    bool
        Whether there is such a report.
    """
    if not folder.exists(REPORT):
        return False
    page = folder.read_bytes(REPORT)
    if f'content="{tables_hash(folder)}"'.encode() in page:
        return False
    if b'id="old"' not in page:
        folder.write_bytes(REPORT, page.replace(b"<main>", OLD_REPORT.encode(), 1))
    return True


def unreadable_commits(folder: Location) -> list[str]:
    """Return the commit records that cannot be read, or that are not what was written.

    Parameters
    ----------
    folder : Location
        The results folder.

    Returns
    -------
    list of str
        Files inside the folder.
    """
    return [name for name in folder.names(FOLDER, ".commit.json") if not _is_committed(folder, part_of(name))]


def find_damage(folder: Location, part: str, entries: Sequence[Entry]) -> dict[str, str]:
    """Compare the tables of a part, and the labels of its micrographs, with the hashes of its commit.

    Parameters
    ----------
    folder : Location
        The results folder.
    part : str
        Name of the part.
    entries : sequence of Entry
        Entries of the part whose labels are compared too.

    Returns
    -------
    dict
        `micrograph_id` → what is missing, cut or exchanged. Each of them has to be done again.
    """
    try:
        _, hashes = read_commit(folder, part)
    except (OSError, ValueError, RecursionError) as error:
        return {entry.micrograph_id: f"its commit is damaged: {error_text(error)}" for entry in entries}
    for table in tables.SCHEMAS:
        if table in RARE_TABLES and table not in hashes:
            continue
        name = table_file(part, table)
        try:
            problem = None if bytes_hash(folder.read_bytes(name)) == hashes.get(table) else "is not what was written"
        except FileNotFoundError:
            problem = "is missing"
        except OSError as error:
            problem = f"cannot be read ({error.strerror or error_text(error)})"
        if problem is not None:
            return {entry.micrograph_id: f"{name} {problem}" for entry in entries}
    found = _label_hashes(folder, part, entries)
    return {
        entry.micrograph_id: "its labels are missing, damaged or those of another micrograph"
        for entry in entries
        if found.get(entry.micrograph_id, "") != entry.labels_hash
    }


def _label_hashes(folder: Location, part: str, entries: Sequence[Entry]) -> dict[str, str]:
    """Return the hashes of the stored labels; one of no labels where they cannot be read."""
    found: dict[str, str] = {}
    labels = folder.inside(LABELS)
    for entry in entries:
        if not entry.packed:
            try:
                found[entry.micrograph_id] = zarr_store.content_hash(labels, entry.micrograph_id)
            except OSError:
                found[entry.micrograph_id] = "unreadable"
    if any(entry.packed for entry in entries):
        try:
            packed = label_packs.unpack_labels(folder.read_bytes(label_packs.pack_file(part)))
        except OSError:
            packed = {}
        for entry in entries:
            if entry.packed:
                files = packed.get(entry.micrograph_id)
                found[entry.micrograph_id] = zarr_store.files_hash(files) if files else ""
    return found


def _is_committed(folder: Location, part: str) -> bool:
    """Return whether a part has a commit that can be read."""
    try:
        read_commit(folder, part)
    except (OSError, ValueError, RecursionError):
        return False
    return True
