"""Hashes of the tables of a finished run, by which damage to them and a report of other tables are found."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hrtem_dask.errors import error_text
from hrtem_dask.provenance import bytes_hash, record_hash
from hrtem_dask.storage.location import Location

__all__ = ["FILE", "REPORT", "find_damaged_tables", "mark_old_report", "tables_hash", "write_checksums"]

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
