"""Annotations of one image, whatever file they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import box_around_points, canonical
from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.storage.annotations.polygons import mask_of_polygons

__all__ = ["AnnotatedImage", "AnnotationError", "Outline", "boxes_to_instances", "outlines_to_instances"]

CORNER_TO_CENTER_PX = 0.5
"""Most programs count from the image's upper left corner, where the center of the first pixel is (0.5, 0.5); here
centers of pixels are whole numbers."""


class AnnotationError(HrtemDaskError):
    """An annotation file is damaged, of an unknown kind, or says what cannot be; the message names file and place."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """The annotated instances of one image."""

    name: str
    """Name of the image's file, as the annotations state it; else that of the annotation file without its suffix."""
    instances: Instances
    """The instances; without masks where the file has boxes only."""
    image_path: Path | None = None
    """The image, where it was found."""
    doubtful: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """Shape (n,), bool: boxes whose size the file states so imprecisely that they should be checked or left out."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """An instance given by its outline."""

    class_name: str
    """Its class."""
    polygons: Sequence[np.ndarray]
    """Each of shape (m, 2): x and y in px, centers of pixels at whole numbers; the instance is their union."""
    is_ignored: bool = False
    """Whether it need not be found."""
    score: float = 1.0
    """How sure a detector is; 1 for annotations."""
    rotated_box: np.ndarray | None = None
    """Shape (5,): its box, where the file states it; else that around the polygons."""
    mask: InstanceMask | None = None
    """Its mask, where the file states one; else the polygons are filled."""


def outlines_to_instances(outlines: Sequence[Outline], shape: tuple[int, int]) -> Instances:
    """Make instances with masks.

    Parameters
    ----------
    outlines : sequence of Outline
        Outlines; those without a pixel in the image keep an empty mask.
    shape : tuple of int
        (height, width) of the image.

    Returns
    -------
    Instances
        In the same order. Boxes are those that the file states, else the smallest ones around the polygons, else
        around the pixels of the mask.
    """
    masks, boxes = [], []
    for outline in outlines:
        mask = outline.mask if outline.mask is not None else mask_of_polygons(outline.polygons, shape)
        if outline.rotated_box is not None:
            box = canonical(outline.rotated_box)
        elif len(outline.polygons):
            box = box_around_points(np.concatenate(list(outline.polygons)))
        else:
            box = mask.rotated_box()
        masks.append(mask)
        boxes.append(box)
    return Instances.from_rotated_boxes(
        np.array(boxes).reshape(-1, 5),
        shape=shape,
        class_names=np.array([o.class_name for o in outlines], dtype=str),
        scores=np.array([o.score for o in outlines], float),
        ignored=np.array([o.is_ignored for o in outlines], bool),
        masks=masks,
    )


def boxes_to_instances(
    boxes: Sequence[Sequence[float]],
    class_names: Sequence[str],
    shape: tuple[int, int],
    *,
    ignored: Sequence[bool] | None = None,
    scores: Sequence[float] | None = None,
) -> Instances:
    """Make instances without masks.

    Parameters
    ----------
    boxes : sequence
        Rotated boxes: x and y of the center, two sides (px), angle (°, counter-clockwise), in any order of the sides.
    class_names : sequence of str
        Class of each.
    shape : tuple of int
        (height, width) of the image.
    ignored : sequence of bool, optional
        Whether each need not be found.
    scores : sequence of float, optional
        How sure a detector is of each.

    Returns
    -------
    Instances
        In the same order.
    """
    return Instances.from_rotated_boxes(
        canonical(np.array(boxes, float).reshape(-1, 5)),
        shape=shape,
        class_names=np.array(list(class_names), dtype=str),
        ignored=None if ignored is None else np.array(list(ignored), bool),
        scores=None if scores is None else np.array(list(scores), float),
    )
