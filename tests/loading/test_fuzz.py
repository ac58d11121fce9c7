"""Damaged variants of small files of every format: each ends as rows or as an error of this package, soon and small."""

import os
import shutil
import signal
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.loading import find_sources, list_micrographs, read_image

resource = pytest.importorskip("resource", reason="no limits of processor time on Windows")
IMAGE = np.random.default_rng(0).integers(0, 60000, (40, 32)).astype(np.uint16)
KINDS = ("tif", "ome.tif", "mrc", "dm3", "ser", "emd", "npy", "png", "zarr")
N_DEFAULT, N_ALL = 22, int(os.environ.get("HRTEM_DASK_TEST_VARIANTS", "450"))
"""Variants of each kind; together some 200, and 4 000, or more in a longer test by hand."""
MAX_S = 5.0
MAX_BYTES = 200 * 2**20
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


class TooSlowError(BaseException):
    """A variant has used up its processor time; no handler of `Exception` may catch it."""


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory, write_dm3: Any, write_ser: Any) -> Path:
    """Give a folder with a good file of every kind."""
    folder = tmp_path_factory.mktemp("good")
    tifffile.imwrite(folder / "a.tif", IMAGE, imagej=True, resolution=(20.0, 20.0), metadata={"unit": "nm"})
    size = {"PhysicalSizeX": 0.05, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.05, "PhysicalSizeYUnit": "nm"}
    stack = np.stack([IMAGE, IMAGE + 1])
    tifffile.imwrite(folder / "a.ome.tif", stack, metadata={"axes": "TYX", **size}, compression="zlib")
    with mrcfile.new(folder / "a.mrc") as mrc:
        mrc.set_data(IMAGE)
        mrc.voxel_size = 0.5
    write_dm3(folder / "a.dm3", [(IMAGE, 0.05, "nm")])
    write_ser(folder / "a.ser", IMAGE, 0.05)
    with h5py.File(folder / "a.emd", "w") as hdf5:
        hdf5.create_group("data/a").attrs["emd_group_type"] = 1
        hdf5.create_dataset("data/a/data", data=IMAGE, chunks=(16, 16), compression="gzip")
        for n, name in enumerate("yx", start=1):
            hdf5[f"data/a/dim{n}"] = np.arange(IMAGE.shape[n - 1]) * 0.05
            hdf5[f"data/a/dim{n}"].attrs.update({"name": name, "units": "[n_m]"})
    np.save(folder / "a.npy", IMAGE)
    (folder / "a.png").write_bytes(cv2.imencode(".png", IMAGE)[1].tobytes())
    array = zarr.create_array(folder / "a.zarr", shape=IMAGE.shape, chunks=(16, 16), dtype="u2")
    array[:] = IMAGE
    return folder


def make_variant(good: Path, target: Path, number: int) -> str:
    """Write a damaged variant of a file, or of one file of a folder, and say what is damaged."""
    kind = good.name.removeprefix("a.")
    rng = np.random.default_rng([KINDS.index(kind), number])
    damaged = target / good.name
    if good.is_dir():
        shutil.copytree(good, damaged)
        parts = sorted(path for path in damaged.rglob("*") if path.is_file())
        damaged = parts[int(rng.integers(len(parts)))] if number % 3 else damaged / "zarr.json"
    else:
        shutil.copy(good, damaged)
    content = bytearray(damaged.read_bytes())
    way = ("cut", "flipped", "extreme", "renamed")[number % 4]
    if way == "cut":
        content = content[: int(rng.integers(len(content)) if number % 8 else rng.integers(min(600, len(content))))]
    elif way == "flipped":
        # half of the flips lie in the first kilobyte, where most headers are
        for end in (len(content), min(1024, len(content))) * int(rng.integers(1, 6)):
            content[int(rng.integers(end))] ^= 1 << int(rng.integers(8))
    elif way == "extreme" and damaged.name == "zarr.json":
        content = bytearray(_extreme_number(bytes(content), rng))
    elif way == "extreme":
        size = int(rng.choice([1, 2, 4, 8]))
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(min(2048, len(content) - size))) // 2 * 2
            content[at : at + size] = bytes([int(rng.choice(EXTREMES))]) * size
    damaged.write_bytes(content)
    if way == "renamed":
        others = [other for other in KINDS if other != kind]
        (target / good.name).rename(target / f"a.{others[int(rng.integers(len(others)))]}")
    return way


