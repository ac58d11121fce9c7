"""Labeled images in the COCO format, for training.

Annotations of every category count as particles. Crowds (``iscrowd``) are left out of training and scores, because the
outlines of their particles are not recorded.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TypedDict

import numpy as np

from hrtem_dask.errors import NothingToAnalyseError, UnreadableMicrographError
from hrtem_dask.storage.exchange.coco import rasterize
from hrtem_dask.training.labelled.folders import read_calibrated
from hrtem_dask.training.labelled.image_groups import group_of
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled

__all__ = ["list_coco"]


class _Image(TypedDict):
    """An image of a COCO file, as far as it is read here."""

    id: int | str
    file_name: str


class _Annotation(TypedDict, total=False):
    """An annotation of a COCO file, as far as it is read here."""

    id: int | str
    image_id: int | str
    segmentation: list[list[float]] | dict[str, object]
    iscrowd: int


def list_coco(path: Path, *, pixel_size_nm: float | None = None) -> list[Labelled]:
    """List the images of a COCO file.

    Parameters
    ----------
    path : path-like
        The JSON file; the paths of its images are relative to its folder, or to ``images/`` in that folder.
    pixel_size_nm : float, optional
        Pixel size (nm) of images whose file does not state it.

    Returns
    -------
    list of Labelled
        Images in the order of the file; an image without annotations has no particles.

    Raises
    ------
    NothingToAnalyseError
        If the file is not a COCO file, or an image is missing.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images: list[_Image] = content["images"]
        annotations: list[_Annotation] = content["annotations"]
        by_image: dict[int | str, list[_Annotation]] = {image["id"]: [] for image in images}
        for annotation in annotations:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        names = {image["id"]: str(image["file_name"]) for image in images}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NothingToAnalyseError(f"{path}: is not a COCO file with images and annotations: {error!r}") from error
    unknown = sorted(map(str, set(by_image) - set(names)))
    if unknown:
        raise NothingToAnalyseError(
            f"{path}: has annotations of image {unknown[0]}, which is not in its list of images"
        )
    listed = []
    for image in images:
        file = _find(path.parent, names[image["id"]], path)
        read = functools.partial(_read, file, image, by_image[image["id"]], path, pixel_size_nm)
        listed.append(Labelled(micrograph_id=file.stem, group=group_of(file), read=read))
    return listed


def _read(
    file: Path, image: _Image, annotations: list[_Annotation], path: Path, pixel_size_nm: float | None
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
    """Return the path of an image."""
    for candidate in (folder / name, folder / "images" / name):
        if candidate.is_file():
            return candidate
    raise NothingToAnalyseError(f"{path}: its image {name!r} is neither in {folder} nor in {folder / 'images'}")
