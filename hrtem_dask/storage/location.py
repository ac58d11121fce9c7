"""A folder that results are written to: on this machine's disk or on an object store, by the same calls.

Object stores do not rename and do not append, so everything is written whole: a file is there with all its bytes
or not at all.
"""

from __future__ import annotations

import logging
import os
import posixpath
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hrtem_dask.addresses import check_address, file_system
from hrtem_dask.storage.whole_files.partial_files import create_file, whole_file
from hrtem_dask.text_encoding import json_text

__all__ = ["Location"]

logger = logging.getLogger(__name__)

_setting_aside = threading.Lock()


@dataclass(frozen=True)
class Location:
    """A folder, by path or fsspec URL."""

    url: str
    """For instance ``results`` or ``s3://bucket/results``."""

    @classmethod
    def of(cls, folder: str | os.PathLike[str] | Location) -> Location:
        """Return the location of a folder.

        Parameters
        ----------
        folder : str, path-like or Location
            The folder.

        Returns
        -------
        Location
            Local paths are made absolute, so that a worker with another working folder finds them.

        Raises
        ------
        SettingsError
            If the kind of URL is not known.

        Examples
        --------
        >>> Location.of("s3://bucket/results").path("parts", "a.json")
        's3://bucket/results/parts/a.json'
        """
        if isinstance(folder, Location):
            return folder
        text = check_address(folder).removeprefix("file://")
        return cls(text if "://" in text else str(Path(text).expanduser().resolve()))

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine's file system."""
        return "://" not in self.url

    def path(self, *names: str) -> str:
        """Return the path or URL of something inside.

        Parameters
        ----------
        *names : str
            Folders and file, joined.

        Returns
        -------
        str
            Path or URL.
        """
        return posixpath.join(self.url, *names)

    def inside(self, name: str) -> Location:
        """Return the location of a folder inside.

        Parameters
        ----------
        name : str
            Path inside the folder.

        Returns
        -------
        Location
            The inner folder.

        Examples
        --------
        >>> Location("results").inside("labels.zarr").url
        'results/labels.zarr'
        """
        return Location(self.path(name))

    def write_bytes(self, name: str, content: bytes, *, on_disk: bool = True) -> None:
        """Write a whole file, atomically.

        Parameters
        ----------
        name : str
            Path inside the folder; folders on the way are made.
        content : bytes
            Its bytes.
        on_disk : bool
            Whether to wait until it is on the disk of this machine: see `whole_files.partial_files.whole_file`.
        """
        fs, path = file_system(self.path(name))
        if not self.is_local:
            _make_folder(posixpath.dirname(self.path(name)))
            fs.pipe_file(path, content)
            return
        self.make_way(name)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, on_disk=on_disk) as file:
            file.write(content)

    @contextmanager
    def open_whole(self, name: str) -> Iterator[BinaryIO]:
        """Open a file to write it piece by piece; it is there when all of it is written.

        Parameters
        ----------
        name : str
            Path inside the folder; folders on the way are made.

        Yields
        ------
        file
            A file of this machine. If the block ends with an error, nothing is changed.
        """
        fs, path = file_system(self.path(name))
        if self.is_local:
            self.make_way(name)
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as file:
                yield file
            return
        with tempfile.TemporaryDirectory(prefix="hrtem-dask-") as own:
            here = Path(own, "file")
            with here.open("wb") as file:
                yield file
            _make_folder(posixpath.dirname(self.path(name)))
            fs.put_file(str(here), path)

    def create_bytes(self, name: str, content: bytes) -> bool:
        """Write a whole file if there is none of its name; of several writers, one succeeds.

        Parameters
        ----------
        name : str
            Path inside the folder; folders on the way are made.
        content : bytes
            Its bytes.

        Returns
        -------
        bool
            Whether it was written. Stores that cannot write on this condition are asked whether the file exists first,
            so two writers of the same moment may both succeed there.
        """
        fs, path = file_system(self.path(name))
        if self.is_local:
            self.make_way(name)
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            return create_file(path, content)
        _make_folder(posixpath.dirname(self.path(name)))
        fs.invalidate_cache()
        try:
            fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except Exception:  # noqa: BLE001 - a store without conditional writes; one that is out of reach fails again
            if fs.exists(path):
                return False
            fs.pipe_file(path, content)
        return True

    def make_way(self, name: str, *, folder: bool = False) -> None:
        """Rename what stands where a file or folder of the results belongs and is of another kind.

        Parameters
        ----------
        name : str
            Path inside the folder. A folder, pipe or other special file in its place is renamed to
            ``<name>.set-aside-<n>``, and so is a file in the place of a folder on the way.
        folder : bool
            Whether a folder belongs there, instead of a file.
        """
        if not self.is_local:  # object stores have no folders
            return
        parts = posixpath.normpath(name).split("/")
        for n in range(1, len(parts) + 1):
            path = Path(self.path(*parts[:n]))
            right = (None, "folder" if n < len(parts) or folder else "file")
            if _kind(path) not in right:
                with _setting_aside:  # another thread may have done it, and made the folder, in the meantime
                    if _kind(path) not in right:
                        _set_aside(path)

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file, atomically, with sorted keys, one per line.

        Parameters
        ----------
        name : str
            Path inside the folder.
        content : object
            What JSON can hold.
        """
        self.write_bytes(name, json_text(content).encode())

    def read_bytes(self, name: str) -> bytes:
        """Read a whole file.

        Parameters
        ----------
        name : str
            Path inside the folder.

        Returns
        -------
        bytes
            Its bytes.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        fs, path = file_system(self.path(name))
        if self.is_local and os.path.lexists(path) and not Path(path).is_file():
            raise IsADirectoryError(f"{path} is no file")  # who opens a named pipe waits for ever
        return Path(path).read_bytes() if self.is_local else bytes(fs.cat_file(path))

    def ends_with(self, name: str, end: bytes) -> bool:
        """Return whether a file exists and is whole, by its last bytes.

        Parameters
        ----------
        name : str
            Path inside the folder.
        end : bytes
            The bytes that files of its format end with.

        Returns
        -------
        bool
            False where there is no file, or it ends otherwise.
        """
        fs, path = file_system(self.path(name))
        if not (Path(path).is_file() if self.is_local else fs.isfile(path)):
            return False
        return bytes(fs.tail(path, len(end))) == end

    def exists(self, name: str = "") -> bool:
        """Return whether a file or folder exists.

        Parameters
        ----------
        name : str
            Path inside the folder; empty for the folder itself.

        Returns
        -------
        bool
            True where a file or folder of that name is.
        """
        fs, path = file_system(self.path(name) if name else self.url)
        return bool(fs.exists(path))

    def names(self, folder: str, suffix: str) -> Iterator[str]:
        """List the files of one folder inside, sorted.

        Parameters
        ----------
        folder : str
            Folder inside this one; a missing one is empty.
        suffix : str
            How the names end.

        Yields
        ------
        str
            Names relative to this location.
        """
        fs, path = file_system(self.path(folder))
        fs.invalidate_cache()
        if not fs.exists(path):
            return
        if self.is_local and not Path(path).is_dir():
            return
        entries = {str(entry["name"]): entry["type"] for entry in fs.ls(path, detail=True)}
        for found in sorted(entries):
            if found.endswith(suffix) and (entries[found] == "file" or (self.is_local and Path(found).is_file())):
                yield posixpath.join(folder, posixpath.basename(found))

    def remove(self, name: str) -> None:
        """Delete one file inside; a missing one is no error, and what is no file stays.

        Parameters
        ----------
        name : str
            Path inside the folder.
        """
        fs, path = file_system(self.path(name))
        if self.is_local:
            if Path(path).is_file() or Path(path).is_symlink():
                Path(path).unlink(missing_ok=True)
        elif fs.exists(path):
            fs.rm_file(path)


_made: set[str] = set()
"""Buckets that this process has asked for."""


def _make_folder(url: str) -> None:
    """Make a folder where a store has folders, or its bucket, which is asked for once: each time is a request."""
    fs, path = file_system(url)
    bucket = "/".join(url.split("/")[:3])
    if bucket not in _made:
        fs.makedirs(path, exist_ok=True)
    if not url.startswith("memory:"):
        _made.add(bucket)


def _kind(path: Path) -> str | None:
    """Return what stands at a path, links followed: folder, file, other or nothing.

    One question to the file system: between two, another writer may make the folder.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "other" if path.is_symlink() else None
    except OSError:  # a link to itself
        return "other"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def _set_aside(path: Path) -> None:
    """Rename what is in the way."""
    taken = (path.with_name(f"{path.name}.set-aside-{i}") for i in range(1, 10_000))
    target = next(p for p in taken if not os.path.lexists(p))
    path.rename(target)
    logger.warning("%s was in the way of the results and is now %s", path, target.name)
