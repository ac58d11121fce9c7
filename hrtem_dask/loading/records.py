"""What the listing finds: one record per 2-D image, and one per signal or file that is none."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from hrtem_dask.loading.pixel_sizes import Calibration, calibration_flags
from hrtem_dask.loading.source import Source, Status
from hrtem_dask.micrograph import PixelSize

__all__ = ["MicrographRecord", "Signal", "micrograph_id", "printable", "set_aside_uncalibrated", "to_row"]

MAX_STEM = 60


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What a reader says of one signal of a file."""

    title: str = ""
    """The file's own name for it."""
    sample: str = ""
    """The sample, where the file knows it."""
    dtype: str = ""
    """Data type of its pixels."""
    height_px: int | None = None
    """Image height."""
    width_px: int | None = None
    """Image width."""
    n_frames: int = 1
    """Number of 2-D images in it."""
    calibration: Calibration = field(default_factory=Calibration)
    """Its pixel size."""
    voltage_kv: float | None = None
    """Acceleration voltage."""
    magnification: float | None = None
    """Magnification as the file states it."""
    instrument: str | None = None
    """Microscope as the file names it."""
    acquired_at: str | None = None
    """Time as the file states it, ISO 8601."""
    status: Status = "ok"
    """``set_aside`` for a readable signal that is no micrograph, ``failed`` for one that cannot be read."""
    note: str = ""
    """Why, or what is remarkable about it."""
    covariates: tuple[tuple[str, Any], ...] = ()
    """Columns of a metadata file that `hrtem-dask ingest` kept with it."""


@dataclass(frozen=True, kw_only=True)
class MicrographRecord:
    """One 2-D image that can be read, or one signal or file that cannot, with the reason."""

    micrograph_id: str
    """See `micrograph_id`."""
    source: Source
    """Where it is."""
    signal: int = 0
    """Number of the signal in its file."""
    frame: int = 0
    """Number of the 2-D image in a stack."""
    title: str = ""
    """The file's own name for the signal."""
    height_px: int | None = None
    """Image height."""
    width_px: int | None = None
    """Image width."""
    dtype: str = ""
    """Data type in the file."""
    pixel_size_nm: PixelSize | None = None
    """(y, x); None where it is not known."""
    pixel_size_source: str = "none"
    """``"file: …"``, ``"user"``, ``"metadata"`` or ``"none"``."""
    calibration_flags: tuple[str, ...] = ()
    """Any of ``missing``, ``non_square``, ``implausible``."""
    voltage_kv: float | None = None
    """Acceleration voltage."""
    magnification: float | None = None
    """Magnification as the file states it."""
    instrument: str | None = None
    """Microscope as the file names it."""
    acquired_at: str | None = None
    """Time of acquisition as the file states it, ISO 8601."""
    sample: str = ""
    """Parent folder, or as the metadata file says."""
    covariates: tuple[tuple[str, Any], ...] = ()
    """Further columns of the metadata file, as (name, value)."""
    status: Status = "ok"
    """``ok`` can be read; ``set_aside`` is no micrograph or lacks a pixel size; ``failed`` cannot be read."""
    reason: str = ""
    """Why, in words; for ``ok`` what is remarkable, mostly nothing."""


def micrograph_id(source: Source, signal: int = 0, frame: int = 0) -> str:
    """Return the name of one 2-D image.

    Parameters
    ----------
    source : Source
        Its file.
    signal : int
        Number of the signal in the file.
    frame : int
        Number of the frame in the signal.

    Returns
    -------
    str
        File stem in ASCII (letters, digits, ``-`` and ``_``, at most 60 characters) and 10 hexadecimal digits of
        the blake2b hash of (relative path, signal, frame): the same on every machine, and different for two
        files of one name in two folders.
    """
    stem = posixpath.splitext(source.name)[0]
    ascii_stem = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    ascii_stem = re.sub(r"[^A-Za-z0-9_-]+", "_", ascii_stem)[:MAX_STEM].strip("_") or "micrograph"
    # NFC: macOS and Linux store the same non-ASCII file name differently
    key = "\n".join([unicodedata.normalize("NFC", source.relative), str(signal), str(frame)])
    # surrogatepass: a file name that is no UTF-8 has lone surrogates in Python
    return f"{ascii_stem}-{hashlib.blake2b(key.encode(errors='surrogatepass'), digest_size=5).hexdigest()}"


