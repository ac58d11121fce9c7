"""Small particles, which morphological cleaning would shave, join or remove, are kept as they are in the mask.

An opening by a disk of 2 px takes a tenth of the diameter of a particle 6 px across, and removes one of 4 px; a closing
joins small particles that are as near to each other as they are small. Both are meant for the outlines of large
particles. A piece of the mask is kept as it is if it is smaller than the area from which shapes are described, not
smaller than the counting limit, and compact, which specks of noise and fringes of an outline are not. Large particles,
and what a closing has joined to them, are exactly as the cleaning leaves them.
"""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.particles.components import connected_components, label_pieces
from hrtem_dask.particles.runs import Runs

__all__ = ["keep_small_particles"]

_MAX_ASPECT_RATIO = 3.0
"""Longer pieces are not compact: half-moons along an outline, lines."""
_MIN_FILLING = 0.85
"""Area over that of the ellipse of equal second moments; a disk has 1, a square 0.95, an L of two equal arms 0.6."""
_NEIGHBORHOOD = np.ones((3, 3), dtype=np.uint8)
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def keep_small_particles(
    mask: np.ndarray, cleaned: np.ndarray, *, min_area_px: float, max_area_px: float
) -> tuple[np.ndarray, int]:
    """Put small particles back into a cleaned mask, and count the objects below the limit that are not in it.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x): the mask before the cleaning.
    cleaned : numpy.ndarray of bool
        Shape (y, x): the mask after opening and closing, from `clean_mask`.
    min_area_px : float
        Counting limit (px): smaller pieces are not put back.
    max_area_px : float
        Pieces of this area (px) and larger ones are left as they were cleaned; up to `min_area_px`, all are.

    Returns
    -------
    kept : numpy.ndarray of bool
        Shape (y, x), a new array: `cleaned`, in which each compact piece of the mask between the two areas is as it
        is in the mask, unless it touches what the cleaning has left of other pieces.
    n_removed : int
        Number of pieces below the counting limit that are removed whole. Pieces at the border of the image are not
        included, nor are those in which not even a disk of 1 px radius (5 pixels) fits, which are noise.
    """
    if mask.size == 0:
        return cleaned.copy(), 0
    pieces, runs = label_pieces(mask)
    small = (runs.area_px >= min_area_px) & (runs.area_px < max_area_px) & _is_compact(runs)
    kept = cleaned.copy()
    if small.any():
        is_small = np.append(False, small)[pieces]
        left = connected_components(cleaned)
        released = np.ones(int(left.max()) + 1, dtype=bool)
        released[left[mask & ~is_small]] = False  # what is left of other pieces is in it
        kept &= ~released[left]
        beside = cv2.dilate(kept.view(np.uint8), _NEIGHBORHOOD).view(bool)
        free = np.append(False, small)
        free[pieces[beside]] = False
        kept |= free[pieces]
    return kept, _count_removed(mask, kept, pieces, runs, min_area_px)


def _is_compact(runs: Runs) -> np.ndarray:
    """Return which pieces fill the ellipse that has their second moments, and are not long; shape (n,)."""
    _, _, yy, xx, yx = runs.moments()
    spread = np.hypot(xx - yy, 2 * yx)
    longest, shortest = xx + yy + spread, xx + yy - spread  # twice the variances along the axes
    filling = runs.area_px / (2 * np.pi * np.sqrt(longest * shortest))
    return np.asarray((longest < _MAX_ASPECT_RATIO**2 * shortest) & (filling >= _MIN_FILLING))


def _count_removed(mask: np.ndarray, kept: np.ndarray, pieces: np.ndarray, runs: Runs, min_area_px: float) -> int:
    """Return the number of pieces below the limit that are neither noise, at the border, nor in the kept mask."""
    removed = np.append(False, runs.area_px < min_area_px)
    if not removed.any():
        return 0  # the usual case: looking at every pixel would take as long as the cleaning
    removed[pieces[kept]] = False
    for border in (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]):
        removed[border] = False
    if not removed.any():
        return 0
    holds_disk = np.zeros_like(removed)
    holds_disk[pieces[cv2.erode(mask.view(np.uint8), _CROSS).view(bool)]] = True
    return int(np.count_nonzero(removed & holds_disk))
