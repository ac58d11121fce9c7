"""Pixel size and conditions of acquisition from the headers of an MRC file."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from hrtem_dask.loading.agreement import combine
from hrtem_dask.loading.pixel_sizes import Calibration, calibrate

__all__ = ["acquisition", "calibration", "labels"]

_OLD_RECORD_BYTES = 128
_OLD_RECORDS = 1024
_OLD_PIXEL_SIZE, _OLD_MAGNIFICATION = 11, 12
"""Positions in a record of the extended header that FEI wrote before it had a name (numbers of 4 bytes)."""
_PLAUSIBLE_M = (1e-13, 1e-5)


def calibration(file: Any) -> Calibration:
    """Return the pixel size of the extended header and that of the cell.

    Parameters
    ----------
    file : mrcfile.mrcfile.MrcFile
        The open file.

    Returns
    -------
    Calibration
        The extended header takes precedence, because programs that bin or crop an image update the cell only in part.
    """
    found = [_voxel_size(file.header)]
    extended = _extended(file)
    if extended and "pixel_size_m" in extended:
        found.insert(0, calibrate(extended["pixel_size_m"], ("m", "m"), "file: MRC extended header"))
    return combine(found)


def acquisition(file: Any) -> dict[str, Any]:
    """Return voltage, magnification and instrument from the extended header of Thermo Fisher/FEI.

    Parameters
    ----------
    file : mrcfile.mrcfile.MrcFile
        The open file.

    Returns
    -------
    dict
        Keys of `Signal`: ``voltage_kv``, ``magnification``, ``instrument``, where they are stated.
    """
    return {k: v for k, v in _extended(file).items() if k != "pixel_size_m"}


def labels(file: Any) -> str:
    """Return the text labels of the header.

    Parameters
    ----------
    file : mrcfile.mrcfile.MrcFile
        The open file.

    Returns
    -------
    str
        All labels, separated by ``"; "``.
    """
    count = min(max(int(file.header.nlabl), 0), 10)
    texts = (bytes(label).decode("ascii", "replace").strip("\0 ") for label in file.header.label[:count])
    return "; ".join(text for text in texts if text)


def _voxel_size(header: Any) -> Calibration:
    """Return the cell divided by its number of voxels."""
    cells = float(header.cella.y), float(header.cella.x)
    counts = int(header.my), int(header.mx)
    source = "file: MRC voxel size"
    if any(count <= 0 for count in counts) or not any(cells):
        return Calibration()
    sizes = cells[0] / counts[0], cells[1] / counts[1]
    if sizes == (1.0, 1.0):
        note = "its voxel size is exactly 1 Å, which programs write where it is unknown"
        return Calibration(note=note)
    return calibrate(sizes, ("Å", "Å"), source)


def _extended(file: Any) -> dict[str, Any]:
    """Return what Thermo Fisher's extended header states, in either of its forms."""
    if int(file.header.nsymbt) == _OLD_RECORDS * _OLD_RECORD_BYTES:  # no multiple of the records of today
        return _old_extended(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            first = file.indexed_extended_header[0]
            names = first.dtype.names or ()
        except (AttributeError, IndexError, TypeError, ValueError):
            names = ()
    if "Pixel size X" not in names:
        return {}
    volts, magnification = float(first["HT"]), float(first["Magnification"])
    text = first["Microscope type"].decode("ascii", "replace").strip("\0 ")
    known: dict[str, Any] = {
        "voltage_kv": volts / 1000 if volts > 0 else None,
        "magnification": magnification if magnification > 0 else None,
        "instrument": text or None,
    }
    size = float(first["Pixel size Y"]), float(first["Pixel size X"])
    return known | ({"pixel_size_m": size} if all(map(_is_plausible, size)) else {})


def _old_extended(file: Any) -> dict[str, Any]:
    """Return what FEI's earlier extended header states: 1024 records of 128 bytes, one per section."""
    header = file.header
    kind = bytes(header.exttyp).strip(b"\0 ")
    if kind not in (b"", b"FEI1", b"FEI2"):
        return {}
    order = ">" if header.nx.dtype.byteorder == ">" else "<"
    raw = file.extended_header
    if raw is None or raw.nbytes < _OLD_RECORD_BYTES:
        return {}
    record = np.frombuffer(raw.tobytes()[:_OLD_RECORD_BYTES], f"{order}f4")
    size, magnification = float(record[_OLD_PIXEL_SIZE]), float(record[_OLD_MAGNIFICATION])
    if not _is_plausible(size):
        return {}
    known: dict[str, Any] = {"pixel_size_m": (size, size)}
    is_magnification = math.isfinite(magnification) and 10 <= magnification <= 1e8
    return known | ({"magnification": magnification} if is_magnification else {})


def _is_plausible(size_m: float) -> bool:
    """Return whether a number can be a pixel size in m; other programs have other numbers at its position."""
    return math.isfinite(size_m) and _PLAUSIBLE_M[0] <= size_m <= _PLAUSIBLE_M[1]
