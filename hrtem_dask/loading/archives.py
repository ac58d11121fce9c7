"""Archives: zip, tar (also gzipped), and single gzipped files; archives inside archives are not opened."""

from __future__ import annotations

import gzip
import posixpath
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, cast

import fsspec

__all__ = ["archive_kind", "member_names", "open_member"]


def archive_kind(name: str) -> str | None:
    """Return the kind of archive that a file name indicates.

    Parameters
    ----------
    name : str
        File name.

    Returns
    -------
    {"zip", "tar", "gz"} or None
        Kind of the archive; None for any other file.
    """
    lower = name.lower()
    if lower.endswith((".tar", ".tar.gz", ".tgz")):
        return "tar"
    if lower.endswith(".zip"):
        return "zip"
    return "gz" if lower.endswith(".gz") else None


def member_names(url: str) -> list[str]:
    """List the files in an archive.

    Parameters
    ----------
    url : str
        Path or URL of the archive.

    Returns
    -------
    list of str
        Names in the order of the archive, without hidden files.

    Raises
    ------
    OSError, zipfile.BadZipFile, tarfile.TarError, EOFError
        If the file is not a complete archive.
    """
    kind = archive_kind(url)
    if kind == "gz":
        return [posixpath.basename(url)[: -len(".gz")]]
    with _opened(url) as file:
        if kind == "zip":
            with zipfile.ZipFile(file) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        else:
            with tarfile.open(fileobj=file) as archive_tar:
                names = [info.name for info in archive_tar.getmembers() if info.isfile()]
    parts = ((name, name.replace("\\", "/").split("/")) for name in names)
    return [name for name, p in parts if "__MACOSX" not in p and not any(q.startswith(".") and q != "." for q in p)]


@contextmanager
def open_member(url: str, member: str) -> Iterator[IO[bytes]]:
    """Open one file of an archive for reading.

    Parameters
    ----------
    url : str
        Path or URL of the archive.
    member : str
        Name of the file, one of `member_names`.

    Yields
    ------
    file object
        Reader of the decompressed bytes.

    Raises
    ------
    OSError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, KeyError
        If the file is missing, damaged or encrypted.
    """
    kind = archive_kind(url)
    with _opened(url) as file:
        if kind == "gz":
            with gzip.open(file) as content:
                yield cast("IO[bytes]", content)
        elif kind == "zip":
            with zipfile.ZipFile(file) as archive, archive.open(member) as content_zip:
                yield content_zip
        else:
            with tarfile.open(fileobj=file) as archive_tar:
                content_tar = archive_tar.extractfile(member)
                if content_tar is None:
                    raise KeyError(f"{member} is not a file in {url}")
                with content_tar:
                    yield content_tar


def _opened(url: str) -> AbstractContextManager[IO[bytes]]:
    """Open a file on any file system."""
    if "://" not in url:
        return Path(url).open("rb")
    remote: AbstractContextManager[IO[bytes]] = fsspec.open(url, "rb")
    return remote
