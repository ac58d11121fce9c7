"""Records of the listing: one per 2-D image, and one per signal or file that is not an image."""

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

__all__ = [
    "OWN_LABELS",
    "SET",
    "MicrographRecord",
    "Signal",
    "micrograph_id",
    "printable",
    "set_aside_small",
    "set_aside_uncalibrated",
    "to_row",
]

OWN_LABELS = "labels of particles that `hrtem-dask export` wrote, not a micrograph"
"""Reason for which a label image of this package is set aside; it can still be read as labels."""

SET = "set "
"""Beginning of the name of a field whose channels lie in several files."""
MAX_STEM = 60
MIN_SIDE_PX = 32
"""Shortest side of a micrograph: scans of a few pixels are tests, drift references or survey marks."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One signal of a file, as its reader describes it."""

    title: str = ""
    """Name of the signal in the file."""
    description: str = ""
    """Further text of the file about how the image was taken, such as detector and mode; not shown to users."""
    sample: str = ""
    """Name of the sample, where the file states it."""
    dtype: str = ""
    """Data type of its pixels."""
    height_px: int | None = None
    """Image height (px); None where the signal is not an image."""
    width_px: int | None = None
    """Image width (px); None where the signal is not an image."""
    n_frames: int = 1
    """Number of 2-D images in the signal."""
    calibration: Calibration = field(default_factory=Calibration)
    """Pixel size of its images."""
    voltage_kv: float | None = None
    """Acceleration voltage (kV)."""
    magnification: float | None = None
    """Magnification as the file states it."""
    instrument: str | None = None
    """Microscope as the file names it."""
    acquired_at: str | None = None
    """Time as the file states it, ISO 8601."""
    status: Status = "ok"
    """``set_aside`` for a readable signal that is no micrograph, ``failed`` for one that cannot be read."""
    note: str = ""
    """Reason of a status other than ``ok``; for ``ok`` a remark, mostly empty."""
    covariates: tuple[tuple[str, Any], ...] = ()
    """Columns of a metadata file that `hrtem-dask ingest` stored with the image, as (name, value)."""
    fields: tuple[tuple[str, str], ...] = ()
    """For each frame the field that it shows, and the name of its channel; empty where frames are no channels."""


@dataclass(frozen=True, kw_only=True)
class MicrographRecord:
    """One 2-D image that can be read, or one signal or file that cannot, with the reason."""

    micrograph_id: str
    """Identifier, made by the function `micrograph_id`."""
    source: Source
    """File or member of an archive that holds it."""
    signal: int = 0
    """Number of the signal in the file."""
    frame: int = 0
    """Number of the 2-D image in a stack."""
    title: str = ""
    """Name of the signal in the file."""
    height_px: int | None = None
    """Image height (px); None where the signal is not an image."""
    width_px: int | None = None
    """Image width (px); None where the signal is not an image."""
    dtype: str = ""
    """Data type in the file."""
    pixel_size_nm: PixelSize | None = None
    """(y, x) in nm; None where it is not known."""
    pixel_size_source: str = "none"
    """``"file: …"``, ``"user"``, ``"metadata"`` or ``"none"``."""
    calibration_flags: tuple[str, ...] = ()
    """Any of ``missing``, ``non_square``, ``implausible``, ``contradictory``."""
    voltage_kv: float | None = None
    """Acceleration voltage (kV)."""
    magnification: float | None = None
    """Magnification as the file states it."""
    instrument: str | None = None
    """Microscope as the file names it."""
    acquired_at: str | None = None
    """Time of acquisition as the file states it, ISO 8601."""
    imaging: str = ""
    """How the file says that the image was taken, see `stated_imaging`; empty where it does not say."""
    sample: str = ""
    """Name of the sample: that of the metadata file, else of the file, else of the parent folder."""
    covariates: tuple[tuple[str, Any], ...] = ()
    """Further columns of the metadata file, as (name, value)."""
    status: Status = "ok"
    """``ok`` can be read; ``set_aside`` is not a micrograph or has no pixel size; ``failed`` cannot be read."""
    reason: str = ""
    """Reason of the status in a sentence; for ``ok`` a remark, mostly empty."""
    duplicate_of: str = ""
    """`micrograph_id` of the micrograph of the same field that is counted instead; mostly empty."""
    field_shown: str = ""
    """Field that several channels show, of which one is counted; empty where the image is no channel."""
    channel: str = ""
    """Name or number of the channel of that field."""


