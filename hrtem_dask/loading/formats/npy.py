"""NumPy ``.npy`` files: a 2-D image or a stack without calibration; pickled objects are not read."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from hrtem_dask.errors import RefusedSignalError, UnreadableMicrographError
from hrtem_dask.loading.formats.colour import gray_channel
from hrtem_dask.loading.records import Signal

__all__ = ["describe_array", "has_color_axis", "list_signals", "read_frame"]

MAX_CHANNELS = 4
"""Largest length of an axis of colors: red, green, blue and alpha."""
MIN_SIDE_PX = 16
"""An image is at least this high and wide where its last axis is taken for one of colors."""


def has_color_axis(shape: tuple[int, ...]) -> bool:
    """Return whether the last axis of a 3-D array is one of colors: frames 3 px wide are no images.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.

    Returns
    -------
    bool
        True for (y, x, 1 to 4), where y and x have at least 16 px.

    Examples
    --------
    >>> has_color_axis((512, 512, 3)), has_color_axis((3, 512, 512))
    (True, False)
    """
    return len(shape) == 3 and shape[2] in range(1, MAX_CHANNELS + 1) and min(shape[:2]) >= MIN_SIDE_PX


MAX_HEADER_BYTES = 10_000
MIN_ENERGIES, MAX_ENERGIES = 256, 2**15
MANY_ENERGIES = 4
"""Smallest ratio of the axis of energies to the other ones, where nothing says what the axes are."""
SMALL_SIDE_PX = 128


def _energies(shape: tuple[int, ...]) -> int | None:
    """Return the length of the axis of a spectrum image; None for a stack of images."""
    if len(shape) != 3:
        return None
    first, middle, last = shape
    if last >= MIN_ENERGIES and last >= MANY_ENERGIES * max(first, middle) and min(first, middle) > 1:
        return last
    if (
        MAX_ENERGIES >= first >= MIN_ENERGIES
        and first >= MANY_ENERGIES * max(middle, last)
        and max(middle, last) <= SMALL_SIDE_PX
    ):
        return first
    return None


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
    elif has_color_axis(shape):
        refused = f"its last axis of {shape[2]} is one of colors, not of pixels: shape {shape}"
    elif 0 in shape:
        refused = f"no pixels: shape {shape}"
    elif (energies := _energies(shape)) is not None:
        refused = (
            f"by its shape {shape} a spectrum image with {energies} energies, not a stack of images; "
            "save micrographs that are so small or narrow one by one"
        )
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
        One signal. An array with an axis of colors is read, to find out whether it is in fact gray.
    """
    shape, dtype, start = _header(path)
    if dtype.hasobject:
        raise UnreadableMicrographError(
            "it holds Python objects, which are not read because they can run code: save the image as numbers"
        )
    colored = has_color_axis(shape) and dtype.kind in "uifb"
    described = describe_array(shape[:2] if colored else shape, dtype)
    if described.status == "ok" and path.stat().st_size < start + math.prod(shape) * dtype.itemsize:
        raise UnreadableMicrographError(
            f"the NumPy file is cut off: {path.stat().st_size} bytes of "
            f"{start + math.prod(shape) * dtype.itemsize} that its header states"
        )
    if not colored:
        return [described]
    try:
        note = _gray(np.load(path, mmap_mode="r", allow_pickle=False))[1]
    except RefusedSignalError as error:
        return [replace(described, status="set_aside", note=str(error))]
    return [replace(described, note=note)]


def _gray(picture: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the gray image of an array (y, x, colors), and a remark; two channels may be two detectors."""
    if picture.shape[2] == 1:
        return picture[..., 0], ""
    if picture.shape[2] == 2:
        raise RefusedSignalError("an image with two channels, whose meaning is not known: save one of them")
    return gray_channel(picture)


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
    if has_color_axis(array.shape):
        return np.array(_gray(array)[0])
    return np.array(array if array.ndim == 2 else array[frame])
