"""PNG, JPEG and BMP files, read by OpenCV; their dots per inch are not a pixel size."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from hrtem_dask.errors import RefusedSignalError, UnreadableMicrographError
from hrtem_dask.loading.formats.colour import gray_channel
from hrtem_dask.loading.formats.header_limits import check_color_size, check_size
from hrtem_dask.loading.records import Signal

__all__ = ["list_signals", "read_frame"]

MAX_FILE_BYTES = 2**30
_NO_FRAME_MARKERS = {0xC4, 0xC8, 0xCC}


def list_signals(path: Path) -> list[Signal]:
    """List the signals of a picture file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    list of Signal
        One signal. Color pictures are decoded to find out whether they are in fact gray; gray pictures are not decoded.

    Raises
    ------
    UnreadableMicrographError
        If the file is damaged or cut off.
    """
    with _mapped(path) as data:
        return [_signal(data)]


def _signal(data: mmap.mmap) -> Signal:
    """Describe a picture."""
    height, width, channels, bits = _header(data)
    check_size(height * width, len(data))
    dtype = "uint16" if bits == 16 else "uint8"
    note = ""
    if channels != 1:
        try:
            check_color_size(height, width, max(channels, 3) * max(1, bits // 8))
            image = _decoded(data)
            note = "" if image.ndim == 2 else gray_channel(image)[1]
        except RefusedSignalError as error:
            note = str(error)
            return Signal(dtype=dtype, height_px=height, width_px=width, status="set_aside", note=note)
    return Signal(dtype=dtype, height_px=height, width_px=width, note=note)


def read_frame(path: Path, signal: int, frame: int) -> np.ndarray:  # noqa: ARG001 - a picture holds one
    """Read a picture.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    signal, frame : int
        Both zero, because a picture holds one image.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), uint8 or uint16.

    Raises
    ------
    UnreadableMicrographError
        If the file is damaged or cut off.
    RefusedSignalError
        If the picture is in color.
    """
    with _mapped(path) as data:
        image = _decoded(data)
    return image if image.ndim == 2 else gray_channel(image)[0]


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """Provide the bytes of a file without reading them all: a file of any size may have this name."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _decoded(data: mmap.mmap) -> np.ndarray:
    """Decode the pixels as stored: with all bits and channels, and not rotated by EXIF."""
    height, width, channels, bits = _header(data)
    check_size(height * width * max(channels, 1) * bits // 8, len(data))
    if len(data) > MAX_FILE_BYTES:  # OpenCV takes a copy, and has its own limit
        raise UnreadableMicrographError(
            f"the picture has {len(data)} bytes, more than {MAX_FILE_BYTES}: save it as TIFF"
        )
    image = cv2.imdecode(np.frombuffer(data[:], np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise UnreadableMicrographError("the picture is damaged: it cannot be decoded")
    return np.asarray(image)


def _header(data: mmap.mmap) -> tuple[int, int, int, int]:
    """Return height, width, channels (0 for a palette) and bits; raise where the end of the file is missing."""
    try:
        if data[:4] == b"\x89PNG":
            _check_png_chunks(data)
            width, height, bits, kind = struct.unpack(">IIBB", data[16:26])
            return height, width, {0: 1, 2: 3, 3: 0, 4: 2, 6: 4}[kind], bits
        if data[:2] == b"BM":
            return _bmp_header(data)
        return _jpeg_header(data)
    except (struct.error, KeyError, IndexError) as error:
        raise UnreadableMicrographError(f"the header of the picture is damaged: {error}") from error


def _check_png_chunks(data: mmap.mmap) -> None:
    """Raise if a chunk is longer than the file or the last one is missing; OpenCV would allocate any stated size."""
    position = 8
    while position < len(data):
        length, name = struct.unpack(">I4s", data[position : position + 8])
        position += 12 + length
        if name == b"IEND":
            return
    raise UnreadableMicrographError("the PNG file is cut off or damaged: its end is missing")


def _bmp_header(data: mmap.mmap) -> tuple[int, int, int, int]:
    """Read the header of a BMP file and check that the file holds all rows."""
    start, _, width, height, _, bits, compression = struct.unpack("<IIiiHHI", data[10:34])
    row_bytes = (width * bits + 31) // 32 * 4
    if compression == 0 and len(data) < start + row_bytes * abs(height):
        raise UnreadableMicrographError("the BMP file is cut off: its end is missing")
    return abs(height), width, 0 if bits <= 8 else bits // 8, 8


def _jpeg_header(data: mmap.mmap) -> tuple[int, int, int, int]:
    """Read the segments of a JPEG file up to its first scan."""
    position, found = 2, None
    while position < len(data):
        marker, length = struct.unpack(">xBH", data[position : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_MARKERS:
            bits, height, width, channels = struct.unpack(">BHHB", data[position + 4 : position + 10])
            found = (height, width, channels, bits)
        if marker == 0xDA and found is not None:
            # inside a scan 0xFF is never followed by 0xD9, so this is the end of the image and no thumbnail's
            if data.rfind(b"\xff\xd9") < position:
                raise UnreadableMicrographError("the JPEG file is cut off: its end is missing")
            return found
        position += 2 + length
    raise UnreadableMicrographError("the JPEG file holds no image")
