"""The scale at which a detector sees a micrograph best, found by its own scores.

A detector knows instances of the sizes (in pixels) that it was trained on. Larger ones are found in pieces, smaller
ones not at all, and both with low scores. The micrograph is therefore looked at with fewer pixels first, which costs
little, and then with more of them, as long as that shows more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.detection.rescaling import rescale_image, rescale_instances

__all__ = ["Detect", "ScaleSearch", "evidence", "search_scale"]

SCALES = tuple(2.0**k for k in range(-6, 2))
"""Scales that are tried: pixels of the network per pixel of the micrograph."""
WINDOW_PX = 640
"""A micrograph with more network pixels along a side is looked at in a window of this side."""
ENLARGED_PX = 320
"""The same where the micrograph is enlarged, which is tried for short instances only: fewer pixels show enough."""
MIN_SIDE_PX = 48
"""Scales at which the shorter side has fewer network pixels are left out."""
MIN_SCORE, NEUTRAL_SCORE = 0.3, 0.4
"""Instances with less than the first say nothing about a scale; below the second they speak against it.

Chosen, with the weight by the root of the area, on 12 simulated scenes of rods, 8 of large rods, 8 of vesicles and the
elongated particles of `emps_tem`. Rods alone would be served a little better by their area, but with that the sparse
large vesicles of a scene outweigh the many small ones and the holes, which a small scale does not show."""
SHORT_PX = 20.0
"""The micrograph is enlarged only where the median instance is shorter than this (px)."""

Detect = Callable[[np.ndarray], Instances]
"""Finds the instances of an image."""


@dataclass(frozen=True, kw_only=True)
class ScaleSearch:
    """What a search for the scale found."""

    scale: float
    """Pixels of the network per pixel of the micrograph; 1 where no scale shows anything."""
    whole: Instances | None
    """All instances at that scale, in network pixels, where the micrograph was looked at as a whole."""


def evidence(found: Instances) -> np.ndarray:
    """Return how much each instance speaks for the scale that it was found at.

    Parameters
    ----------
    found : Instances
        What was found.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,): √area (px) × (score − 0.4), and 0 for scores below 0.3. Large instances count more, since specks
        are found at every scale.
    """
    side = np.sqrt(found.rotated_boxes[:, 2] * found.rotated_boxes[:, 3])
    return np.asarray(np.where(found.scores >= MIN_SCORE, side * (found.scores - NEUTRAL_SCORE), 0.0))


def search_scale(image: np.ndarray, detect: Detect) -> ScaleSearch:
    """Find the scale at which a detector is surest of the most.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, finite.
    detect : callable
        Finds the instances of an image of up to 640 × 640 px, from `network_input.standardize`.

    Returns
    -------
    ScaleSearch
        The scale, and the instances where it shows the micrograph as a whole.
    """
    sides = min(image.shape), max(image.shape)
    possible = [s for s in SCALES if sides[0] * s >= MIN_SIDE_PX] or [1.0]
    coarse = [s for s in possible if round(sides[1] * s) <= WINDOW_PX and s <= 1] or possible[:1]
    best, most, seen, whole = 1.0, 0.0, None, None
    for scale in coarse:
        found = detect(standardize(rescale_image(image, scale)))
        native = rescale_instances(found, (image.shape[0], image.shape[1]))
        total = float(evidence(native).sum())
        if total > most:
            best, most, seen, whole = scale, total, native, found
    finer = [s for s in possible if s > coarse[-1]]
    if seen is not None and best < coarse[-1]:
        return ScaleSearch(scale=best, whole=whole)
    for scale in finer:
        if scale > 1 and seen is not None and _median_length(seen) * best >= SHORT_PX:
            break
        window = _window(image, round((WINDOW_PX if scale <= 1 else ENLARGED_PX) / scale), seen)
        found = _in_window(image, window, scale, detect)
        before = 0.0 if seen is None else float(evidence(seen)[_inside(seen, window)].sum())
        if float(evidence(found).sum()) > before:
            best, seen, whole = scale, found, None
        elif seen is not None:
            break
    return ScaleSearch(scale=best if seen is not None else 1.0, whole=whole)


def _in_window(image: np.ndarray, window: tuple[slice, slice], scale: float, detect: Detect) -> Instances:
    """Return what is found in a window at a scale, in pixels of the micrograph."""
    part = image[window]
    found = detect(standardize(rescale_image(part, scale)))
    found = rescale_instances(found, (part.shape[0], part.shape[1]))
    return found.moved(y_px=window[0].start, x_px=window[1].start, shape=(image.shape[0], image.shape[1]))


def _inside(found: Instances, window: tuple[slice, slice]) -> np.ndarray:
    """Return which instances have their center in a window."""
    x, y = found.rotated_boxes[:, 0], found.rotated_boxes[:, 1]
    rows, columns = window
    inside = (y >= rows.start - 0.5) & (y < rows.stop - 0.5)
    return np.asarray(inside & (x >= columns.start - 0.5) & (x < columns.stop - 0.5))


def _median_length(found: Instances) -> float:
    """Return the median length of what was found (px), weighted by area."""
    weight = np.where(found.scores >= MIN_SCORE, found.rotated_boxes[:, 2] * found.rotated_boxes[:, 3], 0.0)
    order = np.argsort(found.rotated_boxes[:, 2])
    covered = np.cumsum(weight[order])
    return float(found.rotated_boxes[order[np.searchsorted(covered, covered[-1] / 2)], 2])


def _window(image: np.ndarray, side: int, seen: Instances | None) -> tuple[slice, slice]:
    """Return the window that shows most of what was found, or else the one of nine that varies most."""
    height, width = image.shape
    if seen is None:
        starts = [sorted({0, max(0, (n - side) // 2), max(0, n - side)}) for n in (height, width)]
        corners = [(y, x) for y in starts[0] for x in starts[1]]
        block = 1 / max(1, side // 64)
        worth = [float(rescale_image(image[y : y + side, x : x + side], block).std()) for y, x in corners]
    else:
        gain = evidence(seen)
        around = seen.rotated_boxes[np.argsort(-gain)[:100], :2] - side / 2
        corners = [
            (int(np.clip(round(y), 0, max(0, height - side))), int(np.clip(round(x), 0, max(0, width - side))))
            for x, y in around
        ]
        worth = [float(gain[_inside(seen, _slices(corner, side, image.shape))].sum()) for corner in corners]
    return _slices(corners[int(np.argmax(worth))], side, image.shape)


def _slices(corner: tuple[int, int], side: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of a window."""
    return slice(corner[0], min(corner[0] + side, shape[0])), slice(corner[1], min(corner[1] + side, shape[1]))
