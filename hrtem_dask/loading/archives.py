"""Archives: zip, tar, and single files compressed with gzip, bzip2 or xz; archives inside archives are not opened.

A few kilobytes can unpack to terabytes, and to millions of files. So sizes are compared with limits before anything is
unpacked where the archive states them, and while it is unpacked where it does not.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import os
import posixpath
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import fsspec

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.bounded_reader import BoundedReader

__all__ = ["archive_kind", "member_names", "open_member"]

MAX_MEMBERS = 20_000
"""Most files of an archive; each is a row and a task."""
ALWAYS_ALLOWED_BYTES = 2**28
LARGEST_EXPANSION = 100
"""Largest plausible ratio of unpacked to packed bytes: noise compresses 3 times, counted frames 50 times."""
MAX_UNPACKED_BYTES = 200 * 2**30
"""Most bytes that are unpacked to read all members of a compressed tar, which is unpacked from its start for each."""
_CENTRAL_ENTRY_BYTES = 400

_COMPRESSED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    ".gz": ("gz", gzip.open),
    ".bz2": ("bz2", bz2.open),
    ".xz": ("xz", lzma.open),
}
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def archive_kind(name: str) -> str | None:
    """Return the kind of archive that a file name indicates.

    Parameters
    ----------
    name : str
        File name.

    Returns
    -------
    {"zip", "tar", "gz", "bz2", "xz"} or None
        Kind of the archive; None for any other file.
    """
    lower = name.lower()
    if lower.endswith(_TARS):
        return "tar"
    if lower.endswith(".zip"):
        return "zip"
    return next((kind for ending, (kind, _) in _COMPRESSED.items() if lower.endswith(ending)), None)


def member_names(url: str) -> list[str]:
    """List the files in an archive.

    Parameters
    ----------
    url : str
        Path or URL of the archive.

    Returns
    -------
    list of str
        Names in the order of the archive, without hidden files; also of links and devices, which `open_member` refuses.

    Raises
    ------
    UnreadableMicrographError
        If it has more than 20 000 files, or unpacks to more than is plausible.
    OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, lzma.LZMAError
        If the file is not a complete archive.
    """
    kind = archive_kind(url)
    if kind not in ("zip", "tar"):
        return [posixpath.splitext(posixpath.basename(url))[0]]
    with _opened(url) as file:
        index = _zip_index(url, *_stat(file), file) if kind == "zip" else _tar_index(url, *_stat(file), file)
    parts = ((name, name.replace("\\", "/").split("/")) for name in index.names)
    return [name for name, p in parts if "__MACOSX" not in p and not any(map(_is_hidden, p))]


def _is_hidden(part: str) -> bool:
    """Return whether a part of a path hides what is in it; a dot or two are no name."""
    return part.startswith(".") and part not in {".", ".."}


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
    UnreadableMicrographError
        If it unpacks to more than is plausible for its size.
    OSError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, KeyError, lzma.LZMAError
        If the file is missing, damaged or encrypted.
    """
    kind = archive_kind(url)
    with _opened(url) as file:
        stat = _stat(file)
        if kind == "zip":
            with _IndexedZip(file, _zip_index(url, *stat, file)) as archive:
                info = archive.getinfo(member)
                if info.file_size > _largest(info.compress_size):
                    raise UnreadableMicrographError(
                        f"{member} unpacks to {info.file_size} bytes from {info.compress_size}, more than is "
                        "plausible: unpack it, and give the file itself"
                    )
                with archive.open(info) as content_zip:
                    yield content_zip
        elif kind == "tar":
            infos = _tar_index(url, *stat, file).infos
            with _unpacked_tar(url, file) as content, tarfile.open(fileobj=content, mode="r:") as archive_tar:
                content_tar = _tar_member(archive_tar, infos[member], posixpath.basename(url))
                with content_tar:
                    yield content_tar
        else:
            opener = next(opener for known, opener in _COMPRESSED.values() if known == kind)
            with opener(file) as content_one:
                yield cast("IO[bytes]", BoundedReader(content_one, _largest(stat[0]), posixpath.basename(url)))


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str) -> IO[bytes]:
    """Open a file of a tar archive; a hard link is another name of an earlier one, and nothing else is followed."""
    try:
        content = archive.extractfile(info) if info.isfile() or info.islnk() else None
    except KeyError:  # the other name is not in the archive
        content = None
    if content is None:
        links = f" to {info.linkname!r}" if info.issym() or info.islnk() else ""
        kind = "a link" if links else "a device or a pipe"
        raise UnreadableMicrographError(
            f"{kind}{links} in the archive {name}, which is not followed: give the file itself"
        )
    return content


class _Index:
    """The members of an archive, kept so that the archive is not searched again for each of them."""

    def __init__(self, names: list[str], infos: dict[str, Any]) -> None:
        self.names = names
        self.infos = infos


