"""Shapes of labelme: polygons, rectangles, oriented rectangles and circles.

Points count from the upper left corner of the image: the center of the first pixel is (0.5, 0.5). ``flags.ignored``
marks instances that need not be found. Polygons of one label and one
``group_id`` are one instance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hrtem_dask.detection.rotated_boxes import box_around_points, corners
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

__all__ = ["read_labelme", "write_labelme"]

BOXES = ("rectangle", "oriented_rectangle")
CIRCLE_CORNERS = 64


def read_labelme(path: Path, content: Mapping[str, Any], shape: tuple[int, int] | None = None) -> list[AnnotatedImage]:
    """Read a file of labelme.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages and to find its image.
    content : mapping
        What it holds.
    shape : tuple of int, optional
        (height, width) of the image, where the file does not state it.

    Returns
    -------
    list of AnnotatedImage
        One image; with masks if all shapes are polygons or circles. Points, lines and strips are left out.

    Raises
    ------
    AnnotationError
        If a shape is impossible or of an unknown type; the message names it.
    """
    name = str(content.get("imagePath") or path.stem)
    image = find_image(path, name)
    stated = content.get("imageHeight"), content.get("imageWidth")
    size = (int(stated[0]), int(stated[1])) if stated[0] and stated[1] else shape or image_shape(path, image)
    outlines: list[Outline] = []
    kinds: list[str] = []
    groups: dict[tuple[str, object], int] = {}
    for number, drawn in enumerate(content["shapes"], 1):
        try:
            kind, outline = _read_shape(drawn)
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(f"{path}: shape {number}: {error}") from error
        if outline is None:
            continue
        group = (outline.class_name, drawn.get("group_id"))
        if group[1] is not None and kind not in BOXES and group in groups:
            first = outlines[groups[group]]
            outlines[groups[group]] = replace(first, polygons=[*first.polygons, *outline.polygons])
            continue
        groups[group] = len(outlines)
        outlines.append(outline)
        kinds.append(kind)
    if any(kind in BOXES for kind in kinds):
        instances = boxes_to_instances(
            [box_around_points(o.polygons[0]).tolist() for o in outlines],
            [o.class_name for o in outlines],
            size,
            ignored=[o.is_ignored for o in outlines],
        )
    else:
        instances = outlines_to_instances(outlines, size)
    doubtful = np.zeros(len(instances), bool)
    return [AnnotatedImage(name=Path(name).name, instances=instances, image_path=image, doubtful=doubtful)]


def _read_shape(drawn: Mapping[str, Any]) -> tuple[str, Outline | None]:
    """Return type and outline of a shape; None for what is no region."""
    kind = str(drawn.get("shape_type", "polygon"))
    points = np.array(drawn["points"], float).reshape(-1, 2) - CORNER_TO_CENTER_PX
    if kind in ("point", "line", "linestrip", "points"):
        return kind, None
    if kind not in ("polygon", "circle", *BOXES):
        raise ValueError(f"type {kind!r} is not read: polygon, rectangle, oriented_rectangle and circle are")
    least = {"polygon": 3, "rectangle": 2, "oriented_rectangle": 4, "circle": 2}[kind]
    if len(points) < least or not np.isfinite(points).all():
        raise ValueError(f"a {kind} needs at least {least} finite points, got {points.tolist()}")
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    if kind == "circle":  # its center, and a point on it
        angle = np.arange(CIRCLE_CORNERS) * (2 * np.pi / CIRCLE_CORNERS)
        points = points[0] + np.hypot(*(points[1] - points[0])) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if (np.ptp(points, axis=0) == 0).any():
        raise ValueError(f"a {kind} without an area: its points are {points[:4].tolist()}")
    is_ignored = bool((drawn.get("flags") or {}).get("ignored", False))
    return kind, Outline(class_name=str(drawn["label"]), polygons=[points], is_ignored=is_ignored)


def write_labelme(path: Path, image: AnnotatedImage, *, masks: bool | None = None) -> None:
    """Write a file that labelme opens.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    image : AnnotatedImage
        The image.
    masks : bool, optional
        Polygons (True) or oriented rectangles (False); by default polygons where there are masks. A mask of several
        pieces is written as polygons of one ``group_id``.

    Raises
    ------
    AnnotationError
        If masks are asked for where there are none, or a mask has a hole.
    """
    instances = image.instances
    masks = instances.masks is not None if masks is None else masks
    if masks and instances.masks is None:
        raise AnnotationError(f"{path}: the instances have no masks: write oriented rectangles")
    shapes = []
    for k in range(len(instances)):
        drawn = [corners(instances.rotated_boxes[k])]
        if masks and instances.masks is not None:
            outlines = polygons_of_mask(instances.masks[k])
            if outlines is None:
                raise AnnotationError(
                    f"{path}: the mask of instance {k + 1} has a hole, which labelme's polygons cannot have: write COCO"
                )
            drawn = outlines
        shapes += [
            {
                "label": str(instances.class_names[k]),
                "points": (points + CORNER_TO_CENTER_PX).tolist(),
                "group_id": k if len(drawn) > 1 else None,
                "shape_type": "polygon" if masks else "oriented_rectangle",
                "flags": {"ignored": True} if instances.ignored[k] else {},
            }
            for points in drawn
        ]
    content: dict[str, object] = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image.name,
        "imageData": None,
        "imageHeight": instances.shape[0],
        "imageWidth": instances.shape[1],
    }
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
