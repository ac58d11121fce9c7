"""Pixel sizes in nm from the units that files use, and flags for doubtful pixel sizes."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from hrtem_dask.micrograph import PixelSize

__all__ = ["Calibration", "calibrate", "calibration_flags", "is_reciprocal", "length_in_nm", "unset_pixel"]

_SYMBOLS = {
    "m": 1e9, "cm": 1e7, "mm": 1e6, "μm": 1e3, "um": 1e3, "nm": 1.0, "pm": 1e-3, "fm": 1e-6,
    "A": 0.1, "Å": 0.1, "Ang": 0.1, "in": 2.54e7, '"': 2.54e7,
}  # fmt: skip
_WORDS = {
    "met": 1e9, "centimet": 1e7, "millimet": 1e6, "micromet": 1e3, "nanomet": 1.0, "picomet": 1e-3, "femtomet": 1e-6,
}  # fmt: skip
_OTHER_WORDS = {
    "micron": 1e3, "angstrom": 0.1, "angström": 0.1, "ångström": 0.1, "ångstrom": 0.1, "inch": 2.54e7, "inche": 2.54e7,
}  # fmt: skip
_ANGLES = {"rad", "mrad", "μrad", "urad", "deg", "degree", "degrees", "°"}


@dataclass(frozen=True)
class Calibration:
    """Pixel size that a file states."""

    pixel_size_nm: PixelSize | None = None
    """(y, x) in nm; None where the file does not state it."""
    source: str = "none"
    """Entry of the file that states it: ``"file: …"``; ``"none"`` without a pixel size."""
    reciprocal: bool = False
    """Whether the axes are spatial frequencies or angles, as those of a diffraction pattern."""
    others: tuple[tuple[PixelSize, str], ...] = ()
    """Further entries of the file, or of files beside it, that state a pixel size: (y, x) in nm and the source."""
    note: str = ""
    """Why an entry that looks like a pixel size is none; mostly empty."""


def _normalized(unit: object) -> str:
    """Return a unit with one spelling per character; µ, Å and superscripts exist twice in Unicode."""
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit or "")
    text = unicodedata.normalize("NFKC", text).replace("−", "-")
    return re.sub(r"[\s_\[\]()\x00]", "", text)


def length_in_nm(unit: object) -> float | None:
    """Return the length of a unit in nm.

    Parameters
    ----------
    unit : str or None
        For instance ``"µm"`` (either code point), ``"um"``, ``"micron"``, ``"n_m"``, ``"Å"``, ``"meters"``.

    Returns
    -------
    float or None
        Length in nm; None where it is not a unit of length (empty, pixels, 1/nm).

    Examples
    --------
    >>> from hrtem_dask.loading import length_in_nm
    >>> length_in_nm("µm"), length_in_nm("Å"), length_in_nm("px")
    (1000.0, 0.1, None)
    """
    text = _normalized(unit)
    if text in _SYMBOLS:
        return _SYMBOLS[text]
    word = text.lower()
    for ending in ("ers", "res", "er", "re"):
        if word.endswith(ending) and word.removesuffix(ending) in _WORDS:
            return _WORDS[word.removesuffix(ending)]
    for candidate in (word, word.removesuffix("s")):
        if candidate in _OTHER_WORDS:
            return _OTHER_WORDS[candidate]
        # NM, Nm and the like, but not MM or M, which are ambiguous
        if candidate in ("nm", "pm", "um", "μm"):
            return _SYMBOLS[candidate]
    return None


def is_reciprocal(unit: object) -> bool:
    """Return whether a unit is that of a diffraction pattern.

    Parameters
    ----------
    unit : str or None
        For instance ``"1/nm"``, ``"nm^-1"``, ``"Å⁻¹"``, ``"mrad"``.

    Returns
    -------
    bool
        True for inverse lengths and angles.
    """
    text = _normalized(unit)
    if text in _ANGLES:
        return True
    match = re.fullmatch(r"1?/(.+)|(.+?)(?:\^|\*\*)?-1", text)
    if match is None:
        return False
    length = match[1] or match[2]
    # rosettasciio chooses prefixes that make numbers small: 1/Tm for 1/m
    return length_in_nm(length) is not None or re.fullmatch(r"[kMGTPE]m", length) is not None


def calibrate(
    scales: tuple[Any, Any], units: tuple[object, object], source: str, *, signed: bool = False
) -> Calibration:
    """Convert the scales and units in a file to a pixel size in nm.

    Parameters
    ----------
    scales : tuple of float
        (y, x) size of a pixel in `units`.
    units : tuple of str
        (y, x) units. A scale without a unit of length is not a calibration: programs write 1.0 without a unit where the
        pixel size is unknown.
    source : str
        Entry of the file, ``"file: …"``.
    signed : bool
        Whether the sign of a scale is the direction of its axis, and is ignored. By default a negative scale, as
        programs write it that know no pixel size, is none.

    Returns
    -------
    Calibration
        Its pixel size is None where the scale of either axis is missing, zero or (unless `signed`) negative; the note
        then states a scale that is not positive.
    """
    if any(is_reciprocal(u) for u in units):
        return Calibration(None, "none", reciprocal=True)
    sizes = []
    for scale, unit in zip(scales, units, strict=True):
        nm = length_in_nm(unit)
        try:
            size = math.nan if nm is None else (abs(float(scale)) if signed else float(scale)) * nm
        except (TypeError, ValueError):
            size = math.nan
        sizes.append(size)
    if not all(math.isfinite(s) and s > 0 for s in sizes):
        stated = [f"{s:.4g} nm" for s in sizes if s <= 0]
        entry = source.removeprefix("file: ")
        return Calibration(note=f"{entry} states a pixel of {stated[0]}, which is not a size" if stated else "")
    return Calibration((sizes[0], sizes[1]), source)


def unset_pixel(calibration: Calibration) -> str:
    """Say where a file states the pixel size that programs write where none was set.

    Parameters
    ----------
    calibration : Calibration
        Pixel size that a file states.

    Returns
    -------
    str
        What it states, in words, where that is exactly 1 nm, or exactly 1 Å in an MRC file; else empty.

    Examples
    --------
    >>> unset_pixel(Calibration((1.0, 1.0), "file: TIFF ImageJ"))
    'a pixel of exactly 1 nm, as programs write it that know no pixel size: check it'
    >>> unset_pixel(Calibration((0.1, 0.1), "file: TIFF ImageJ"))
    ''
    """
    units = {"1 nm": 1.0} | ({"1 Å": 0.1} if calibration.source.startswith("file: MRC") else {})
    for words, size in units.items():
        if calibration.pixel_size_nm and all(math.isclose(s, size, rel_tol=1e-6) for s in calibration.pixel_size_nm):
            return f"a pixel of exactly {words}, as programs write it that know no pixel size: check it"
    return ""


def calibration_flags(
    pixel_size_nm: PixelSize | None,
    *,
    plausible_nm: tuple[float, float] = (0.001, 10.0),
    squareness_tolerance: float = 1e-3,
) -> tuple[str, ...]:
    """Return flags for a missing or doubtful pixel size.

    Parameters
    ----------
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    plausible_nm : tuple of float
        Smallest and largest plausible pixel size (nm) of a micrograph of nanoparticles.
    squareness_tolerance : float
        Largest relative difference of height and width of a square pixel.

    Returns
    -------
    tuple of str
        Any of ``missing``, ``non_square``, ``implausible``.

    Examples
    --------
    >>> from hrtem_dask.loading import calibration_flags
    >>> calibration_flags((0.02, 0.02)), calibration_flags((0.02, 0.03)), calibration_flags(None)
    ((), ('non_square',), ('missing',))
    """
    if pixel_size_nm is None:
        return ("missing",)
    y, x = pixel_size_nm
    low, high = plausible_nm
    flags = []
    if abs(y - x) > squareness_tolerance * max(y, x):
        flags.append("non_square")
    if not (low <= min(y, x) and max(y, x) <= high):
        flags.append("implausible")
    return tuple(flags)
