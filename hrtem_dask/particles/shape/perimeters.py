"""Perimeters by Crofton's formula: count how often parallel lines cross the outline.

Lines along eight directions of the pixel grid are used, four more than scikit-image's `perimeter_crofton`: a straight
edge is then measured to within 2 % in every orientation instead of 5 %. Each direction stands for the angles nearest
to it and its lines are pixel area / step length apart, so non-square pixels are measured as such
(G. Lehmann and D. Legland, Insight Journal 2012).
"""

from __future__ import annotations

import numpy as np

from hrtem_dask.particles.runs import Runs

__all__ = ["EIGHT_DIRECTIONS", "FOUR_DIRECTIONS", "convex_exits", "crofton_perimeters", "outline_exits"]

Steps = tuple[tuple[int, int], ...]

FOUR_DIRECTIONS: Steps = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (y, x) along rows, columns and diagonals."""
EIGHT_DIRECTIONS: Steps = (*FOUR_DIRECTIONS, (1, 2), (2, 1), (1, -2), (2, -1))
"""The same and the knight's moves of chess."""


def outline_exits(runs: Runs, *, steps: Steps = EIGHT_DIRECTIONS) -> np.ndarray:
    """Count for each label and step the pixels from which the step leads out of the label.

    Parameters
    ----------
    runs : Runs
        Runs of the labels.
    steps : tuple of tuple of int
        Steps (y, x), y not negative.

    Returns
    -------
    numpy.ndarray of int64
        Shape (n, steps): half the crossings of the outline, holes included, by the lines along each step.
    """
    if not runs.ids.size:
        return np.zeros((0, len(steps)), dtype=np.int64)
    reach = max(max(abs(dy), abs(dx)) for dy, dx in steps)
    # every label gets a frame of its own, wide enough that no step leads into the next row or frame
    width = int(runs.stop.max()) + 2 * reach
    frame = (int(runs.row.max()) + 1 + reach) * width
    start = runs.index * frame + runs.row * width + runs.start + reach
    length = runs.stop - runs.start
    before = np.cumsum(length) - length

    def pixels_before(position: np.ndarray) -> np.ndarray:
        run = np.maximum(np.searchsorted(start, position, side="right") - 1, 0)
        return np.asarray(before[run] + np.clip(position - start[run], 0, length[run]))

    exits = np.empty((runs.ids.size, len(steps)), dtype=np.int64)
    for i, (dy, dx) in enumerate(steps):
        landing = start + dy * width + dx
        stays = pixels_before(landing + length) - pixels_before(landing)
        exits[:, i] = runs.total(length - stays)
    return exits


def convex_exits(runs: Runs, *, steps: Steps = EIGHT_DIRECTIONS) -> np.ndarray:
    """Count for each label and step the lines along the step that meet the convex hull of its pixel centres.

    A line crosses a convex outline twice, so these are the exits of the hull (Cauchy's formula): taken with
    `crofton_perimeters`, they give the hull's perimeter by the same estimator as the particle's.

    Parameters
    ----------
    runs : Runs
        Runs of the labels.
    steps : tuple of tuple of int
        Steps (y, x), without a common divisor.

    Returns
    -------
    numpy.ndarray of int64
        Shape (n, steps).
    """
    exits = np.empty((runs.ids.size, len(steps)), dtype=np.int64)
    for i, (dy, dx) in enumerate(steps if runs.ids.size else ()):
        # lines along a step are numbered by dx·y − dy·x
        ends = np.stack([dx * runs.row - dy * runs.start, dx * runs.row - dy * (runs.stop - 1)])
        lowest = np.minimum.reduceat(ends.min(axis=0), runs.first)
        exits[:, i] = np.maximum.reduceat(ends.max(axis=0), runs.first) - lowest + 1
    return exits


def crofton_perimeters(exits: np.ndarray, *, scale: tuple[float, float], steps: Steps = EIGHT_DIRECTIONS) -> np.ndarray:
    """Turn counts of exits into perimeters by Crofton's formula.

    Parameters
    ----------
    exits : numpy.ndarray of int
        Shape (n, steps), from `outline_exits` or `convex_exits`.
    scale : tuple of float
        Height and width of a pixel.
    steps : tuple of tuple of int
        The steps they were counted for.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,), in the unit of the scale: ∑ angle that the direction stands for × distance between lines × exits.
    """
    dy, dx = (np.array(steps) * scale).T
    angle = np.arctan2(dy, dx) % np.pi
    order = np.argsort(angle)
    to_next = np.diff(angle[order], append=angle[order][0] + np.pi)
    share = np.empty(len(steps))
    share[order] = (to_next + np.roll(to_next, 1)) / 2
    spacing = scale[0] * scale[1] / np.hypot(dy, dx)
    return np.asarray(exits @ (share * spacing))
