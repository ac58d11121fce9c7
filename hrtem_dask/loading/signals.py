"""List the micrographs of a source without reading pixels, and read one of them."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hrtem_dask.errors import (
    CalibrationError,
    HrtemDaskError,
    RefusedSignalError,
    UnreadableMicrographError,
)
from hrtem_dask.loading.access import local_copy
from hrtem_dask.loading.agreement import contradiction
from hrtem_dask.loading.discover import find_sources
from hrtem_dask.loading.formats.file_format import Reader, identify
from hrtem_dask.loading.formats.header_limits import bounded_signals
from hrtem_dask.loading.imaging import stated_imaging, stated_reciprocal
from hrtem_dask.loading.pixel_sizes import calibration_flags, unset_pixel
from hrtem_dask.loading.records import (
    OWN_LABELS,
    SET,
    MicrographRecord,
    Signal,
    micrograph_id,
    printable,
    with_pixel_size,
)
from hrtem_dask.loading.side_files import described_beside
from hrtem_dask.loading.source import Source

if TYPE_CHECKING:
    import xarray as xr

    from hrtem_dask.loading.sample_table import SampleMetadata

__all__ = ["list_micrographs", "read_image", "read_micrograph", "read_single_image"]

PLAUSIBLE_NM = (0.001, 10.0)
MAX_ERROR_CHARACTERS = 500
"""Errors of damaged files may quote the damage, at any length."""
_ATTRIBUTES = ("title", "voltage_kv", "magnification", "instrument", "acquired_at", "sample")


def list_micrographs(
    source: Source,
    *,
    pixel_size_nm: float | None = None,
    plausible_pixel_size_nm: tuple[float, float] = PLAUSIBLE_NM,
    metadata: SampleMetadata | None = None,
) -> list[MicrographRecord]:
    """List the micrographs in a source, without reading pixels where the format allows it.

    Parameters
    ----------
    source : Source
        Source from `find_sources`.
    pixel_size_nm : float, optional
        Pixel size (nm) to use instead of the one in the file; a ``pixel_size_nm`` of the metadata file takes
        precedence.
    plausible_pixel_size_nm : tuple of float
        Range (nm) outside which a pixel size is flagged.
    metadata : SampleMetadata, optional
        Samples, covariates and pixel sizes by file.

    Returns
    -------
    list of MicrographRecord
        One record per 2-D image, and one per signal or file that is not an image or cannot be read, with the reason.
        The list is never empty, and the content of a file never raises an error.

    Raises
    ------
    CalibrationError
        If `pixel_size_nm` is not positive and finite.

    Examples
    --------
    A stack of three images, whose pixel size the user gives:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hrtem_dask.loading import find_sources, list_micrographs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "stack.npy", np.zeros((3, 8, 10), np.uint16))
    ...     records = list_micrographs(find_sources(folder)[0], pixel_size_nm=0.02)
    >>> [(r.frame, r.height_px, r.width_px, r.pixel_size_nm) for r in records][:2]
    [(0, 8, 10, (0.02, 0.02)), (1, 8, 10, (0.02, 0.02))]
    """
    if pixel_size_nm is not None and not (np.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise CalibrationError(f"a pixel size must be positive and finite, got {pixel_size_nm} nm")
    row = {} if metadata is None else metadata.row(source)
    sample = str(row.pop("sample", None) or "")
    listed_size_nm = row.pop("pixel_size_nm", None)
    records = []
    for number, signal in enumerate(_signals(source)):
        for frame in range(signal.n_frames):
            record = _record(source, number, frame, signal, plausible_pixel_size_nm)
            named = sample or signal.sample or source.folder_name
            record = dataclasses.replace(
                record, sample=named, covariates=tuple({**dict(signal.covariates), **row}.items())
            )
            if record.status == "ok" and listed_size_nm is not None:
                record = with_pixel_size(record, listed_size_nm, "metadata", plausible_nm=plausible_pixel_size_nm)
            elif record.status == "ok" and pixel_size_nm is not None:
                record = with_pixel_size(record, pixel_size_nm, "user", plausible_nm=plausible_pixel_size_nm)
            records.append(record)
    return records


def _signals(source: Source) -> list[Signal]:
    """List the signals of a source; an error becomes a signal with its reason."""
    if source.status != "ok":
        return [Signal(status=source.status, note=source.reason)]
    try:
        with _reader(source) as reader:
            signals = bounded_signals(reader.list_signals())
            if reader.path is not None:
                signals = described_beside(reader.path, signals)
    except RefusedSignalError as error:
        return [Signal(status="set_aside", note=str(error))]
    except Exception as error:  # noqa: BLE001 - readers raise errors of any kind on damaged bytes
        return [Signal(status="failed", note=f"{source.name}: {_in_words(error)}")]
    if not signals:
        return [Signal(status="set_aside", note="no signal in the file")]
    notes = reader.note
    signals = [dataclasses.replace(s, note="; ".join(filter(None, [s.note, notes]))) for s in signals]
    return [_without_line(_without_reciprocal(s)) for s in signals]


def _without_reciprocal(signal: Signal) -> Signal:
    """Set a signal aside whose title says that it is no image of the specimen."""
    words = stated_reciprocal(signal.title) if signal.status == "ok" else ""
    if not words:
        return signal
    note = f"no image of the specimen: its title says {words}"
    return dataclasses.replace(
        signal, status="set_aside", n_frames=1, note="; ".join(filter(None, [note, signal.note]))
    )


def _without_line(signal: Signal) -> Signal:
    """Set a signal aside that is one pixel high or wide: it has no area, and so no particles."""
    if signal.status != "ok" or 1 not in (signal.height_px, signal.width_px):
        return signal
    note = f"a line profile, not an image; shape {signal.height_px}×{signal.width_px}"
    return dataclasses.replace(
        signal, status="set_aside", n_frames=1, note="; ".join(filter(None, [note, signal.note]))
    )


@contextmanager
def _reader(source: Source, local_path: Path | None = None) -> Iterator[Reader]:
    """Provide the reader of a source, with a local copy of it where that is needed."""
    if source.is_folder:
        from hrtem_dask.loading.formats import ome_zarr

        url = source.content_url
        yield Reader(lambda: ome_zarr.list_signals(url), lambda s, f: ome_zarr.read_frame(url, s, f))
    elif local_path is not None:
        yield identify(local_path)
    else:
        with local_copy(source, known_format=True) as path:
            yield identify(path)


def _in_words(error: Exception) -> str:
    """Return an error of a file as a sentence."""
    if isinstance(error, HrtemDaskError):
        return str(error)
    if isinstance(error, PermissionError):
        return "permission denied: this user may not read it"
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "a link that leads to itself"
    if isinstance(error, FileNotFoundError):
        return "the file does not exist (any more)"
    text = " ".join(str(error).split())[:MAX_ERROR_CHARACTERS]
    return f"damaged, cut off, or of another format than its name states ({type(error).__name__}: {text})"


def _record(
    source: Source, number: int, frame: int, signal: Signal, plausible_nm: tuple[float, float]
) -> MicrographRecord:
    """Make the record of one frame of one signal."""
    size = signal.calibration.pixel_size_nm
    is_image = signal.status == "ok"
    contradicted = contradiction(signal.calibration) if is_image else ""
    flags = calibration_flags(size, plausible_nm=plausible_nm) if is_image else ()
    unset = unset_pixel(signal.calibration) if is_image else ""
    flags += ("unset_pixel",) if unset else ()
    remark = signal.calibration.note if is_image and size is None else ""
    shown, channel = signal.fields[frame] if is_image and signal.fields else ("", "")
    if channel and not shown.startswith(SET):  # a field of this file alone
        shown = f"{source.path} {number} {shown}"
    return MicrographRecord(
        micrograph_id=micrograph_id(source, number, frame),
        source=source,
        signal=number,
        frame=frame,
        title=signal.title,
        height_px=signal.height_px,
        width_px=signal.width_px,
        dtype=signal.dtype,
        pixel_size_nm=size,
        pixel_size_source=signal.calibration.source,
        calibration_flags=(*flags, "contradictory") if contradicted else flags,
        voltage_kv=signal.voltage_kv,
        magnification=signal.magnification,
        instrument=signal.instrument,
        acquired_at=signal.acquired_at,
        imaging=stated_imaging(" ".join([signal.title, channel]), signal.description, source.name) if is_image else "",
        status=signal.status,
        reason="; ".join(filter(None, [contradicted, unset, remark, signal.note])),
        field_shown=shown,
        channel=channel,
    )


def read_image(record: MicrographRecord, *, local_path: Path | None = None) -> np.ndarray:
    """Read the pixels of one micrograph.

    Parameters
    ----------
    record : MicrographRecord
        Record from `list_micrographs`, with status ``ok`` (or set aside only for its pixel size).
    local_path : pathlib.Path, optional
        Path of a `local_copy` of the source, to read many frames of an archived or remote file from one copy.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), with the dtype of the file in native byte order and unchanged values (also NaN and infinities). No
        other frame of a stack is read, and no file stays open.

    Raises
    ------
    RefusedSignalError
        If the record is not an image.
    UnreadableMicrographError
        If the image cannot be read, or has another shape than when it was listed.
    MemoryError
        If memory runs out; it is not converted, so that the caller can free memory and try again.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hrtem_dask.loading import find_sources, list_micrographs, read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "image.npy", np.arange(80, dtype=np.uint16).reshape(8, 10))
    ...     [record] = list_micrographs(find_sources(folder)[0])
    ...     image = read_image(record)
    >>> image.shape, image.dtype.name, int(image[1, 0])
    ((8, 10), 'uint16', 10)
    """
    name = f"{printable(record.source.path)} (signal {record.signal}, frame {record.frame})"
    if record.height_px is None or record.status == "failed":
        kind = UnreadableMicrographError if record.status == "failed" else RefusedSignalError
        raise kind(f"{name}: {record.reason}")
    try:
        with _reader(record.source, local_path) as reader:
            image = reader.read_frame(record.signal, record.frame)
    except MemoryError:
        raise
    except RefusedSignalError as error:
        raise RefusedSignalError(f"{name}: {error}") from error
    except Exception as error:
        raise UnreadableMicrographError(f"{name}: {_in_words(error)}") from error
    if image.shape != (record.height_px, record.width_px):
        raise UnreadableMicrographError(
            f"{name}: its shape is {image.shape}, listed as {(record.height_px, record.width_px)}: the file has changed"
        )
    return image


def read_micrograph(record: MicrographRecord) -> xr.DataArray:
    """Read one micrograph with its coordinates in nm.

    Parameters
    ----------
    record : MicrographRecord
        Record from `list_micrographs`, see `read_image`.

    Returns
    -------
    xarray.DataArray
        Dimensions (y, x), from `make_micrograph`; metadata such as the voltage are attributes.

    Raises
    ------
    RefusedSignalError, UnreadableMicrographError
        If the image cannot be read, see `read_image`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hrtem_dask.loading import find_sources, list_micrographs, read_micrograph
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "image.npy", np.zeros((8, 10), np.uint16))
    ...     [record] = list_micrographs(find_sources(folder)[0], pixel_size_nm=0.02)
    ...     micrograph = read_micrograph(record)
    >>> micrograph.dims, micrograph.attrs["pixel_size_nm"], micrograph.attrs["pixel_size_source"]
    (('y', 'x'), (0.02, 0.02), 'user')
    """
    from hrtem_dask.micrograph import make_micrograph

    metadata: dict[str, object] = {"micrograph_id": record.micrograph_id, "source": record.source.path}
    metadata |= {name: value for name in _ATTRIBUTES if (value := getattr(record, name)) not in (None, "")}
    return make_micrograph(
        read_image(record),
        pixel_size_nm=record.pixel_size_nm,
        pixel_size_source=record.pixel_size_source,
        metadata=metadata,
    )


def read_single_image(path: str) -> np.ndarray:
    """Read a file that holds exactly one image, such as a gain reference or labels.

    Parameters
    ----------
    path : str
        Path or URL.

    Returns
    -------
    numpy.ndarray
        Shape (y, x).

    Raises
    ------
    NothingToAnalyseError
        If there is no such file.
    UnreadableMicrographError
        If the file holds no image, or several.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hrtem_dask.loading import read_single_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "gain.npy", np.ones((8, 10), np.float32))
    ...     gain = read_single_image(f"{folder}/gain.npy")
    >>> gain.shape
    (8, 10)
    """
    records = [r for source in find_sources(path) for r in list_micrographs(source)]
    images = [r for r in records if r.status == "ok" or OWN_LABELS in r.reason]
    if len(images) != 1:
        reasons = "; ".join(r.reason for r in records if r.status != "ok")
        raise UnreadableMicrographError(f"{path} must hold one image, it holds {len(images)}. {reasons}".rstrip())
    return read_image(images[0])
