"""DM3 and DM4 files: rosettasciio's reader, with limits on what damaged tags may ask for.

Its own loop over the images of a file stops at one that it cannot read, such as a color copy, and at names of tags with
brackets, which its dictionaries take for an index.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from rsciio.digitalmicrograph._api import DigitalMicrographReader, ImageObject

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.formats.header_limits import check_color_size

__all__ = ["read_entries"]

MAX_TAG_VALUES = 2**16
"""Longest array in a tag whose values are read; lookup tables have 256, longer ones are data of other programs."""
MAX_FIELDS = 1000
_COLORS = (8, 23)
_PACKED = (5, 27, 28)
"""Packed Fourier transforms, whose shape is not that of the stored values."""


class _BoundedReader(DigitalMicrographReader):  # type: ignore[misc]
    """Reader of the tags, which reads no more than the file has."""

    def read_string(self, length: int, skip: bool = False) -> Any:
        """Read a text at once; the original reads one byte at a time and copies the text with each."""
        if skip:
            return super().read_string(length, skip=True)
        data = self.f.read(min(length, 2**24))
        if len(data) < length:
            raise UnreadableMicrographError("the DM file is cut off or damaged: a text is longer than the file")
        try:
            return data.decode("utf8")
        except UnicodeDecodeError:
            return data.decode("latin-1")

    def parse_struct_definition(self) -> tuple[int, ...]:
        """Read the types of the fields of a structure."""
        self.read_l_or_q(self.f, "big")
        n_fields = self.read_l_or_q(self.f, "big")
        if n_fields > MAX_FIELDS:
            raise UnreadableMicrographError(f"the DM file is damaged: a tag with {n_fields} fields")
        definition = []
        for _ in range(n_fields):
            self.read_l_or_q(self.f, "big")
            definition.append(self.read_l_or_q(self.f, "big"))
        return tuple(definition)

    def read_array(self, size: int, enc_eltype: int, extra: Any = None, skip: bool = False) -> Any:
        """Read an array, or only its place where it is long."""
        if not skip and size > MAX_TAG_VALUES:
            return str(super().read_array(size, enc_eltype, extra, skip=True))
        return super().read_array(size, enc_eltype, extra, skip)


def read_entries(path: Path) -> list[Any]:
    """Read the images of a DM file, lazily.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    list
        For each image but the thumbnail: a dictionary as rosettasciio's, with the entry ``refused`` for a color copy
        beside a measured image; or the error of an image that cannot be read.
    """
    with path.open("rb") as file:
        reader = _BoundedReader(file)
        reader.parse_file()
        reader.tags_dict = _without_brackets(reader.tags_dict)
        images = [ImageObject(tags, file) for tags in reader.get_image_dictionaries() or []]
        tags = {name: value for name, value in reader.tags_dict.items() if name != "ImageList"}
        has_measured = any(_data_type(image) not in _COLORS for image in images)
        found: list[Any] = []
        for number, image in enumerate(images):
            image.filename = str(path)
            if has_measured and _data_type(image) in _COLORS:
                found.append({"refused": "a color display copy beside the measured image", "title": image.title})
                continue
            try:
                found.append(_entry(image, tags, path.stat().st_size))
            except Exception as error:  # noqa: BLE001 - one damaged image must not hide the others
                found.append(
                    error
                    if isinstance(error, UnreadableMicrographError)
                    else UnreadableMicrographError(
                        f"image {number} of the DM file is damaged ({type(error).__name__}: {error})"
                    )
                )
    return found


def _entry(image: Any, tags: dict[str, Any], file_bytes: int) -> dict[str, Any]:
    """Return the dictionary of one image; only color pictures are read."""
    kind = _data_type(image)
    start = int(image.imdict.ImageData.Data.offset)
    stored = math.prod(image.shape) * np.dtype(image.dtype).itemsize
    if kind not in _PACKED and start + stored > file_bytes:
        raise UnreadableMicrographError(
            f"the DM file is cut off: {file_bytes} bytes, its pixels end at byte {start + stored}"
        )
    if kind in _COLORS:
        check_color_size(image.shape[-2], image.shape[-1], math.prod(image.shape[:-2]) * 4)
    return {
        "data": image.get_data(kind not in _COLORS),
        "axes": image.get_axes_dict(),
        "metadata": image.get_metadata(),
        "original_metadata": {**tags, "ImageList": {"TagGroup0": image.imdict.to_dict()}},
        "mapping": image.get_mapping(),
    }


def _data_type(image: Any) -> int:
    """Return DigitalMicrograph's number of the data type; -1 where it is missing."""
    return int(image.imdict.get("ImageData", {}).get("DataType", -1))


def _without_brackets(tags: Any) -> Any:
    """Return tags in whose names parentheses stand for brackets."""
    if not isinstance(tags, dict):
        return tags
    return {name.replace("[", "(").replace("]", ")"): _without_brackets(value) for name, value in tags.items()}
