"""Instances of one image: what detectors find, annotations hold and simulated scenes know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.rotated_boxes import check_rotated_boxes, hulls

__all__ = ["Instances"]


@dataclass(frozen=True, kw_only=True)
class Instances:
    """Instances of one image, which may overlap, in one order for all arrays.

    Build them with `from_masks` or `from_rotated_boxes`. Boxes and masks of an annotated or simulated instance that
    the border of the image cuts are those of the part in the image.
    """

    shape: tuple[int, int]
    """(height, width) of the image (px)."""
    rotated_boxes: np.ndarray
    """Shape (n, 5), float64: x_center_px, y_center_px, length_px, width_px, angle_deg; see `rotated_boxes`."""
    boxes: np.ndarray
    """Shape (n, 4), float64: x_min, y_min, x_max, y_max (px) around each instance, pixel centers at whole numbers."""
    class_names: np.ndarray
    """Shape (n,), text: class of each instance, such as ``"rod"``."""
    scores: np.ndarray
    """Shape (n,), float64, 0 to 1: how sure the detector is; 1 for annotations and simulated truth."""
    ignored: np.ndarray
    """Shape (n,), bool: True for true instances that need not be found and are not wrong if they are."""
    masks: tuple[InstanceMask, ...] | None
    """Mask of each instance, on its own, so that they may overlap; None where only boxes are known."""

    def __post_init__(self) -> None:
        n = len(self.rotated_boxes)
        check_rotated_boxes(self.rotated_boxes)
        wanted = {"boxes": (n, 4), "class_names": (n,), "scores": (n,), "ignored": (n,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} of {n} instances have the shape {getattr(self, name).shape}, not {shape}")
        if self.masks is not None and len(self.masks) != n:
            raise ValueError(f"{n} instances have {len(self.masks)} masks: each needs its own")

    def __len__(self) -> int:
        return len(self.rotated_boxes)

    @classmethod
    def from_rotated_boxes(
        cls,
        rotated_boxes: np.ndarray,
        *,
        shape: tuple[int, int],
        class_names: str | Sequence[str] | np.ndarray,
        scores: np.ndarray | None = None,
        ignored: np.ndarray | None = None,
        masks: Sequence[InstanceMask] | None = None,
    ) -> Instances:
        """Make instances of known rotated boxes.

        Parameters
        ----------
        rotated_boxes : numpy.ndarray
            Shape (n, 5), see `rotated_boxes`.
        shape : tuple of int
            (height, width) of the image (px).
        class_names : str or sequence of str
            One class for all, or one for each.
        scores : numpy.ndarray, optional
            Shape (n,); all 1 if left out.
        ignored : numpy.ndarray of bool, optional
            Shape (n,); all False if left out.
        masks : sequence of InstanceMask, optional
            One for each, where known. Axis-aligned boxes are then those of the masks, else the boxes' hulls.

        Returns
        -------
        Instances
            In the order of the boxes.

        Raises
        ------
        ValueError
            If numbers do not fit together, or a box is outside the convention.
        """
        rotated = check_rotated_boxes(np.reshape(rotated_boxes, (-1, 5)))
        boxes = hulls(rotated)
        for i, mask in enumerate(masks or ()):
            boxes[i] = mask.box() if mask.area_px else boxes[i]
        n = len(rotated)
        return cls(
            shape=shape,
            rotated_boxes=rotated,
            boxes=boxes,
            class_names=np.full(n, class_names) if isinstance(class_names, str) else np.asarray(class_names, dtype=str),
            scores=np.ones(n) if scores is None else np.asarray(scores, dtype=np.float64),
            ignored=np.zeros(n, dtype=bool) if ignored is None else np.asarray(ignored, dtype=bool),
            masks=None if masks is None else tuple(masks),
        )

    @classmethod
    def from_masks(
        cls,
        masks: Sequence[InstanceMask],
        *,
        shape: tuple[int, int],
        class_names: str | Sequence[str] | np.ndarray,
        scores: np.ndarray | None = None,
        ignored: np.ndarray | None = None,
    ) -> Instances:
        """Make instances of masks; boxes are those around the pixels.

        Parameters
        ----------
        masks : sequence of InstanceMask
            One for each, none of them empty.
        shape : tuple of int
            (height, width) of the image (px).
        class_names : str or sequence of str
            One class for all, or one for each.
        scores : numpy.ndarray, optional
            Shape (n,); all 1 if left out.
        ignored : numpy.ndarray of bool, optional
            Shape (n,); all False if left out.

        Returns
        -------
        Instances
            In the order of the masks.

        Raises
        ------
        ValueError
            If a mask is empty, or numbers do not fit together.
        """
        rotated = np.array([mask.rotated_box() for mask in masks]).reshape(-1, 5)
        return cls.from_rotated_boxes(
            rotated, shape=shape, class_names=class_names, scores=scores, ignored=ignored, masks=masks
        )

    def select(self, index: np.ndarray) -> Instances:
        """Return some of the instances.

        Parameters
        ----------
        index : numpy.ndarray
            Positions, or a mask of shape (n,), bool.

        Returns
        -------
        Instances
            In the order of the positions.
        """
        positions = np.arange(len(self))[index]
        return Instances(
            shape=self.shape,
            rotated_boxes=self.rotated_boxes[positions],
            boxes=self.boxes[positions],
            class_names=self.class_names[positions],
            scores=self.scores[positions],
            ignored=self.ignored[positions],
            masks=None if self.masks is None else tuple(self.masks[i] for i in positions),
        )

    def with_ignored(self, ignored: np.ndarray) -> Instances:
        """Return the same instances, some of which need not be found.

        Parameters
        ----------
        ignored : numpy.ndarray of bool
            Shape (n,).

        Returns
        -------
        Instances
            In the same order.
        """
        return replace(self, ignored=np.asarray(ignored, dtype=bool))

    def moved(self, *, y_px: int, x_px: int, shape: tuple[int, int]) -> Instances:
        """Return instances of a part of an image as those of the whole one.

        Parameters
        ----------
        y_px, x_px : int
            Row and column of the whole image where the part begins.
        shape : tuple of int
            (height, width) of the whole image (px).

        Returns
        -------
        Instances
            In the same order.
        """
        offset = np.array([x_px, y_px], dtype=np.float64)
        masks = self.masks and tuple(InstanceMask(m.crop, m.y0_px + y_px, m.x0_px + x_px) for m in self.masks)
        return replace(
            self,
            shape=shape,
            rotated_boxes=np.column_stack([self.rotated_boxes[:, :2] + offset, self.rotated_boxes[:, 2:]]),
            boxes=self.boxes + np.tile(offset, 2),
            masks=masks,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Instances]) -> Instances:
        """Put instances of one image together.

        Parameters
        ----------
        parts : sequence of Instances
            At least one, all of images of one shape; masks are kept where all have them.

        Returns
        -------
        Instances
            Those of the first, then those of the second, and so on.
        """
        masks = [part.masks for part in parts if part.masks is not None]
        return cls(
            shape=parts[0].shape,
            rotated_boxes=np.concatenate([part.rotated_boxes for part in parts]),
            boxes=np.concatenate([part.boxes for part in parts]),
            class_names=np.concatenate([part.class_names for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            ignored=np.concatenate([part.ignored for part in parts]),
            masks=sum(masks, ()) if len(masks) == len(parts) else None,
        )
