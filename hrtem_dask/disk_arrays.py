"""Large NumPy arrays in files instead of memory, for an image that is too large for the memory of a worker.

The same code runs on the same numbers, so its results are the same, bit by bit: labels are those of the whole image.
NumPy lets a program say where the memory of arrays comes from (`PyDataMem_SetHandler`, NEP 49); SciPy, scikit-image and
OpenCV make their arrays through it too. Here, large ones become mapped files, deleted as soon as they are open. Pages
of a mapped file can leave the memory of a process without being lost, which those of ordinary memory cannot without
swap. A thread lets them go whenever the process has reached its share.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import logging
import mmap
import os
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hrtem_dask import backend
from hrtem_dask.errors import error_text

__all__ = ["are_possible", "arrays_on_disk", "require_space", "resident_bytes"]

logger = logging.getLogger(__name__)

LARGE_BYTES = 4 * 2**20
"""Smaller arrays stay in memory."""
STEP_BYTES = 32 * 2**20
"""Least growth of the process after which pages are let go again."""
LOOK_S = 0.004
"""Time between two looks at the memory of the process (s), in which some 10 MB can be written."""
IN_MEMORY = {"tmpfs", "ramfs"}
"""File systems whose files are in memory."""
PREFIX = "hrtem-dask-array-"
"""How the files are called until they are deleted."""
_SET_HANDLER, _DEFAULT_HANDLER = 304, 306
"""Places of ``PyDataMem_SetHandler`` and ``PyDataMem_DefaultHandler`` in the table of NumPy's binary interface."""
_HEAD, _IS_MMAPPED = 16, 2
"""Bytes before a block of glibc, and the only flag of one that is a mapping of its own (malloc/malloc.c)."""
_SURELY_MAPPED_BYTES = 2**30 + 2**20
"""A block above the threshold for mappings, which `backend.keep_freed_memory` raises to 1 GiB in workers."""
_OWN_MAPPINGS = {-1: 2**17, -2: 2**17, -3: LARGE_BYTES}
"""glibc's trim threshold, top pad and mmap threshold (malloc.h): large blocks are mappings of their own."""
_FREED_BLOCKS = 64
"""Blocks of freed memory that are passed over, at most, until glibc makes a mapping."""
_FIXED, _NONBLOCK = 0x10, 0x10000
"""``MAP_FIXED`` and ``MAP_NONBLOCK`` (which reads no pages beforehand) of Linux."""
_NAME = b"hrtem_dask_disk"

_Malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Calloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)


class _Allocator(ctypes.Structure):
    """NumPy's ``PyDataMemAllocator``."""

    _fields_ = (
        ("ctx", ctypes.c_void_p), ("malloc", _Malloc), ("calloc", _Calloc), ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )  # fmt: skip


class _Handler(ctypes.Structure):
    """NumPy's ``PyDataMem_Handler``."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator))


@functools.cache
def are_possible() -> bool:
    """Return whether arrays can be kept in files on this system.

    Returns
    -------
    bool
        True on 64-bit Linux where memory comes from glibc, and the kernel lets the pages of a file go.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32:
        return False
    return _large_blocks_are_mappings() and _pages_can_go()


def _large_blocks_are_mappings() -> bool:
    """Return whether memory comes from glibc as it is: LD_PRELOAD and GLIBC_TUNABLES can change that."""
    libc = _libc()
    size = _SURELY_MAPPED_BYTES
    address = libc.malloc(size)  # whose pages are not touched
    if address is None:
        return False
    found = _is_mapping(address, size)
    libc.free(address)
    return found


def _pages_can_go() -> bool:
    """Return whether the kernel maps a file again in place of itself."""
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), mmap.PAGESIZE) as mapped:
            byte = ctypes.c_char.from_buffer(mapped)
            failed = _libc().remap_file_pages(ctypes.addressof(byte), mmap.PAGESIZE, 0, 0, _NONBLOCK)
            del byte
    return not failed


def resident_bytes() -> int:
    """Return the memory that this process has now, mapped files included.

    Returns
    -------
    int
        Bytes.
    """
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - it is read 250 times per second
        return int(file.read().split()[1]) * mmap.PAGESIZE


@contextmanager
def arrays_on_disk(*, resident_limit: int, folder: str | Path | None = None, needed: int = 0) -> Iterator[None]:
    """Keep large arrays that this thread makes in files, and the memory of the process below a limit.

    Parameters
    ----------
    resident_limit : int
        Memory of the process (bytes) from which on pages are let go.
    folder : path-like, optional
        Where the files are, which have no name there; by default the folder of temporary files.
    needed : int
        Bytes that the files will take, at most.

    Yields
    ------
    None
        Arrays that are made in this time may be used for longer.

    Raises
    ------
    OSError
        If the system cannot do it, the folder is in memory, or has not the space.

    Examples
    --------
    >>> import numpy as np
    >>> with arrays_on_disk(resident_limit=2**31):
    ...     float(np.ones((2048, 2048)).sum())
    4194304.0
    """
    place = Path(tempfile.gettempdir() if folder is None else folder)
    require_space(place, needed)
    store = _store()
    before = store.begin(place, resident_limit)
    try:
        yield
    finally:
        store.end(before)


