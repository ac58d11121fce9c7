"""Arrays in files: the same numbers, little memory, and errors and the end of Python as ever."""

import ctypes
import errno
import mmap
import os
import subprocess
import sys
import tempfile
import threading
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
    of_others = set(disk_arrays._mapped_files())  # such as tables that earlier tests have left in caches
    with arrays_on_disk(resident_limit=1):  # pages are let go all the time
        found = worked_on(image)
        assert set(disk_arrays._mapped_files()) - of_others
    after = np.empty(SHAPE)
    assert np._core.multiarray.get_handler_name(after) == "default_allocator"
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    del found, other
    assert not set(disk_arrays._mapped_files()) - of_others, "they are given back"


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


def test_freed_memory_that_glibc_keeps_is_not_used_instead(tmp_path: Path) -> None:
    code = """
from hrtem_dask.backend import keep_freed_memory
import numpy as np
keep_freed_memory()
blocks = [np.ones(2**22) for _ in range(6)]
del blocks[::2]  # three gaps of 32 MiB
with arrays_on_disk(resident_limit=2**40, folder=sys.argv[1]):
    arrays = [np.empty(2**22 - 2**10), np.zeros(2**22 - 2**10), np.empty(2**21)]
    print(len({address for address, *_ in disk_arrays._mapped_files()}), arrays[1].any())
"""
    code = "import sys\nfrom hrtem_dask import disk_arrays\n" + code
    assert run_script(code, str(tmp_path)) == "3 False"


def test_a_folder_that_cannot_hold_them_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"GiB are needed for arrays in files: make space, or set temporary-directory"):
        require_space(tmp_path, 2**60)
    monkeypatch.setattr(disk_arrays, "_file_system", lambda _: "tmpfs")
    with pytest.raises(OSError, match=r"is in memory \(tmpfs\)"):
        require_space(tmp_path, 0)


def test_file_systems_are_known() -> None:
    assert disk_arrays._file_system(Path("/proc")) == "proc"
    assert disk_arrays._file_system(Path(tempfile.gettempdir())) != ""


def run_script(code: str, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-c", "from hrtem_dask.disk_arrays import *\n" + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_that_make_and_free_arrays_find_their_own_numbers(tmp_path: Path) -> None:
    wrong = []

    def work(number: int) -> None:
        rng, kept = np.random.default_rng(number), []
        with arrays_on_disk(resident_limit=1, folder=tmp_path):  # pages are let go all the time
            for _ in range(30):
                size = int(rng.integers(600_000, 2_000_000))
                kept.append(np.arange(size) + 1000 * number)
                if len(kept) > 3:
                    kept.pop(int(rng.integers(4)))
                places = rng.integers(0, len(kept[0]), 50)
                if not np.array_equal(kept[0][places], places + 1000 * number):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_blocks_of_another_allocator_are_left_alone() -> None:
    no_access = 0
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    first = ctypes.c_char.from_buffer(memory)
    address = ctypes.addressof(first)
    libc = ctypes.CDLL(None)
    assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), no_access) == 0
    assert not disk_arrays._is_mapping(address + mmap.PAGESIZE, 2**26)  # what is before it cannot be read
    assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ) == 0


def test_where_memory_is_given_in_another_way_it_is_not_possible() -> None:
    assert run_script("print(are_possible())", GLIBC_TUNABLES="glibc.malloc.mmap_max=0") == "False"
    assert run_script("print(are_possible())") == "True"
    # as in a worker
    assert run_script("from hrtem_dask import backend; backend.keep_freed_memory(); print(are_possible())") == "True"


def test_a_process_that_is_forked_watches_its_own_memory(tmp_path: Path) -> None:
    code = (
        "import os, sys, threading, numpy as np\n"
        "with arrays_on_disk(resident_limit=1, folder=sys.argv[1]):\n"
        "    parents = np.arange(10**6)\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        with arrays_on_disk(resident_limit=1, folder=sys.argv[1]):\n"
        "            right = np.arange(10**6).sum() == parents.sum() == 499999500000\n"
        "            watched = any(t.name == 'hrtem-dask-disk-arrays' for t in threading.enumerate())\n"
        "        os._exit(0 if right and watched else 1)\n"
        "    print(os.waitpid(child, 0)[1], parents.sum())\n"
    )
    assert run_script(code, str(tmp_path)) == "0 499999500000"
