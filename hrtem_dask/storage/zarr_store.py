"""Zarr stores: ingested micrographs, and the labels of a run. One group per micrograph.

A group is an OME-NGFF image (or label image), so other tools read it; its array is named ``intensity`` or
``0`` and carries its dimension names and its coordinates, so xarray opens it lazily with nm on its axes.
"""

from __future__ import annotations

import hashlib
import math
import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
import zarr.storage
from zarr.codecs import BloscCodec

from hrtem_dask.addresses import file_system
from hrtem_dask.micrograph import PixelSize, make_micrograph
from hrtem_dask.storage import ngff
from hrtem_dask.storage.location import Location

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "content_hash",
    "create_label_array",
    "create_store",
    "files_hash",
    "label_array_name",
    "open_label_group",
    "open_labels",
    "open_store",
    "read_labels",
    "read_micrograph",
    "remove",
    "write_collection",
    "write_label_image",
    "write_labels",
    "write_micrograph",
]

MICROGRAPH_CHUNK_PX = 4096
LABEL_CHUNK_PX = 2048
COLLECTION = "OME"
"""Group beside the images that lists them."""


def _store(folder: Location) -> zarr.storage.StoreLike:
    """Return the Zarr store of a folder."""
    return zarr.storage.LocalStore(folder.url) if folder.is_local else zarr.storage.FsspecStore.from_url(folder.url)


def create_store(folder: Location) -> None:
    """Make the root group where it does not exist yet.

    Parameters
    ----------
    folder : Location
        The store. A root that is damaged is written again: it holds nothing but the mark of a group.
    """
    try:
        zarr.open_group(_store(folder), mode="a", zarr_format=3)
    except Exception:  # noqa: BLE001 - damaged metadata raise errors of many kinds
        folder.write_json("zarr.json", {"attributes": {}, "node_type": "group", "zarr_format": 3})
        zarr.open_group(_store(folder), mode="r+")


def write_collection(folder: Location, paths: Sequence[str]) -> None:
    """List the images of a store at its root, as OME-NGFF 0.5 describes a store of several (layout of bioformats2raw).

    Parameters
    ----------
    folder : Location
        The store, made by `create_store`.
    paths : sequence of str
        Names of the groups of its images, in their order.
    """
    root = zarr.open_group(_store(folder), mode="r+")
    about_root, about_images = ngff.collection_attributes(paths)
    root.update_attributes(about_root)
    root.create_group(COLLECTION, overwrite=True, attributes=about_images)


def content_hash(folder: Location, micrograph_id: str) -> str:
    """Return a hash of what is stored of one micrograph.

    Parameters
    ----------
    folder : Location
        The store.
    micrograph_id : str
        Name of its group.

    Returns
    -------
    str
        BLAKE2b hash (32 hexadecimal digits) of the names and contents of its files as they are stored, without reading
        pixels; empty where there are none. Files whose names begin with a dot, which file managers leave, do not count.
    """
    fs, root = file_system(folder.path(micrograph_id))
    fs.invalidate_cache()
    found = sorted(fs.find(root)) if fs.isdir(root) else []
    names = [posixpath.relpath(path, root) for path in found]
    visible = [name for name in names if not posixpath.basename(name).startswith(".")]
    files = {name: folder.read_bytes(posixpath.join(micrograph_id, name)) for name in visible}
    return files_hash(files) if names else ""


def files_hash(files: Mapping[str, bytes]) -> str:
    """Return a hash of the files of one micrograph.

    Parameters
    ----------
    files : mapping of str to bytes
        Name inside its group → content.

    Returns
    -------
    str
        BLAKE2b hash (32 hexadecimal digits) of names and contents.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return digest.hexdigest()


def open_store(folder: Location) -> zarr.Group:
    """Open a store for reading.

    Parameters
    ----------
    folder : Location
        The store.

    Returns
    -------
    zarr.Group
        Its groups are named by `micrograph_id`.
    """
    return zarr.open_group(_store(folder), mode="r")


def write_micrograph(
    folder: Location,
    micrograph_id: str,
    image: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write one micrograph into an ingest store.

    Parameters
    ----------
    folder : Location
        The store, made by `create_store`.
    micrograph_id : str
        Name of its group; a group of that name is replaced.
    image : numpy.ndarray
        Shape (y, x). One chunk, or chunks of 4096² where it is larger.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    metadata : mapping, optional
        What JSON can hold; kept under ``attrs["hrtem_dask"]``.
    """
    group = _new_group(folder, micrograph_id, ngff.image_attributes(micrograph_id, "intensity", pixel_size_nm))
    group.attrs["hrtem_dask"] = dict(metadata or {})
    chunks = tuple(min(n, MICROGRAPH_CHUNK_PX) for n in image.shape)
    array = group.create_array(
        "intensity",
        shape=image.shape,
        dtype=image.dtype,
        chunks=chunks,
        compressors=[BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=image.dtype.itemsize)],
        dimension_names=("y", "x"),
        config={"write_empty_chunks": True},  # readers take a chunk that is missing for missing pixels
    )
    array[:] = image
    _write_coordinates(group, image.shape, pixel_size_nm)


