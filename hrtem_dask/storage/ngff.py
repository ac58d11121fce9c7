"""OME-NGFF 0.5 metadata of a 2-D image or label image with its scale in nm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrtem_dask.micrograph import PixelSize

__all__ = ["collection_attributes", "image_attributes", "label_attributes"]


def image_attributes(name: str, array: str, pixel_size_nm: PixelSize | None) -> dict[str, dict[str, Any]]:
    """Return the attributes of an OME-NGFF 0.5 image group.

    Parameters
    ----------
    name : str
        Name of the image.
    array : str
        Path of the full-resolution array inside the group.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; None writes axes without a unit, and a scale of 1 that then means pixels.

    Returns
    -------
    dict
        ``{"ome": {...}}``.
    """
    unit = {} if pixel_size_nm is None else {"unit": "nanometer"}
    axes = [{"name": axis, "type": "space", **unit} for axis in ("y", "x")]
    scale = [1.0, 1.0] if pixel_size_nm is None else [float(s) for s in pixel_size_nm]
    datasets = [{"path": array, "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    return {"ome": {"version": "0.5", "multiscales": [{"name": name, "axes": axes, "datasets": datasets}]}}


def label_attributes(name: str, array: str, pixel_size_nm: PixelSize | None) -> dict[str, dict[str, Any]]:
    """Return the attributes of an OME-NGFF 0.5 label image group.

    Parameters
    ----------
    name : str
        Name of the micrograph.
    array : str
        Path of the array inside the group.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    dict
        As `image_attributes`, marked as a label image.
    """
    attributes = image_attributes(name, array, pixel_size_nm)
    attributes["ome"]["image-label"] = {}
    return attributes


def collection_attributes(paths: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the attributes of a store of several images, in the layout of bioformats2raw.

    Parameters
    ----------
    paths : sequence of str
        Names of the groups of its images, in their order.

    Returns
    -------
    root : dict
        ``{"ome": {...}}`` of the root.
    images : dict
        The same of the group ``OME``, which lists the images.
    """
    return (
        {"ome": {"version": "0.5", "bioformats2raw.layout": 3}},
        {"ome": {"version": "0.5", "series": list(paths)}},
    )
