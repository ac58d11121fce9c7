"""Hashes of the tables of a finished run, by which damage to them is found."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hrtem_dask.errors import error_text
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.storage.location import Location

__all__ = ["FILE", "find_damaged_tables", "write_checksums"]

FILE = "checksums.json"


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
