"""Label images as files in memory: the bytes that `zarr_store.write_labels` writes into folders."""

from __future__ import annotations

import functools
import json
import posixpath
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
import zarr
import zarr.storage
from numcodecs import Blosc
from zarr.core.buffer import cpu

from hrtem_dask.addresses import file_system
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.storage import ngff, zarr_store
from hrtem_dask.storage.location import Location

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["collection_files", "decode_labels", "encode_labels", "open_label_files", "write_label_files"]

_NAME = "0"
_METADATA = "zarr.json"
_CHUNK = f"{_NAME}/c/0/0"


def encode_labels(micrograph_id: str, labels: np.ndarray, *, pixel_size_nm: PixelSize | None) -> dict[str, bytes]:
    """Return what `zarr_store.write_labels` writes, as files in memory.

    Parameters
    ----------
    micrograph_id : str
        The micrograph.
    labels : numpy.ndarray of int
        Shape (y, x), 0 = background.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    dict of str to bytes
        Name inside the group of the micrograph → content.

    Examples
    --------
    >>> sorted(encode_labels("a", np.ones((8, 8), np.int32), pixel_size_nm=(0.1, 0.1)))
    ['0/c/0/0', '0/zarr.json', 'zarr.json']
    """
    attributes = ngff.label_attributes(micrograph_id, _NAME, pixel_size_nm)
    if not labels.size or max(labels.shape) > zarr_store.LABEL_CHUNK_PX:
        return _encoded_by_zarr(labels, attributes)
    group, array = _metadata(labels.shape)
    about = json.dumps({"attributes": attributes, **json.loads(group)}, indent=2).encode()
    return {_CHUNK: _shard(labels), f"{_NAME}/{_METADATA}": array, _METADATA: about}


def decode_labels(files: Mapping[str, bytes]) -> np.ndarray:
    """Return the labels of files in memory.

    Parameters
    ----------
    files : mapping of str to bytes
        From `encode_labels`.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x).

    Examples
    --------
    >>> decode_labels(encode_labels("a", np.eye(2, dtype=np.int32), pixel_size_nm=None)).tolist()
    [[1, 0], [0, 1]]
    """
    group: Any = zarr.open_group(_store(files), mode="r")
    return np.asarray(group[zarr_store.label_array_name(group)][:])


def write_label_files(folder: Location, micrograph_id: str, files: Mapping[str, bytes]) -> None:
    """Write the files of one label image, as `zarr_store.write_labels` does in five times the time.

    Parameters
    ----------
    folder : Location
        The ``labels.zarr`` of a run, made by `zarr_store.create_store`.
    micrograph_id : str
        Name of its group; a group of that name is replaced.
    files : mapping of str to bytes
        From `encode_labels`.
    """
    fs, root = file_system(folder.path(micrograph_id))
    # the group's own file is written last: without it there is no group
    written = {posixpath.join(root, name): files[name] for name in sorted(files, key=lambda name: -name.count("/"))}
    if folder.is_local:
        zarr_store.remove(folder, micrograph_id)
        for path, content in written.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content)
        return
    fs.invalidate_cache()
    if earlier := set(fs.find(root)) - set(written):  # one request, where most micrographs have nothing
        fs.rm(sorted(earlier))
    for path, content in written.items():
        fs.pipe_file(path, content)


def open_label_files(files: Mapping[str, bytes], pixel_size_nm: PixelSize | None) -> xr.DataArray:
    """Open labels of files in memory, as `zarr_store.open_labels` does; a pixel is decoded when it is used.

    Parameters
    ----------
    files : mapping of str to bytes
        From `encode_labels`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    xarray.DataArray of int32
        (y, x), 0 = background, with coordinates in nm (or px).
    """
    return zarr_store.open_label_group(_store(files), pixel_size_nm)


def collection_files(paths: Sequence[str]) -> dict[str, bytes]:
    """Return the files of a store that list its images: what `zarr_store.write_collection` writes.

    Parameters
    ----------
    paths : sequence of str
        Names of the groups of its images, in their order.

    Returns
    -------
    dict of str to bytes
        Name inside the store → content.
    """
    names = (_METADATA, f"{zarr_store.COLLECTION}/{_METADATA}")
    groups = (
        {"attributes": about, "zarr_format": 3, "node_type": "group"} for about in ngff.collection_attributes(paths)
    )
    return {name: json.dumps(group).encode() for name, group in zip(names, groups, strict=True)}


def _store(files: Mapping[str, bytes]) -> zarr.storage.MemoryStore:
    """Return a store of files in memory."""
    return zarr.storage.MemoryStore({name: cpu.Buffer.from_bytes(content) for name, content in files.items()})


def _encoded_by_zarr(labels: np.ndarray, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a label image, written by zarr."""
    files: dict[str, Any] = {}
    group = zarr.create_group(zarr.storage.MemoryStore(files), attributes=dict(attributes), zarr_format=3)
    zarr_store.create_label_array(group, labels, _NAME)
    return {name: content.to_bytes() for name, content in files.items()}


@functools.lru_cache(maxsize=64)
def _metadata(shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Return the metadata of group and array as zarr writes them; asking zarr takes 3 ms, so it is asked once."""
    files = _encoded_by_zarr(np.zeros(shape, np.int32), {})
    group = {name: value for name, value in json.loads(files[_METADATA]).items() if name != "attributes"}
    return json.dumps(group).encode(), files[f"{_NAME}/{_METADATA}"]


def _shard(labels: np.ndarray) -> bytes:
    """Return a shard of one chunk: the chunk, its offset and length (uint64, little-endian), and their CRC-32C."""
    codec = Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE, blocksize=0, typesize=4)
    chunk = bytes(codec.encode(np.ascontiguousarray(labels, dtype="<i4")))
    index = struct.pack("<QQ", 0, len(chunk))
    return chunk + index + struct.pack("<I", google_crc32c.value(index))