def read_micrograph(folder: Location, micrograph_id: str) -> xr.DataArray:
    """Read one micrograph of an ingest store.

    Parameters
    ----------
    folder : Location
        The store.
    micrograph_id : str
        Name of its group.

    Returns
    -------
    xarray.DataArray
        (y, x), as `make_micrograph` builds it.

    Raises
    ------
    KeyError
        If there is no such micrograph.
    """
    group: Any = open_store(folder)[micrograph_id]
    known = dict(group.attrs["hrtem_dask"])
    size = _pixel_size(group)
    source = str(known.pop("pixel_size_source", "file: OME-NGFF"))
    return make_micrograph(group["intensity"][:], pixel_size_nm=size, pixel_size_source=source, metadata=known)


def write_labels(
    folder: Location,
    micrograph_id: str,
    labels: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    array_name: str = "0",
) -> None:
    """Write the particle labels of one micrograph.

    Parameters
    ----------
    folder : Location
        The ``labels.zarr`` of a run, made by `create_store`.
    micrograph_id : str
        Name of its group; a group of that name is replaced.
    labels : numpy.ndarray of int
        Shape (y, x), 0 = background. Chunks of at most 2048² in a single shard.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    array_name : str
        Name of the array in the group; not ``labels``, where an image has its label images.
    """
    name = micrograph_id.rpartition("/")[2]
    group = _new_group(folder, micrograph_id, ngff.label_attributes(name, array_name, pixel_size_nm))
    create_label_array(group, labels, array_name)


def create_label_array(group: zarr.Group, labels: np.ndarray, array_name: str) -> None:
    """Write labels into the group of a label image.

    Parameters
    ----------
    group : zarr.Group
        The group, without an array.
    labels : numpy.ndarray of int
        Shape (y, x), 0 = background.
    array_name : str
        Name of the array.
    """
    chunks = tuple(min(n, LABEL_CHUNK_PX) for n in labels.shape)
    shards = tuple(c * math.ceil(n / c) for n, c in zip(labels.shape, chunks, strict=True))
    array = group.create_array(
        array_name,
        shape=labels.shape,
        dtype=np.int32,
        chunks=chunks,
        shards=shards,
        compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=4)],
        dimension_names=("y", "x"),
        config={"write_empty_chunks": True},  # a chunk that is missing is damage, never background
    )
    array[:] = labels


def write_label_image(folder: Location, path: str, labels: np.ndarray, *, pixel_size_nm: PixelSize | None) -> None:
    """Write labels beside the image that they belong to, where OME-NGFF wants them.

    Parameters
    ----------
    folder : Location
        The store; `write_micrograph` has written the image.
    path : str
        ``<micrograph_id>/labels/<name>``.
    labels : numpy.ndarray of int
        Shape (y, x), 0 = background.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    """
    parent, _, name = path.rpartition("/")
    _new_group(folder, parent, {"ome": {"version": "0.5", "labels": [name]}})
    write_labels(folder, path, labels, pixel_size_nm=pixel_size_nm)


