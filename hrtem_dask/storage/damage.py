"""Damage to what a run has committed: parts and labels that are missing, cut or exchanged."""

from __future__ import annotations

from collections.abc import Sequence

from hrtem_dask import tables
from hrtem_dask.errors import error_text
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.ledger import FOLDER, LABELS, RARE_TABLES, Entry, part_of, read_commit, table_file
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs

__all__ = ["find_damage", "unreadable_commits"]


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
