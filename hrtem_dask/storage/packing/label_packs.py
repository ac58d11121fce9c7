"""Labels of a group of micrographs in one file: an OME-NGFF store in a ZIP file, a group per micrograph.

A label image in folders is seven files and folders, which is too many for thousands of small micrographs. A pack holds
the same bytes under the same names, uncompressed, so it is an ordinary Zarr store for whoever opens ZIP files, and
unpacks into one. A pack belongs to the part with the rows of its micrographs. ``labels/index.json``, written when a run
ends, tells which pack has whose labels; micrographs that are not in it have their labels in ``labels.zarr``.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from hrtem_dask.addresses import file_system
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing.label_bytes import collection_files, decode_labels, open_label_files

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "FOLDER",
    "INDEX",
    "SUFFIX",
    "LabelFiles",
    "open_labels",
    "pack_file",
    "pack_labels",
    "packed_ids",
    "read_files",
    "read_labels",
    "unpack_labels",
    "write_index",
]

FOLDER = "labels"
INDEX = f"{FOLDER}/index.json"
LABELS = "labels.zarr"
SUFFIX = ".zarr.zip"
_EPOCH = (1980, 1, 1, 0, 0, 0)

LabelFiles = Mapping[str, bytes]
"""Files of one label image: name inside its group → content."""


def pack_file(part: str) -> str:
    """Return the pack of a part.

    Parameters
    ----------
    part : str
        Name of the part.

    Returns
    -------
    str
        File inside the results folder.

    Examples
    --------
    >>> pack_file("4e1f")
    'labels/4e1f.zarr.zip'
    """
    return f"{FOLDER}/{part}{SUFFIX}"


def pack_labels(labels: Mapping[str, LabelFiles]) -> bytes:
    """Put the labels of several micrographs into one ZIP file.

    Parameters
    ----------
    labels : mapping
        `micrograph_id` → its files, from `label_bytes.encode_labels`.

    Returns
    -------
    bytes
        The ZIP file: a Zarr store whose root lists its label images. The same labels give the same bytes.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.storage.packing.label_bytes import encode_labels
    >>> files = encode_labels("a", np.ones((8, 8), np.int32), pixel_size_nm=None)
    >>> unpack_labels(pack_labels({"a": files})) == {"a": files}
    True
    """
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in collection_files(list(labels)).items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
        for micrograph_id, files in labels.items():
            for name in sorted(files):
                archive.writestr(zipfile.ZipInfo(f"{micrograph_id}/{name}", _EPOCH), files[name])
    return sink.getvalue()


def unpack_labels(content: bytes) -> dict[str, dict[str, bytes]]:
    """Take the labels out of a pack.

    Parameters
    ----------
    content : bytes
        From `pack_labels`.

    Returns
    -------
    dict
        `micrograph_id` → its files. A file that is damaged is left out, which the hash of its micrograph shows; the
        others are as good as before.

    Raises
    ------
    OSError
        If it is no pack, or its list of files is damaged.
    """
    with _opened(io.BytesIO(content)) as archive:
        found: dict[str, dict[str, bytes]] = {}
        for member in archive.infolist():
            micrograph_id, _, name = member.filename.partition("/")
            if name and micrograph_id != zarr_store.COLLECTION:
                with suppress(zipfile.BadZipFile):
                    found.setdefault(micrograph_id, {})[name] = _content(archive, member)
        return found


def write_index(folder: Location, packs: Mapping[str, str]) -> str | None:
    """Write which pack has whose labels; without any, there is no index.

    Parameters
    ----------
    folder : Location
        The results folder.
    packs : mapping of str to str
        `micrograph_id` → name of the part whose pack has its labels.

    Returns
    -------
    str or None
        Content that was written; None where there is no pack.
    """
    if not packs:
        folder.remove(INDEX)
        return None
    content = json.dumps(dict(packs), indent=0, sort_keys=True)
    folder.write_bytes(INDEX, content.encode())
    return content


def packed_ids(folder: Location) -> dict[str, str]:
    """Read which pack has whose labels.

    Parameters
    ----------
    folder : Location
        The results folder.

    Returns
    -------
    dict of str to str
        `micrograph_id` → name of the part; empty where no labels are packed.

    Raises
    ------
    OSError
        If the index is damaged.
    """
    if not folder.exists(INDEX):
        return {}
    try:
        return {str(name): str(part) for name, part in json.loads(folder.read_bytes(INDEX)).items()}
    except (ValueError, AttributeError) as error:
        raise OSError(f"{folder.path(INDEX)} is damaged: run again into this folder, which writes it again") from error


def read_files(folder: Location, part: str, micrograph_id: str) -> dict[str, bytes]:
    """Read the files of one label image from a pack.

    Parameters
    ----------
    folder : Location
        The results folder.
    part : str
        Name of the part.
    micrograph_id : str
        The micrograph.

    Returns
    -------
    dict of str to bytes
        Its files; empty where the pack has none.

    Raises
    ------
    OSError
        If there is no such pack, or it is damaged.
    """
    fs, path = file_system(folder.path(pack_file(part)))
    start = f"{micrograph_id}/"
    with fs.open(path, "rb") as file, _opened(file) as archive:
        members = [m for m in archive.infolist() if m.filename.startswith(start)]
        return {m.filename.removeprefix(start): _content(archive, m) for m in members}


def read_labels(folder: Location, micrograph_id: str, *, part: str | None = None) -> np.ndarray:
    """Read the labels of one micrograph of a run, packed or not.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrograph_id : str
        The micrograph.
    part : str, optional
        Name of the part whose pack has them; by default that of the index, and ``labels.zarr`` where it names none.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), 0 = background.

    Raises
    ------
    KeyError
        If it has none.
    OSError
        If they are damaged.
    """
    part = part or packed_ids(folder).get(micrograph_id)
    if part is None:
        return zarr_store.read_labels(folder.inside(LABELS), micrograph_id)
    return decode_labels(_known(read_files(folder, part, micrograph_id), micrograph_id))


def open_labels(
    folder: Location, micrograph_id: str, pixel_size_nm: PixelSize | None, *, part: str | None
) -> xr.DataArray:
    """Open the labels of one micrograph of a run; a pixel is decoded when it is used.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrograph_id : str
        The micrograph.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    part : str or None
        Name of the part whose pack has them, from `packed_ids`; None where they are in ``labels.zarr``.

    Returns
    -------
    xarray.DataArray of int32
        (y, x), 0 = background, with coordinates in nm (or px).

    Raises
    ------
    KeyError
        If it has none.
    """
    if part is None:
        return zarr_store.open_labels(folder.inside(LABELS), micrograph_id, pixel_size_nm)
    files = _known(read_files(folder, part, micrograph_id), micrograph_id)
    return open_label_files(files, pixel_size_nm)


def _known(files: dict[str, bytes], micrograph_id: str) -> dict[str, bytes]:
    """Refuse a micrograph that a pack does not have."""
    if not files:
        raise KeyError(micrograph_id)
    return files


@contextmanager
def _opened(file: io.IOBase) -> Iterator[zipfile.ZipFile]:
    """Open a pack; whatever is wrong with it is an OSError."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise OSError(f"no pack of labels, or a damaged one: {error}") from error


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read one file; those that this package has not written could expand without limit."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    return archive.read(member)
