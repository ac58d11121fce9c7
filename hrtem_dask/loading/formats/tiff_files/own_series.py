"""The series of a TIFF file that are made of its own pages; tifffile reads every file of a set from each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from hrtem_dask.loading.formats.channels import fields_of_axes, fields_of_labels
from hrtem_dask.loading.formats.tiff_files.ome_xml import OmeDescription, OmeImage, describe_file
from hrtem_dask.loading.records import SET
from hrtem_dask.provenance import record_hash

__all__ = ["OwnSeries", "own_series"]

UNKNOWN = "its OME-XML describes several files and does not say clearly which of them this one is"
_TIFFFILE = "1.11a"
"""Version of ImageJ that tifffile writes."""
ELSEWHERE = "its OME-XML is in another file, which is not beside it"


@dataclass(frozen=True)
class OwnSeries:
    """One series, with the part of tifffile's series that is needed, and its own description."""

    pages: Sequence[Any]
    """Its pages, one per frame; a contiguous stack of tifffile has one page for all."""
    shape: tuple[int, ...]
    """Shape over frames, y, x and channels."""
    axes: str
    """One letter per axis, as tifffile names them."""
    dtype: np.dtype
    """Data type."""
    name: str = ""
    """Its name in the file."""
    dataoffset: int | None = None
    """Position of the pixels in the file (bytes) where all frames are contiguous."""
    image: OmeImage | None = None
    """Its image of the OME-XML; None where there is none, or it is not known which."""
    note: str = ""
    """What is not known about its description."""
    fields: tuple[tuple[str, str], ...] = ()
    """For each frame the field that it shows and its channel, see `Signal`; empty where frames are no channels."""

    @property
    def keyframe(self) -> Any:
        """The first page, which describes the others."""
        return next(page for page in self.pages if page is not None).keyframe

    @property
    def nbytes(self) -> int:
        """Size of its pixels (bytes)."""
        return math.prod(self.shape) * self.dtype.itemsize


def own_series(tif: tifffile.TiffFile, path: Path) -> list[OwnSeries]:
    """Return the series of a file without the pages of other files.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The open file.
    path : pathlib.Path
        Where it is.

    Returns
    -------
    list of OwnSeries
        For a file of its own, the series of tifffile. For a file of an OME-TIFF set, one for each image of the OME-XML
        that has pages in this file, and one for the pages that it does not describe.
    """
    described = describe_file(tif, path)
    if described is None or not described.is_set:
        found = []
        for number, series in enumerate(tif.series):
            found += _of_this_file(tif, series, _image_of(series, described, number, len(tif.series)))
        return found
    return _of_set(tif, described, path)


def _of_this_file(tif: tifffile.TiffFile, series: Any, image: OmeImage | None) -> list[OwnSeries]:
    """Return a series of tifffile, without the pages of other files; of a Micro-Manager set it has them too."""
    if any(page is not None and page.parent is not tif for page in series.pages):
        own = [page for page in series.pages if page is not None and page.parent is tif]
        return _grouped(own, str(series.name), image, "")
    known = OwnSeries(
        series.pages,
        tuple(series.shape),
        series.axes,
        np.dtype(series.dtype),
        str(series.name),
        series.dataoffset,
        image,
        fields=_fields(tif, series, image),
    )
    return [known]


def _fields(tif: tifffile.TiffFile, series: Any, image: OmeImage | None) -> tuple[tuple[str, str], ...]:
    """Return which field each frame of a series shows."""
    axes = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS"]
    known = tif.imagej_metadata or {}
    # tifffile calls itself ImageJ 1.11a, and the first axis of any stack one of channels
    stated = image.has_channels if image is not None else str(known.get("ImageJ")) != _TIFFFILE
    names = image.channels if image is not None else ()
    found = fields_of_axes("".join(axis for axis, _ in axes), [n for _, n in axes], names) if stated else ()
    labels = known.get("Labels")
    return found or fields_of_labels(labels if isinstance(labels, list) else [], math.prod(n for _, n in axes))