def require_space(folder: Path, needed: int) -> None:
    """Refuse a system, a folder or a disk that cannot hold the files.

    Parameters
    ----------
    folder : pathlib.Path
        Where they would be.
    needed : int
        Bytes that they will take, at most.

    Raises
    ------
    OSError
        As `arrays_on_disk`; the message says what helps.
    """
    if not are_possible():
        raise OSError(
            "arrays cannot be kept in files on this system (Linux with glibc can): use more memory per worker"
        )
    kind = _file_system(folder)
    if kind in IN_MEMORY:
        raise OSError(
            f"{folder} is in memory ({kind}), so that arrays in files there would save none: set temporary-directory "
            "of Dask (--local-directory of a worker) to a folder on a disk"
        )
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder} has {free / 2**30:.1f} GiB, {needed / 2**30:.1f} GiB are needed for arrays in files: make "
            "space, or set temporary-directory of Dask (--local-directory of a worker) to another folder"
        )


def _file_system(folder: Path) -> str:
    """Return the kind of file system that a folder is on; empty where it is not known."""
    best, kind, path = -1, "", str(folder.resolve())
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, point, found, *_ = line.split(" ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # of several on one place, the last one counts
            best, kind = len(point), found
    return kind


@functools.cache
def _store() -> _Store:
    """Return the one store of this process: NumPy keeps the address of its functions as long as arrays live."""
    return _Store()


class _Store:
    """Makes arrays in mapped files, and watches the memory of this process.

    A large block of glibc is a mapping of its own, which `free` gives back as a whole. All of it but its first page,
    which holds what glibc knows of it, is mapped again, on a file. So `free` needs nothing of this class, also while an
    error is on its way, and after the end of Python.

    A process that is forked has the same files as its parent, and no thread that watches: it starts with new numbers of
    users, and what it writes into an array of the parent, the parent sees. Dask starts its workers without a fork.
    """

    def __init__(self) -> None:
        self._libc, self._default = _libc(), _default_handler()
        self._folder, self._limit = Path(), 0
        self._of_this_process()
        os.register_at_fork(after_in_child=self._of_this_process)
        numpys = self._default.allocator
        # NumPy's own functions need the lock of Python, which a call through CFUNCTYPE would give up
        self._small = ctypes.cast(numpys.malloc, ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t))
        self._small_zeros = ctypes.cast(
            numpys.calloc, ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
        )
        self._functions = _Malloc(self._malloc), _Calloc(self._calloc)
        self._handler = _Handler(_NAME, 1, _Allocator(None, *self._functions, numpys.realloc, numpys.free))
        self._capsule = _capsule(self._handler)
        self._set = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_numpy_table(_SET_HANDLER))

    def _of_this_process(self) -> None:
        """Begin without users."""
        self._users, self._lock = 0, threading.Lock()
        self._ended = threading.Event()
        # held from the list of mappings until they are mapped again, and while an array gets its place: else an address
        # of the list could belong to another part of another file by then
        self._addresses = threading.RLock()

    def begin(self, folder: Path, limit: int) -> object:
        """Let this thread's arrays be in files; return what made them before."""
        with self._lock:
            self._folder, self._limit = folder, limit
            self._users += 1
            if self._users == 1:
                for option, value in _OWN_MAPPINGS.items():
                    self._libc.mallopt(option, value)
                self._libc.malloc_trim(0)  # memory that is kept would be used first
                self._ended = threading.Event()  # the thread of earlier users may not have looked at its own yet
                watch = threading.Thread(target=self._watch, args=[self._ended], daemon=True)
                watch.name = "hrtem-dask-disk-arrays"
                watch.start()
        return self._set(self._capsule)

    def end(self, before: object) -> None:
        """Let this thread's arrays be where they were before."""
        self._set(before)
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._ended.set()
                backend.keep_freed_memory()

    def _watch(self, ended: threading.Event) -> None:
        """Let pages go whenever the process has reached its limit."""
        least = 0
        while not ended.wait(LOOK_S):
            try:
                now = resident_bytes()
                if now > max(self._limit, least):
                    self._let_go()
                    least = resident_bytes() + STEP_BYTES
                elif now < self._limit:
                    least = 0
            except (OSError, MemoryError) as error:  # such as too many open files, which may pass
                logger.debug("the memory of this process is not known now: %s", error_text(error))

    def _let_go(self) -> None:
        """Take the pages of all files out of the memory of this process; what is in them stays.

        The kernel maps the same file again, without pages. Of memory of other kinds, which may be at an address by
        now, it refuses to do so.
        """
        with self._addresses:
            for address, size, page in _mapped_files():
                self._libc.remap_file_pages(address, size, 0, page, _NONBLOCK)

    def _malloc(self, _: int | None, size: int) -> int | None:
        if size < LARGE_BYTES:
            return self._small(None, size)  # type: ignore[no-any-return]
        address = self._own_mapping(size)
        return self._libc.malloc(size) if address is None else self._on_file(address, size)

    def _calloc(self, _: int | None, n: int, size: int) -> int | None:
        if n * size < LARGE_BYTES:
            return self._small_zeros(None, n, size)  # type: ignore[no-any-return]
        address = self._own_mapping(n * size)  # new pages and a new file are zero
        return self._libc.calloc(n, size) if address is None else self._on_file(address, n * size)

    def _own_mapping(self, size: int) -> int | None:
        """Return a new block that is a mapping of its own; None where glibc makes none of this size.

        glibc takes what was freed inside its own memory first, whatever its threshold for mappings. Such blocks are
        held until it has no other one that is large enough.
        """
        held = []
        while (address := self._libc.malloc(size)) is not None and not _is_mapping(address, size):
            held.append(address)
            if len(held) == _FREED_BLOCKS:
                address = None
                break
        for block in held:
            self._libc.free(block)
        return address  # type: ignore[no-any-return]

    def _on_file(self, address: int, size: int) -> int | None:
        """Map a new block on a file; None, which is NumPy's MemoryError, where there is no space."""
        first = address - _HEAD + mmap.PAGESIZE
        length = _block_bytes(address) - mmap.PAGESIZE
        try:
            if self._limit < resident_bytes():
                self._let_go()
            mapped = self._map_new_file(first, length)
        except (OSError, MemoryError) as error:
            logger.warning("no array of %d MiB in %s: %s", size >> 20, self._folder, error_text(error))
            mapped = None
        if mapped != first:
            self._libc.free(address)
            return None
        return address

    def _map_new_file(self, first: int, length: int) -> int | None:
        """Map a new file without a name in place of some memory; return its address."""
        file, name = tempfile.mkstemp(dir=self._folder, prefix=PREFIX)  # the list of mappings goes on to name it
        try:
            os.unlink(name)  # noqa: PTH108 - a path object for each array
            os.posix_fallocate(file, 0, length)  # a full disk is said here, not by a signal later
            protection = mmap.PROT_READ | mmap.PROT_WRITE
            with self._addresses:
                return self._libc.mmap(first, length, protection, mmap.MAP_SHARED | _FIXED, file, 0)  # type: ignore[no-any-return]
        finally:
            os.close(file)