class _IndexedZip(zipfile.ZipFile):
    """A zip archive whose table of contents was read before."""

    def __init__(self, file: IO[bytes], index: _Index) -> None:
        self._index = index
        super().__init__(file)

    def _RealGetContents(self) -> None:  # noqa: N802 - the name in the standard library
        self.filelist = list(self._index.infos.values())
        self.NameToInfo = self._index.infos
        self._comment = b""
        self.start_dir = 0


class _Key:
    """A file object that does not take part in the key of a cache."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key)

    def __hash__(self) -> int:
        return 0


def _zip_index(url: str, size: int, mtime: float, file: IO[bytes]) -> _Index:
    """Return the members of a zip archive."""
    return _cached_zip_index(url, size, mtime, _Key(file))


@functools.lru_cache(maxsize=4)
def _cached_zip_index(url: str, size: int, mtime: float, key: _Key) -> _Index:  # noqa: ARG001 - parts of the key
    _check_zip_directory(key.file, size, url)
    with zipfile.ZipFile(key.file) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    _check_members(len(infos), url)
    total = sum(info.file_size for info in infos)  # members may share their bytes
    if total > 4 * _largest(size):
        raise UnreadableMicrographError(
            f"the archive {posixpath.basename(url)} unpacks to {total} bytes from {size}, more than is plausible: "
            "unpack it, and give the folder"
        )
    return _Index([info.filename for info in infos], {info.filename: info for info in infos})


def _check_zip_directory(file: IO[bytes], size: int, url: str) -> None:
    """Raise if the table of contents is so large that reading it takes memory and time."""
    file.seek(max(0, size - 66_000))  # the record at the end may be followed by a comment of 64 KiB
    tail = file.read()
    file.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) >= at + 22:
        count, n_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
        _check_members(max(count, n_bytes // _CENTRAL_ENTRY_BYTES if n_bytes < 2**32 - 1 else count), url)


def _check_members(count: int, url: str) -> None:
    """Raise if an archive has too many members."""
    if count > MAX_MEMBERS:
        at_least = "at least " if count == 0xFFFF else ""
        raise UnreadableMicrographError(
            f"the archive {posixpath.basename(url)} has {at_least}{count} files, more than {MAX_MEMBERS}: unpack it, "
            "and give the folder"
        )


def _tar_index(url: str, size: int, mtime: float, file: IO[bytes]) -> _Index:
    """Return the members of a tar archive."""
    return _cached_tar_index(url, size, mtime, _Key(file))


@functools.lru_cache(maxsize=4)
def _cached_tar_index(url: str, size: int, mtime: float, key: _Key) -> _Index:  # noqa: ARG001 - parts of the key
    names, infos, end = [], {}, 0
    with _unpacked_tar(url, key.file) as content, tarfile.open(fileobj=content, mode="r:") as archive:
        for number, info in enumerate(archive, start=1):
            _check_members(number, url)
            end = max(end, info.offset_data + info.size)
            if not info.isdir():
                names.append(info.name)
                infos[info.name] = info
    if content is not key.file and len(names) * end // 2 > MAX_UNPACKED_BYTES:
        raise UnreadableMicrographError(
            f"the archive {posixpath.basename(url)} has {len(names)} files of {end} bytes in all, and would be "
            "unpacked from its start for each: unpack it, and give the folder"
        )
    return _Index(names, infos)


@contextmanager
def _unpacked_tar(url: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Provide the bytes of a tar archive, unpacked within a limit where its content is compressed."""
    file.seek(0)  # its members may just have been listed
    head = file.read(6)
    file.seek(0)
    magic = {b"\x1f\x8b": ".gz", b"BZ": ".bz2", b"\xfd7": ".xz"}
    compression = magic.get(head[:2])
    if compression is None:
        yield file
        return
    with _COMPRESSED[compression][1](file) as content:
        yield cast("IO[bytes]", BoundedReader(content, _largest(_stat(file)[0]), posixpath.basename(url)))


def _largest(packed_bytes: int) -> int:
    """Return how many bytes some packed bytes may hold."""
    return max(ALWAYS_ALLOWED_BYTES, LARGEST_EXPANSION * packed_bytes)


def _stat(file: IO[bytes]) -> tuple[int, float]:
    """Return the size of an open file, and its time of change where it is on a disk."""
    try:
        found = os.fstat(file.fileno())
        return found.st_size, found.st_mtime_ns
    except (OSError, AttributeError):
        pass
    position = file.tell()
    size = file.seek(0, 2)
    file.seek(position)
    return size, 0.0


def _opened(url: str) -> AbstractContextManager[IO[bytes]]:
    """Open a file on any file system."""
    if "://" not in url:
        return Path(url).open("rb")
    remote: AbstractContextManager[IO[bytes]] = fsspec.open(url, "rb")
    return remote
