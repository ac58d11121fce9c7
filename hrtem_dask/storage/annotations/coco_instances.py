"""Instances in the COCO format, with rotated boxes as an extension.

An annotation may have ``rotated_bbox``: x and y of the center, length, width (px) and the angle of the length (°,
counter-clockwise on the screen). Like all coordinates of COCO it counts from the upper left corner of the image, where
the center of the first pixel is (0.5, 0.5). ``iscrowd`` marks instances that need not be found, and ``score`` those
that a detector has found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.storage.annotations.annotated_image import (
    CORNER_TO_CENTER_PX,
    AnnotatedImage,
    AnnotationError,
    Outline,
    boxes_to_instances,
    outlines_to_instances,
)
from hrtem_dask.storage.annotations.image_files import find_image, image_shape
from hrtem_dask.storage.annotations.polygons import polygons_of_mask
from hrtem_dask.storage.exchange.coco import rasterize

__all__ = ["read_coco", "write_coco"]


def read_coco(path: Path, content: Mapping[str, Any], shape: tuple[int, int] | None = None) -> list[AnnotatedImage]:
    """Read a COCO file.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages and to find its images.
    content : mapping
        What it holds.
    shape : tuple of int, optional
        (height, width) of images whose size the file does not state.

    Returns
    -------
    list of AnnotatedImage
        One per image, in the order of the file; without masks where an annotation has boxes only.

    Raises
    ------
    AnnotationError
        If something is missing or impossible; the message names the annotation.
    """
    try:
        names = {c["id"]: str(c["name"]) for c in content.get("categories", [])}
        by_image: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        for annotation in content["annotations"]:
            if annotation["image_id"] not in by_image:
                raise AnnotationError(
                    f"{path}: annotation {annotation.get('id')} is of image {annotation['image_id']!r}, "
                    "which is not in its list of images"
                )
            by_image[annotation["image_id"]].append(annotation)
    except (KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(f"{path}: is no COCO file with images and annotations: {error!r}") from error
    made = []
    for image in content["images"]:
        found = find_image(path, files[image["id"]])
        size = (image["height"], image["width"]) if {"height", "width"} <= set(image) else shape
        size = image_shape(path, found) if size is None else (int(size[0]), int(size[1]))
        instances = _instances(path, by_image[image["id"]], names, size)
        made.append(AnnotatedImage(name=files[image["id"]], instances=instances, image_path=found,
                                   doubtful=np.zeros(len(instances), bool)))  # fmt: skip
    return made


def _instances(
    path: Path, annotations: Sequence[Mapping[str, Any]], names: Mapping[Any, str], shape: tuple[int, int]
) -> Instances:
    """Make the instances of one image."""
    outlines, boxes = [], []
    for annotation in annotations:
        where = f"{path}: annotation {annotation.get('id')}"
        try:
            name = names.get(annotation["category_id"], str(annotation["category_id"]))
            x, y, width, height = (float(v) for v in annotation["bbox"])
            box = np.array(
                [x + width / 2 - CORNER_TO_CENTER_PX, y + height / 2 - CORNER_TO_CENTER_PX, width, height, 0.0]
            )
            rotated = None
            if "rotated_bbox" in annotation:
                rotated = np.array(annotation["rotated_bbox"], float) - [0.5, 0.5, 0, 0, 0]
            outlines.append(_outline(annotation, name, rotated, shape))
            boxes.append(box if rotated is None else rotated)
            if not (boxes[-1][2:4] > 0).all():
                raise ValueError(f"its box has the sides {boxes[-1][2:4].tolist()}, need sides above 0")
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(
                f"{where}: {error!r}" if isinstance(error, KeyError) else f"{where}: {error}"
            ) from error
    if all(outline.mask is not None or len(outline.polygons) for outline in outlines):
        return outlines_to_instances(outlines, shape)
    # some have boxes only: then the boxes are what all of them have
    return boxes_to_instances(
        [box.tolist() for box in boxes],
        [o.class_name for o in outlines],
        shape,
        ignored=[o.is_ignored for o in outlines],
        scores=[o.score for o in outlines],
    )


def _outline(annotation: Mapping[str, Any], name: str, rotated: np.ndarray | None, shape: tuple[int, int]) -> Outline:
    """Return an annotation's outline; polygons and mask are missing where it has neither."""
    segmentation = annotation.get("segmentation") or []
    polygons, mask = [], None
    if isinstance(segmentation, Mapping):
        mask = InstanceMask.from_image(rasterize(segmentation, shape))
    else:
        for points in segmentation:
            if len(points) < 6 or len(points) % 2:
                raise ValueError(f"a polygon needs at least 3 points x y, got {len(points)} numbers")
            polygons.append(np.array(points, float).reshape(-1, 2) - CORNER_TO_CENTER_PX)
    if mask is not None and not mask.crop.size:
        mask = None
    return Outline(
        class_name=name,
        polygons=polygons,
        is_ignored=bool(annotation.get("iscrowd") or annotation.get("ignore")),
        score=float(annotation.get("score", 1.0)),
        rotated_box=rotated,
        mask=mask,
    )


