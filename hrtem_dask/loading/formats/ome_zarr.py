"""Zarr: OME-NGFF 0.4 and 0.5 images at full resolution, and plain arrays without calibration."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import zarr
import zarr.storage

from hrtem_dask.addresses import file_system
from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.formats.channels import fields_of_axes
from hrtem_dask.loading.formats.header_limits import ALWAYS_ALLOWED_BYTES, MAX_IMAGES, check_chunks, check_size
from hrtem_dask.loading.formats.npy import describe_array
from hrtem_dask.loading.formats.zarr_chunks import read_with_missing
from hrtem_dask.loading.pixel_sizes import Calibration, calibrate
from hrtem_dask.loading.records import Signal

__all__ = ["holds_label_images", "image_paths", "list_signals", "read_frame"]


def image_paths(url: str) -> list[str]:
    """Find the images in a Zarr store.

    Parameters
    ----------
    url : str
        Path or URL of the folder.

    Returns
    -------
    list of str
        Sorted paths inside the store of OME-NGFF images, and of arrays that do not belong to one; an empty path is the
        store itself. Label images are left out, because they belong to an image.

    Raises
    ------
    UnreadableMicrographError
        If the folder is not a Zarr store.
    """
    return list(_walk(_opened(url), ""))


def holds_label_images(url: str) -> bool:
    """Return whether a Zarr store, or a group directly in it, is a label image.

    Parameters
    ----------
    url : str
        Path or URL of the folder.

    Returns
    -------
    bool
        False for arrays.
    """
    root = _opened(url)
    if isinstance(root, zarr.Array):
        return False
    groups = [root, *(child for _, child in root.groups())]
    return any("image-label" in _ome(group) for group in groups)


def _walk(node: Any, path: str) -> Iterator[str]:
    """Yield the paths of images at and below a node."""
    if isinstance(node, zarr.Array):
        yield path
        return
    ome = _ome(node)
    if "image-label" in ome:
        return
    pyramid = {d["path"].split("/")[0] for scales in ome.get("multiscales", []) for d in scales["datasets"]}
    if pyramid:
        yield path
    for key, child in sorted(node.members()):
        # in an image's group the other arrays are its coordinates, and the group "labels" its label images
        if not (pyramid and (key in pyramid or key == "labels" or isinstance(child, zarr.Array))):
            yield from _walk(child, f"{path}/{key}".lstrip("/"))


def _ome(group: Any) -> dict[str, Any]:
    """Return the OME-NGFF attributes, which are under ``ome`` since version 0.5 and at the top before."""
    attrs = dict(group.attrs)
    return dict(attrs.get("ome", attrs))


def list_signals(url: str) -> list[Signal]:
    """List the signals of an image in a Zarr store.

    Parameters
    ----------
    url : str
        Path or URL of the store and the image in it.

    Returns
    -------
    list of Signal
        One signal per multiscale of the image, at full resolution; one for an array.

    Raises
    ------
    UnreadableMicrographError
        If there is no image at this path.
    """
    node = _opened(url)
    if isinstance(node, zarr.Array):
        described = describe_array(node.shape, node.dtype)
        if described.status == "ok":
            _check(node, url)
        return [described]
    ingested = dict(node.attrs.get("hrtem_dask") or {})
    found = []
    for scales in _ome(node).get("multiscales", []):
        array = node[scales["datasets"][0]["path"]]
        signal = _signal(array, scales, ingested, _channel_names(node))
        if signal.status == "ok":
            _check(array, posixpath.join(url, scales["datasets"][0]["path"]))
        found.append(signal)
    return found


def _check(array: Any, url: str) -> None:
    """Raise if an array states more pixels than its chunks can hold, or is stored in chunks that take too long."""
    check_chunks(array.shape, array.chunks, array.dtype.itemsize, axes=(array.ndim - 2, array.ndim - 1))
    n_images = math.prod(array.shape[:-2])
    if array.nbytes > ALWAYS_ALLOWED_BYTES or n_images > MAX_IMAGES:  # most arrays are small, and walking takes time
        fs, path = file_system(url)
        check_size(array.nbytes, int(fs.du(path)), n_frames=n_images)


def read_frame(url: str, signal: int, frame: int) -> np.ndarray:
    """Read one image; only the chunks of that frame are fetched, and missing ones are NaN.

    Parameters
    ----------
    url : str
        Path or URL of the store and the image in it.
    signal : int
        Number of the multiscale.
    frame : int
        Number of the frame, counted over all axes but the last two.

    Returns
    -------
    numpy.ndarray
        Shape (y, x).
    """
    node = _opened(url)
    if not isinstance(node, zarr.Array):
        node = node[_ome(node)["multiscales"][signal]["datasets"][0]["path"]]
    index = tuple(int(n) for n in np.unravel_index(frame, node.shape[:-2])) if node.ndim > 2 else ()
    return read_with_missing(node, (*index, slice(None), slice(None)))


def _opened(url: str) -> Any:
    """Open a store for reading, on any file system."""
    store: Any = zarr.storage.FsspecStore.from_url(url, read_only=True) if "://" in url else url
    try:
        return zarr.open(store, mode="r")
    except FileNotFoundError as error:
        raise UnreadableMicrographError("not a Zarr store: the folder has neither array nor group metadata") from error


def _channel_names(node: Any) -> list[str]:
    """Return the names of the channels of an image, which OMERO's entry holds."""
    omero = _ome(node).get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    return [str(c.get("label") or "") for c in channels or [] if isinstance(c, dict)]


