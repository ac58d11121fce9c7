"""Memory that a micrograph needs, and what a worker does with one that needs more than it has."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distributed import get_worker
from distributed.system import MEMORY_LIMIT

from hrtem_dask import backend, loading
from hrtem_dask.disk_arrays import are_possible, arrays_on_disk, require_space
from hrtem_dask.errors import error_text
from hrtem_dask.settings import DETECTION_METHODS, Settings

__all__ = [
    "NETWORK_BYTES", "PAUSE_FRACTION", "Files", "can_use_files", "fixed_bytes", "image_bytes", "may_use_files",
    "network_bytes", "suffices_for_files",
]  # fmt: skip

BYTES_PER_PIXEL = 60
"""Memory of a worker per pixel of a micrograph, beside what does not depend on its size: see `benchmarks/memory.py`."""
LIBRARIES_BYTES = 300 * 2**20
"""Memory of a worker without a micrograph."""
NETWORK_BYTES = 700 * 2**20
"""What a network adds to that with OpenVINO: its libraries, its weights, and the largest tile that it sees at once."""
TORCH_BYTES = 1100 * 2**20
"""The same with PyTorch, which detectors and the setting ``execution.engine`` ``"torch"`` load."""
PAUSE_FRACTION = 0.8
"""Share of its memory at which a worker of Dask takes no more tasks."""
RESIDENT_FRACTION = 0.6
"""Share of its memory from which on a worker lets arrays in files go."""
WINDOW_BYTES = 256 * 2**20
"""Least memory for the parts of arrays in files that are worked on."""


def network_bytes(settings: Settings) -> int:
    """Return the memory that the network of a run takes, whatever the size of the micrographs.

    Parameters
    ----------
    settings : Settings
        Of these, the method of segmentation, the engine and the device.

    Returns
    -------
    int
        Bytes; 0 without a network.
    """
    method = settings.segmentation.chosen_method
    if method in ("otsu", "fourier"):
        return 0
    execution = settings.execution
    uses_torch = method in DETECTION_METHODS or execution.engine == "torch" or execution.device == "cuda"
    return TORCH_BYTES if uses_torch else NETWORK_BYTES


def image_bytes(record: loading.MicrographRecord) -> int:
    """Return the memory that a micrograph takes, beside what does not depend on its size.

    Parameters
    ----------
    record : loading.MicrographRecord
        From the listing.

    Returns
    -------
    int
        Bytes; 0 where its size is not known.
    """
    return BYTES_PER_PIXEL * (record.height_px or 0) * (record.width_px or 0)


def fixed_bytes(of_network: int) -> int:
    """Return the memory of a worker that does not depend on the size of the micrographs.

    Parameters
    ----------
    of_network : int
        From `network_bytes`.

    Returns
    -------
    int
        Bytes.
    """
    return LIBRARIES_BYTES + of_network


def may_use_files(settings: Settings) -> bool:
    """Return whether arrays of a micrograph that is too large may be kept in files.

    Parameters
    ----------
    settings : Settings
        Of these, ``execution.memory_plan``, the device and the method.

    Returns
    -------
    bool
        False for detectors and where a GPU is asked for: PyTorch and CuPy make their arrays themselves.
    """
    is_numpy = settings.segmentation.chosen_method not in DETECTION_METHODS and settings.execution.device != "cuda"
    return settings.execution.memory_plan == "files" and is_numpy and settings.execution.engine != "torch"


def can_use_files(device: str) -> bool:
    """Return whether this worker can keep arrays in files.

    Parameters
    ----------
    device : str
        ``execution.device``.

    Returns
    -------
    bool
        False on a system that cannot, and on a worker with a GPU that would use it.
    """
    return are_possible() and backend.resolve_device(device) == "cpu"


def suffices_for_files(memory: int, of_network: int) -> bool:
    """Return whether a worker has the memory to work with arrays in files.

    Parameters
    ----------
    memory : int
        Its memory limit (bytes).
    of_network : int
        From `network_bytes`.

    Returns
    -------
    bool
        Whether what is not in files leaves enough for the parts that are worked on.
    """
    return fixed_bytes(of_network) + WINDOW_BYTES <= PAUSE_FRACTION * memory


@dataclass(frozen=True)
class Files:
    """Where a worker keeps the arrays of a micrograph that is larger than its memory."""

    folder: Path
    """A folder of this machine."""
    resident_limit: int
    """Memory of the process (bytes) from which on it lets pages go."""
    needed: int
    """Bytes that the files take, at most."""

    @classmethod
    def of(cls, record: loading.MicrographRecord, settings: Settings) -> Files | None:
        """Decide for one micrograph, on the worker that analyzes it.

        Parameters
        ----------
        record : loading.MicrographRecord
            The micrograph.
        settings : Settings
            All settings.

        Returns
        -------
        Files or None
            None where it fits into memory, or the memory of the worker is not known.
        """
        memory, folder = _of_this_worker()
        needed = image_bytes(record)
        of_network = network_bytes(settings)
        in_memory = fixed_bytes(of_network) + needed
        if not memory or in_memory < PAUSE_FRACTION * memory:
            return None
        if not (may_use_files(settings) and suffices_for_files(memory, of_network)):
            return None
        if backend.resolve_device(settings.execution.device) != "cpu":
            return None
        if in_memory <= memory and not are_possible():
            return None  # it is tried in memory; what cannot fit has a reason (`problem`)
        return cls(folder, int(RESIDENT_FRACTION * memory), needed)

    def problem(self) -> str | None:
        """Return why arrays cannot be kept there, in words; None where they can.

        Returns
        -------
        str or None
            The reason of the row.
        """
        try:
            require_space(self.folder, self.needed)
        except OSError as error:
            return f"the micrograph is larger than the memory of the worker, and {error_text(error)}"
        return None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the large arrays that this thread makes in files.

        Yields
        ------
        None
            The time in which it does.
        """
        with arrays_on_disk(resident_limit=self.resident_limit, folder=self.folder):
            yield


def _of_this_worker() -> tuple[int, Path]:
    """Return memory limit (bytes, 0 where it is not known) and folder of the worker that runs this code."""
    try:
        worker = get_worker()
    except ValueError:  # no worker: `dry_run`
        return MEMORY_LIMIT, Path(tempfile.gettempdir())
    manager = getattr(worker, "memory_manager", None)
    return int(getattr(manager, "memory_limit", None) or 0), Path(worker.local_directory)
