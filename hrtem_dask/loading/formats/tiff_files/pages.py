"""The chain of pages of a TIFF file, followed before anything else is read: damaged ones are endless loops."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.formats.header_limits import MAX_IMAGES

__all__ = ["check_pages"]

MAX_MIXED_PAGES = 3000
"""Most pages where their shapes differ: all tags of each are read, in some milliseconds."""
_SHAPE_TAGS = {256, 257, 258, 259, 262, 277, 339}
"""Width, length, bits, compression, photometric, samples, format: pages that agree in these form one stack."""


def check_pages(path: Path) -> None:
    """Raise an error if the pages of a TIFF file form a loop, or are too many.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    UnreadableMicrographError
        If a page leads back to an earlier one, or the file has more than 100 000 pages, or 3000 of different shapes.
    """
    with path.open("rb") as file:
        order = {b"II": "<", b"MM": ">"}.get(file.read(2))
        if order is None:
            return
        big = struct.unpack(f"{order}H", file.read(2))[0] == 43
        file.seek(8 if big else 4)
        seen: set[int] = set()
        shapes: set[bytes] = set()
        offset = _number(file, order, big)
        while offset:
            if offset in seen:
                raise UnreadableMicrographError(
                    f"the TIFF file is damaged: its page {len(seen)} leads back to an earlier one"
                )
            seen.add(offset)
            file.seek(offset)
            shape = _page_shape(file, order, big)
            if shape is None:  # beyond the end: the reader says what is missing
                return
            shapes.add(shape)
            if len(seen) > (MAX_IMAGES if len(shapes) == 1 else MAX_MIXED_PAGES):
                raise UnreadableMicrographError(
                    f"the TIFF file has more than {len(seen) - 1} pages of {len(shapes)} different shapes: split it"
                )
            offset = _number(file, order, big)


def _number(file: IO[bytes], order: str, big: bool) -> int:
    """Read the offset of a page; 0 at the end of the file."""
    size, form = (8, "Q") if big else (4, "I")
    data = file.read(size)
    return int(struct.unpack(order + form, data)[0]) if len(data) == size else 0


def _page_shape(file: IO[bytes], order: str, big: bool) -> bytes | None:
    """Read the tags of a page that decide its shape, and leave the file at the offset of the next page."""
    size, form, width = (8, "Q", 20) if big else (2, "H", 12)
    data = file.read(size)
    if len(data) < size:
        return None
    n_bytes = struct.unpack(order + form, data)[0] * width
    if n_bytes > 2**20:  # no page has so many tags
        return None
    tags = file.read(n_bytes)
    if len(tags) < n_bytes:
        return None
    entries = (tags[at : at + width] for at in range(0, n_bytes, width))
    return b"".join(e for e in entries if struct.unpack(f"{order}H", e[:2])[0] in _SHAPE_TAGS)