def micrograph_id(source: Source, signal: int = 0, frame: int = 0, *, path: str | None = None) -> str:
    """Return the identifier of one 2-D image.

    Parameters
    ----------
    source : Source
        File of the image.
    signal : int
        Number of the signal in the file.
    frame : int
        Number of the frame in the signal.
    path : str, optional
        Path that is hashed as it is; by default the relative path in one Unicode form.

    Returns
    -------
    str
        File stem in ASCII (letters, digits, ``-`` and ``_``, at most 60 characters) and 10 hexadecimal digits of
        the blake2b hash of (relative path, signal, frame): the same on every machine, and different for two
        files of one name in two folders.

    Examples
    --------
    >>> from hrtem_dask.loading import Source, micrograph_id
    >>> micrograph_id(Source(url="/data/day 1/gold.dm4", relative="day 1/gold.dm4"))
    'gold-63423a4492'
    """
    stem = posixpath.splitext(source.name)[0]
    ascii_stem = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    ascii_stem = re.sub(r"[^A-Za-z0-9_-]+", "_", ascii_stem)[:MAX_STEM].strip("_") or "micrograph"
    # NFC: macOS and Linux store the same non-ASCII file name differently
    hashed = unicodedata.normalize("NFC", source.relative) if path is None else path
    key = "\n".join([hashed, str(signal), str(frame)])
    # surrogatepass: a file name that is not UTF-8 has lone surrogates in Python
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
        The same text, in which bytes of a file name that are not UTF-8 are escaped, because neither Parquet nor a
        terminal accepts them.
    """
    return text.encode(errors="backslashreplace").decode()


def to_row(record: MicrographRecord) -> dict[str, Any]:
    """Return a record as a row of the micrograph table.

    Parameters
    ----------
    record : MicrographRecord
        Record of a micrograph or of a file that is not one.

    Returns
    -------
    dict
        Column name of `tables.MICROGRAPHS` → value, None where nothing is known, and the covariates. ``status`` is
        ``"ok"`` until the micrograph is analyzed. Texts are `printable`.

    Examples
    --------
    >>> from hrtem_dask.loading import MicrographRecord, Source, to_row
    >>> record = MicrographRecord(micrograph_id="a-1", source=Source(url="/data/a.mrc", relative="a.mrc"))
    >>> row = to_row(record)
    >>> row["micrograph_id"], row["source"], row["pixel_size_y_nm"]
    ('a-1', '/data/a.mrc', None)
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
        "duplicate_of": record.duplicate_of or None,
        "imaging": record.imaging or None,
        **dict(record.covariates),
    }
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def with_pixel_size(
    record: MicrographRecord, pixel_size_nm: float, source: str, *, plausible_nm: tuple[float, float]
) -> MicrographRecord:
    """Return a record with a pixel size from the user or the metadata file.

    Parameters
    ----------
    record : MicrographRecord
        A readable record.
    pixel_size_nm : float
        Height and width of a pixel (nm).
    source : str
        ``"user"`` or ``"metadata"``.
    plausible_nm : tuple of float
        Smallest and largest plausible pixel size (nm), see `calibration_flags`.

    Returns
    -------
    MicrographRecord
        A copy with the pixel size and its new flags.
    """
    size = (float(pixel_size_nm), float(pixel_size_nm))
    return dataclasses.replace(
        record,
        pixel_size_nm=size,
        pixel_size_source=source,
        calibration_flags=calibration_flags(size, plausible_nm=plausible_nm),
    )


def set_aside_small(record: MicrographRecord) -> MicrographRecord:
    """Set an image aside that is too small to be a micrograph.

    Parameters
    ----------
    record : MicrographRecord
        From `list_micrographs`.

    Returns
    -------
    MicrographRecord
        The same record, or a copy with status ``set_aside`` and the reason where a side is shorter than 32 px.

    Examples
    --------
    >>> from hrtem_dask.loading import MicrographRecord, Source
    >>> source = Source(url="/data/a.dm3", relative="a.dm3")
    >>> set_aside_small(MicrographRecord(micrograph_id="a-1", source=source, height_px=4, width_px=16)).reason
    'an image of 4×16 px: a micrograph has at least 32 px on each side'
    """
    if record.status != "ok" or min(record.height_px or 0, record.width_px or 0) >= MIN_SIDE_PX:
        return record
    size = f"{record.height_px}×{record.width_px}"
    reason = f"an image of {size} px: a micrograph has at least {MIN_SIDE_PX} px on each side"
    return dataclasses.replace(record, status="set_aside", reason="; ".join(filter(None, [reason, record.reason])))


def set_aside_uncalibrated(record: MicrographRecord, *, pixels: bool = False) -> MicrographRecord:
    """Set a micrograph aside if its pixel size is missing, implausible or contradicted by another one.

    Parameters
    ----------
    record : MicrographRecord
        From `list_micrographs`.
    pixels : bool
        Whether the user chose an analysis in pixels: then a missing pixel size is no reason to set the micrograph
        aside, and a doubtful one is dropped, because lengths in nm would be wrong.

    Returns
    -------
    MicrographRecord
        The same record, or a copy with status ``set_aside`` and the reason. A pixel size from the user or the metadata
        file is always accepted.

    Examples
    --------
    >>> from hrtem_dask.loading import MicrographRecord, Source, set_aside_uncalibrated
    >>> source = Source(url="/data/a.png", relative="a.png")
    >>> record = MicrographRecord(micrograph_id="a-1", source=source, calibration_flags=("missing",))
    >>> set_aside_uncalibrated(record).status, set_aside_uncalibrated(record, pixels=True).status
    ('set_aside', 'ok')
    """
    doubtful = {"missing", "implausible", "contradictory"} & set(record.calibration_flags)
    if record.status != "ok" or not doubtful or record.pixel_size_source in ("user", "metadata"):
        return record
    if pixels:
        return dataclasses.replace(record, pixel_size_nm=None, pixel_size_source="none")
    if record.pixel_size_nm is None:
        problem = "no pixel size in the file"
    elif "contradictory" in doubtful:
        problem = "no certain pixel size"  # the remark of the record names all of them
    else:
        problem = f"implausible pixel size {record.pixel_size_nm[0]:.4g} nm ({record.pixel_size_source})"
    remedy = (
        "give one (--pixel-size, or a column pixel_size_nm in --metadata), or choose an analysis in pixels (--pixels)"
    )
    reason = "; ".join(filter(None, [f"{problem}: {remedy}", record.reason]))
    return dataclasses.replace(record, status="set_aside", reason=reason)
