"""Local copies of sources, and their size, time of change and content hash."""

from __future__ import annotations

import datetime
import functools
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import fsspec

from hrtem_dask.addresses import file_system
from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.archives import open_member
from hrtem_dask.loading.formats.file_format import HEAD_BYTES, check_head
from hrtem_dask.loading.source import Source
from hrtem_dask.loading.temporary_copies import temporary_folder

__all__ = ["MAX_COPY_BYTES", "local_copy", "source_hash", "source_stat"]

MAX_COPY_BYTES = 64 * 2**30
"""Largest file that is copied from an archive or a remote store; a damaged archive may state any size."""
_BLOCK_BYTES = 8 * 2**20


@contextmanager
def local_copy(source: Source, *, max_bytes: int = MAX_COPY_BYTES, known_format: bool = False) -> Iterator[Path]:
    """Provide a path on this machine for a source, for readers that need one.

    Parameters
    ----------
    source : Source
        A local file is used directly; a remote file or a member of an archive is copied to a temporary folder in
        blocks of 8 MiB, and the copy is deleted afterwards.
    max_bytes : int
        Largest size of a copied file in bytes.
    known_format : bool
        Whether a file is copied only if its name and its first bytes are those of a format that is read.

    Yields
    ------
    pathlib.Path
        The file, with its companions in the same folder.

    Raises
    ------
    UnreadableMicrographError
        If the copy would be larger than `max_bytes`, or does not begin as its format does.
    RefusedSignalError
        If its format is not one of microscopy.
    OSError
        If the source cannot be read.

    Examples
    --------
    >>> import tempfile, zipfile
    >>> from pathlib import Path
    >>> from hrtem_dask.loading import find_sources, local_copy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with zipfile.ZipFile(Path(folder) / "all.zip", "w") as archive:
    ...         archive.writestr("a.mrc", b"bytes")
    ...     with local_copy(find_sources(folder)[0]) as path:
    ...         path.name, path.read_bytes()
    ('a.mrc', b'bytes')
    """
    if source.is_local and not source.member:
        yield Path(source.url)
        return
    with temporary_folder() as folder:
        for part in (source.member or source.url, *source.companions):
            name = posixpath.basename(part)
            with _open_part(source, part) as reader, (folder / _file_name(name)).open("wb") as writer:
                _copy(reader, writer, max_bytes, source, check=known_format and name == source.name)
        yield folder / _file_name(source.name)


def _file_name(name: str) -> str:
    """Return a name without what leads to another folder or drive on Windows, where a slash is not the only way."""
    return re.sub(r"[\\:]", "_", name)


def _copy(reader: IO[bytes], writer: IO[bytes], max_bytes: int, source: Source, *, check: bool) -> None:
    """Copy in blocks, up to a limit, after a look at the first bytes."""
    copied = 0
    size = HEAD_BYTES
    while (block := reader.read(size)) or (check and not copied):
        if check and not copied:
            check_head(Path(source.name), block)
        size = _BLOCK_BYTES
        copied += len(block)
        if copied > max_bytes:
            raise UnreadableMicrographError(
                f"{source.path} is larger than {max_bytes} bytes, the largest size that is copied: unpack the archive "
                "and give the path of the file"
            )
        writer.write(block)


@contextmanager
def _open_part(source: Source, part: str) -> Iterator[IO[bytes]]:
    """Open the file of a source, or one of its companions."""
    with ExitStack() as stack:
        if source.member:
            yield stack.enter_context(open_member(source.url, part))
        elif "://" in part:
            yield stack.enter_context(fsspec.open(part, "rb"))
        else:
            yield stack.enter_context(Path(part).open("rb"))


def source_stat(source: Source) -> tuple[int, int]:
    """Return size and time of a source, from which changes are detected.

    Parameters
    ----------
    source : Source
        Any source. For a member of an archive, the archive counts; for a Zarr store, the sum of the sizes and the
        latest time of its files.

    Returns
    -------
    size : int
        Size in bytes; 0 where the file no longer exists.
    mtime_ns : int
        Time of the last change (ns since 1970); 0 where the file system does not report it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hrtem_dask.loading import find_sources, source_stat
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.mrc").write_bytes(b"12345")
    ...     source_stat(find_sources(folder)[0])[0]
    5
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
    fs, path = file_system(url)
    infos = fs.find(path, detail=True).values() if is_folder else [fs.info(path)]
    return [(int(info.get("size") or 0), _time_ns(info)) for info in infos]


def _time_ns(info: Mapping[str, object]) -> int:
    """Return the time of change (ns since 1970), whose key depends on the remote file system; 0 if none."""
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
        Any source. The content of its companions is included, and for a folder the names and contents of all files.

    Returns
    -------
    str
        BLAKE2b hash, 32 hexadecimal digits. The hashes of the most recent sources are cached while size and time stay
        the same, because they are needed again for every frame of a stack.

    Raises
    ------
    OSError
        If the source cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hrtem_dask.loading import find_sources, source_hash
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.mrc").write_bytes(b"same"), (Path(folder) / "b.mrc").write_bytes(b"same")
    ...     first, second = (source_hash(source) for source in find_sources(folder))
    >>> first == second, len(first)
    (True, 32)
    """
    return _hash(source, source_stat(source))


@functools.lru_cache(maxsize=256)
def _hash(source: Source, stat: tuple[int, int]) -> str:  # noqa: ARG001 - the stat is part of the key
    digest = hashlib.blake2b(digest_size=16)
    if source.is_folder:
        fs, root = file_system(source.content_url)
        for path in sorted(fs.find(root)):
            digest.update(posixpath.relpath(path, root).encode(errors="surrogatepass") + b"\0")
            with fs.open(path, "rb") as file:
                _feed(digest, file)
        return digest.hexdigest()
    for part in (source.member or source.url, *source.companions):
        with _open_part(source, part) as file:
            _feed(digest, file)
    return digest.hexdigest()


def _feed(digest: hashlib.blake2b, file: IO[bytes]) -> None:
    """Add the content of a file to a hash, in blocks."""
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
