"""Addresses of files and folders: paths of this machine, and fsspec URLs of kinds that are known and installed."""

from __future__ import annotations

import os
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from hrtem_dask.errors import SettingsError

__all__ = ["check_address", "file_system"]

KNOWN = (
    "paths of this machine, file://, http://, https://, s3:// (with s3fs), gs:// (gcsfs), abfs:// (adlfs), memory://"
)
_ARCHIVES = {"zip", "tar", "libarchive"}


def check_address(address: str | os.PathLike[str]) -> str:
    """Return an address, if it is of a known kind.

    Parameters
    ----------
    address : str or path-like
        Path, or fsspec URL.

    Returns
    -------
    str
        The same address.

    Raises
    ------
    TypeError
        If it is something else.
    SettingsError
        If fsspec does not know the kind of URL, lacks a package for it, or if it is a URL of an archive's member.

    Examples
    --------
    >>> check_address("s3://bucket/images")
    's3://bucket/images'
    """
    if not isinstance(address, str | os.PathLike):
        raise TypeError(f"need a path or the URL of a file or folder, got {type(address).__name__}: {address!r:.80}")
    address = os.fspath(address)
    for part in address.split("::") if "://" in address else ():
        protocol = part.partition("://")[0] if "://" in part else ""
        if protocol in _ARCHIVES:
            archive = address.rpartition("::")[2] if "::" in address else "archive.zip"
            raise SettingsError(
                f"{address}: members of an archive have no address; give the archive ({archive}), all of whose members "
                f"are read. Known are {KNOWN}"
            )
        try:
            if protocol:
                fsspec.get_filesystem_class(protocol)
        except ValueError as error:
            raise SettingsError(f"{address}: {protocol}:// is no known kind of address. Known are {KNOWN}") from error
        except ImportError as error:
            raise SettingsError(f"{address}: {protocol}:// needs a package that is not installed: {error}") from error
    return address


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Parameters
    ----------
    address : str
        Path, or fsspec URL. In a path ``::`` is a part of the name, as it is on the disk.

    Returns
    -------
    fs : fsspec.AbstractFileSystem
        The file system.
    path : str
        Path in this file system.

    Examples
    --------
    >>> file_system("/data/a::b")[1]
    '/data/a::b'
    """
    if "://" not in address:
        return LocalFileSystem(), address
    fs, path = fsspec.core.url_to_fs(address)
    return fs, str(path)
