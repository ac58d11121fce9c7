"""Arrays in files: the same numbers, little memory, and errors and the end of Python as ever."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from hrtem_dask import disk_arrays
from hrtem_dask.disk_arrays import are_possible, arrays_on_disk, require_space, resident_bytes

pytestmark = pytest.mark.skipif(not are_possible(), reason="needs Linux with glibc")
MIB = 2**20
SHAPE = (3000, 3100)


def worked_on(image: np.ndarray) -> list[np.ndarray]:
    """What many stages do: NumPy, SciPy and OpenCV, with new arrays, views and selections."""
    smooth = cv2.GaussianBlur(image, (0, 0), 2.0)
    mask = smooth > np.median(smooth)
    labels, _ = ndimage.label(mask)
    return [
        smooth,
        mask,
        labels,
        np.flatnonzero(mask),
        image[mask],
        np.sort(image, axis=1),
        np.bincount(labels.ravel()),
    ]


def test_the_numbers_are_the_same_and_arrays_outlive_the_block() -> None:
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    expected = worked_on(image)
    with arrays_on_disk(resident_limit=1):  # pages are let go all the time
        found = worked_on(image)
        assert disk_arrays._mapped_files()
    after = np.empty(SHAPE)
    assert np._core.multiarray.get_handler_name(after) == "default_allocator"
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    del found, other
    assert not disk_arrays._mapped_files(), "they are given back"


def test_errors_go_their_way_and_arrays_change_their_size() -> None:
    def fail() -> None:
        big = np.ones((1500, 1500))
        np.isnat(big + 1)

    with arrays_on_disk(resident_limit=1):
        with pytest.raises(TypeError, match="isnat"):
            fail()
        with pytest.raises(MemoryError):
            np.empty(10**14)
        array = np.arange(10**6)
        array.resize(10**7)
        array.resize(2 * 10**6)
        assert array[:: 10**6 - 1].tolist() == [0, 10**6 - 1, 0]
    assert not disk_arrays._mapped_files() or array.size


def test_the_memory_of_the_process_stays_small(tmp_path: Path) -> None:
    code = (
        "import numpy as np, sys\n"
        "from hrtem_dask.disk_arrays import arrays_on_disk, resident_bytes\n"
        "def peak():\n"
        "    return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')) // 1024\n"
        "first = resident_bytes()\n"
        "with arrays_on_disk(resident_limit=first + 100 * 2**20, folder=sys.argv[1]):\n"
        "    kept = [np.full((4096, 4096), i, np.float32) for i in range(10)]\n"
        "    total = sum(float(one.sum(dtype=float)) for one in kept)\n"
        "print(peak() - first // 2**20, total)\n"  # arrays are still there when Python ends
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    grown, total = done.stdout.split()
    assert float(total) == 45 * 4096**2
    assert int(grown) < 300, "ten arrays of 64 MiB"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with arrays_on_disk(resident_limit=resident_bytes() + 100 * MIB, folder=tmp_path), pytest.raises(MemoryError):
        np.empty((2000, 2000))


def test_a_folder_that_cannot_hold_them_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"GiB are needed for arrays in files: make space, or set temporary-directory"):
        require_space(tmp_path, 2**60)
    monkeypatch.setattr(disk_arrays, "_file_system", lambda _: "tmpfs")
    with pytest.raises(OSError, match=r"is in memory \(tmpfs\)"):
        require_space(tmp_path, 0)


def test_file_systems_are_known() -> None:
    assert disk_arrays._file_system(Path("/proc")) == "proc"
    assert disk_arrays._file_system(Path(tempfile.gettempdir())) != ""
