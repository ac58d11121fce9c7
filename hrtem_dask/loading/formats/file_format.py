"""The format of a file, from its first bytes where they identify it, else from its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hrtem_dask.errors import RefusedSignalError, UnreadableMicrographError
from hrtem_dask.loading.records import Signal

__all__ = ["HEAD_BYTES", "Reader", "check_head", "identify", "is_micrograph_head"]

_EXTENSIONS = {
    "dm": (".dm3", ".dm4", ".dm5"),
    "hdf5": (".emd", ".hspy", ".h5", ".hdf5"),
    "ser": (".ser",),
    "emi": (".emi",),
    "mrc": (".mrc", ".mrcs", ".st", ".ali", ".rec", ".map"),
    "tiff": (".tif", ".tiff", ".btf", ".tf8"),
    "bcf": (".bcf",),
    "tvips": (".tvips",),
    "picture": (".png", ".jpg", ".jpeg", ".bmp"),
    "npy": (".npy",),
}
_NAMES = {
    "dm": "DigitalMicrograph file", "hdf5": "HDF5 file", "ser": "SER file", "emi": "EMI file", "mrc": "MRC file",
    "tiff": "TIFF file", "bcf": "BCF file", "tvips": "TVIPS file", "picture": "picture (PNG, JPEG, BMP)",
    "npy": "NumPy file", "zip": "zip archive", "gzip": "gzip archive", "text": "text file",
}  # fmt: skip
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "picture"),
    (0, b"\xff\xd8\xff", "picture"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"\0\0\0\x03", "dm"),
    (0, b"\0\0\0\x04", "dm"),
    (0, b"II\x97\x01", "ser"),
    (0, b"AAMVHFSS", "bcf"),
    (0, b"\x93NUMPY", "npy"),
    (208, b"MAP ", "mrc"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"\x1f\x8b", "gzip"),
)
HEAD_BYTES = 512
"""Bytes by which a format is recognized."""
_SURE = ("tiff", "picture", "npy", "dm", "ser", "bcf")
"""Formats all of whose files begin with a known mark."""


@dataclass(frozen=True)
class Reader:
    """Functions that read one file."""

    list_signals: Callable[[], list[Signal]]
    """Returns the signals of the file."""
    read_frame: Callable[[int, int], np.ndarray]
    """Reads a frame, from the number of the signal and the number of the frame."""
    note: str = ""
    """Remark if the name does not agree with the content; else empty."""
    path: Path | None = None
    """The file, beside which side files may lie; None for a folder."""


def identify(path: Path) -> Reader:
    """Return the reader of a local file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    Reader
        Reader for the format of the content, also where the extension differs from it.

    Raises
    ------
    UnreadableMicrographError
        If the file is empty.
    RefusedSignalError
        If the format is not one of microscopy.
    OSError
        If the file cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return _reader(path, *check_head(path, head))


def check_head(path: Path, head: bytes) -> tuple[str, str]:
    """Return the format of a file whose name and first bytes are known, before the rest of it is read or unpacked.

    Parameters
    ----------
    path : pathlib.Path
        Name of the file; it need not exist.
    head : bytes
        Its first 512 bytes.

    Returns
    -------
    kind : str
        The format.
    note : str
        Remark if the name does not agree with the content; else empty.

    Raises
    ------
    UnreadableMicrographError
        If the file is empty, or does not begin as its format does.
    RefusedSignalError
        If the format is not one of microscopy.
    """
    if not head:
        raise UnreadableMicrographError("the file is empty (0 bytes)")
    named = next((kind for kind, endings in _EXTENSIONS.items() if path.suffix.lower() in endings), None)
    content = _content_kind(head)
    if content is None and head.startswith(b"BM") and (named in (None, "picture")):
        content = "picture"
    # a DM file starts with a plain 3 or 4, and so may files of other formats
    if content == "dm" and named not in (None, "dm"):
        content = named if named in ("mrc", "tvips") else content
    kind = content or named
    if content is None and named is not None and _is_text(head):
        kind = "text"
    if kind not in _EXTENSIONS:
        what = f" (its content: {_NAMES[kind]})" if kind else ""
        if kind in ("zip", "gzip"):
            what += ": rename it, so that it is opened as an archive"
        raise RefusedSignalError(f"not a micrograph format: {path.suffix.lower() or 'no extension'}{what}")
    if content is None and kind in _SURE:
        raise UnreadableMicrographError(f"damaged, or no {_NAMES[kind]}: it does not begin as one")
    return kind, f"named {path.suffix}, but it is a {_NAMES[kind]}" if named != kind else ""


def is_micrograph_head(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a micrograph, whatever its name.

    Parameters
    ----------
    head : bytes
        First 512 bytes of the file.

    Returns
    -------
    bool
        True for a format of micrographs whose files begin with a known mark.
    """
    return _content_kind(head) in _EXTENSIONS


def _content_kind(head: bytes) -> str | None:
    """Return the format that the first bytes identify."""
    return next((kind for at, magic, kind in _MAGIC if head[at : at + len(magic)] == magic), None)


def _is_text(head: bytes) -> bool:
    """Return whether a file starts with readable text, such as an error page saved under the name of an image."""
    return len(head) >= 8 and all(32 <= b < 127 or b in b"\t\r\n" for b in head[:256])


def _reader(path: Path, kind: str, note: str) -> Reader:
    """Return the reader of a format; modules are imported here because some are slow to import."""
    module: Any
    if kind == "tiff":
        from hrtem_dask.loading.formats.tiff_files import images as module
    elif kind == "picture":
        from hrtem_dask.loading.formats import pictures as module
    elif kind == "mrc":
        from hrtem_dask.loading.formats.mrc_files import sections as module
    elif kind == "npy":
        from hrtem_dask.loading.formats import npy as module
    else:
        from hrtem_dask.loading.formats import rosetta

        variant = _hdf5_variant(path) if kind == "hdf5" else kind
        return Reader(
            lambda: rosetta.list_signals(path, variant),
            lambda signal, frame: rosetta.read_frame(path, variant, signal, frame),
            note,
            path,
        )
    return Reader(
        lambda: module.list_signals(path), lambda signal, frame: module.read_frame(path, signal, frame), note, path
    )


def _hdf5_variant(path: Path) -> str:
    """Return which microscopy format an HDF5 file follows."""
    with h5py.File(path, "r") as file:
        if "Experiments" in file:
            return "hspy"
        if isinstance(version := file.get("Version"), h5py.Dataset):
            try:
                if json.loads(version[0].decode()).get("format") in ("Velox", "DevelopersKit"):
                    return "velox"
            except (ValueError, AttributeError, IndexError, TypeError):
                pass  # a "Version" of something else
        groups: list[str] = []
        file.visititems(lambda name, item: groups.append(name) if "emd_group_type" in item.attrs else None)
        if groups:
            return "ncem"
    raise RefusedSignalError("an HDF5 file without images: neither Velox, nor NCEM EMD, nor HyperSpy")