def _extreme_number(text: bytes, rng: np.random.Generator) -> bytes:
    """Replace one number of a JSON text."""
    for size in (b"40", b"32", b"16"):
        if size in text and rng.random() < 0.5:
            return text.replace(size, rng.choice([b"0", b"-1", b"1e300", b"4294967296", b"9223372036854775807"]), 1)
    return text.replace(b"uint16", rng.choice([b"float64", b"complex128", b"object", b"uint99"]))


@contextmanager
def limits() -> Iterator[None]:
    """Limit the processor time and the memory of a variant."""

    def stop(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, MAX_S)
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
        assert peak < MAX_BYTES, f"{peak} bytes of memory"
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def read_all(folder: Path) -> str:
    """List and read what is in a folder, and say how it ended."""
    ends = set()
    for source in find_sources(folder):
        found = list_micrographs(source)
        assert found, "no row"
        for record in found[:3]:
            assert record.status == "ok" or record.reason
            if record.status != "ok":
                ends.add(record.status)
                continue
            try:
                assert read_image(record).shape == (record.height_px, record.width_px)
                ends.add("read")
            except HrtemDaskError as error:
                ends.add("unreadable" if str(error) else "an error without words")
    return "+".join(sorted(ends))


def try_variants(good: Path, work: Path, numbers: range) -> dict[str, int]:
    """Read variants, and count how they ended; all that went wrong is in one error."""
    counts: dict[str, int] = {}
    wrong = []
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in numbers:
        folder = work / str(number)
        folder.mkdir()
        way = make_variant(good, folder, number)
        try:
            with limits():
                end = read_all(folder)
            assert "without words" not in end
        except (Exception, TooSlowError) as error:  # noqa: BLE001 - whatever comes out is what is tested
            end = "wrong"
            wrong.append(f"{good.name} variant {number} ({way}): {type(error).__name__}: {str(error)[:300]}")
        counts[end] = counts.get(end, 0) + 1
        shutil.rmtree(folder)
    assert not wrong, f"{len(wrong)} of {len(numbers)}:\n" + "\n".join(wrong)
    # the C libraries' memory is not in what tracemalloc sees
    unit = 1 if sys.platform == "darwin" else 1024
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before) * unit
    assert growth < 4 * MAX_BYTES, f"{growth} bytes more of memory"
    return counts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "numbers", [range(N_DEFAULT), pytest.param(range(N_DEFAULT, N_ALL), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_damaged_variants(good_files: Path, tmp_path: Path, kind: str, numbers: range) -> None:
    assert read_all_of_one(good_files / f"a.{kind}", tmp_path) == "read"
    counts = try_variants(good_files / f"a.{kind}", tmp_path, numbers)
    print(kind, counts)  # noqa: T201 - shown by `pytest -rP`
    assert counts.keys() - {"read"}, "no variant was damaged at all"


@pytest.mark.parametrize(("kind", "number"), [("mrc", 605), ("ser", 694), ("ser", 2101)])
def test_variants_that_took_too_much_memory(good_files: Path, tmp_path: Path, kind: str, number: int) -> None:
    assert try_variants(good_files / f"a.{kind}", tmp_path, range(number, number + 1)) == {"failed": 1}


def read_all_of_one(good: Path, work: Path) -> str:
    """Read a good file alone, as its variants are read."""
    folder = work / "good"
    folder.mkdir()
    if good.is_dir():
        shutil.copytree(good, folder / good.name)
    else:
        shutil.copy(good, folder / good.name)
    return read_all(folder)
