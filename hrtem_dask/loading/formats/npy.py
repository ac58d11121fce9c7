"""NumPy ``.npy`` files: a 2-D image or a stack without calibration; pickled objects are not read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.records import Signal

__all__ = ["describe_array", "list_signals", "read_frame"]


MAX_HEADER_BYTES = 10_000


def describe_array(shape: tuple[int, ...], dtype: np.dtype) -> Signal:
    """Describe an array that has no metadata.

    Parameters
    ----------
    shape : tuple of int
        (y, x) or (frame, y, x).
    dtype : numpy.dtype
        Data type of the array.

    Returns
    -------
    Signal
        Description of the array; set aside, with the reason, where it is neither an image nor a stack.
    """
    refused = ""
    if dtype.kind == "c":
        refused = "complex values: a Fourier transform or a wave, not a micrograph"
    elif dtype.kind not in "uifb":
        refused = f"no numbers: data type {dtype}"
    elif len(shape) < 2:
        refused = f"{len(shape)}-D: a profile or a spectrum, not an image"
    elif len(shape) > 3:
        refused = f"{len(shape)}-D data of shape {shape}: a data cube, not a stack of images"
    elif 0 in shape:
        refused = f"no pixels: shape {shape}"
    if refused:
        return Signal(dtype=str(dtype), status="set_aside", note=refused)
    return Signal(dtype=str(dtype), height_px=shape[-2], width_px=shape[-1], n_frames=math.prod(shape[:-2]))


def list_signals(path: Path) -> list[Signal]:
    """List the signals of an array file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    list of Signal
        One signal.
    """
    shape, dtype, start = _header(path)
    if dtype.hasobject:
        raise UnreadableMicrographError(
            "it holds Python objects, which are not read because they can run code: save the image as numbers"
        )
    described = describe_array(shape, dtype)
    if described.status == "ok" and path.stat().st_size < start + math.prod(shape) * dtype.itemsize:
        raise UnreadableMicrographError(
            f"the NumPy file is cut off: {path.stat().st_size} bytes of "
            f"{start + math.prod(shape) * dtype.itemsize} that its header states"
        )
    return [described]


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype, int]:
    """Return shape, data type and the start of the values; nothing is unpickled."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        size = 2 if version == (1, 0) else 4
        length = int.from_bytes(file.read(size), "little")
        if length > MAX_HEADER_BYTES:  # NumPy would read all of it before it refuses it
            raise UnreadableMicrographError(f"the NumPy file is damaged: it states a header of {length} bytes")
        file.seek(-size, 1)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        return shape, dtype, file.tell()


def read_frame(path: Path, signal: int, frame: int) -> np.ndarray:  # noqa: ARG001 - the file holds one signal
    """Read one image.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    signal : int
        Zero.
    frame : int
        Number of the image.

    Returns
    -------
    numpy.ndarray
        Shape (y, x).
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.array(array if array.ndim == 2 else array[frame])
