"""What an earlier run has stored of one micrograph, as a checkpoint for stages after the search for particles."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from hrtem_dask import tables
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.storage import ledger, zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.packing.label_bytes import decode_labels
from hrtem_dask.storage.parquet import read_part, rows_of_micrograph

__all__ = ["StoredAnalysis", "read_stored"]

_TABLES = ("micrographs", "regions", "particles")


@dataclass(frozen=True)
class StoredAnalysis:
    """Labels and rows of one micrograph, as an earlier run has written them."""

    source_hash: str
    """Hash of the content of its file."""
    labels: np.ndarray
    """Shape (y, x), int32."""
    row: dict[str, Any]
    """Its row of `tables.MICROGRAPHS`."""
    regions: pd.DataFrame
    """Its rows of `tables.REGIONS`."""
    particles: pd.DataFrame
    """Its rows of `tables.PARTICLES`."""


def read_stored(folder: Location, entry: ledger.Entry) -> StoredAnalysis | None:
    """Read what an earlier run has stored of one micrograph.

    Parameters
    ----------
    folder : Location
        The results folder.
    entry : ledger.Entry
        Its entry in the ledger.

    Returns
    -------
    StoredAnalysis or None
        None where rows or labels are not what was written: then the micrograph has to be segmented again.
    """
    name = entry.micrograph_id
    try:
        parts = _part_tables(folder, entry.part)
        rows = {table: rows_of_micrograph(parts[table], name, tables.SCHEMAS[table]) for table in _TABLES}
        labels = _stored_labels(folder, entry)
    except (OSError, ValueError, KeyError, RecursionError):  # Arrow's errors are ValueErrors
        return None
    if labels is None or len(rows["micrographs"]) != 1:
        return None
    row = {str(column): value for column, value in rows["micrographs"].iloc[0].items()}
    return StoredAnalysis(entry.source_hash, labels, row, rows["regions"], rows["particles"])


def _stored_labels(folder: Location, entry: ledger.Entry) -> np.ndarray | None:
    """Return the labels; None where they are not what was written."""
    name = entry.micrograph_id
    if entry.packed:
        files = label_packs.read_files(folder, entry.part, name)
        return decode_labels(files) if zarr_store.files_hash(files) == entry.labels_hash else None
    store = folder.inside(ledger.LABELS)
    if zarr_store.content_hash(store, name) != entry.labels_hash:
        return None
    return zarr_store.read_labels(store, name)


@functools.lru_cache(maxsize=2)
def _part_tables(folder: Location, part: str) -> dict[str, pa.Table]:
    """Read the tables of a part, which the micrographs of a group share mostly; refuse what was not written so."""
    _, hashes = ledger.read_commit(folder, part)
    found = {}
    for table in _TABLES:
        content = folder.read_bytes(ledger.table_file(part, table))
        if bytes_hash(content) != hashes[table]:
            raise ValueError(f"{ledger.table_file(part, table)} is not what was written")
        found[table] = read_part(content)
    return found
