"""MRC files with the odd headers that programs write: signs of bytes, signs of cells, extended headers."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, read_image, set_aside_uncalibrated

IMOD = 1146047817


def dark_disk(n: int = 64) -> np.ndarray:
    """Return a disk of 80 on a support of 200, with noise."""
    y, x = np.mgrid[:n, :n]
    image = np.where((y - n / 2) ** 2 + (x - n / 2) ** 2 < (n / 4) ** 2, 80.0, 200.0)
    return image + np.random.default_rng(0).normal(0, 6, image.shape)


def write(
    path: Path,
    image: np.ndarray,
    mode: int,
    *,
    cell: tuple[float, float] = (32.0, 32.0),
    stamp: tuple[int, int] = (0, 0),
    statistics: tuple[float, float, float] = (0.0, -1.0, -2.0),
    order: str = "<",
    extended: bytes = b"",
) -> MicrographRecord:
    ny, nx = image.shape
    head = bytearray(1024)
    struct.pack_into(f"{order}10i", head, 0, nx, ny, 1, mode, 0, 0, 0, nx, ny, 1)
    struct.pack_into(f"{order}6f", head, 40, cell[1], cell[0], 1.0, 90, 90, 90)
    struct.pack_into(f"{order}3i", head, 64, 1, 2, 3)
    struct.pack_into(f"{order}3f", head, 76, *statistics)
    struct.pack_into(f"{order}2i", head, 88, 0, len(extended))
    struct.pack_into(f"{order}2i", head, 152, *stamp)
    head[208:216] = b"MAP \x44\x44\0\0" if order == "<" else b"MAP \x11\x11\0\0"
    path.write_bytes(bytes(head) + extended + image.astype(image.dtype.newbyteorder(order)).tobytes())
    (source,) = find_sources(path)
    (record,) = list_micrographs(source)
    return record


def of(image: np.ndarray) -> tuple[float, float, float]:
    return float(image.min()), float(image.max()), float(image.mean())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "header",
    [
        {"stamp": (IMOD, 0)},
        {"statistics": "own"},
        {"statistics": "mean"},
    ],
    ids=["stamp", "maximum", "mean only"],
)
def test_unsigned_bytes(tmp_path: Path, header: dict[str, Any], order: str) -> None:
    image = dark_disk().astype(np.uint8)
    if header.get("statistics") == "own":
        header = {"statistics": of(image)}
    elif header.get("statistics") == "mean":
        header = {"statistics": (-1e3, 1e3, float(image.mean()))}
    record = write(tmp_path / "a.mrc", image, 0, order=order, **header)
    assert record.dtype == "uint8"
    np.testing.assert_array_equal(read_image(record), image)


@pytest.mark.parametrize("header", [{"stamp": (IMOD, 1)}, {"statistics": "own"}], ids=["stamp", "minimum"])
def test_signed_bytes(tmp_path: Path, header: dict[str, Any]) -> None:
    image = (dark_disk() - 128).astype(np.int8)
    record = write(tmp_path / "a.mrc", image, 0, **({"statistics": of(image)} if "statistics" in header else header))
    assert record.dtype == "int8"
    np.testing.assert_array_equal(read_image(record), image)


@pytest.mark.parametrize(("center", "kind"), [(128, "uint8"), (0, "int8"), (-64, "int8")])
def test_without_any_statement_the_image_decides(tmp_path: Path, center: int, kind: str) -> None:
    image = np.random.default_rng(0).normal(center, 12, (64, 64)).astype(np.int16).astype(kind)
    record = write(tmp_path / "a.mrc", image, 0)
    assert record.dtype == kind
    np.testing.assert_array_equal(read_image(record), image)


def test_bytes_whose_sign_nothing_shows_are_refused(tmp_path: Path) -> None:
    record = write(tmp_path / "a.mrc", dark_disk().astype(np.uint8), 0)
    assert record.status == "set_aside"
    assert "sign" in record.reason


@pytest.mark.parametrize("known", [True, False])
def test_unsigned_16_bit_values_with_the_mode_of_signed_ones(tmp_path: Path, known: bool) -> None:
    image = np.random.default_rng(0).normal(32_768, 3_000, (64, 64)).astype(np.uint16)
    record = write(tmp_path / "a.mrc", image, 1, **({"statistics": of(image)} if known else {}))
    assert record.dtype == "uint16"
    np.testing.assert_array_equal(read_image(record), image)


def test_counts_around_zero_keep_their_sign(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(0, 20, (64, 64)).astype(np.int16)
    record = write(tmp_path / "a.mrc", image, 1)
    assert record.dtype == "int16"
    np.testing.assert_array_equal(read_image(record), image)


def test_packed_bytes_are_refused(tmp_path: Path) -> None:
    record = write(tmp_path / "a.mrc", dark_disk().astype(np.uint8), 0, stamp=(IMOD, 16))
    assert record.status == "set_aside"
    assert "4-bit" in record.reason


@pytest.mark.parametrize("cell", [(-640.0, -640.0), (0.0, 0.0), (32.0, -32.0), (32.0, 0.0)])
def test_a_cell_that_is_no_size(tmp_path: Path, cell: tuple[float, float]) -> None:
    record = set_aside_uncalibrated(write(tmp_path / "a.mrc", dark_disk().astype(np.float32), 2, cell=cell))
    assert record.pixel_size_nm is None
    assert record.status == "set_aside"
    if cell[0] < 0:
        assert "-1 nm" in record.reason


def extended_header(size_m: float) -> bytes:
    record = struct.pack("<32f", *[0.0] * 11, size_m, 50_000.0, *[0.0] * 19)
    return record + bytes(1023 * 128)


def test_the_earlier_extended_header_of_fei(tmp_path: Path) -> None:
    image = dark_disk().astype(np.float32)
    record = write(tmp_path / "a.mrc", image, 2, cell=(64.0, 64.0), extended=extended_header(5e-11))
    assert record.pixel_size_nm == pytest.approx((0.05, 0.05))
    assert record.pixel_size_source == "file: MRC extended header"
    assert record.magnification == pytest.approx(50_000)
    assert record.calibration_flags == ()  # a cell of 1 Å per pixel states nothing
    np.testing.assert_array_equal(read_image(record), image)


def test_headers_that_contradict_each_other(tmp_path: Path) -> None:
    image = dark_disk().astype(np.float32)
    record = write(tmp_path / "a.mrc", image, 2, cell=(64.0 * 5, 64.0 * 5), extended=extended_header(5e-11))
    assert "contradictory" in record.calibration_flags
    refused = set_aside_uncalibrated(record)
    assert refused.status == "set_aside"
    assert "0.05 nm (file: MRC extended header), 0.5 nm (file: MRC voxel size)" in refused.reason
    same = write(tmp_path / "b.mrc", image, 2, cell=(64.0 * 0.5, 64.0 * 0.5), extended=extended_header(5e-11))
    assert same.calibration_flags == ()
