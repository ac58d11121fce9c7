"""What a side file states, and whether its pixel size is that of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hrtem_dask.loading.pixel_sizes import Calibration, length_in_nm

__all__ = ["Stated", "number", "size_of", "usable_size"]

MAX_FOOTER = 0.25
"""Largest part of its height that a bar with text may add below an image."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """Content of a side file."""

    calibration: Calibration = field(default_factory=Calibration)
    """Pixel size; its source names the entry, to which the name of the file is added."""
    shapes: tuple[tuple[int, int], ...] = ()
    """(height, width) of images that it may describe (px); empty where it does not say."""
    voltage_kv: float | None = None
    """Acceleration voltage (kV)."""
    magnification: float | None = None
    """Magnification."""
    instrument: str | None = None
    """Microscope."""
    acquired_at: str | None = None
    """Time, ISO 8601."""
    description: str = ""
    """Detector and mode."""


def usable_size(stated: Stated, shape: tuple[int, int], name: str) -> Calibration:
    """Return the pixel size that a side file states for an image of some shape.

    Parameters
    ----------
    stated : Stated
        Content of the side file.
    shape : tuple of int
        Height and width of the image (px).
    name : str
        Name of the side file.

    Returns
    -------
    Calibration
        With a note in place of the size where the side file describes an image of another size. An image may be
        higher than stated by the bar with text that a program adds below it.
    """
    fits = any(shape[1] == width and height <= shape[0] <= height * (1 + MAX_FOOTER) for height, width in stated.shapes)
    if stated.shapes and not fits:
        height, width = stated.shapes[0]
        return Calibration(
            note=f"{name} describes an image of {width} × {height} px (width × height), not of this size"
        )
    size = stated.calibration
    if size.pixel_size_nm is None:
        return Calibration(reciprocal=size.reciprocal)
    return Calibration(size.pixel_size_nm, f"{size.source} in {name}")


def number(text: object) -> float | None:
    """Return the positive number that a text begins with, also with a decimal comma.

    Parameters
    ----------
    text : object
        Text such as ``"15.00"`` or ``"5000 Volt"``; None for an entry that is absent.

    Returns
    -------
    float or None
        The number; None where it is none, not finite or not positive.

    Examples
    --------
    >>> number("5000 Volt"), number("0,99"), number("-1")
    (5000.0, 0.99, None)
    """
    first = str(text or "").strip().split(" ")[0].replace(",", ".")
    try:
        value = float(first)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def size_of(text: str, default_unit: str | None) -> float | None:
    """Return a length in nm.

    Parameters
    ----------
    text : str
        Number and unit such as ``"100nm"`` or ``"0.992 um"``.
    default_unit : str or None
        Unit where the text has none; None if it must have one.

    Returns
    -------
    float or None
        Length in nm; None where the text is none.

    Examples
    --------
    >>> size_of("0.1um", None), size_of("2.5", "nm"), size_of("2.5", None)
    (100.0, 2.5, None)
    """
    text = text.strip()
    digits = len(text)
    while digits and not text[digits - 1].isdigit():
        digits -= 1
    value, unit = number(text[:digits]), text[digits:].strip().strip(".") or default_unit
    nm = length_in_nm(unit)
    return None if value is None or nm is None else value * nm