def printable(text: str) -> str:
    """Return a text that can be printed and stored.

    Parameters
    ----------
    text : str
        Any text, such as a path.

    Returns
    -------
    str
        The same, but with the bytes of a file name that is no UTF-8 as escapes: neither Parquet nor a terminal takes
        them as they are.
    """
    return text.encode(errors="backslashreplace").decode()


def to_row(record: MicrographRecord) -> dict[str, Any]:
    """Return a record as a row of the micrograph table.

    Parameters
    ----------
    record : MicrographRecord
        Any record.

    Returns
    -------
    dict
        Column name of `tables.MICROGRAPHS` → value, None where nothing is known, and the covariates. ``status`` is
        ``"ok"`` until it is analysed. Texts are `printable`.
    """
    size = record.pixel_size_nm or (None, None)
    row = {
        "micrograph_id": record.micrograph_id,
        "sample": record.sample or None,
        "source": record.source.path,
        "signal": record.signal,
        "frame": record.frame,
        "title": record.title or None,
        "status": record.status,
        "reason": record.reason or None,
        "height_px": record.height_px,
        "width_px": record.width_px,
        "dtype": record.dtype or None,
        "pixel_size_y_nm": size[0],
        "pixel_size_x_nm": size[1],
        "pixel_size_source": record.pixel_size_source,
        "calibration_flags": ",".join(record.calibration_flags) or None,
        "voltage_kv": record.voltage_kv,
        "magnification": record.magnification,
        "instrument": record.instrument,
        "acquired_at": record.acquired_at,
        **dict(record.covariates),
    }
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def with_pixel_size(
    record: MicrographRecord, pixel_size_nm: float, source: str, *, plausible_nm: tuple[float, float]
) -> MicrographRecord:
    """Return a record with a pixel size given from outside.

    Parameters
    ----------
    record : MicrographRecord
        A readable record.
    pixel_size_nm : float
        Height and width of a pixel (nm).
    source : str
        ``"user"`` or ``"metadata"``.
    plausible_nm : tuple of float
        See `calibration_flags`.

    Returns
    -------
    MicrographRecord
        The copy, its flags judged anew.
    """
    size = (float(pixel_size_nm), float(pixel_size_nm))
    return dataclasses.replace(
        record,
        pixel_size_nm=size,
        pixel_size_source=source,
        calibration_flags=calibration_flags(size, plausible_nm=plausible_nm),
    )


def set_aside_uncalibrated(record: MicrographRecord, *, pixels: bool = False) -> MicrographRecord:
    """Set a micrograph aside whose pixel size is missing or implausible.

    Parameters
    ----------
    record : MicrographRecord
        From `list_micrographs`.
    pixels : bool
        Whether the user asked for pixels: then a missing pixel size is no reason, and an implausible one is
        dropped, since nothing in nm can be right.

    Returns
    -------
    MicrographRecord
        The same, or a copy with status ``set_aside`` and the reason. A pixel size given by the user or the
        metadata file is taken at their word.
    """
    doubtful = {"missing", "implausible"} & set(record.calibration_flags)
    if record.status != "ok" or not doubtful or record.pixel_size_source in ("user", "metadata"):
        return record
    if pixels:
        return dataclasses.replace(record, pixel_size_nm=None, pixel_size_source="none")
    if record.pixel_size_nm is None:
        said = "no pixel size in the file"
    else:
        said = f"implausible pixel size {record.pixel_size_nm[0]:.4g} nm ({record.pixel_size_source})"
    remedy = "give one (--pixel-size, or a column pixel_size_nm in --metadata), or ask for pixels (--pixels)"
    reason = "; ".join(filter(None, [f"{said}: {remedy}", record.reason]))
    return dataclasses.replace(record, status="set_aside", reason=reason)
