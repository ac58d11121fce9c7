"""Pixel size and conditions of acquisition that SerialEM writes into a text file (.mdoc) beside an MRC file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from hrtem_dask.loading.agreement import combine
from hrtem_dask.loading.pixel_sizes import Calibration, calibrate

__all__ = ["read_side_file"]

MAX_BYTES = 64 * 2**20
"""Largest side file that is read: a section takes about 1.5 kB."""
_RAW_SUFFIXES = {".mrc", ".mrcs", ".st"}
"""Files whose side file may be named without their suffix. An aligned or reconstructed stack has other pixels."""
_MAX_STATED = 4
"""Most pixel sizes that a reason lists."""
_ENTRY = re.compile(r"[ \t]*(PixelSpacing|ImageSize|Voltage|Magnification)[ \t]*=[ \t]*(.*?)[ \t]*", re.ASCII)


def read_side_file(path: Path, shape: tuple[int, int]) -> tuple[Calibration, dict[str, float]]:
    """Read the side file of an MRC file, named as the file with ``.mdoc`` at the end, or in place of its suffix.

    Parameters
    ----------
    path : pathlib.Path
        The MRC file.
    shape : tuple of int
        Height and width of its sections (px).

    Returns
    -------
    calibration : Calibration
        The pixel size; where sections have different ones, the others are in `others`. Without one if there is no side
        file, or if it describes images of another size, whose pixels differ by binning or cropping.
    known : dict
        ``voltage_kv`` and ``magnification``, where all sections state the same.
    """
    beside = [path.with_name(f"{path.name}.mdoc")]
    if path.suffix.lower() in _RAW_SUFFIXES:
        beside.append(path.with_suffix(".mdoc"))
    for side in beside:
        if side.is_file():
            return _described(side, shape)
    return Calibration(), {}


def _described(side: Path, shape: tuple[int, int]) -> tuple[Calibration, dict[str, float]]:
    """Return what a side file states of images of this shape."""
    try:
        if side.stat().st_size > MAX_BYTES:
            return Calibration(note=f"{side.name} is larger than {MAX_BYTES >> 20} MiB and is not read"), {}
        text = side.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Calibration(note=f"{side.name} cannot be read: {error.strerror}"), {}
    entries: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        if (found := _ENTRY.fullmatch(line)) is not None:
            entries.setdefault(found[1], {})[found[2]] = None
    sizes = [stated.split() for stated in entries.get("ImageSize", ())]
    if any(size != [str(shape[1]), str(shape[0])] for size in sizes):
        stated = ", ".join(" × ".join(size) for size in sizes[:_MAX_STATED])
        return Calibration(note=f"{side.name} describes images of {stated} px (width × height), not of this size"), {}
    spacings = [_number(stated) for stated in entries.get("PixelSpacing", ())]
    found_sizes = [_pixel_size(number, f"file: PixelSpacing in {side.name}") for number in spacings[:_MAX_STATED]]
    return combine(found_sizes), _conditions(entries)


def _pixel_size(angstrom: float, source: str) -> Calibration:
    """Return the pixel size that an entry states in Å."""
    if angstrom == 1:
        return Calibration(note=f"{source.removeprefix('file: ')} is exactly 1 Å, which stands for an unknown size")
    return calibrate((angstrom, angstrom), ("Å", "Å"), source)


def _conditions(entries: dict[str, dict[str, None]]) -> dict[str, float]:
    """Return voltage and magnification where they are one positive number."""
    known: dict[str, Any] = {}
    for name, key in (("Voltage", "voltage_kv"), ("Magnification", "magnification")):
        numbers = {_number(stated) for stated in entries.get(name, ())}
        if len(numbers) == 1 and 0 < (number := numbers.pop()) < math.inf:
            known[key] = number
    return known


def _number(text: str) -> float:
    """Return a number; NaN where the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
