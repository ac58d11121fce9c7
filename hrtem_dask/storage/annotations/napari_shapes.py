"""Shapes layers of napari, saved as CSV: index, shape-type, vertex-index, axis-0, axis-1.

Axis 0 is y and axis 1 is x, in px; centers of pixels are whole numbers, as everywhere in this package. The file knows
neither classes nor the size of the image.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from hrtem_dask.detection.rotated_boxes import box_around_points, corners
from hrtem_dask.storage.annotations.annotated_image import (
    AnnotatedImage,
    AnnotationError,
    Outline,
    boxes_to_instances,
    outlines_to_instances,
)
from hrtem_dask.storage.annotations.image_files import find_image, image_shape
from hrtem_dask.storage.annotations.polygons import polygons_of_mask

__all__ = ["HEADER", "read_napari_shapes", "write_napari_shapes"]

HEADER = ["index", "shape-type", "vertex-index", "axis-0", "axis-1"]
REGIONS = ("polygon", "rectangle", "ellipse")
ELLIPSE_CORNERS = 64


def read_napari_shapes(
    path: Path, text: str, shape: tuple[int, int] | None = None, class_name: str = "particle"
) -> list[AnnotatedImage]:
    """Read a shapes layer.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages and to find its image.
    text : str
        What it holds.
    shape : tuple of int, optional
        (height, width) of the image; by default that of the image that is found.
    class_name : str
        Class of all shapes, which the file does not state.

    Returns
    -------
    list of AnnotatedImage
        One image; with masks if there are polygons or ellipses, boxes alone if all shapes are rectangles. Lines and
        paths are left out.

    Raises
    ------
    AnnotationError
        If a line is no vertex of a shape; the message names it.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or [f.strip() for f in rows[0]] != HEADER:
        raise AnnotationError(f"{path}: line 1: need the columns {','.join(HEADER)} of a 2-D shapes layer of napari")
    image = find_image(path)
    size = image_shape(path, image) if shape is None else shape
    found: dict[int, tuple[str, list[tuple[float, float]]]] = {}
    for n, row in enumerate(rows[1:], 2):
        if not row:
            continue
        try:
            index, kind, y, x = int(float(row[0])), row[1].strip(), float(row[3]), float(row[4])
        except (ValueError, IndexError) as error:
            raise AnnotationError(f"{path}: line {n}: {','.join(row)[:60]!r} is no vertex of a shape") from error
        if not np.isfinite([y, x]).all():
            raise AnnotationError(f"{path}: line {n}: {','.join(row)[:60]!r} has a number that is not finite")
        found.setdefault(index, (kind, []))[1].append((x, y))
    outlines = []
    for index, (kind, vertices) in sorted(found.items()):
        points = np.array(vertices)
        if kind not in REGIONS:
            continue
        if len(points) < (3 if kind == "polygon" else 4) or (np.ptp(points, axis=0) == 0).any():
            raise AnnotationError(f"{path}: shape {index}: a {kind} of {len(points)} vertices has no area")
        if kind == "ellipse":  # the corners of the rectangle around it
            angle = np.arange(ELLIPSE_CORNERS)[:, None] * (2 * np.pi / ELLIPSE_CORNERS)
            along, across = (points[1] - points[0]) / 2, (points[3] - points[0]) / 2
            points = points[:4].mean(axis=0) + np.cos(angle) * along + np.sin(angle) * across
        outlines.append(Outline(class_name=class_name, polygons=[points]))
    only_boxes = all(found[i][0] not in ("polygon", "ellipse") for i in found)
    if only_boxes:
        boxes = [box_around_points(o.polygons[0]).tolist() for o in outlines]
        instances = boxes_to_instances(boxes, [o.class_name for o in outlines], size)
    else:
        instances = outlines_to_instances(outlines, size)
    name = path.stem if image is None else image.name
    return [AnnotatedImage(name=name, instances=instances, image_path=image, doubtful=np.zeros(len(instances), bool))]


def write_napari_shapes(path: Path, image: AnnotatedImage, *, masks: bool | None = None) -> None:
    """Write a shapes layer that napari opens over the image.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    image : AnnotatedImage
        The image; classes, scores and what is ignored are not written.
    masks : bool, optional
        Polygons (True) or rectangles (False); by default polygons where there are masks.

    Raises
    ------
    AnnotationError
        If masks are asked for where there are none, or a mask has several pieces or a hole.
    """
    instances = image.instances
    masks = instances.masks is not None if masks is None else masks
    if masks and instances.masks is None:
        raise AnnotationError(f"{path}: the instances have no masks: write rectangles")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    for k in range(len(instances)):
        points = corners(instances.rotated_boxes[k])
        if masks and instances.masks is not None:
            outlines = polygons_of_mask(instances.masks[k])
            if outlines is None or len(outlines) != 1:
                raise AnnotationError(
                    f"{path}: the mask of instance {k + 1} has several pieces or a hole, which a shape cannot have: "
                    "write label images"
                )
            points = outlines[0]
        for vertex, (x, y) in enumerate(points):
            writer.writerow([k, "polygon" if masks else "rectangle", vertex, f"{y:.9g}", f"{x:.9g}"])
    path.write_text(buffer.getvalue(), encoding="utf-8")
