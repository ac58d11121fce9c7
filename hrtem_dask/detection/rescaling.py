"""Images with other numbers of pixels for a detector, and what was found in them as instances of the micrograph."""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import canonical

__all__ = ["rescale_boxes", "rescale_image", "rescale_instances", "rescale_mask"]


def rescale_image(image: np.ndarray, scale: float) -> np.ndarray:
    """Resample an image onto another number of pixels over the same field.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, finite.
    scale : float
        New pixels per pixel, above 0.

    Returns
    -------
    numpy.ndarray of float32
        Means over the new pixels where the image is made smaller, linear where it is enlarged; sides are rounded, and
        at least 1 px.
    """
    values = np.asarray(image, dtype=np.float32)
    shape = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    if shape == image.shape:
        return values
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, shape[::-1], interpolation=method), dtype=np.float32)


def rescale_boxes(boxes: np.ndarray, stretch: tuple[float, float]) -> np.ndarray:
    """Return boxes as they are in an image with other numbers of pixels over the same field.

    Parameters
    ----------
    boxes : numpy.ndarray
        Shape (n, 5), see `rotated_boxes`.
    stretch : tuple of float
        (y, x): new pixels per pixel. Where both differ, as by rounded sides, the long axis goes where the image takes
        it, and the area changes as in the image.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n, 5), canonical.
    """
    y, x = stretch
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 5)
    angle = np.deg2rad(boxes[:, 4])
    along_x, along_y = np.cos(angle) * x, np.sin(angle) * y
    longer = np.hypot(along_x, along_y)
    centers = (boxes[:, :2] + 0.5) * np.array([x, y]) - 0.5
    sides = np.column_stack([boxes[:, 2] * longer, boxes[:, 3] * x * y / longer])
    return canonical(np.column_stack([centers, sides, np.rad2deg(np.arctan2(along_y, along_x))]))


def rescale_mask(mask: InstanceMask, stretch: tuple[float, float], shape: tuple[int, int]) -> InstanceMask:
    """Return a mask as it is in an image with other numbers of pixels over the same field.

    Parameters
    ----------
    mask : InstanceMask
        The mask.
    stretch : tuple of float
        (y, x): new pixels per pixel.
    shape : tuple of int
        (height, width) of the other image (px).

    Returns
    -------
    InstanceMask
        Pixels of the other image of which the mask, interpolated linearly, covers at least half.
    """
    sources, starts = [], []
    for axis, (begin, length) in enumerate(zip((mask.y0_px, mask.x0_px), mask.crop.shape, strict=True)):
        first = max(int(np.floor(begin * stretch[axis])), 0)
        last = min(int(np.ceil((begin + length) * stretch[axis])), shape[axis])
        # centers of the new pixels in the crop, which gets a border of two empty pixels
        sources.append((np.arange(first, last) + 0.5) / stretch[axis] - 0.5 - begin + 2)
        starts.append(first)
    if not (mask.crop.size and sources[0].size and sources[1].size):
        return InstanceMask(np.zeros((0, 0), dtype=bool), starts[0], starts[1])
    cover: np.ndarray = np.pad(mask.crop.astype(np.float32), 2)
    blocks = [max(1, round(1 / factor)) for factor in stretch]
    if max(blocks) > 1:  # new pixels are larger: means over each of them
        cover = cv2.blur(cover, blocks[::-1], borderType=cv2.BORDER_CONSTANT)
        sources = [s + (0.5 if block % 2 == 0 else 0.0) for s, block in zip(sources, blocks, strict=True)]
    map_x, map_y = np.meshgrid(sources[1].astype(np.float32), sources[0].astype(np.float32))
    values = cv2.remap(cover, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return InstanceMask.from_image(values >= 0.5, y0_px=starts[0], x0_px=starts[1])


def rescale_instances(instances: Instances, shape: tuple[int, int]) -> Instances:
    """Return instances as they are in an image with other numbers of pixels over the same field.

    Parameters
    ----------
    instances : Instances
        The instances.
    shape : tuple of int
        (height, width) of the other image (px).

    Returns
    -------
    Instances
        In the same order; a mask that is too small for a pixel of the other image is empty.
    """
    if shape == instances.shape:
        return instances
    stretch = (shape[0] / instances.shape[0], shape[1] / instances.shape[1])
    masks = instances.masks and [rescale_mask(mask, stretch, shape) for mask in instances.masks]
    return Instances.from_rotated_boxes(
        rescale_boxes(instances.rotated_boxes, stretch),
        shape=shape,
        class_names=instances.class_names,
        scores=instances.scores,
        ignored=instances.ignored,
        masks=masks,
    )
