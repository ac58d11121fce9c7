"""MRC files, read by mrcfile, because rosettasciio leaves the file open."""

from __future__ import annotations

import math
import struct
import warnings
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.agreement import combine
from hrtem_dask.loading.formats.header_limits import bounded_signals
from hrtem_dask.loading.formats.mrc_files.headers import acquisition, calibration, labels
from hrtem_dask.loading.formats.mrc_files.integers import PACKED_FLAG, imod_flags, true_dtype
from hrtem_dask.loading.formats.mrc_files.side_files import read_side_file
from hrtem_dask.loading.formats.npy import has_color_axis
from hrtem_dask.loading.records import Signal

__all__ = ["list_signals", "read_frame"]

HEADER_BYTES = 1024


def list_signals(path: Path) -> list[Signal]:
    """List the signals of an MRC file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    list of Signal
        One signal; a volume or stack has one frame per section.

    Raises
    ------
    UnreadableMicrographError
        If the file has no MRC header, or is shorter than its header states.
    """
    with _opened(path, header_only=True) as file:
        header = file.header
        shape = tuple(int(header[n]) for n in ("nz", "ny", "nx"))
        if min(shape) < 1:
            raise UnreadableMicrographError(f"not an MRC file: its header states the shape {shape}")
        try:
            dtype = np.dtype(mrcfile.utils.data_dtype_from_header(header))
        except (ValueError, KeyError) as error:
            raise UnreadableMicrographError(f"not an MRC file: {error}") from error
        expected = HEADER_BYTES + int(header.nsymbt) + math.prod(shape) * dtype.itemsize
        if path.stat().st_size < expected:
            raise UnreadableMicrographError(
                f"the MRC file is cut off: {path.stat().st_size} bytes of {expected} that its header states"
            )
        known = acquisition(file)
        size, text = calibration(file), labels(file)
        packed = dtype.itemsize == 1 and (imod_flags(header) or 0) & PACKED_FLAG
    beside, conditions = read_side_file(path, (shape[1], shape[2]))
    size, known = combine([size, beside]), conditions | {k: v for k, v in known.items() if v is not None}
    refused = ""
    if has_color_axis((shape[0], shape[1], shape[2])):
        refused = f"its fastest axis of {shape[2]} is one of colors, not of pixels: shape {shape}"
    elif dtype.kind == "c":
        refused = "complex values: a Fourier transform, not a micrograph"
    elif packed:
        refused = "two 4-bit values in each byte: convert it to bytes (newstack -mode 0 of IMOD)"
    if refused:
        return [Signal(dtype=str(dtype), status="set_aside", note=refused)]
    [within] = bounded_signals([Signal(height_px=shape[1], width_px=shape[2], n_frames=shape[0])])
    if within.status != "ok":  # before values are compared
        return [within]
    if dtype.kind == "i":
        with _opened(path, header_only=False) as file:
            dtype = true_dtype(dtype, file.header, _sections(file))
    return [
        Signal(
            dtype=dtype.newbyteorder("=").name,
            height_px=shape[1],
            width_px=shape[2],
            n_frames=shape[0],
            calibration=size,
            description=text,
            **known,
        )
    ]


def read_frame(path: Path, signal: int, frame: int) -> np.ndarray:  # noqa: ARG001 - the file holds one signal
    """Read one section.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    signal : int
        Zero.
    frame : int
        Number of the section.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), in the machine's byte order; integers with or without a sign, as `true_dtype` decides.
    """
    with _opened(path, header_only=False) as file:
        sections = _sections(file)
        dtype = true_dtype(sections.dtype, file.header, sections)
        section = sections[frame].view(dtype)
        return np.array(section, dtype=dtype.newbyteorder("="))


def _sections(file: Any) -> np.ndarray:
    """Return all sections, (section, y, x), without reading them."""
    if file.data is None:
        raise UnreadableMicrographError("the MRC file is damaged: its data cannot be read")
    return np.asarray(file.data.reshape(-1, *file.data.shape[-2:]))


def _opened(path: Path, *, header_only: bool) -> Any:
    """Open a file without requiring the version stamp, which older and other programs do not write."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    # mrcfile allocates the extended header that the file states
    if len(head) < HEADER_BYTES or abs(_number(head, 92, _byte_order(head))) > path.stat().st_size:
        raise UnreadableMicrographError("not a complete MRC file: it is shorter than its headers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if header_only:
            return mrcfile.open(path, mode="r", permissive=True, header_only=True)
        return mrcfile.mmap(path, mode="r", permissive=True)


def _byte_order(head: bytes) -> str:
    """Return the byte order in which mrcfile reads a header: that of its stamp, or the one in which its mode exists."""
    order, other = (">", "<") if head[212:214] == b"\x11\x11" else ("<", ">")
    return other if not _is_mode(head, order) and _is_mode(head, other) else order


def _is_mode(head: bytes, order: str) -> bool:
    """Return whether the mode of a header exists."""
    try:
        mrcfile.utils.dtype_from_mode(_number(head, 12, order))
    except ValueError:
        return False
    return True


def _number(head: bytes, at: int, order: str) -> int:
    """Return an integer of 4 bytes of a header."""
    return int(struct.unpack(f"{order}i", head[at : at + 4])[0])
