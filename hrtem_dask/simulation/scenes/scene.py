"""A simulated scene for detection, and its truth: a box, a class and a mask for each instance, overlaps included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import canonical
from hrtem_dask.simulation.scenes.truth import instance_rows, scene_row

__all__ = ["DetectionScene", "SceneObject", "make_instances"]

IGNORED_BELOW = 0.25
"""An instance of which a smaller share is seen need not be found, and is not wrong if it is."""
LEAST_PIXELS = 12
"""Objects of which fewer pixels are seen are no instances."""


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One painted object."""

    class_name: str
    """Its class."""
    box: np.ndarray | None
    """Shape (5,): its rotated box, see `detection.rotated_boxes`; None for the one of its pixels."""
    mask: InstanceMask
    """Its pixels in the image that no other object hides."""
    whole_px: float
    """Number of pixels that it would have if nothing hid or cut it; infinite where it cannot be told from others."""
    full_size_px: tuple[float, float]
    """Length and width before the border cut it (px)."""
    is_cut: bool
    """Whether the border cuts it."""


@dataclass(frozen=True, kw_only=True)
class DetectionScene:
    """A simulated scene, and all that is true of it."""

    micrograph_id: str
    """Kind, seed and index."""
    image: np.ndarray
    """Shape (y, x), uint16: gray values 0–255, or counts."""
    instances: Instances
    """The true instances; where they overlap, later ones lie above earlier ones.

    Boxes and masks are those of the part in the image. A mask leaves out what an opaque instance above it or a
    burnt-in mark hides; the box does not. Instances of which less than a quarter is seen are ``ignored``."""
    class_names: tuple[str, ...]
    """The classes of this kind of scene."""
    full_sizes_px: np.ndarray
    """Shape (n, 2), float64: length and width of each instance before the border cut it (px)."""
    is_cut: np.ndarray
    """Shape (n,), bool: whether the border cuts the instance."""
    annotation: np.ndarray
    """Shape (y, x), bool: burnt-in bars, letters, strips."""
    pixel_size_nm: float
    """Height and width of a pixel (nm)."""
    conditions: Mapping[str, Any]
    """What was drawn: imaging, arrangement, noise and so on."""

    @property
    def labels(self) -> np.ndarray:
        """Shape (y, x), int32: number of the uppermost instance from 1, 0 = background."""
        drawn = np.zeros(self.image.shape, np.int32)
        for number, mask in enumerate(self.instances.masks or (), 1):
            mask.paint(drawn, number)
        return drawn

    @property
    def micrograph(self) -> pd.DataFrame:
        """One row, schema `SCENE_MICROGRAPHS`."""
        return scene_row(
            self.micrograph_id, self.instances.shape, self.pixel_size_nm, len(self.instances), self.conditions
        )

    @property
    def particles(self) -> pd.DataFrame:
        """A row per instance, schema `SCENE_INSTANCES`."""
        return instance_rows(self.micrograph_id, self.instances, self.full_sizes_px, self.is_cut)


def make_instances(objects: Sequence[SceneObject], annotation: np.ndarray) -> tuple[Instances, np.ndarray, np.ndarray]:
    """Tell what is true of painted objects.

    Parameters
    ----------
    objects : sequence of SceneObject
        The objects, later ones above earlier ones.
    annotation : numpy.ndarray of bool
        Shape (y, x): burnt-in marks, which hide what is below them.

    Returns
    -------
    instances : Instances
        Those of which at least 12 pixels are seen.
    full_sizes_px : numpy.ndarray
        Shape (n, 2): length and width before the border cut them (px).
    is_cut : numpy.ndarray of bool
        Shape (n,).
    """
    kept: list[SceneObject] = []
    masks, boxes, ignored = [], [], []
    for thing in objects:
        crop = thing.mask.crop & ~annotation[thing.mask.window]
        seen = InstanceMask.from_image(crop, y0_px=thing.mask.y0_px, x0_px=thing.mask.x0_px)
        if seen.area_px < LEAST_PIXELS:
            continue
        kept.append(thing)
        masks.append(seen)
        boxes.append(thing.mask.rotated_box() if thing.box is None else canonical(thing.box))
        ignored.append(seen.area_px < IGNORED_BELOW * thing.whole_px)
    instances = Instances.from_rotated_boxes(
        np.array(boxes).reshape(-1, 5),
        shape=(annotation.shape[0], annotation.shape[1]),
        class_names=np.array([thing.class_name for thing in kept], dtype=str),
        ignored=np.array(ignored, dtype=bool),
        masks=masks,
    )
    sizes = np.array([thing.full_size_px for thing in kept], np.float64).reshape(-1, 2)
    return instances, sizes, np.array([thing.is_cut for thing in kept], dtype=bool)
