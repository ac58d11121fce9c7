"""A source: one file, one member of an archive, or one image of a Zarr store."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Literal

__all__ = ["Source"]

Status = Literal["ok", "set_aside", "failed"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Location of one or more micrographs; small, hashable and picklable."""

    url: str
    """Absolute local path with forward slashes, or fsspec URL; for a member that of its archive or Zarr store."""
    relative: str
    """Path relative to the input root, with ``::member``. Identifiers are made of it: it is equal on all machines."""
    member: str = ""
    """Name inside the archive, or path inside the Zarr store; empty for a file."""
    companions: tuple[str, ...] = ()
    """Files read together with it, as URLs or members: the ``.ser`` of an ``.emi``, further parts of a ``.tvips``."""
    is_folder: bool = False
    """Whether the source is a Zarr store or an image in one, which is a folder."""
    status: Status = "ok"
    """``ok`` if the source can be opened; any other source still gets a row in the micrograph table."""
    reason: str = ""
    """Reason of a status other than ``ok``."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return posixpath.basename((self.member or self.url).rstrip("/"))

    @property
    def suffix(self) -> str:
        """Extension of the name, lower case, with the dot."""
        return posixpath.splitext(self.name)[1].lower()

    @property
    def path(self) -> str:
        """Full path or URL, with ``::member``."""
        return f"{self.url}::{self.member}" if self.member else self.url

    @property
    def content_url(self) -> str:
        """Path or URL that holds the content: the archive, or the folder of the image in a Zarr store."""
        return posixpath.join(self.url, self.member) if self.is_folder and self.member else self.url

    @property
    def is_local(self) -> bool:
        """Whether the file, or the archive that holds it, is on a local file system."""
        return "://" not in self.url

    @property
    def folder_name(self) -> str:
        """Name of the folder that holds the file, the member of an archive, or the Zarr store."""
        inside = "" if self.is_folder else posixpath.basename(posixpath.dirname(self.member))
        return inside or posixpath.basename(posixpath.dirname(self.url.rstrip("/")))
