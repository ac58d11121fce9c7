"""Pixel sizes in nm, whatever unit a file writes them in, and the doubts about them."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from hrtem_dask.micrograph import PixelSize

__all__ = ["Calibration", "calibrate", "calibration_flags", "is_reciprocal", "length_in_nm"]

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
    """What a file says of the size of its pixels."""

    pixel_size_nm: PixelSize | None = None
    """(y, x) in nm; None where the file does not say."""
    source: str = "none"
    """Which entry of the file says so: ``"file: …"``."""
    reciprocal: bool = False
    """Whether the axes are spatial frequencies or angles: then it is a diffraction pattern."""


def _normalised(unit: Any) -> str:
    """Return a unit with one spelling per character: µ, Å and superscripts exist twice in Unicode."""
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit or "")
    text = unicodedata.normalize("NFKC", text).replace("−", "-")
    return re.sub(r"[\s_\[\]()\x00]", "", text)


def length_in_nm(unit: Any) -> float | None:
    """Return how many nm one unit of length is.

    Parameters
    ----------
    unit : str or None
        For instance ``"µm"`` (either code point), ``"um"``, ``"micron"``, ``"n_m"``, ``"Å"``, ``"meters"``.

    Returns
    -------
    float or None
        Nanometres; None where it is no unit of length (empty, pixels, 1/nm).
    """
    text = _normalised(unit)
    if text in _SYMBOLS:
        return _SYMBOLS[text]
    word = text.lower()
    for ending in ("ers", "res", "er", "re"):
        if word.endswith(ending) and word.removesuffix(ending) in _WORDS:
            return _WORDS[word.removesuffix(ending)]
    for candidate in (word, word.removesuffix("s")):
        if candidate in _OTHER_WORDS:
            return _OTHER_WORDS[candidate]
        # NM, Nm and the like; never MM or M, which could be a thousand or a million
        if candidate in ("nm", "pm", "um", "μm"):
            return _SYMBOLS[candidate]
    return None


def is_reciprocal(unit: Any) -> bool:
    """Say whether a unit is that of a diffraction pattern.

    Parameters
    ----------
    unit : str or None
        For instance ``"1/nm"``, ``"nm^-1"``, ``"Å⁻¹"``, ``"mrad"``.

    Returns
    -------
    bool
        True for inverse lengths and angles.
    """
    text = _normalised(unit)
    if text in _ANGLES:
        return True
    match = re.fullmatch(r"1?/(.+)|(.+?)(?:\^|\*\*)?-1", text)
    if match is None:
        return False
    length = match[1] or match[2]
    # rosettasciio picks prefixes so that numbers become small: 1/Tm for 1/m
    return length_in_nm(length) is not None or re.fullmatch(r"[kMGTPE]m", length) is not None


def calibrate(scales: tuple[Any, Any], units: tuple[Any, Any], source: str) -> Calibration:
    """Turn what a file says into a pixel size in nm.

    Parameters
    ----------
    scales : tuple of float
        (y, x) size of a pixel in `units`; its sign, the direction of the axis, is dropped.
    units : tuple of str
        (y, x) units. A scale without a unit of length says nothing: 1.0 without unit is what writers put
        where they know nothing.
    source : str
        Which entry of the file it is, ``"file: …"``.

    Returns
    -------
    Calibration
        Without pixel size where either axis has none.
    """
    if any(is_reciprocal(u) for u in units):
        return Calibration(None, "none", reciprocal=True)
    sizes = []
    for scale, unit in zip(scales, units, strict=True):
        nm = length_in_nm(unit)
        try:
            size = math.nan if nm is None else abs(float(scale)) * nm
        except (TypeError, ValueError):
            size = math.nan
        sizes.append(size)
    if not all(math.isfinite(s) and s > 0 for s in sizes):
        return Calibration()
    return Calibration((sizes[0], sizes[1]), source)


def calibration_flags(
    pixel_size_nm: PixelSize | None,
    *,
    plausible_nm: tuple[float, float] = (0.001, 10.0),
    squareness_tolerance: float = 1e-3,
) -> tuple[str, ...]:
    """Name the doubts about a pixel size.

    Parameters
    ----------
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    plausible_nm : tuple of float
        Smallest and largest pixel size (nm) that a micrograph of nanoparticles can have.
    squareness_tolerance : float
        Relative difference of height and width from which a pixel is not square.

    Returns
    -------
    tuple of str
        Any of ``missing``, ``non_square``, ``implausible``.
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
