"""Text files of Hitachi, JEOL and Tescan microscopes: one entry per line."""

from __future__ import annotations

import re

from hrtem_dask.loading.pixel_sizes import Calibration
from hrtem_dask.loading.side_files.stated import Stated, number, size_of

__all__ = ["hitachi", "jeol", "tescan"]


def hitachi(text: str) -> Stated | None:
    r"""Read the text file of a Hitachi microscope.

    Parameters
    ----------
    text : str
        Content of the file, ``[SemImageFile]`` or ``[TemImageFile]`` and ``name=value`` lines; `PixelSize` is in nm.

    Returns
    -------
    Stated or None
        None for another text.

    Examples
    --------
    >>> hitachi("[SemImageFile]\nDataSize=1280x960\nPixelSize=0.992\n").calibration.pixel_size_nm
    (0.992, 0.992)
    """
    if not re.match(r"\s*\[(Sem|Tem|Stem)ImageFile\]", text, re.I):
        return None
    entries = _entries(text, "=")
    size = size_of(entries.get("pixelsize", ""), "nm")
    shape = re.fullmatch(r"(\d+)\s*[x×*]\s*(\d+)", entries.get("datasize", ""), re.I)
    volts = number(entries.get("acceleratingvoltage"))
    return Stated(
        calibration=Calibration() if size is None else Calibration((size, size), "file: Hitachi PixelSize"),
        shapes=((int(shape[2]), int(shape[1])),) if shape else (),
        voltage_kv=None if volts is None else volts / 1000,
        magnification=number(entries.get("magnification")),
        instrument=entries.get("instructname") or None,
        description=entries.get("signalname", ""),
    )


def jeol(text: str) -> Stated | None:
    r"""Read the text file of a JEOL microscope.

    Parameters
    ----------
    text : str
        Content of the file, ``$CM_NAME value`` lines. The pixel size is the length of the scale bar,
        `$$SM_MICRON_MARKER`, over its length in pixels, `$$SM_MICRON_BAR`.

    Returns
    -------
    Stated or None
        None for another text.

    Examples
    --------
    >>> jeol("$CM_MAG 100000\n$$SM_MICRON_BAR 125\n$$SM_MICRON_MARKER 100nm\n").calibration.pixel_size_nm
    (0.8, 0.8)
    """
    if not re.search(r"^\$?\$CM_[A-Z_]+\s", text, re.M):
        return None
    entries = _entries(text, None)
    bar, marker = number(entries.get("$$sm_micron_bar")), size_of(entries.get("$$sm_micron_marker", ""), None)
    size = None if bar is None or marker is None else marker / bar
    sizes = [entries.get(name, "").split() for name in ("$cm_full_size", "$cm_image_size")]
    return Stated(
        calibration=Calibration() if size is None else Calibration((size, size), "file: JEOL SM_MICRON_MARKER"),
        shapes=tuple((int(s[1]), int(s[0])) for s in sizes if len(s) == 2 and all(n.isdigit() for n in s)),
        voltage_kv=number(entries.get("$cm_accel_volt")),
        magnification=number(entries.get("$cm_mag")),
        instrument=entries.get("$cm_instrument") or None,
        description=entries.get("$cm_signal", ""),
    )


def tescan(text: str) -> Stated | None:
    r"""Read the header file of a Tescan microscope.

    Parameters
    ----------
    text : str
        Content of the file, sections ``[MAIN]`` and ``[SEM]`` with ``name=value`` lines; `PixelSizeX` is in m.

    Returns
    -------
    Stated or None
        None for another text.

    Examples
    --------
    >>> [round(size, 3) for size in tescan("[MAIN]\nPixelSizeX=2e-9\nPixelSizeY=2e-9\n").calibration.pixel_size_nm]
    [2.0, 2.0]
    """
    if not re.match(r"\s*\[MAIN\]", text):
        return None
    entries = _entries(text, "=")
    x, y = (number(entries.get(f"pixelsize{axis}")) for axis in "xy")
    if x is None or y is None:
        return None
    volts = number(entries.get("hv"))
    return Stated(
        calibration=Calibration((y * 1e9, x * 1e9), "file: Tescan PixelSizeX"),
        voltage_kv=None if volts is None else volts / 1000,
        magnification=number(entries.get("magnification")),
        instrument=entries.get("device") or None,
        description=entries.get("detector", ""),
    )


def _entries(text: str, separator: str | None) -> dict[str, str]:
    """Return name → value of the lines of a text, names in lower case; the first of several counts."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.strip().split(separator, 1)]
        if len(parts) == 2:
            entries.setdefault(parts[0].casefold(), parts[1])
    return entries
