"""Bring a source's bytes to a local path, and say its size, time and hash."""

from __future__ import annotations

import datetime
import functools
import hashlib
import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.archives import open_member
from hrtem_dask.loading.source import Source

__all__ = ["MAX_COPY_BYTES", "local_copy", "source_hash", "source_stat"]

MAX_COPY_BYTES = 64 * 2**30
"""Largest file that is copied out of an archive or from a remote store; a damaged archive may claim any size."""
_BLOCK_BYTES = 8 * 2**20


@contextmanager
def local_copy(source: Source, *, max_bytes: int = MAX_COPY_BYTES) -> Iterator[Path]:
    """Give a source a path on this machine, for readers that need one.

    Parameters
    ----------
    source : Source
        A local file is given as it is; a remote one or a member of an archive is copied to a temporary folder,
        in blocks of 8 MiB, and deleted afterwards.
    max_bytes : int
        Largest copy.

    Yields
    ------
    pathlib.Path
        The file, with its companions beside it.

    Raises
    ------
    UnreadableMicrographError
        If the copy would be larger than `max_bytes`.
    OSError
        If it cannot be read.
    """
    if source.is_local and not source.member:
        yield Path(source.url)
        return
    with tempfile.TemporaryDirectory(prefix="hrtem_dask-") as folder:
        for part in (source.member or source.url, *source.companions):
            target = Path(folder) / posixpath.basename(part)
            with _open_part(source, part) as reader, target.open("wb") as writer:
                _copy(reader, writer, max_bytes, source)
        yield Path(folder) / source.name


def _copy(reader: IO[bytes], writer: IO[bytes], max_bytes: int, source: Source) -> None:
    """Copy in blocks, up to a limit."""
    copied = 0
    while block := reader.read(_BLOCK_BYTES):
        copied += len(block)
        if copied > max_bytes:
            raise UnreadableMicrographError(
                f"{source.path} is larger than {max_bytes} bytes, the most that is copied: unpack it and name the file"
            )
        writer.write(block)


@contextmanager
def _open_part(source: Source, part: str) -> Iterator[IO[bytes]]:
    """Open the source's file, or a companion of it."""
    with ExitStack() as stack:
        if source.member:
            yield stack.enter_context(open_member(source.url, part))
        elif "://" in part:
            yield stack.enter_context(fsspec.open(part, "rb"))
        else:
            yield stack.enter_context(Path(part).open("rb"))


def source_stat(source: Source) -> tuple[int, int]:
    """Return size and time of a source, to see whether it changed.

    Parameters
    ----------
    source : Source
        For a member of an archive, those of the archive; of a Zarr store, the sum and the latest of its files.

    Returns
    -------
    size : int
        Bytes; 0 where the file is gone.
    mtime_ns : int
        Time of the last change (ns since 1970); 0 where the file system does not say.
    """
    parts = [source.content_url] if source.member else [source.url, *source.companions]
    try:
        found = [stat for part in parts for stat in _stats(part, source.is_folder)]
    except OSError:
        return 0, 0
    return sum(size for size, _ in found), max((time for _, time in found), default=0)


def _stats(url: str, is_folder: bool) -> list[tuple[int, int]]:
    """Return size and time of a file, or of each file in a folder."""
    if "://" not in url:
        paths = sorted(p for p in Path(url).rglob("*") if p.is_file()) if is_folder else [Path(url)]
        return [(s.st_size, s.st_mtime_ns) for s in (p.stat() for p in paths)]
    fs, path = fsspec.core.url_to_fs(url)
    infos = fs.find(path, detail=True).values() if is_folder else [fs.info(path)]
    return [(int(info.get("size") or 0), _time_ns(info)) for info in infos]


def _time_ns(info: dict[str, Any]) -> int:
    """Return the time of change from whatever a remote file system calls it."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime.datetime):
            return int(value.timestamp() * 1e9)
        if isinstance(value, int | float):
            return int(value * 1e9)
    return 0


def source_hash(source: Source) -> str:
    """Return a hash of a source's content.

    Parameters
    ----------
    source : Source
        Any source; companions count, and of a folder every file with its name.

    Returns
    -------
    str
        32 hexadecimal digits of blake2b. Kept for the last sources asked, as long as size and time stay: every
        frame of a stack asks again.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    return _hash(source, source_stat(source))


@functools.lru_cache(maxsize=256)
def _hash(source: Source, stat: tuple[int, int]) -> str:  # noqa: ARG001 - the stat is part of the key
    digest = hashlib.blake2b(digest_size=16)
    if source.is_folder:
        fs, root = fsspec.core.url_to_fs(source.content_url)
        for path in sorted(fs.find(root)):
            digest.update(posixpath.relpath(path, root).encode(errors="surrogatepass") + b"\0")
            with fs.open(path, "rb") as file:
                _feed(digest, file)
        return digest.hexdigest()
    for part in (source.member or source.url, *source.companions):
        with _open_part(source, part) as file:
            _feed(digest, file)
    return digest.hexdigest()


def _feed(digest: Any, file: IO[bytes]) -> None:
    """Hash a file in blocks."""
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