def _image_of(series: Any, described: OmeDescription | None, number: int, n_series: int) -> OmeImage | None:
    """Return the image whose planes begin on a page of a series: tifffile leaves out images without pages."""
    if described is None or series.kind != "ome":
        return None
    pages = {page.index for page in series.pages if page is not None}
    for image in described.images:
        if any(planes.page in pages for planes in image.planes):
            return image
    return described.images[number] if len(described.images) == n_series else None


def _of_set(tif: tifffile.TiffFile, described: OmeDescription, path: Path) -> list[OwnSeries]:
    """Return the series of a file of a set."""
    pages = list(tif.pages)
    left = set(range(len(pages)))
    found: list[OwnSeries] = []
    note = "" if described.is_complete else ELSEWHERE
    own = _own_images(described, path.name) if described.is_complete else []
    for image, of_file in own:
        numbers: dict[int, int] = {}
        for planes in image.planes:
            if (planes.uuid, planes.file) in of_file:
                count = len(pages) if planes.count is None else planes.count
                last = min(planes.page + count, len(pages))
                numbers |= {planes.first + i: page for i, page in enumerate(range(planes.page, last))}
        chosen = {plane: number for plane, number in sorted(numbers.items()) if number in left}
        left -= set(chosen.values())
        of_planes = _fields_of_planes(described, image, list(chosen))
        found += _grouped([pages[number] for number in chosen.values()], image.name, image, "", of_planes)
    if described.is_complete and not own:
        note = UNKNOWN
    agreed = described.images[0] if len({image.sizes for image in described.images}) == 1 and not own else None
    return found + _grouped([pages[n] for n in sorted(left)], "", agreed, "" if agreed else note)


def _fields_of_planes(described: OmeDescription, image: OmeImage, planes: list[int]) -> tuple[tuple[str, str], ...]:
    """Return which field each plane of an image shows; its channels may lie in several files of the set."""
    fields = fields_of_axes(*image.axes, image.channels) if image.has_channels else ()
    if not fields or max(planes, default=0) >= len(fields):
        return ()
    number = described.images.index(image)
    name = record_hash([[p.uuid, p.file] for one in described.images for p in one.planes])
    return tuple((f"{SET}{name} {number} {fields[plane][0]}", fields[plane][1]) for plane in planes)


def _own_images(described: OmeDescription, name: str) -> list[tuple[OmeImage, set[tuple[str, str]]]]:
    """Return the images with planes in the file, each with the identifiers of the file; none where it is not clear.

    The identifier in the file decides, since files are renamed. Where it contradicts the name, as in sets whose files
    all carry the identifier of the first one, nothing is certain.
    """
    named = {(p.uuid, p.file) for image in described.images for p in image.planes}
    if len(named) == 1:  # a file of its own, which was renamed if neither fits
        return [(image, named) for image in described.images]
    by_uuid = {one for one in named if one[0] and one[0] == described.uuid}
    by_name = {one for one in named if one[1] and one[1].casefold() == name.casefold()}
    if by_uuid and by_name and by_uuid != by_name:
        return []
    own = by_uuid or by_name
    images = [(image, own) for image in described.images if any((p.uuid, p.file) in own for p in image.planes)]
    return images if own else []


def _grouped(
    pages: Sequence[Any], name: str, image: OmeImage | None, note: str, fields: Sequence[tuple[str, str]] = ()
) -> list[OwnSeries]:
    """Return one series for each shape and data type of some pages."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    shown: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
    for n, page in enumerate(pages):
        kind = (page.shape, page.axes, str(page.dtype), page.is_reduced)
        groups.setdefault(kind, []).append(page)
        shown.setdefault(kind, []).extend(fields[n : n + 1])
    found = []
    for kind, members in groups.items():
        shape, axes, dtype, _ = kind
        n = len(members)
        whole, letters = ((n, *shape), f"I{axes}") if n > 1 else (shape, axes)
        channels = tuple(shown[kind])
        found.append(OwnSeries(members, tuple(whole), letters, np.dtype(dtype), name, None, image, note, channels))
    return found