def _mapped_files() -> list[tuple[int, int, int]]:
    """Return address, bytes and first page of the files of arrays that are mapped into this process."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 - often, as above
        for line in lines:
            if PREFIX in line:
                addresses, _, offset, *_ = line.split(" ")
                first, last = (int(address, 16) for address in addresses.split("-"))
                found.append((first, last - first, int(offset, 16) // mmap.PAGESIZE))
    return found


def _block_bytes(address: int) -> int:
    """Return the bytes of a block of glibc, with its head."""
    return ctypes.c_size_t.from_address(address - ctypes.sizeof(ctypes.c_size_t)).value & ~7


def _is_mapping(address: int, size: int) -> bool:
    """Return whether a block is a mapping of its own, as glibc describes it."""
    if address % mmap.PAGESIZE != _HEAD:  # of other allocators, what is before a block may be no memory at all
        return False
    flags = ctypes.c_size_t.from_address(address - ctypes.sizeof(ctypes.c_size_t)).value & 7
    total = _block_bytes(address)
    fits = total % mmap.PAGESIZE == 0 and size + _HEAD <= total < size + _HEAD + 2 * mmap.PAGESIZE
    return flags == _IS_MMAPPED and fits


def _libc() -> ctypes.CDLL:
    """Return the C library, with the types of what is used of it."""
    libc, pointer, size = ctypes.CDLL(None), ctypes.c_void_p, ctypes.c_size_t
    types: dict[str, tuple[object, ...]] = {
        "malloc": (pointer, size),
        "calloc": (pointer, size, size),
        "free": (None, pointer),
        "mmap": (pointer, pointer, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long),
        "mallopt": (ctypes.c_int, ctypes.c_int, ctypes.c_int),
        "malloc_trim": (ctypes.c_int, size),
        "remap_file_pages": (ctypes.c_int, pointer, size, ctypes.c_int, size, ctypes.c_int),
    }
    for name, (returned, *taken) in types.items():
        function = getattr(libc, name)
        function.restype, function.argtypes = returned, taken
    return libc


def _capsule(handler: _Handler) -> object:
    """Return the Python object that NumPy takes for a handler."""
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule: object = make(ctypes.addressof(handler), b"mem_handler", None)
    return capsule


def _numpy_table(place: int) -> int:
    """Return the address of a function, or of a variable, of NumPy's table."""
    numpys = importlib.import_module("numpy._core._multiarray_umath")
    table = ctypes.cast(_inside(numpys._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    return int(table[place] or 0)


def _inside(capsule: object, name: bytes | None) -> int:
    """Return the address that a capsule holds."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get(capsule, name))


def _default_handler() -> _Handler:
    """Return NumPy's own handler."""
    capsule = ctypes.py_object.from_address(_numpy_table(_DEFAULT_HANDLER)).value
    return _Handler.from_address(_inside(capsule, b"mem_handler"))