def _axis_names(scales: dict[str, Any]) -> list[str]:
    """Return the names of the axes of a multiscales entry."""
    return [str(a if isinstance(a, str) else a.get("name", "")) for a in scales.get("axes") or []]


def _signal(array: Any, scales: dict[str, Any], ingested: dict[str, Any], channels: list[str]) -> Signal:
    """Describe one image; `ingested` holds the metadata that `hrtem-dask ingest` stored with it."""
    described = describe_array(array.shape[-3:], array.dtype)
    if described.status != "ok":
        return described
    found, refused = _calibration(scales, array.ndim)
    if found.pixel_size_nm is not None and str(ingested.get("pixel_size_source") or "none") != "none":
        found = Calibration(found.pixel_size_nm, str(ingested["pixel_size_source"]))
    letters = "".join(name[:1].upper() or "?" for name in _axis_names(scales)[:-2])
    known: dict[str, Any] = {k: ingested.get(k) for k in ("voltage_kv", "magnification", "instrument", "acquired_at")}
    return replace(
        described,
        title=str(ingested.get("title") or scales.get("name") or ""),
        sample=str(ingested.get("sample") or ""),
        n_frames=1 if refused else math.prod(array.shape[:-2]),
        calibration=found,
        status="set_aside" if refused else "ok",
        note=refused,
        covariates=tuple(dict(ingested.get("covariates") or {}).items()),
        fields=() if refused else fields_of_axes(letters, array.shape[:-2], channels),
        **known,
    )


def _calibration(scales: dict[str, Any], ndim: int) -> tuple[Calibration, str]:
    """Return the pixel size of a multiscales entry, and why it is refused if it is."""
    axes = scales.get("axes") or []
    names = _axis_names(scales)
    if len(axes) != ndim or [n.lower() for n in names[-2:]] != ["y", "x"]:
        return Calibration(), f"its last two axes are not y and x: {names}"
    units = ["" if isinstance(a, str) else a.get("unit", "") for a in axes[-2:]]
    size = np.ones(2)
    for transforms in (scales["datasets"][0].get("coordinateTransformations"), scales.get("coordinateTransformations")):
        for transform in transforms or []:
            if transform.get("type") == "scale":
                size = size * np.asarray(transform["scale"][-2:], float)
    found = calibrate((size[0], size[1]), (units[0], units[1]), "file: OME-NGFF scale")
    return found, "a diffraction pattern: its axes are spatial frequencies" if found.reciprocal else ""
