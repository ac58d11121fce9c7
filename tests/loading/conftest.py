"""Writers of small files tag by tag, so that odd ones can be made: DM3 and SER."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Image = tuple[np.ndarray, float, str]
"""Pixels ((y, x) uint16, or (y, x, 4) uint8 for color), pixel size, and unit."""


@pytest.fixture(scope="session")
def write_dm3() -> Callable[..., Path]:
    """Write a DM3 file of some images, after a thumbnail, each with a tag of the stage."""

    def write(path: Path, images: list[Image], *, tag: str = "Alpha") -> Path:
        thumbnail = (np.zeros((32, 32, 4), np.uint8), 1.0, "")
        tags = [
            _group("ImageList", [_image(*image, tag) for image in (thumbnail, *images)]),
            _group("DocumentObjectList", []),
            _group("Thumbnails", [_group("", [_number("ImageIndex", 0)])]),
        ]
        root = _group(None, tags)
        path.write_bytes(struct.pack(">3I", 3, len(root) + 8, 1) + root + bytes(8))
        return path

    return write


@pytest.fixture(scope="session")
def write_ser() -> Callable[..., Path]:
    """Write a SER file of one image, as TIA does."""

    def write(path: Path, image: np.ndarray, pixel_nm: float) -> Path:
        height, width = image.shape
        dimension = struct.pack("<I2d3I", 1, 0.0, 1.0, 0, 0, 0)
        head = struct.pack("<3H6I", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, 30 + len(dimension), 1)
        at = 30 + len(dimension) + 8
        axis = struct.pack("<2dI", 0.0, pixel_nm * 1e-9, 0)
        element = axis + axis + struct.pack("<H2I", 2, width, height) + image.astype("<u2").tobytes()
        offsets = struct.pack("<2I", at, at + len(element))
        path.write_bytes(head + dimension + offsets + element + struct.pack("<2HI", 0x4152, 0, 10**9))
        return path

    return write


def _image(pixels: np.ndarray, scale: float, unit: str, tag: str) -> bytes:
    height, width = pixels.shape[:2]
    kind, code, n_bytes = (23, 5, 4) if pixels.ndim == 3 else (10, 4, 2)
    data = pixels.astype("u1" if pixels.ndim == 3 else "<u2").tobytes()
    axis = _group("", [_number("Origin", 0.0), _number("Scale", scale), _text("Units", unit)])
    brightness = [_number("Origin", 0.0), _number("Scale", 1.0), _text("Units", "")]
    inside = [
        _group("Calibrations", [_group("Brightness", brightness), _group("Dimension", [axis, axis])]),
        _array("Data", code, data, height * width),
        _number("DataType", kind),
        _group("Dimensions", [_number("", width), _number("", height)]),
        _number("PixelDepth", n_bytes),
    ]
    stage = _group("Stage Coordinates", [_number(tag, 1.5)])
    return _group("", [_group("ImageData", inside), _group("ImageTags", [stage]), _text("Name", "image")])


def _label(name: str, kind: int) -> bytes:
    return struct.pack(">BH", kind, len(name)) + name.encode()


def _number(name: str, value: float) -> bytes:
    code, form = (6, "<f") if isinstance(value, float) else (5, "<I")
    return _label(name, 21) + b"%%%%" + struct.pack(">2I", 1, code) + struct.pack(form, value)


def _array(name: str, code: int, raw: bytes, size: int) -> bytes:
    return _label(name, 21) + b"%%%%" + struct.pack(">4I", 3, 20, code, size) + raw


def _text(name: str, value: str) -> bytes:
    return _array(name, 4, value.encode("utf-16-le"), len(value))


def _group(name: str | None, tags: list[bytes]) -> bytes:
    body = struct.pack(">BBI", 1, 0, len(tags)) + b"".join(tags)
    return body if name is None else _label(name, 20) + body
