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
from hrtem_dask.loading.pixel_sizes import Calibration, calibrate
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
        acquisition = _acquisition(file)
        calibration, note = _calibration(file, acquisition.pop("pixel_size_m", None))
    if dtype.kind == "c":
        return [
            Signal(dtype=str(dtype), status="set_aside", note="complex values: a Fourier transform, not a micrograph")
        ]
    common = {"dtype": dtype.newbyteorder("=").name, "calibration": calibration, "note": note}
    return [Signal(height_px=shape[1], width_px=shape[2], n_frames=shape[0], **common, **acquisition)]


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
        Shape (y, x), in the machine's byte order.
    """
    with _opened(path, header_only=False) as file:
        if file.data is None:
            raise UnreadableMicrographError("the MRC file is damaged: its data cannot be read")
        section = file.data if file.data.ndim == 2 else file.data.reshape(-1, *file.data.shape[-2:])[frame]
        return np.array(section, dtype=section.dtype.newbyteorder("="))


def _opened(path: Path, *, header_only: bool) -> Any:
    """Open a file without requiring the version stamp, which older and other programs do not write."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    # mrcfile allocates the extended header that the file states, in whichever byte order
    if len(head) < HEADER_BYTES or min(abs(struct.unpack(f"{o}i", head[92:96])[0]) for o in "<>") > path.stat().st_size:
        raise UnreadableMicrographError("not a complete MRC file: it is shorter than its headers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if header_only:
            return mrcfile.open(path, mode="r", permissive=True, header_only=True)
        return mrcfile.mmap(path, mode="r", permissive=True)


def _calibration(file: Any, extended: tuple[float, float] | None) -> tuple[Calibration, str]:
    """Return the pixel size of the extended header where there is one, else the voxel size."""
    if extended is not None and all(s > 0 for s in extended):
        return calibrate(extended, ("m", "m"), "file: MRC extended header"), ""
    size = float(file.voxel_size.y), float(file.voxel_size.x)
    if size == (1.0, 1.0):
        return Calibration(), "its voxel size is exactly 1 Å, which programs write where it is unknown"
    return calibrate(size, ("Å", "Å"), "file: MRC voxel size"), ""


def _acquisition(file: Any) -> dict[str, Any]:
    """Return voltage, magnification, instrument and pixel size from Thermo Fisher's extended header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            first = file.indexed_extended_header[0]
            names = first.dtype.names or ()
        except (AttributeError, IndexError, TypeError, ValueError):
            return {}
    if "Pixel size X" not in names:
        return {}
    volts, magnification = float(first["HT"]), float(first["Magnification"])
    text = first["Microscope type"].decode("ascii", "replace").strip("\0 ")
    return {
        "pixel_size_m": (float(first["Pixel size Y"]), float(first["Pixel size X"])),
        "voltage_kv": volts / 1000 if volts > 0 else None,
        "magnification": magnification if magnification > 0 else None,
        "instrument": text or None,
    }
