"""Particles in the COCO format: polygons, and masks as run lengths.

A pixel belongs to a polygon where its centre lies inside: COCO counts from the image's upper left corner, so the
centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from skimage.draw import polygon

from hrtem_dask.particles import outline_polygons
from hrtem_dask.tables import BOX_COLUMNS, REGION_CLASSES

__all__ = ["CATEGORIES", "make_annotations", "make_coco", "paint", "rasterize"]

CATEGORIES = (*REGION_CLASSES, "unsure")
"""Name of category 1, 2, …"""
Segmentation = Mapping[str, Any] | Sequence[Sequence[float]]
"""Run lengths, or polygons x₁ y₁ x₂ y₂ …"""
_STATES = {"fault": "stacking_fault", "no_fault": "no_stacking_fault"}


def make_coco(images: Iterable[Mapping[str, object]], annotations: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Put a COCO file together.

    Parameters
    ----------
    images : iterable of mapping
        Each with ``micrograph_id``, ``file_name``, ``height``, ``width`` and what else is known.
    annotations : iterable of mapping
        From `make_annotations`, of any of these images.

    Returns
    -------
    dict
        What JSON can hold, images and annotations numbered from 1.
    """
    numbered = [{"id": i, **image} for i, image in enumerate(images, 1)]
    numbers = {image["micrograph_id"]: image["id"] for image in numbered}
    return {
        "info": {"description": "particles found by hrtem_dask"},
        "categories": [{"id": i, "name": name, "supercategory": "particle"} for i, name in enumerate(CATEGORIES, 1)],
        "images": numbered,
        "annotations": [{"id": i, "image_id": numbers[a["micrograph_id"]], **a} for i, a in enumerate(annotations, 1)],
    }


def make_annotations(
    micrograph_id: str, labels: np.ndarray, particles: pd.DataFrame, regions: pd.DataFrame
) -> list[dict[str, Any]]:
    """Describe the particles of one micrograph.

    Parameters
    ----------
    micrograph_id : str
        The micrograph.
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background.
    particles, regions : pandas.DataFrame
        Its rows of `tables.PARTICLES` and `tables.REGIONS`.

    Returns
    -------
    list of dict
        One per particle: polygons where it has no hole, else uncompressed run lengths; the category is its fault state,
        where unknown the class of its region. A particle that is an agglomerate which could not be split is a crowd
        (``iscrowd`` 1), always as run lengths, as COCO wants it.
    """
    classes = dict(zip(regions["region_id"], regions["region_class"], strict=True))
    columns = ["particle_id", "region_id", "fault_state", "exclusion_reason"]
    made = []
    boxes = particles[list(BOX_COLUMNS)].to_numpy(dtype=np.int64).tolist()
    rows = particles[columns].astype(object).itertuples(index=False)
    for (number, region, state, reason), (y0, x0, y1, x1) in zip(rows, boxes, strict=True):
        crop = labels[y0:y1, x0:x1] == number
        crowd = reason == "agglomerate" if isinstance(reason, str) else False
        name = _STATES.get(state) if isinstance(state, str) else None
        name = name or classes.get(region)
        made.append(
            {
                "micrograph_id": micrograph_id,
                "particle_id": int(number),
                "category_id": 1 + CATEGORIES.index(name if name in CATEGORIES else "unsure"),
                "segmentation": _segmentation(crop, (y0, x0), labels.shape, runs=crowd),
                "area": int(crop.sum()),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int(crowd),
            }
        )
    return made


def _segmentation(crop: np.ndarray, corner: tuple[int, int], shape: tuple[int, ...], *, runs: bool) -> Segmentation:
    """Return polygons, or run lengths where there is a hole or `runs` is set."""
    pieces = [] if runs else outline_polygons(crop, corner=corner)
    if pieces and all(len(rings) == 1 for rings in pieces):
        return [rings[0].ravel().tolist() for rings in pieces]
    whole = np.zeros(shape, bool)
    whole[corner[0] : corner[0] + crop.shape[0], corner[1] : corner[1] + crop.shape[1]] = crop
    flat = whole.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return {"size": list(shape), "counts": [0, *counts] if flat[0] else counts}


def paint(labels: np.ndarray, segmentation: Segmentation, value: int) -> None:
    """Give the pixels of an annotation a value.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), changed in place.
    segmentation : list of list of float, or mapping
        As for `rasterize`.
    value : int
        The value.

    Raises
    ------
    ValueError
        As `rasterize`.
    """
    if isinstance(segmentation, Mapping):
        labels[_decoded(segmentation, (labels.shape[0], labels.shape[1]))] = value
        return
    for points in segmentation:
        if len(points) < 6 or len(points) % 2:
            raise ValueError(f"a polygon needs at least 3 points x y, got {len(points)} numbers")
        x, y = np.asarray(points[0::2], float), np.asarray(points[1::2], float)
        labels[polygon(y - 0.5, x - 0.5, labels.shape)] = value  # type: ignore[no-untyped-call]


def rasterize(segmentation: Segmentation, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels of an annotation.

    Parameters
    ----------
    segmentation : list of list of float, or mapping
        Polygons x₁ y₁ x₂ y₂ … whose union it is; or ``{"size": [y, x], "counts": …}``, run lengths in column order that
        begin with background, as a list or as the COCO API's compressed string.
    shape : tuple of int
        Shape (y, x) of the image.

    Returns
    -------
    numpy.ndarray of bool
        Shape (y, x).

    Raises
    ------
    ValueError
        If it is neither, or does not fit the image.

    Examples
    --------
    >>> rasterize([[1, 1, 3, 1, 3, 2, 1, 2]], (3, 4)).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    mask = np.zeros(shape, np.uint8)
    paint(mask, segmentation, 1)
    return mask.view(bool)


def _decoded(runs: Mapping[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """Decode run lengths."""
    if tuple(runs["size"]) != tuple(shape):
        raise ValueError(f"run lengths are of an image of shape {tuple(runs['size'])}, the image has {tuple(shape)}")
    counts = runs["counts"]
    if isinstance(counts, str):
        counts = _decompressed(counts)
    values = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(values, counts)
    if flat.size != shape[0] * shape[1]:
        raise ValueError(f"run lengths cover {flat.size} pixels of {shape[0] * shape[1]}")
    return flat.reshape(shape, order="F")


def _decompressed(text: str) -> list[int]:
    """Return run lengths of the COCO API's string: 5 bits a character, from the third on as differences (maskApi.c)."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:  # the number goes on
            continue
        if bits & 0x10:  # it is negative
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
