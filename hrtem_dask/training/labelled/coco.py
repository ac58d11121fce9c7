"""Labelled images in the COCO format, to train on.

Every category is particle; crowds (``iscrowd``) are left out of training and
scores, since what is between their particles is not said.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hrtem_dask.errors import NothingToAnalyseError, UnreadableMicrographError
from hrtem_dask.storage.exchange.coco import rasterize
from hrtem_dask.training.labelled.folders import group_of, read_calibrated
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled

__all__ = ["list_coco"]


def list_coco(path: Path, *, pixel_size_nm: float | None = None) -> list[Labelled]:
    """List the images of a COCO file.

    Parameters
    ----------
    path : path-like
        The JSON file; its images are named relative to its folder, or to ``images/`` in it.
    pixel_size_nm : float, optional
        Pixel size (nm) for images that state none.

    Returns
    -------
    list of Labelled
        In the order of the file; images without an annotation are empty fields.

    Raises
    ------
    NothingToAnalyseError
        If it is no COCO file, or an image is not there.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images, annotations = content["images"], content["annotations"]
        of_image: dict[Any, list[Any]] = {one["id"]: [] for one in images}
        for annotation in annotations:
            of_image.setdefault(annotation["image_id"], []).append(annotation)
        names = {one["id"]: str(one["file_name"]) for one in images}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NothingToAnalyseError(f"{path}: is no COCO file with images and annotations: {error!r}") from error
    unknown = sorted(map(str, set(of_image) - set(names)))
    if unknown:
        raise NothingToAnalyseError(f"{path}: has annotations of image {unknown[0]}, which it does not list")
    listed = []
    for one in images:
        file = _find(path.parent, names[one["id"]], path)
        read = functools.partial(_read, file, one, of_image[one["id"]], path, pixel_size_nm)
        listed.append(Labelled(micrograph_id=file.stem, group=group_of(file), read=read))
    return listed


def _read(
    file: Path, image: Mapping[str, Any], annotations: list[Any], path: Path, pixel_size_nm: float | None
) -> LabelledMicrograph:
    """Read an image and draw its annotations."""
    pixels, size = read_calibrated(file, pixel_size_nm)
    mask, valid = np.zeros(pixels.shape, bool), np.ones(pixels.shape, bool)
    for annotation in annotations:
        try:
            drawn = rasterize(annotation["segmentation"], pixels.shape)
        except (ValueError, KeyError) as error:
            raise UnreadableMicrographError(
                f"{path}: annotation {annotation.get('id')} of {image['file_name']}: {error}"
            ) from error
        if annotation.get("iscrowd"):
            valid &= ~drawn
        else:
            mask |= drawn
    try:
        return make_labelled(pixels, mask, pixel_size_nm=size, valid=None if valid.all() else valid)
    except ValueError as error:
        raise UnreadableMicrographError(f"{file}: {error}") from error


def _find(folder: Path, name: str, path: Path) -> Path:
    """Return where an image is."""
    for candidate in (folder / name, folder / "images" / name):
        if candidate.is_file():
            return candidate
    raise NothingToAnalyseError(f"{path}: its image {name!r} is neither in {folder} nor in {folder / 'images'}")
