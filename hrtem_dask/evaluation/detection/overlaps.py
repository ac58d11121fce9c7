"""Overlap of found and true instances: of their rotated boxes, axis-aligned boxes, or masks."""

from __future__ import annotations

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_iou import rotated_intersections

__all__ = ["KINDS", "areas", "check_same_fields", "overlap_matrix", "overlap_shares", "shared_areas"]

KINDS = ("rotated_boxes", "boxes", "masks")
"""What of two instances is compared."""


def areas(instances: Instances, kind: str) -> np.ndarray:
    """Return the area of each instance.

    Parameters
    ----------
    instances : Instances
        The instances.
    kind : str
        A name in `KINDS`.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,), px².

    Raises
    ------
    ValueError
        If the kind is unknown, or masks are asked for where there are none.
    """
    if kind == "rotated_boxes":
        return np.asarray(instances.rotated_boxes[:, 2] * instances.rotated_boxes[:, 3])
    if kind == "boxes":
        sides = instances.boxes[:, 2:] - instances.boxes[:, :2]
        return np.asarray(sides[:, 0] * sides[:, 1])
    if kind != "masks":
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(KINDS)}")
    if instances.masks is None:
        raise ValueError("these instances have no masks: compare boxes or rotated_boxes")
    return np.array([mask.area_px for mask in instances.masks], np.float64)


def shared_areas(first: Instances, second: Instances, kind: str) -> np.ndarray:
    """Return the areas that pairs of instances share.

    Parameters
    ----------
    first, second : Instances
        Of n and m instances of one image.
    kind : str
        A name in `KINDS`.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n, m), px².

    Raises
    ------
    ValueError
        If the kind is unknown, or masks are asked for where there are none.
    """
    if kind == "rotated_boxes":
        return rotated_intersections(first.rotated_boxes, second.rotated_boxes)
    a, b = first.boxes[:, None], second.boxes[None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    shared = np.asarray(sides[..., 0] * sides[..., 1])
    if kind == "boxes":
        return shared
    if kind != "masks":
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(KINDS)}")
    if first.masks is None or second.masks is None:
        raise ValueError("some instances have no masks: compare boxes or rotated_boxes")
    for i, j in np.argwhere(shared > 0):
        one, other = first.masks[i], second.masks[j]
        y0, x0 = max(one.y0_px, other.y0_px), max(one.x0_px, other.x0_px)
        y1, x1 = (min(m.window[k].stop for m in (one, other)) for k in (0, 1))
        crops = [m.crop[y0 - m.y0_px : y1 - m.y0_px, x0 - m.x0_px : x1 - m.x0_px] for m in (one, other)]
        shared[i, j] = np.count_nonzero(crops[0] & crops[1])
    return shared


def overlap_matrix(predicted: Instances, truth: Instances, kind: str) -> np.ndarray:
    """Return how well found instances cover true ones.

    Parameters
    ----------
    predicted, truth : Instances
        Found and true instances of one image.
    kind : str
        A name in `KINDS`.

    Returns
    -------
    numpy.ndarray of float64
        Shape (predicted, true): intersection over union; for an ignored true instance the share of the found one that
        lies on it, as COCO counts crowds.

    Raises
    ------
    ValueError
        If the kind is unknown, or masks are asked for where there are none.
    """
    shared = shared_areas(predicted, truth, kind)
    own, other = areas(predicted, kind)[:, None], areas(truth, kind)[None]
    return overlap_shares(shared, own, other, truth.ignored[None])


def overlap_shares(shared: np.ndarray, own: np.ndarray, other: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Return overlaps from areas.

    Parameters
    ----------
    shared : numpy.ndarray
        Shape (found, true): what pairs share (px²).
    own, other : numpy.ndarray
        Shapes (found, 1) and (1, true): areas of found and of true instances (px²).
    ignored : numpy.ndarray of bool
        Shape (1, true): which true ones are ignored.

    Returns
    -------
    numpy.ndarray of float64
        Shape (found, true): as of `overlap_matrix`; 0 for areas of 0.
    """
    base = np.where(ignored, own + 0 * other, own + other - shared)
    return np.asarray(np.divide(shared, base, out=np.zeros_like(shared), where=base > 0))


def check_same_fields(truth: list[Instances], predicted: list[Instances]) -> None:
    """Refuse lists of instances that are not of the same images.

    Parameters
    ----------
    truth, predicted : list of Instances
        One entry per image.

    Raises
    ------
    ValueError
        If their numbers or the shapes of their images differ.
    """
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} images have truth, {len(predicted)} have predictions: give the same images")
    for number, (one, other) in enumerate(zip(truth, predicted, strict=True)):
        if tuple(one.shape) != tuple(other.shape):
            raise ValueError(f"image {number}: truth is of {one.shape}, the prediction of {other.shape} (y, x) px")