def write_coco(
    path: Path, images: Sequence[AnnotatedImage], *, class_names: Sequence[str] | None = None, scores: bool = False
) -> None:
    """Write a COCO file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    images : sequence of AnnotatedImage
        The images.
    class_names : sequence of str, optional
        Classes in the order of their numbers from 1; by default those that occur, sorted.
    scores : bool
        Whether scores are written.

    Raises
    ------
    AnnotationError
        If an instance has a class that is not among `class_names`.
    """
    names = list(class_names or sorted({str(n) for image in images for n in image.instances.class_names}))
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        instances = image.instances
        for k in range(len(instances)):
            if str(instances.class_names[k]) not in names:
                raise AnnotationError(f"{path}: class {str(instances.class_names[k])!r} is not among {names}")
            x0, y0, x1, y1 = (instances.boxes[k] + CORNER_TO_CENTER_PX).tolist()
            rotated = instances.rotated_boxes[k] + [CORNER_TO_CENTER_PX, CORNER_TO_CENTER_PX, 0, 0, 0]
            mask = None if instances.masks is None else instances.masks[k]
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": 1 + names.index(str(instances.class_names[k])),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "rotated_bbox": rotated.tolist(),
                "area": float(np.prod(rotated[2:4]) if mask is None else mask.area_px),
                "iscrowd": int(instances.ignored[k]),
            }
            if mask is not None:
                annotation["segmentation"] = _segmentation(mask, instances.shape, runs=bool(instances.ignored[k]))
            if scores:
                annotation["score"] = float(instances.scores[k])
            annotations.append(annotation)
    content = {
        "info": {"description": "instances written by hrtem_dask; rotated_bbox: x and y of the center, length, width, "
                                "angle of the length in degrees, counter-clockwise on the screen"},
        "categories": [{"id": i, "name": name, "supercategory": "instance"} for i, name in enumerate(names, 1)],
        "images": [
            {"id": i, "file_name": image.name, "height": image.instances.shape[0], "width": image.instances.shape[1]}
            for i, image in enumerate(images, 1)
        ],
        "annotations": annotations,
    }  # fmt: skip
    path.write_text(json.dumps(content), encoding="utf-8")


def _segmentation(mask: InstanceMask, shape: tuple[int, int], *, runs: bool) -> object:
    """Return polygons, or run lengths where there is a hole or `runs` is set, as COCO wants it of crowds."""
    polygons = None if runs else polygons_of_mask(mask)
    if polygons:
        return [(p + CORNER_TO_CENTER_PX).ravel().tolist() for p in polygons]
    whole = np.zeros(shape, bool)
    mask.paint(whole)
    flat = whole.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return {"size": list(shape), "counts": [0, *counts] if flat[0] else counts}
