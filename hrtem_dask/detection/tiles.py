"""Large micrographs through a detector in overlapping tiles, an instance on a seam found once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import hulls
from hrtem_dask.detection.rotated_iou import rotated_intersections

__all__ = ["detect_in_tiles", "tile_starts"]

SAME_IOU, SAME_PART = 0.45, 0.6
"""Two boxes of different tiles are one instance where their intersection over union exceeds the first, or where one
that its tile cuts shares more than the second of its own area with the other."""
SEAM_PX = 3.0
"""A box that comes so near to an inner border of its tile (px) is cut by it."""


def tile_starts(side: int, tile_px: int, overlap_px: int) -> list[int]:
    """Return where tiles begin along one axis.

    Parameters
    ----------
    side : int
        Length of the image (px).
    tile_px : int
        Length of a tile (px).
    overlap_px : int
        Least overlap of neighbors (px), less than a tile.

    Returns
    -------
    list of int
        First pixels; the last tile ends with the image.
    """
    if side <= tile_px:
        return [0]
    n = -(-(side - overlap_px) // (tile_px - overlap_px))
    return [round(i * (side - tile_px) / (n - 1)) for i in range(n)]


def detect_in_tiles(
    image: np.ndarray, detect: Callable[[np.ndarray], Instances], *, tile_px: int, overlap_px: int
) -> Instances:
    """Find the instances of an image of any size.

    An instance that is no longer than the overlap lies whole in at least one tile. Where neighbors find it too, as a
    whole or in part, the whole one with the highest score stays.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), from `network_input.standardize`.
    detect : callable
        Finds the instances of one tile.
    tile_px : int
        Side of a tile (px).
    overlap_px : int
        Least overlap of neighbors (px).

    Returns
    -------
    Instances
        By falling score, without masks.
    """
    height, width = image.shape
    parts, cut, tiles = [], [], []
    for number, (y0, x0) in enumerate(
        product(tile_starts(height, tile_px, overlap_px), tile_starts(width, tile_px, overlap_px))
    ):
        tile = image[y0 : y0 + tile_px, x0 : x0 + tile_px]
        found = detect(tile)
        around = hulls(found.rotated_boxes)
        inner = np.array([x0 > 0, y0 > 0, x0 + tile.shape[1] < width, y0 + tile.shape[0] < height])
        near = np.column_stack([around[:, :2], tile.shape[1] - 1 - around[:, 2], tile.shape[0] - 1 - around[:, 3]])
        parts.append(found.moved(y_px=y0, x_px=x0, shape=(height, width)))
        cut.append(((near < SEAM_PX) & inner).any(axis=1))
        tiles.append(np.full(len(found), number))
    together = Instances.concatenate(parts)
    return together.select(_once(together, np.concatenate(cut), np.concatenate(tiles)))


def _once(found: Instances, cut: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Return the positions of instances, each once, by falling score."""
    boxes = found.rotated_boxes
    shared = rotated_intersections(boxes, boxes)
    area = boxes[:, 2] * boxes[:, 3]
    iou = shared / (area[:, None] + area - shared)
    same_class = found.class_names[:, None] == found.class_names
    kept: list[int] = []
    for i in np.lexsort((-found.scores, cut)):  # whole ones first
        others = [j for j in kept if tiles[j] != tiles[i] and same_class[i, j]]
        same = iou[i, others] > SAME_IOU
        if cut[i]:
            same |= shared[i, others] > SAME_PART * area[i]
        if not same.any():
            kept.append(int(i))
    order = np.array(kept, dtype=np.int64)
    return order[np.argsort(-found.scores[order], kind="stable")]
