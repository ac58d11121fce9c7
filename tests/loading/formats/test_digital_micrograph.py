"""DM3 files with names of tags and color pictures at which readers stop; they are written here, field by field."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, read_image

GRAY = np.random.default_rng(0).integers(0, 4000, (24, 32)).astype(np.uint16)
COLOR = np.repeat((GRAY // 16).astype(np.uint8)[..., None], 4, -1)
"""A gray image saved in color: blue, green, red and opacity."""
UINT16, UINT32, RGBA_PIXELS, UINT16_PIXELS = 4, 5, 23, 10
"""Codes of the format: types of tags, and of the pixels of images."""


@dataclass(frozen=True)
class Image:
    pixels: np.ndarray
    tag: str = "Alpha"

    @property
    def is_color(self) -> bool:
        return self.pixels.ndim == 3


def named(name: str, kind: int) -> bytes:
    return struct.pack(">BH", kind, len(name)) + name.encode("latin-1")


def number(name: str, value: float | int) -> bytes:
    code, form = (6, "<f") if isinstance(value, float) else (UINT32, "<I")
    return named(name, 21) + b"%%%%" + struct.pack(">2I", 1, code) + struct.pack(form, value)


def array(name: str, code: int, raw: bytes, length: int) -> bytes:
    return named(name, 21) + b"%%%%" + struct.pack(">4I", 3, 20, code, length) + raw


def text(name: str, value: str) -> bytes:
    return array(name, UINT16, value.encode("utf-16-le"), len(value))


def group(name: str | None, tags: Sequence[bytes]) -> bytes:
    body = struct.pack(">BBI", 1, 0, len(tags)) + b"".join(tags)
    return body if name is None else named(name, 20) + body


def image(one: Image) -> bytes:
    height, width = one.pixels.shape[:2]
    axis = group("", [number("Origin", 0.0), number("Scale", 0.05), text("Units", "nm")])
    brightness = group("Brightness", [number("Origin", 0.0), number("Scale", 1.0), text("Units", "")])
    data = group("ImageData", [
        group("Calibrations", [brightness, group("Dimension", [axis, axis])]),
        array("Data", UINT32 if one.is_color else UINT16, one.pixels.tobytes(), height * width),
        number("DataType", RGBA_PIXELS if one.is_color else UINT16_PIXELS),
        group("Dimensions", [number("", width), number("", height)]),
        number("PixelDepth", 4 if one.is_color else 2),
    ])  # fmt: skip
    tags = group("ImageTags", [group("Stage Coordinates", [number(one.tag, 1.5)])])
    return group("", [data, tags, text("Name", "image")])


def listed(folder: Path, *images: Image) -> list[MicrographRecord]:
    """Write the images behind the thumbnail that every file has, and list them."""
    thumbnail = Image(np.zeros((8, 8, 4), np.uint8))
    root = group(None, [
        group("ImageList", [image(one) for one in (thumbnail, *images)]),
        group("DocumentObjectList", []),
        group("Thumbnails", [group("", [number("ImageIndex", 0)])]),
    ])  # fmt: skip
    path = folder / "a.dm3"
    path.write_bytes(struct.pack(">3I", 3, len(root) + 8, 1) + root + b"\0" * 8)
    return [record for source in find_sources(path) for record in list_micrographs(source)]


@pytest.mark.parametrize("tag", ["Alpha", "Alpha [deg]", "[0]", "x[", "a.b [1][2]"])
def test_names_of_tags_with_brackets(tmp_path: Path, tag: str) -> None:
    (record,) = listed(tmp_path, Image(GRAY, tag))
    assert record.pixel_size_nm == pytest.approx((0.05, 0.05))
    np.testing.assert_array_equal(read_image(record), GRAY)


@pytest.mark.parametrize("color_first", [False, True])
def test_a_color_copy_does_not_hide_the_measured_image(tmp_path: Path, color_first: bool) -> None:
    images = [Image(GRAY), Image(COLOR)]
    records = listed(tmp_path, *reversed(images)) if color_first else listed(tmp_path, *images)
    (measured,) = (r for r in records if r.status == "ok")
    (copy,) = (r for r in records if r.status != "ok")
    assert (copy.status, copy.reason) == ("set_aside", "a color display copy beside the measured image")
    assert measured.pixel_size_nm == pytest.approx((0.05, 0.05))
    np.testing.assert_array_equal(read_image(measured), GRAY)


def test_a_gray_image_saved_in_color(tmp_path: Path) -> None:
    (record,) = listed(tmp_path, Image(COLOR))
    assert record.pixel_size_nm == pytest.approx((0.05, 0.05))
    np.testing.assert_array_equal(read_image(record), COLOR[..., 0])
