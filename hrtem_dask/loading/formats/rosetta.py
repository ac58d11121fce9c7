"""Microscope formats, read by rosettasciio: DM3/DM4, EMD (Velox, NCEM), SER/EMI, HSPY, BCF, TVIPS.

Arrays are lazy, so that listing reads no pixels (except for SER) and a single frame of a stack can be read.
"""

from __future__ import annotations

import importlib
import math
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import rsciio

from hrtem_dask.errors import RefusedSignalError, UnreadableMicrographError
from hrtem_dask.loading.formats.colour import gray_channel
from hrtem_dask.loading.formats.header_limits import check_chunks, check_size
from hrtem_dask.loading.formats.npy import has_color_axis
from hrtem_dask.loading.formats.rosetta_metadata import acquisition, description, is_diffraction_mode
from hrtem_dask.loading.pixel_sizes import Calibration, calibrate
from hrtem_dask.loading.records import Signal

__all__ = ["list_signals", "read_frame"]

rsciio.set_log_level("ERROR")  # its warnings go to standard output; the important ones are in the records

_CALIBRATION_ENTRY = {
    "dm": "file: DM ImageData.Calibrations",
    "velox": "file: Velox BinaryResult.PixelSize",
    "ncem": "file: EMD dim vectors",
    "hspy": "file: HyperSpy axes",
    "bcf": "file: BCF resolution",
    "ser": "file: SER CalibrationDelta",
    "emi": "file: SER CalibrationDelta",
    "tvips": "file: TVIPS pixelsize",
}
_LAST_32_BIT_SER, _SER_OF_SPECTRA = 528, 0x4120
"""Last version of ``.ser`` whose offsets have 4 bytes, and the kind of its elements that have one axis."""
_ENERGY_UNITS = {"ev", "kev", "mev"}
_ELEMENT_TITLE = re.compile(r"[A-Z][a-z]?([- ]?[KLM][αβab]?\d?)?")


def list_signals(path: Path, kind: str) -> list[Signal]:
    """List the signals of a file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    kind : {"dm", "velox", "ncem", "hspy", "bcf", "ser", "emi", "tvips"}
        Format of the file.

    Returns
    -------
    list of Signal
        In the order of the file; spectra of a Velox file, which are not read, come last.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _opened(path, kind) as found:
            signals = [_signal(d, kind) for d in found]
    for signal in signals if kind not in ("emi", "tvips") else []:  # those have their pixels in further files
        frame_bytes = (signal.height_px or 0) * (signal.width_px or 0)
        check_size(frame_bytes * signal.n_frames, path.stat().st_size, n_frames=signal.n_frames)
    notes = sorted({str(w.message) for w in caught if issubclass(w.category, UserWarning)})
    return [replace(s, note="; ".join(filter(None, [s.note, *notes]))) for s in signals]


def read_frame(path: Path, kind: str, signal: int, frame: int) -> np.ndarray:
    """Read one image.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    kind : str
        Format of the file, see `list_signals`.
    signal : int
        Number of the signal in the list.
    frame : int
        Number of the image in it, counted over all axes but y and x.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), native byte order.

    Raises
    ------
    UnreadableMicrographError
        If the signal is damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _opened(path, kind) as found:
            entry = found[signal]
            if isinstance(entry, Exception):
                raise UnreadableMicrographError(str(entry)) from entry
            image = _frame(entry, frame)
    if image.dtype.names:
        image = gray_channel(_channels_last(image))[0]
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))


def _frame(entry: dict[str, Any], frame: int) -> np.ndarray:
    """Return one image of a signal, with y before x; only this image is computed."""
    data, axes = entry["data"], _axes(entry)
    y, x = _image_axes(axes)
    index: list[Any] = [slice(None)] * data.ndim
    others = [n for n in range(data.ndim) if n not in (y, x)]
    for axis, position in zip(others, np.unravel_index(frame, [data.shape[n] for n in others]), strict=True):
        index[axis] = int(position)
    image = data[tuple(index)] if others else data
    image = image.compute(scheduler="synchronous") if hasattr(image, "compute") else image
    # copied, since it may be a view of a file that is about to be closed
    return np.array(image if y < x else image.T)


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[list[Any]]:
    """Provide the dictionaries of rosettasciio (or the error of a signal); HDF5 files are closed afterwards."""
    if kind in ("velox", "ncem", "hspy"):
        with h5py.File(path, "r") as file:
            _check_datasets(file, path.stat().st_size)
            yield _READERS[kind](file)
    else:
        yield _READERS[kind](path)


