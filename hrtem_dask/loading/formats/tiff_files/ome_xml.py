"""OME-XML of a TIFF file: the images that it describes, and in which files and pages their planes are."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

__all__ = ["OmeDescription", "OmeImage", "Planes", "describe_file", "read_description"]

MAX_COMPANION_BYTES = 256 * 2**20
"""Largest companion file that is read: OME-XML of a set takes some hundred bytes per plane."""


@dataclass(frozen=True)
class Planes:
    """Successive planes of an image that are successive pages of one file."""

    first: int
    """Number of the first plane in the image, over all axes but y and x."""
    page: int
    """Number of its page in the file."""
    count: int | None
    """Number of planes; None for all pages of the file."""
    uuid: str
    """Identifier of the file; empty where the description names no file, and means the file that it is in."""
    file: str
    """Name of the file when it was written; it may have been renamed since."""


@dataclass(frozen=True)
class OmeImage:
    """One image of the description."""

    name: str
    """Name of the image."""
    pixels: Mapping[str, str]
    """Attributes of its element ``Pixels``, such as ``PhysicalSizeX``."""
    planes: tuple[Planes, ...]
    """Where its planes are."""
    channels: tuple[str, ...] = ()
    """Names of its channels; empty where they have none."""
    has_channels: bool = True
    """Whether its axis of channels is one: tifffile calls the first axis of any stack so, without names."""

    @property
    def axes(self) -> tuple[str, tuple[int, ...]]:
        """Order of the axes but y and x, the slowest first, and their lengths."""
        letters = self.pixels.get("DimensionOrder", "XYCZT")[:1:-1]
        return letters, tuple(max(_whole(self.pixels.get(f"Size{axis}"), 1), 1) for axis in letters)

    @property
    def sizes(self) -> tuple[str | None, ...]:
        """Pixel size as it is written, to compare images with each other."""
        names = ("PhysicalSizeX", "PhysicalSizeXUnit", "PhysicalSizeY", "PhysicalSizeYUnit")
        return tuple(self.pixels.get(name) for name in names)


@dataclass(frozen=True)
class OmeDescription:
    """OME-XML that describes a file, and mostly the other files of its set."""

    uuid: str
    """Identifier of the file itself; empty where none is stated."""
    images: tuple[OmeImage, ...]
    """The images of the set."""
    is_complete: bool = True
    """Whether the description was found: a file may only name the file that holds it."""

    @property
    def is_set(self) -> bool:
        """Whether the description names another file, or stands in one. It may be the file itself under an old name."""
        files = {(p.uuid or p.file) for image in self.images for p in image.planes}
        return not self.is_complete or bool(files - {"", self.uuid})


def describe_file(tif: tifffile.TiffFile, path: Path) -> OmeDescription | None:
    """Read the OME-XML of a file, or that of the file which holds it for the whole set.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The open file.
    path : pathlib.Path
        Where it is: its companion is looked for beside it.

    Returns
    -------
    OmeDescription or None
        None where the file has no OME-XML, or it cannot be parsed.
    """
    text = tif.pages.first.description
    if not tif.is_ome or not text:
        return None
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    pointer = root.find("{*}BinaryOnly")
    if pointer is None:
        return read_description(root)
    own = root.get("UUID", "")
    held = _companion(path.parent / posixpath.basename(pointer.get("MetadataFile", "").replace("\\", "/")))
    stated = pointer.get("UUID", "")
    if held is None or (stated and held.get("UUID", stated) != stated):
        return OmeDescription(own, (), is_complete=False)
    return OmeDescription(own, read_description(held).images, is_complete=bool(held.findall("{*}Image")))


def _companion(path: Path) -> Any:
    """Return the root of the OME-XML in a companion or in the first TIFF file of a set; None where there is none."""
    if not path.is_file():
        return None
    try:
        if path.suffix.lower() in (".tif", ".tiff", ".btf", ".tf8"):
            with tifffile.TiffFile(path) as first:
                return ElementTree.fromstring(first.pages.first.description)
        if path.stat().st_size > MAX_COMPANION_BYTES:
            return None
        return ElementTree.fromstring(path.read_bytes())
    except (OSError, ValueError, ElementTree.ParseError):  # tifffile's errors are ValueErrors
        return None


def read_description(root: Any) -> OmeDescription:
    """Read the images of a description.

    Parameters
    ----------
    root : xml.etree.ElementTree.Element
        The element ``OME``.

    Returns
    -------
    OmeDescription
        Its images in order.
    """
    images = []
    for element in root.findall("{*}Image"):
        pixels = element.find("{*}Pixels")
        if pixels is not None:
            planes = tuple(_planes(data, pixels) for data in pixels.findall("{*}TiffData"))
            channels = tuple(channel.get("Name", "") for channel in pixels.findall("{*}Channel"))
            named = all(channels) and len(set(channels)) == len(channels)
            has_channels = named or not root.get("Creator", "").startswith("tifffile")
            images.append(OmeImage(element.get("Name", ""), dict(pixels.attrib), planes, channels, has_channels))
    return OmeDescription(root.get("UUID", ""), tuple(images))


def _planes(data: Any, pixels: Any) -> Planes:
    """Read one element ``TiffData``: without IFD and count it means all pages of its file."""
    axes = pixels.get("DimensionOrder", "XYCZT")[2:]
    first, stride = 0, 1
    for axis in axes:
        first += stride * _whole(data.get(f"First{axis}"), 0)
        stride *= max(_whole(pixels.get(f"Size{axis}"), 1), 1)
    count = data.get("PlaneCount", data.get("NumPlanes"))
    named = data.find("{*}UUID")
    file = "" if named is None else named.get("FileName", "")
    return Planes(
        first=first,
        page=_whole(data.get("IFD"), 0),
        count=_whole(count, 1) if count is not None else (1 if "IFD" in data.attrib else None),
        uuid="" if named is None else (named.text or "").strip(),
        file=posixpath.basename(file.replace("\\", "/")),
    )


def _whole(text: str | None, otherwise: int) -> int:
    """Return a whole number of at least 0."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return otherwise
    return int(value) if math.isfinite(value) and value >= 0 else otherwise
