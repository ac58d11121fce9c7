"""Small files that ask for much: each ends as one record, in little time, memory and disk."""

import bz2
import gzip
import io
import lzma
import os
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from hrtem_dask.loading import MicrographRecord, archives, find_sources, list_micrographs, local_copy, read_image
from hrtem_dask.loading.formats import header_limits

IMAGE = (np.arange(64 * 48, dtype=np.uint16) % 1000).reshape(64, 48)
MIB = 2**20


@pytest.fixture
def copies(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder of temporary files, which must be empty at the end."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def records(path: Path) -> list[MicrographRecord]:
    return [r for s in find_sources(path) for r in list_micrographs(s)]


def only(path: Path, *, max_s: float = 5.0, max_bytes: int = 100 * MIB) -> MicrographRecord:
    """List a file of one record, and check what that took."""
    tracemalloc.start()
    began = time.process_time()
    try:
        (record,) = records(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < max_s
    assert peak < max_bytes
    return record


def npy_header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    return header.getvalue()


def png(path: Path, shape: tuple[int, int], color: int, bits: int = 8) -> None:
    """Write zeros, row by row."""
    channels = {0: 1, 2: 3, 6: 4}[color]
    packer = zlib.compressobj(9)
    row = bytes(1 + shape[1] * channels * bits // 8)
    data = b"".join(packer.compress(row) for _ in range(shape[0])) + packer.flush()

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">2I5B", shape[1], shape[0], bits, color, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def test_large_color_pictures_are_not_decoded_to_compare_their_colors(tmp_path: Path) -> None:
    png(tmp_path / "a.png", (9600, 9600), 2)
    record = only(tmp_path / "a.png", max_bytes=30 * MIB)
    assert record.status == "failed"
    assert "color picture of 9600 × 9600 px" in record.reason
    tiles = (np.zeros((1024, 1024, 3), np.uint8) for _ in range(100))
    tifffile.imwrite(
        tmp_path / "a.tif", tiles, shape=(10240, 10240, 3), dtype="u1", tile=(1024, 1024), photometric="rgb",
        compression="zlib",
    )  # fmt: skip
    record = only(tmp_path / "a.tif", max_bytes=30 * MIB)
    assert record.status == "failed"
    assert "color picture of 10240 × 10240 px" in record.reason


def test_images_beyond_the_limit_are_refused_by_their_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        file.write(npy_header((20000, 20000)))
        file.truncate(file.tell() + 20000 * 20000)  # sparse
    record = only(tmp_path / "a.npy", max_bytes=MIB)
    assert (record.status, record.height_px) == ("failed", None)
    assert "20000 × 20000 px" in record.reason
    with (tmp_path / "frames.npy").open("wb") as file:
        file.write(npy_header((100_001, 2, 2)))
        file.truncate(file.tell() + 400_004)
    assert "100001 images" in only(tmp_path / "frames.npy", max_bytes=MIB).reason
    monkeypatch.setattr(header_limits, "MAX_IMAGE_PIXELS", IMAGE.size)
    np.save(tmp_path / "whole.npy", IMAGE)
    assert only(tmp_path / "whole.npy").status == "ok"


@pytest.mark.parametrize("header", ["length", "objects", "cut"])
def test_numpy_headers(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.npy"
    if header == "objects":
        np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    elif header == "length":
        path.write_bytes(b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31) + b"{" * 1000)
    else:
        path.write_bytes(npy_header((10**6, 10**6)) + bytes(100))
    record = only(path, max_bytes=MIB)
    assert record.status == "failed"
    words = {"length": "header of 2147483648 bytes", "objects": "Python objects", "cut": "cut off"}
    assert words[header] in record.reason


PACKERS: dict[str, Any] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("kind", PACKERS)
def test_single_compressed_files(tmp_path: Path, copies: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = io.BytesIO()
    np.save(saved, IMAGE)
    (tmp_path / f"good.npy.{kind}").write_bytes(PACKERS[kind](saved.getvalue()))
    record = only(tmp_path / f"good.npy.{kind}")
    assert record.status == "ok"
    np.testing.assert_array_equal(read_image(record), IMAGE)

    # zeros are no TIFF file, and that is seen before they are unpacked
    (tmp_path / f"zeros.tif.{kind}").write_bytes(PACKERS[kind](bytes(30 * MIB)))
    record = only(tmp_path / f"zeros.tif.{kind}", max_bytes=15 * MIB)
    assert record.status == "failed"
    assert "no TIFF file" in record.reason

    monkeypatch.setattr(archives, "ALWAYS_ALLOWED_BYTES", MIB)
    content = npy_header((30, MIB)) + bytes(30 * MIB)
    (tmp_path / f"bomb.npy.{kind}").write_bytes(PACKERS[kind](content))
    record = only(tmp_path / f"bomb.npy.{kind}")
    assert record.status == "failed"
    assert "unpacks to more than" in record.reason
    assert list(copies.iterdir()) == []


def test_zip_bombs(tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED_BYTES", MIB)
    with zipfile.ZipFile(tmp_path / "one.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header((3, MIB)) + bytes(3 * MIB))  # less than all members together may have
        archive.writestr("good.npy", npy_header((8, 8)) + bytes(64))
    found = {r.source.name: r for r in records(tmp_path / "one.zip")}
    assert found["a.npy"].status == "failed"
    assert "unpacks to 3145" in found["a.npy"].reason
    assert found["good.npy"].status == "ok"
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(20):
            archive.writestr(f"{n}.npy", npy_header((MIB - 200,)) + bytes(MIB - 200))
    record = only(tmp_path / "all.zip")
    assert record.status == "failed"
    assert "more than is plausible" in record.reason


def test_archives_of_very_many_files(tmp_path: Path, copies: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for n in range(20_001):
            archive.writestr(f"{n}.npy", b"")
    record = only(tmp_path / "a.zip", max_s=5)
    assert (record.status, record.source.name) == ("failed", "a.zip")
    assert "has 20001 files, more than 20000" in record.reason
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for n in range(20_001):
            tar.addfile(tarfile.TarInfo(f"{n}.npy"))
    record = only(tmp_path / "a.tar.gz", max_s=20)
    assert record.status == "failed"
    assert "more than 20000" in record.reason


def test_members_are_found_without_reading_the_archive_again(tmp_path: Path, copies: Path) -> None:
    saved = io.BytesIO()
    np.save(saved, IMAGE)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, tarfile.open(tmp_path / "b.tar", "w") as tar:
        for n in range(3000):
            archive.writestr(f"{n}.npy", saved.getvalue() if n == 2999 else b"")
            info = tarfile.TarInfo(f"{n}.npy")
            info.size = len(saved.getvalue()) if n == 2999 else 0
            tar.addfile(info, io.BytesIO(saved.getvalue()))
    for name in ("a.zip", "b.tar"):
        sources = find_sources(tmp_path / name)
        began = time.process_time()
        for _ in range(200):
            with archives.open_member(sources[0].url, "2999.npy") as file:
                np.testing.assert_array_equal(np.load(io.BytesIO(file.read())), IMAGE)
        assert time.process_time() - began < 3
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:  # a changed archive is read again
        archive.writestr("new.npy", saved.getvalue())
    assert "new.npy" in archives.member_names(str(tmp_path / "a.zip"))


def test_copies_of_killed_processes_are_removed(tmp_path: Path, copies: Path) -> None:
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress(npy_header((8, 8)) + bytes(64)))
    code = (
        "import sys, tempfile, time; tempfile.tempdir = sys.argv[1]\n"
        "from hrtem_dask.loading import find_sources, local_copy\n"
        "with local_copy(find_sources(sys.argv[2])[0]) as path:\n"
        "    print(path, flush=True); time.sleep(600)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(copies), str(tmp_path / "a.npy.gz")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    left = Path(child.stdout.readline().strip())
    assert left.exists()
    (source,) = find_sources(tmp_path / "a.npy.gz")
    with local_copy(source):
        assert left.exists()  # its process still runs
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert left.exists()
    with local_copy(source) as path:
        assert not left.parent.exists()
        assert path.exists()
    with pytest.raises(RuntimeError, match="interrupted"), local_copy(source):
        raise RuntimeError("interrupted")


def tiff_loop(path: Path, shapes: list[int], back_to: int) -> None:
    """Write pages of some shapes, the last of which names an earlier one as the next."""
    with tifffile.TiffWriter(path) as writer:
        for shape in shapes:
            writer.write(np.zeros((shape, shape), np.uint8), metadata=None)
    with tifffile.TiffFile(path) as tif:
        offsets = [page.offset for page in tif.pages]
    content = bytearray(path.read_bytes())
    n_tags = struct.unpack_from("<H", content, offsets[-1])[0]
    struct.pack_into("<I", content, offsets[-1] + 2 + 12 * n_tags, offsets[back_to])
    path.write_bytes(content)


def test_pages_of_tiff_files(tmp_path: Path) -> None:
    tiff_loop(tmp_path / "itself.tif", [16], 0)
    tiff_loop(tmp_path / "earlier.tif", [16, 24, 32], 1)
    for name in ("itself", "earlier"):
        record = only(tmp_path / f"{name}.tif")
        assert record.status == "failed"
        assert "leads back to an earlier one" in record.reason
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as writer:
        for n in range(3001):
            writer.write(np.zeros((1 + n % 7, 1 + n % 5), np.uint8), metadata=None)
    record = only(tmp_path / "mixed.tif")
    assert record.status == "failed"
    assert "3000 pages of 35 different shapes" in record.reason


@pytest.mark.parametrize(
    ("shape", "chunks", "words"),
    [
        ((10**5, 10**5), (1, 1), "10000000000 chunks"),
        ((300, 300), (1, 1), "90000 chunks"),
        ((10**12, 64, 64), (1, 64, 64), "1000000000000 images"),
        ((10**6, 64, 64), (1, 64, 64), "1000000 images"),
        ((10**6, 10**6), (10**6, 10**6), "larger than 2 GiB"),
        ((20000, 20000), (1000, 1000), "header is damaged"),
    ],
)
@pytest.mark.parametrize("version", [2, 3])
def test_zarr_headers(tmp_path: Path, shape: Any, chunks: Any, words: str, version: Any) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=shape, chunks=chunks, dtype="u2", zarr_format=version)
    record = only(tmp_path / "a.zarr")
    assert record.status == "failed"
    assert words in record.reason


def hdf5(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...] | None) -> None:
    """Write an NCEM EMD file or a HyperSpy file without any pixels."""
    with h5py.File(path, "w") as file:
        if path.suffix == ".emd":
            file.create_group("data/a").attrs["emd_group_type"] = 1
            file.create_dataset("data/a/data", shape, "u2", chunks=chunks)
            for n in range(len(shape)):
                file[f"data/a/dim{n + 1}"] = np.arange(2) * 0.02
                file[f"data/a/dim{n + 1}"].attrs.update({"name": "yxz"[n], "units": "[n_m]"})
            return
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        group = file.create_group("Experiments/x")
        group.create_dataset("data", shape, "u2", chunks=chunks)
        for n, size in enumerate(shape):
            axis = {"name": "zyx"[-len(shape) :][n], "scale": 0.02, "offset": 0.0, "units": "nm", "size": size}
            group.create_group(f"axis-{n}").attrs.update({**axis, "navigate": n < len(shape) - 2})
        for name in ("metadata/General", "metadata/Signal", "original_metadata", "learning_results"):
            group.create_group(name)


@pytest.mark.parametrize("extension", ["emd", "hspy"])
@pytest.mark.parametrize(
    ("shape", "chunks"), [((10**6, 10**6), (1024, 1024)), ((10**6, 10**6), None), ((5000, 5000), (1, 1))]
)
def test_hdf5_headers(tmp_path: Path, extension: str, shape: Any, chunks: Any) -> None:
    hdf5(tmp_path / f"small.{extension}", (64, 64), (32, 32))
    assert only(tmp_path / f"small.{extension}", max_s=60).status == "ok"
    hdf5(tmp_path / f"a.{extension}", shape, chunks)
    record = only(tmp_path / f"a.{extension}")
    assert record.status == "failed"
    assert ("25000000 chunks" if chunks == (1, 1) else "2000000000000 bytes") in record.reason


def test_mrc_and_ser_headers(tmp_path: Path) -> None:
    header = bytearray(1024)
    header[208:216] = b"MAP DD\0\0"
    struct.pack_into("<4i", header, 0, 10**6, 10**6, 1000, 1)
    (tmp_path / "a.mrc").write_bytes(bytes(header) + bytes(4096))
    assert "cut off" in only(tmp_path / "a.mrc").reason
    struct.pack_into("<10i", header, 0, 100, 100, 10**6, 0, 0, 0, 0, 100, 100, 1)
    struct.pack_into("<3f", header, 40, 50.0, 50.0, 0.5)
    with (tmp_path / "b.mrc").open("wb") as file:
        file.write(header)
        file.truncate(1024 + 10**10)  # sparse
    assert "1000000 images" in only(tmp_path / "b.mrc").reason
    counts = struct.pack("<3H3I2iI", 0x4949, 0x0197, 0x0220, 0x4122, 0x4152, 2 * 10**9, 2 * 10**9, 30, 0)
    (tmp_path / "c.ser").write_bytes(counts + bytes(200))
    assert only(tmp_path / "c.ser").status == "failed"


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_pipes_in_place_of_parts_of_a_series_or_a_store(tmp_path: Path) -> None:
    (tmp_path / "scan.emi").write_bytes(b"emi")
    os.mkfifo(tmp_path / "scan_1.ser")
    zarr.create_array(tmp_path / "a.zarr", shape=(8, 8), chunks=(8, 8), dtype="u2")
    (tmp_path / "a.zarr" / "c" / "0").mkdir(parents=True)
    os.mkfifo(tmp_path / "a.zarr" / "c" / "0" / "0")
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    (tmp_path / "nothing.tif").symlink_to(tmp_path / "absent.tif")
    (tmp_path / "device.dm3").symlink_to("/dev/zero")
    (tmp_path / "folder.tif").mkdir()
    np.save(tmp_path / "folder.tif" / "good.npy", IMAGE)
    (tmp_path / "folder.tif" / "up").symlink_to(tmp_path)
    found = {r.source.relative: (r.status, r.reason) for r in records(tmp_path)}
    assert found["folder.tif/good.npy"][0] == "ok"
    words = {
        "a.zarr": "a named pipe",
        "device.dm3": "a device",
        "loop.tif": "a link that leads to itself",
        "nothing.tif": "does not exist",
        "scan.emi": ".ser files",
        "scan_1.ser": "a named pipe",
    }
    assert {name: reason for name, (_, reason) in found.items() if name in words}.keys() == words.keys()
    for name, word in words.items():
        assert word in found[name][1]
        assert found[name][0] in ("failed", "set_aside")


def test_a_micrograph_named_like_an_archive_is_read(tmp_path: Path) -> None:
    for name in ("a.zip", "b.gz", "c.tar"):
        with (tmp_path / name).open("wb") as file:
            np.save(file, IMAGE)
        record = only(tmp_path / name)
        assert record.status == "ok"
        assert "but it is a NumPy file" in record.reason
        np.testing.assert_array_equal(read_image(record), IMAGE)
