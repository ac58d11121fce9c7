"""Images and labels as files that other programs open: PNG, TIFF for Fiji, Zarr for napari, GeoJSON for QuPath."""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tifffile

from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles import outline_polygons, stretched
from hrtem_dask.particles.outlines.overlay import OUTLINE_COLORS, TRACE_COLOR
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.tables import BOX_COLUMNS

__all__ = ["LABEL_IMAGE", "make_geojson", "picture_bytes", "png_bytes", "tiff_bytes", "write_ngff"]

LABEL_IMAGE = "labels/particles"
"""Path of the label image in an image's group, as OME-NGFF wants it."""
LABEL_NOTE = ("hrtem_dask", "labels of particles")
"""Entry of ImageJ's description in the TIFF of a label image; `loading` sets such files aside."""
_LARGEST_16_BIT = 65_535
_IDS = uuid.UUID("4b0d9a63-6f0e-5d0e-9a53-0d6a6f2d8c11")
"""Namespace of the ids of particles."""


def png_bytes(labels: np.ndarray) -> bytes:
    """Encode labels as PNG of 16 bits.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background, each particle its number.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    HrtemDaskError
        If there are more particles than 16 bits can number.
    """
    return _encoded(_in_16_bits(labels))


def picture_bytes(image: np.ndarray) -> bytes:
    """Encode an image as PNG of 8 bits, stretched for the eye.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x).

    Returns
    -------
    bytes
        The file: to look at, not to measure.
    """
    return _encoded(stretched(image))


def _encoded(picture: np.ndarray) -> bytes:
    """Encode as PNG."""
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise HrtemDaskError(f"could not encode a picture of shape {picture.shape} as PNG")
    return bytes(encoded.tobytes())


def _in_16_bits(labels: np.ndarray) -> np.ndarray:
    """Return labels as 16 bits, or refuse."""
    if (highest := int(labels.max(initial=0))) > _LARGEST_16_BIT:
        raise HrtemDaskError(
            f"{highest} particles are more than the {_LARGEST_16_BIT} that 16 bits can number: export --format zarr"
        )
    return labels.astype(np.uint16)


def tiff_bytes(image: np.ndarray, *, pixel_size_nm: PixelSize | None, labels: bool = False) -> bytes:
    """Encode an image or labels as TIFF that Fiji opens in nm.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x). An image that is not uint8, uint16 or float32 becomes float32: ImageJ knows no other.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; None writes no scale.
    labels : bool
        Whether these are labels, written as 16 bits.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    HrtemDaskError
        If there are more particles than 16 bits can number.
    """
    if labels:
        image = _in_16_bits(image)
    elif image.dtype not in (np.uint8, np.uint16, np.float32):
        image = image.astype(np.float32)
    # by its note a label image is known as one that is not in its folder any more
    note = {LABEL_NOTE[0]: LABEL_NOTE[1]} if labels else {}
    scale: dict[str, Any] = {"metadata": note}
    if pixel_size_nm is not None:
        scale = {"resolution": (1 / pixel_size_nm[1], 1 / pixel_size_nm[0]), "metadata": {"unit": "nm", **note}}
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image, imagej=True, compression="zlib" if labels else None, **scale)
    return buffer.getvalue()


def write_ngff(
    store: Location,
    micrograph_id: str,
    image: np.ndarray | None,
    labels: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
) -> None:
    """Write an image and its labels as an OME-NGFF image with a label image, which napari opens with its scale.

    Parameters
    ----------
    store : Location
        The store, made by `zarr_store.create_store`.
    micrograph_id : str
        Name of the image's group; a group of that name is replaced.
    image : numpy.ndarray or None
        Shape (y, x), as it is in the file; None writes the labels alone.
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    """
    if image is None:
        zarr_store.write_labels(store, micrograph_id, labels, pixel_size_nm=pixel_size_nm)
        return
    zarr_store.write_micrograph(store, micrograph_id, image, pixel_size_nm=pixel_size_nm)
    zarr_store.write_label_image(store, f"{micrograph_id}/{LABEL_IMAGE}", labels, pixel_size_nm=pixel_size_nm)


def make_geojson(labels: np.ndarray, particles: pd.DataFrame) -> dict[str, object]:
    """Describe the particles of one micrograph as GeoJSON, as QuPath and GIS programs read it.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background.
    particles : pandas.DataFrame
        Its rows of `tables.PARTICLES`: each is a feature's properties, null where nothing is known.

    Returns
    -------
    dict
        A FeatureCollection; coordinates are x and y in px from the upper left corner. QuPath takes from the
        properties ``name``, ``classification`` (counted particles by their fault, others by the reason why not, in the
        color of the overlay) and ``measurements`` (all numbers that are known). A particle always has the same ``id``.
    """
    features = []
    for row in particles.astype(object).where(particles.notna(), None).to_dict("records"):
        y0, x0, y1, x1 = (int(row[name]) for name in BOX_COLUMNS)
        pieces = outline_polygons(labels[y0:y1, x0:x1] == row["particle_id"], corner=(y0, x0))
        closed = [[[*ring.tolist(), ring[0].tolist()] for ring in rings] for rings in pieces]
        geometry: dict[str, object] = {"type": "MultiPolygon", "coordinates": closed}
        if len(closed) == 1:
            geometry = {"type": "Polygon", "coordinates": closed[0]}
        properties: dict[Any, object] = {**row, **_as_qupath(row)}
        number = uuid.uuid5(_IDS, f"{row['micrograph_id']}/{row['particle_id']}")
        features.append({"type": "Feature", "id": str(number), "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def _as_qupath(row: Mapping[Any, Any]) -> dict[str, object]:
    """Return the properties of a particle that QuPath knows."""
    if row["exclusion_reason"] is not None:
        kind = f"not counted: {str(row['exclusion_reason']).replace('_', ' ')}"
    else:
        kind = {"fault": "fault", "no_fault": "no fault"}.get(str(row["fault_state"]), "particle")
    color = (
        TRACE_COLOR if kind == "fault" else OUTLINE_COLORS.get(row["exclusion_reason"] or "counted", (150, 150, 150))
    )
    numbers = {
        str(name): value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "particle_id"
    }
    return {
        "objectType": "annotation",
        "name": f"particle {row['particle_id']}",
        "classification": {"name": kind, "color": list(color)},
        "measurements": numbers,
    }