def read_labels(folder: Location, micrograph_id: str, box: tuple[slice, slice] | None = None) -> np.ndarray:
    """Read the particle labels of one micrograph, or of a part of it.

    Parameters
    ----------
    folder : Location
        The ``labels.zarr`` of a run, or any store of OME-NGFF label images.
    micrograph_id : str
        Name of its group.
    box : tuple of slice, optional
        Rows and columns; only the chunks that it touches are read.

    Returns
    -------
    numpy.ndarray of int
        Shape (y, x); int32 where this package wrote it.

    Raises
    ------
    KeyError
        If there is no such micrograph.
    """
    try:
        # not through the root, which may be damaged
        group: Any = zarr.open_group(_store(folder), path=micrograph_id, mode="r")
    except FileNotFoundError as error:
        raise KeyError(micrograph_id) from error
    return np.asarray(group[label_array_name(group)][box or (slice(None), slice(None))])


def open_labels(folder: Location, micrograph_id: str, pixel_size_nm: PixelSize | None) -> xr.DataArray:
    """Open the particle labels of one micrograph; a pixel is read when it is used.

    Parameters
    ----------
    folder : Location
        The ``labels.zarr`` of a run.
    micrograph_id : str
        Name of its group.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    xarray.DataArray of int32
        (y, x), 0 = background, with coordinates in nm (or px).

    Raises
    ------
    KeyError
        If there is no such micrograph.
    """
    try:
        return open_label_group(_store(folder.inside(micrograph_id)), pixel_size_nm)
    except FileNotFoundError as error:
        raise KeyError(micrograph_id) from error


def open_label_group(store: zarr.storage.StoreLike, pixel_size_nm: PixelSize | None) -> xr.DataArray:
    """Open a label image.

    Parameters
    ----------
    store : zarr.storage.StoreLike
        Store whose root is the group of the label image.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    xarray.DataArray of int32
        (y, x), 0 = background, with coordinates in nm (or px).
    """
    import xarray as xr  # a quarter of a second to import, which workers of a run need not pay

    opened = xr.open_zarr(store, chunks=None, consolidated=False, zarr_format=3, mask_and_scale=False)
    labels: xr.DataArray = opened[label_array_name(opened)].rename("labels")
    axes = make_micrograph(np.broadcast_to(np.int8(0), labels.shape), pixel_size_nm=pixel_size_nm)
    return labels.assign_coords(axes.coords)


def label_array_name(group: Any) -> str:
    """Return the name of a group's full-resolution array.

    Parameters
    ----------
    group : zarr.Group or xarray.Dataset
        The group of an OME-NGFF image, or what was opened of it.

    Returns
    -------
    str
        Name inside the group.
    """
    attributes = dict(group.attrs)
    scales = attributes.get("ome", attributes).get("multiscales")
    return str(scales[0]["datasets"][0]["path"]) if scales else "labels"


def remove(folder: Location, micrograph_id: str) -> None:
    """Remove one micrograph's group; an absent one is no error.

    Parameters
    ----------
    folder : Location
        The store.
    micrograph_id : str
        Name of its group.
    """
    fs, path = file_system(folder.path(micrograph_id))
    if fs.exists(path):
        fs.rm(path, recursive=True)


def _new_group(folder: Location, name: str, attributes: Mapping[str, Any]) -> zarr.Group:
    """Make an empty group in place of whatever had its name."""
    # through the root, which is not written again: workers that die would leave pieces of it behind
    root = zarr.open_group(_store(folder), mode="r+")
    try:
        return root.create_group(name, overwrite=True, attributes=dict(attributes))
    except Exception:  # noqa: BLE001 - what had its name is damaged, or no group
        remove(folder, name)
        return root.create_group(name, overwrite=True, attributes=dict(attributes))


def _write_coordinates(group: zarr.Group, shape: tuple[int, ...], pixel_size_nm: PixelSize | None) -> None:
    """Write pixel centres along each axis, so that xarray shows nm."""
    units = "px" if pixel_size_nm is None else "nm"
    for axis, n, step in zip(("y", "x"), shape, pixel_size_nm or (1.0, 1.0), strict=True):
        values = np.arange(n) * step
        coordinate = group.create_array(axis, shape=(n,), dtype="float64", chunks=(n,), dimension_names=(axis,))
        coordinate[:] = values
        coordinate.attrs["units"] = units


def _pixel_size(group: Any) -> PixelSize | None:
    """Return the pixel size that a group's OME-NGFF attributes state."""
    scales = group.attrs["ome"]["multiscales"][0]
    if "unit" not in scales["axes"][0]:
        return None
    y, x = scales["datasets"][0]["coordinateTransformations"][0]["scale"]
    return float(y), float(x)
