"""Zarr: OME-NGFF 0.4 and 0.5 images at full resolution, and plain arrays without calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import zarr
import zarr.storage

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.calibration import Calibration, calibrate
from hrtem_dask.loading.npy import describe_array
from hrtem_dask.loading.records import Signal

__all__ = ["list_signals", "read_frame"]


def list_signals(url: str) -> list[Signal]:
    """Say what a Zarr store holds.

    Parameters
    ----------
    url : str
        Path or URL of the folder.

    Returns
    -------
    list of Signal
        One per OME-NGFF image (its full resolution), one per other array; label images are passed over, they
        belong to an image.

    Raises
    ------
    UnreadableMicrographError
        If it is no Zarr store.
    """
    return [_signal(name, array, scales, attrs) for name, array, scales, attrs in _images(_opened(url), "")]


def read_frame(url: str, signal: int, frame: int) -> np.ndarray:
    """Read one image; only the chunks of that frame are fetched.

    Parameters
    ----------
    url : str
        Path or URL of the folder.
    signal : int
        Number of the image in the store.
    frame : int
        Number of the frame, counted over all axes but the last two.

    Returns
    -------
    numpy.ndarray
        Shape (y, x).
    """
    for number, (_, array, _, _) in enumerate(_images(_opened(url), "")):
        if number == signal:
            return np.asarray(array[np.unravel_index(frame, array.shape[:-2])] if array.ndim > 2 else array[...])
    raise UnreadableMicrographError(f"no image number {signal} in the Zarr store")


def _opened(url: str) -> Any:
    """Open a store for reading, on any file system."""
    store: Any = zarr.storage.FsspecStore.from_url(url, read_only=True) if "://" in url else url
    try:
        return zarr.open(store, mode="r")
    except FileNotFoundError as error:
        raise UnreadableMicrographError("no Zarr store: the folder has neither array nor group metadata") from error


def _images(node: Any, name: str) -> Iterator[tuple[str, Any, dict[str, Any] | None, dict[str, Any]]]:
    """Yield (name, array, multiscales entry, attributes of its group) of every image, sorted by name."""
    if isinstance(node, zarr.Array):
        yield name, node, None, {}
        return
    attrs = dict(node.attrs)
    ome = attrs.get("ome", attrs)
    if "image-label" in ome:
        return
    known: set[str] = set()
    for scales in ome.get("multiscales", []):
        path = scales["datasets"][0]["path"]
        yield scales.get("name") or name, node[path], scales, attrs
        known |= {d["path"].split("/")[0] for d in scales["datasets"]}
    for key in sorted(node.keys()):
        # in an image's group the other arrays are its coordinates, and the group "labels" its label images
        if known and (key in known or key == "labels" or isinstance(node[key], zarr.Array)):
            continue
        yield from _images(node[key], f"{name}/{key}".lstrip("/"))


def _signal(name: str, array: Any, scales: dict[str, Any] | None, attrs: dict[str, Any]) -> Signal:
    """Describe one array."""
    described = describe_array(array.shape[-3:] if scales else array.shape, array.dtype)
    if described.status != "ok":
        return replace(described, title=name)
    if scales is None:
        return replace(described, title=name)
    found, refused = _calibration(scales, array.ndim)
    ours = attrs.get("hrtem_dask", {})
    if found.pixel_size_nm is not None and str(ours.get("pixel_size_source", "")) not in ("", "none"):
        found = Calibration(found.pixel_size_nm, str(ours["pixel_size_source"]))
    known = {k: ours.get(k) for k in ("voltage_kv", "magnification", "instrument", "acquired_at")}
    return replace(
        described,
        title=str(ours.get("title") or name),
        n_frames=1 if refused else math.prod(array.shape[:-2]),
        calibration=found,
        status="set_aside" if refused else "ok",
        note=refused,
        **known,
    )


def _calibration(scales: dict[str, Any], ndim: int) -> tuple[Calibration, str]:
    """Return the pixel size of a multiscales entry, and why it is refused if it is."""
    axes = scales.get("axes") or []
    names = [a if isinstance(a, str) else a.get("name", "") for a in axes]
    if len(axes) != ndim or [n.lower() for n in names[-2:]] != ["y", "x"]:
        return Calibration(), f"its last two axes are no y and x: {names}"
    units = ["" if isinstance(a, str) else a.get("unit", "") for a in axes[-2:]]
    size = np.ones(2)
    for transforms in (scales["datasets"][0].get("coordinateTransformations"), scales.get("coordinateTransformations")):
        for transform in transforms or []:
            if transform.get("type") == "scale":
                size = size * np.asarray(transform["scale"][-2:], float)
    found = calibrate((size[0], size[1]), (units[0], units[1]), "file: OME-NGFF scale")
    return found, "a diffraction pattern: its axes are spatial frequencies" if found.reciprocal else ""
