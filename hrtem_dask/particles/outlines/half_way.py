"""Outlines moved to where the intensity is half-way between a particle and its surroundings.

The outline of a network follows the convention of its training data, which is the edge of the projected object. A
sphere becomes thinner towards its edge, so that the intensity there is nearly that of the background. Outlines that
people draw lie further inside, about where the intensity is half-way. The median intensity as a function of the
distance from the outline shows where that is, with sub-pixel precision.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from hrtem_dask.particles.runs import find_runs

__all__ = ["half_way_offset_px", "move_outlines_half_way"]

REACH_PX = 8
"""Distance (px) outside the outline up to which the surroundings are used."""
CLEARANCE_PX = 3
"""Surroundings begin at this distance (px) from the outline."""
MAX_SHIFT = 0.5
"""Largest shift of an outline inwards, as a share of the radius of the largest inscribed circle."""
MIN_CONTRAST_TO_NOISE = 3.0
"""Smallest contrast between a particle and its surroundings that shows an outline, in standard errors."""
FEWEST_PX = 20
"""Fewest pixels of an interior and of its surroundings that are compared."""


def half_way_offset_px(image: np.ndarray, inside: np.ndarray, free: np.ndarray) -> float | None:
    """Return how far outside the outline of a particle the intensity is half-way.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), real: intensity.
    inside : numpy.ndarray of bool
        Shape (y, x): True on the particle.
    free : numpy.ndarray of bool
        Shape (y, x): True on pixels that belong to no particle, and are nearer to this particle than to others.

    Returns
    -------
    float or None
        Signed distance (px) from the outline, negative inside the particle; None where the contrast is too low, or the
        intensity crosses half-way nowhere near the outline.

    Notes
    -----
    The level is the mean of two medians: that of the inner half of the particle, by distance from the outline, and that
    of its free surroundings, from 3 to 8 px outside. An outline that lies inside the particle takes the blurred edge
    for surroundings: where the first crossing is outside, they begin 3 px beyond that crossing instead.

    Examples
    --------
    A disk of 20 px whose outline was drawn 3 px too far outside:

    >>> import numpy as np
    >>> y, x = np.mgrid[:64, :64]
    >>> radius = np.hypot(y - 32, x - 32)
    >>> image = np.where(radius < 20, 100.0, 200.0) + np.random.default_rng(0).normal(0, 5, radius.shape)
    >>> bool(abs(half_way_offset_px(image, radius < 23, radius >= 23) + 3) < 0.5)
    True
    """
    distance = _signed_distance_px(inside)
    first = _crossing_px(image, inside, free, distance, CLEARANCE_PX)
    if first is None or first <= 0:
        return first
    return _crossing_px(image, inside, free, distance, CLEARANCE_PX + first) or first


def _crossing_px(
    image: np.ndarray, inside: np.ndarray, free: np.ndarray, distance: np.ndarray, clearance_px: float
) -> float | None:
    """Return where the intensity is half-way, with surroundings that begin at a distance from the outline."""
    depth = -float(distance.min())
    core, around = inside & (distance <= -depth / 2), free & (distance > clearance_px) & (distance <= REACH_PX)
    n_core, n_around = int(core.sum()), int(around.sum())
    if n_core < FEWEST_PX or n_around < FEWEST_PX:
        return None
    in_core, in_around = image[core].astype(float), image[around].astype(float)
    contrast = float(np.median(in_core) - np.median(in_around))
    error = float(np.sqrt(in_core.var() / n_core + in_around.var() / n_around))
    if not abs(contrast) > MIN_CONTRAST_TO_NOISE * error:
        return None
    used = (inside | free) & (distance <= REACH_PX)
    bins = np.floor(distance[used]).astype(int)
    numbers = np.unique(bins)
    positions = np.asarray(ndimage.mean(distance[used], bins, numbers))
    profile = np.asarray(ndimage.median(image[used].astype(float), bins, numbers))
    share = (profile - np.median(in_around)) / contrast  # 1 in the particle, 0 around it
    return _outermost_crossing(positions, share)


def move_outlines_half_way(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Move the outline of each particle to where the intensity is half-way to its surroundings.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background.
    image : numpy.ndarray
        Shape (y, x), real: intensity.

    Returns
    -------
    numpy.ndarray of int32
        Labels with the same numbers. Outlines between touching particles stay. An outline that the intensity does not
        show is moved by the median of the other particles; where no outline can be seen, all stay as they are. A
        particle never vanishes.
    """
    runs = find_runs(labels)
    if not runs.ids.size:
        return labels
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    owner = labels[tuple(nearest)]
    boxes = [_grown(box, labels.shape) for box in runs.boxes]
    offsets: list[float | None] = []
    for number, box in zip(runs.ids, boxes, strict=True):
        inside, mine = labels[box] == number, owner[box] == number
        offsets.append(half_way_offset_px(image[box], inside, mine & ~inside))
    seen = [offset for offset in offsets if offset is not None]
    if not seen:
        return labels
    common = float(np.median(seen))
    moved = np.zeros_like(labels)
    for number, box, offset in zip(runs.ids, boxes, offsets, strict=True):
        inside, mine = labels[box] == number, owner[box] == number
        # the outline next to another particle is no edge of the object: distances are measured to the background alone
        distance = _signed_distance_px(labels[box] > 0)
        limit = -MAX_SHIFT * float(-np.where(inside, distance, 0).min())
        shift = float(np.clip(common if offset is None else offset, limit, CLEARANCE_PX))
        moved[box][mine & (inside | (labels[box] == 0)) & (distance <= shift)] = number
    return moved


def _grown(box: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the slices of a bounding box with the surroundings."""
    y0, x0, y1, x1 = (int(edge) for edge in box)
    margin = REACH_PX + 1
    return slice(max(0, y0 - margin), min(shape[0], y1 + margin)), slice(
        max(0, x0 - margin), min(shape[1], x1 + margin)
    )


def _signed_distance_px(inside: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel center from the outline, negative inside; a crop goes on as it ends."""
    padded = np.pad(inside, 1, mode="edge")
    within = cv2.distanceTransform(padded.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    beyond = cv2.distanceTransform((~padded).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    signed = np.where(padded, 0.5 - within, beyond - 0.5)
    return np.asarray(signed[1:-1, 1:-1])


def _outermost_crossing(positions: np.ndarray, share: np.ndarray) -> float | None:
    """Return the outermost position at which the share rises through one half on the way inwards; None without one."""
    for i in range(len(share) - 1, 0, -1):
        outer, inner = share[i], share[i - 1]
        if outer < 0.5 <= inner:
            fraction = (0.5 - outer) / (inner - outer)
            return float(positions[i] - fraction * (positions[i] - positions[i - 1]))
    return None