def _check_datasets(file: h5py.File, file_bytes: int) -> None:
    """Raise if a dataset states more bytes than the file can hold, before it is divided into chunks."""

    def check(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            check_size(int(item.nbytes), file_bytes)
            if item.chunks is not None and 0 not in item.shape:
                check_chunks(item.shape, item.chunks, item.dtype.itemsize, axes=_last_axes(item))

    file.visititems(check)


def _last_axes(item: h5py.Dataset) -> list[int]:
    """Return the axes of an image in a dataset: its two longest, because formats put frames first or last."""
    return sorted(range(item.ndim), key=lambda axis: -item.shape[axis])[:2]


def _read_velox(file: h5py.File) -> list[Any]:
    from rsciio.emd._emd_velox import FeiEMDReader

    # without load_SI_image_stack, only the first frame of an image acquired with a spectrum image is read
    reader = FeiEMDReader(lazy=True, select_type="images", load_SI_image_stack=True)
    with suppress(ModuleNotFoundError):
        # it imports `sparse`, which only spectra need, after the images have been read
        reader.read_file(file)
    spectra = [(key, len(file["Data"][key])) for key in ("Spectrum", "SpectrumImage") if key in file["Data"]]
    return [*reader.dictionaries] + [{"spectra": f"{key} {n}"} for key, count in spectra for n in range(count)]


def _read_ncem(file: h5py.File) -> list[Any]:
    from rsciio.emd._emd_ncem import EMD_NCEM

    reader = EMD_NCEM()
    reader.read_file(file, lazy=True)
    return list(reader.dictionaries)


def _read_hspy(file: h5py.File) -> list[Any]:
    from rsciio.hspy._api import HyperspyReader

    return list(HyperspyReader(file).read(lazy=True))


def _read_emi(path: Path) -> list[Any]:
    """Read every ``.ser`` of an ``.emi``; rosettasciio's reader stops at number 9 and skips damaged files."""
    from rsciio.tia._api import get_xml_info_from_emi, ser_reader

    numbered = ((re.fullmatch(re.escape(path.stem) + r"_(\d+)\.ser", p.name, re.I), p) for p in path.parent.iterdir())
    parts = sorted((int(match[1]), p) for match, p in numbered if match and p.is_file())  # no pipe of that name
    if not parts:
        raise UnreadableMicrographError(f"its .ser files ({path.stem}_1.ser …), which hold the images, are missing")
    described = get_xml_info_from_emi(str(path))
    found: list[Any] = []
    for number, part in parts:
        xml = described[number - 1 : number] or described[:1] or None
        try:
            _check_ser(part)
            entries = ser_reader(str(part), xml, lazy=True)
        except Exception as error:  # noqa: BLE001 - one damaged .ser must not hide the others
            found.append(UnreadableMicrographError(f"{part.name} cannot be read: {type(error).__name__}: {error}"))
            continue
        for entry in entries:
            entry["emi"] = xml[0] if xml else ""
        found += entries
    return found


def _read_dm(path: Path) -> list[Any]:
    from hrtem_dask.loading.formats.digital_micrograph import read_entries

    return read_entries(path)


def _by_path(module: str) -> Any:
    def read(path: Path) -> list[Any]:
        return list(importlib.import_module(f"rsciio.{module}").file_reader(str(path), lazy=True))

    return read


def _read_tvips(path: Path) -> list[Any]:
    """Read all parts of a series, which rosettasciio finds by their names."""
    beside = [p for p in path.parent.iterdir() if p.suffix == path.suffix and p.name[:-10] == path.name[:-10]]
    special = next((p.name for p in beside if not p.is_file()), None)
    if special is not None:
        raise UnreadableMicrographError(f"{special}, a part of the series, is no file")
    found: list[Any] = _by_path("tvips")(path)
    return found


def _read_ser(path: Path) -> list[Any]:
    _check_ser(path)
    found: list[Any] = _by_path("tia")(path)
    return found


def _check_ser(path: Path) -> None:
    """Raise if a ``.ser`` states more elements, or larger ones, than it has bytes: rosettasciio allocates them."""
    from rsciio.tia._api import get_header_dtype_list

    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(30)
        counts = np.frombuffer(head[14:22], "<u4")
        if counts.size and int(counts.max()) > n_bytes:
            raise UnreadableMicrographError(f"{path.name} is damaged: it states {counts.max()} images")
        size = _ser_element(file, head, n_bytes)
        file.seek(0)
        header_bytes = np.dtype(get_header_dtype_list(file)).itemsize
    if header_bytes > n_bytes:  # of dimensions, whose texts have any length
        raise UnreadableMicrographError(
            f"{path.name} is damaged: its header states {header_bytes} bytes, and the file has {n_bytes}"
        )
    needed = math.prod((int(counts[-1]), *size)) if size else 0
    if needed > n_bytes:
        shape = " × ".join(str(n) for n in reversed(size))
        raise UnreadableMicrographError(
            f"{path.name} is damaged: it states {counts[-1]} images of {shape}, and has {n_bytes} bytes"
        )


def _ser_element(file: BinaryIO, head: bytes, n_bytes: int) -> tuple[int, ...]:
    """Return the lengths that the first element of a ``.ser`` states; none where the file is too short."""
    try:
        wide = struct.unpack_from("<H", head, 4)[0] > _LAST_32_BIT_SER
        (at,) = struct.unpack_from("<Q" if wide else "<I", head, 22)
        file.seek(min(at, n_bytes))
        (first,) = struct.unpack("<Q" if wide else "<I", file.read(8 if wide else 4))
        axes = 1 if struct.unpack_from("<I", head, 6)[0] == _SER_OF_SPECTRA else 2
        file.seek(min(first + 20 * axes + 2, n_bytes))  # each axis is calibrated in 20 bytes, then comes the data type
        return struct.unpack(f"<{axes}I", file.read(4 * axes))
    except struct.error:
        return ()


_READERS: dict[str, Any] = {
    "velox": _read_velox,
    "ncem": _read_ncem,
    "hspy": _read_hspy,
    "emi": _read_emi,
    "dm": _read_dm,
    "ser": _read_ser,
    "bcf": _by_path("bruker"),
    "tvips": _read_tvips,
}


def _axes(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the axes in the order of the array."""
    axes = list(entry["axes"])
    if all(a.get("index_in_array") is not None for a in axes):
        axes.sort(key=lambda a: a["index_in_array"])
    return axes


def _image_axes(axes: list[dict[str, Any]]) -> tuple[int, int]:
    """Return the numbers of the y and x axes.

    The axes are found by name where they have one, because rosettasciio transposes NCEM EMD files. Otherwise they are
    the last two.
    """
    names = [str(a.get("name") or "").lower() for a in axes]
    if names.count("y") == 1 and names.count("x") == 1:
        return names.index("y"), names.index("x")
    return len(axes) - 2, len(axes) - 1


def _signal(entry: Any, kind: str) -> Signal:
    """Describe one signal."""
    if isinstance(entry, Exception):
        return Signal(status="failed", note=str(entry))
    if "refused" in entry:
        return Signal(title=entry["title"], status="set_aside", note=entry["refused"])
    if "spectra" in entry:
        return Signal(
            title=entry["spectra"], status="set_aside", note="an EDS spectrum or spectrum image, not an image"
        )
    data, axes = entry["data"], _axes(entry)
    title = str(entry["metadata"].get("General", {}).get("title") or "")
    dtype = str(np.dtype(data.dtype).name) if not data.dtype.names else "RGB"
    refused = _refusal(entry, axes)
    found = Calibration()
    note = ""
    if not refused:
        y, x = _image_axes(axes)
        found = _calibration(axes[y], axes[x], kind)
        if (colors := _color_axis(data.shape, y, x)) is not None:
            refused = f"its axis of {colors} is one of colors, not of pixels"
        elif found.reciprocal:
            refused = "a diffraction pattern or FFT: its axes are spatial frequencies"
        elif data.dtype.names:
            refused, note = _color(entry)
    if refused:
        # the shape is part of the reason; only images have height and width
        note = f"{refused}; shape {'×'.join(str(n) for n in data.shape)}"
        return Signal(title=title, dtype=dtype, status="set_aside", note=note, **acquisition(entry))
    return Signal(
        title=title,
        dtype=dtype,
        height_px=int(data.shape[y]),
        width_px=int(data.shape[x]),
        n_frames=math.prod(data.shape) // (data.shape[y] * data.shape[x]),
        calibration=found,
        description=description(entry),
        note=note,
        **acquisition(entry),
    )


def _refusal(entry: dict[str, Any], axes: list[dict[str, Any]]) -> str:
    """Return why a signal is not an image or a stack of images; empty where it is one."""
    data = entry["data"]
    signal = entry["metadata"].get("Signal", {})
    kind = str(signal.get("signal_type") or "")
    units = {str(a.get("units") or "").strip().lower() for a in axes}
    signal_axes = sum(not a.get("navigate") for a in axes)
    if data.dtype.kind == "c":
        return "complex values: a Fourier transform or a wave"
    if data.dtype.kind not in "uifb" and not data.dtype.names:
        return f"no numbers: data type {data.dtype}"
    if data.ndim < 2:
        return f"{data.ndim}-D: a profile or spectrum, not an image"
    if kind.upper().startswith(("EELS", "EDS")) or units & _ENERGY_UNITS or signal_axes == 1:
        return "a spectrum or spectrum image"
    if "diffraction" in kind.lower() or is_diffraction_mode(entry):
        return "a diffraction pattern"
    if data.ndim > 3:
        return f"{data.ndim}-D data: a data cube, not a stack of images"
    if 0 in data.shape:
        return "no pixels"
    detector = str(entry.get("original_metadata", {}).get("BinaryResult", {}).get("Detector") or "")
    title = str(entry["metadata"].get("General", {}).get("title") or "")
    if detector.lower().startswith(("super", "dual", "ultra", "eds")) and _ELEMENT_TITLE.fullmatch(title):
        return "a map of an element, not a micrograph"
    return ""


def _color_axis(shape: tuple[int, ...], y: int, x: int) -> int | None:
    """Return the length of the axis of colors that would be taken for y or x; None where there is none."""
    others = [n for axis, n in enumerate(shape) if axis not in (y, x)]
    for short, long in ((x, y), (y, x)):
        if len(others) == 1 and has_color_axis((others[0], shape[long], shape[short])):
            return int(shape[short])
    return None


def _calibration(y: dict[str, Any], x: dict[str, Any], kind: str) -> Calibration:
    """Return the pixel size that two axes state."""
    scales, units = (y.get("scale"), x.get("scale")), (y.get("units"), x.get("units"))
    found = calibrate(scales, units, _CALIBRATION_ENTRY[kind], signed=True)
    one_meter_nm = 1e9
    if kind in ("ser", "emi") and found.pixel_size_nm is not None and max(found.pixel_size_nm) > one_meter_nm:
        # a .ser does not state whether its scale is in m or, for a diffraction pattern, in 1/m
        return Calibration(reciprocal=True)
    return found


def _color(entry: dict[str, Any]) -> tuple[str, str]:
    """Return why a color picture is refused, and otherwise a remark about its colors."""
    try:
        return "", gray_channel(_channels_last(_frame(entry, 0)))[1]
    except RefusedSignalError as error:
        return str(error), ""


def _channels_last(image: np.ndarray) -> np.ndarray:
    """Return the records of R, G, B (and A) per pixel as an axis."""
    return np.stack([image[name] for name in image.dtype.names or ()], axis=-1)
