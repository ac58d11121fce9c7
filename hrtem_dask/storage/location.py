"""A folder that results are written to: on this machine's disk or on an object store, by the same calls.

Object stores do not rename and do not append, so everything is written whole: a file is there with all its bytes
or not at all.
"""

from __future__ import annotations

import json
import os
import posixpath
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec

__all__ = ["Location"]


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

        Examples
        --------
        >>> Location.of("s3://bucket/results").path("parts", "a.json")
        's3://bucket/results/parts/a.json'
        """
        if isinstance(folder, Location):
            return folder
        text = os.fspath(folder).removeprefix("file://")
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

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a whole file, atomically.

        Parameters
        ----------
        name : str
            Path inside the folder; folders on the way are made.
        content : bytes
            Its bytes.
        """
        fs, path = fsspec.core.url_to_fs(self.path(name))
        fs.makedirs(posixpath.dirname(path), exist_ok=True)
        if not self.is_local:
            fs.pipe_file(path, content)
            return
        partial = Path(f"{path}.{uuid.uuid4().hex[:8]}.partial")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file, atomically, with sorted keys.

        Parameters
        ----------
        name : str
            Path inside the folder.
        content : object
            What JSON can hold.
        """
        self.write_bytes(name, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode())

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
        fs, path = fsspec.core.url_to_fs(self.path(name))
        return bytes(fs.cat_file(path))

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
        fs, path = fsspec.core.url_to_fs(self.path(name) if name else self.url)
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
        fs, path = fsspec.core.url_to_fs(self.path(folder))
        fs.invalidate_cache()
        if not fs.exists(path):
            return
        for found in sorted(fs.ls(path, detail=False)):
            if found.endswith(suffix):
                yield posixpath.join(folder, posixpath.basename(found))

    def remove(self, name: str) -> None:
        """Delete one file inside; a missing one is no error.

        Parameters
        ----------
        name : str
            Path inside the folder.
        """
        fs, path = fsspec.core.url_to_fs(self.path(name))
        if fs.exists(path):
            fs.rm_file(path)
