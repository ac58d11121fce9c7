"""A source: one file, one member of an archive, or one image of a Zarr store."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Literal

__all__ = ["Source"]

Status = Literal["ok", "set_aside", "failed"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where micrographs come from; small, hashable and picklable."""

    url: str
    """Absolute local path with forward slashes, or fsspec URL; of the archive or Zarr store for a member of one."""
    relative: str
    """Path relative to the input root, with ``::member``: what ids are made of, the same on every machine."""
    member: str = ""
    """Name inside the archive, or path inside the Zarr store."""
    companions: tuple[str, ...] = ()
    """Further files read with it, as URLs or members: the ``.ser`` of an ``.emi``, further parts of a ``.tvips``."""
    is_folder: bool = False
    """Whether it is (in) a Zarr store, a folder."""
    status: Status = "ok"
    """Whether it is worth opening; what is not still ends as a row."""
    reason: str = ""
    """Why it is not."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return posixpath.basename((self.member or self.url).rstrip("/"))

    @property
    def suffix(self) -> str:
        """Extension of its name, lower case, with the dot."""
        return posixpath.splitext(self.name)[1].lower()

    @property
    def path(self) -> str:
        """Full path or URL, with ``::member``."""
        return f"{self.url}::{self.member}" if self.member else self.url

    @property
    def content_url(self) -> str:
        """Path or URL of what changes when it changes: the archive, or the image's own folder in a Zarr store."""
        return posixpath.join(self.url, self.member) if self.is_folder and self.member else self.url

    @property
    def is_local(self) -> bool:
        """Whether the file, or the archive that holds it, lies on this machine's file system."""
        return "://" not in self.url

    @property
    def folder_name(self) -> str:
        """Name of the folder that holds it, in the archive if it has one there; of a Zarr store the one around it."""
        inside = "" if self.is_folder else posixpath.basename(posixpath.dirname(self.member))
        return inside or posixpath.basename(posixpath.dirname(self.url.rstrip("/")))
