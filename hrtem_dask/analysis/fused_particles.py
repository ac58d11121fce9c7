"""Outlines that hold many particles: a raft or an agglomerate that the network saw as one.

A network that sees a micrograph at too coarse a scale draws one outline around particles that lie close together, and
is sure of it. The gray values tell: inside such an outline the background shows through between pieces of one size.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from hrtem_dask.medians import count_values

__all__ = ["fused_area_fraction", "gap_fraction"]

LEAST_AREA_PX = 1500
"""Smaller outlines are not looked at: their pieces would have a few pixels."""
MARGIN_PX = 3
"""Strip along the outline that is left out (px): the background shines in there anyway."""
GAP_LEVEL = 0.35
"""Contrast, relative to that of the particles, below which a pixel is background."""
PIECE_LEVEL = 0.6
"""The same, above which a pixel belongs to a piece."""
LEAST_GAPS = 0.06
"""Share of background inside an outline from which it may hold many particles."""
LARGEST_SINGLE = 0.5
"""Share of the image above which an outline with so much background inside is no single particle, whatever the pieces:
spheres that touch all around are one piece."""
LEAST_PIECES = 4
"""Number of pieces of one size from which an outline holds many particles. On 154 labeled real images, in which the
network had fused the particles of three, those three are recognized and no other; with eight, two of them."""
SIZES = (0.33, 3.0)
"""Pieces of one size: their areas over the median area."""
LEAST_SHARE = 0.7
"""Share of the area of all pieces that pieces of one size have."""
LEAST_PIECE_PX = 12


def fused_area_fraction(image: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the share of the particles' area whose outlines hold many pieces with background between them.

    An outline around more than half of the image counts, too, where background shows through inside.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), prepared; without resolved lattice fringes, whose dots would look like pieces.
    labels : numpy.ndarray of int
        Shape (y, x): 0 is the background.

    Returns
    -------
    float or None
        0 to 1; None without particles.

    Examples
    --------
    A raft of disks with one outline:

    >>> y, x = np.mgrid[:120, :120]
    >>> disks = np.hypot((y % 12) - 6, (x % 12) - 6) < 5
    >>> raft = np.hypot(y - 60, x - 60) < 50
    >>> fused_area_fraction(np.where(disks & raft, 0.2, 0.8), raft.astype(int))
    1.0
    >>> fused_area_fraction(np.where(raft, 0.2, 0.8), raft.astype(int))
    0.0
    """
    total = int(np.count_nonzero(labels))
    if not total:
        return None
    areas = count_values(labels)
    large = np.flatnonzero(areas >= LEAST_AREA_PX)
    large = large[large > 0]
    if not len(large):
        return 0.0
    smooth = cv2.GaussianBlur(np.asarray(image, dtype=np.float32), (0, 0), 1.0)
    background = float(np.median(smooth[labels == 0])) if total < labels.size else float(smooth.max())
    fused = sum(int(areas[k]) for k in large if _holds_many(smooth, labels == k, background))
    return fused / total


def gap_fraction(image: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the share of the particles' convex hulls that is as bright as the background.

    A large share means that outlines run far outside of particles, or around several with gaps in between. Hulls, not
    outlines, because an outline of several particles may leave the gaps out.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), prepared.
    labels : numpy.ndarray of int
        Shape (y, x): 0 is the background.

    Returns
    -------
    float or None
        0 to 1: mean over the particles, weighted by their areas; other particles are no part of a hull. None without
        particles of contrast.

    Examples
    --------
    Two disks that touch, with one outline or with two:

    >>> y, x = np.mgrid[:60, :100]
    >>> disks = [np.hypot(y - 30, x - 30) < 20, np.hypot(y - 30, x - 70) < 20]
    >>> image = np.where(disks[0] | disks[1], 0.2, 0.8)
    >>> one, two = (disks[0] | disks[1]).astype(int), disks[0] + 2 * disks[1]
    >>> gap_fraction(image, one) > 0.05, gap_fraction(image, two) < 0.02
    (True, True)
    """
    smooth = cv2.GaussianBlur(np.asarray(image, dtype=np.float32), (0, 0), 1.0)
    outside = labels == 0
    background = float(np.median(smooth[outside])) if outside.any() else float(smooth.max())
    gaps, areas = [], []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        particle = labels[box] == number
        contrast = smooth[box] - background
        if np.median(contrast[particle]) < 0:
            contrast = -contrast
        level = float(np.quantile(contrast[particle], 0.9))
        if level > 0:
            hull = _convex_hull(particle) & (particle | outside[box])
            gaps.append(float(np.mean(contrast[hull] < GAP_LEVEL * level)))
            areas.append(int(np.count_nonzero(particle)))
    return float(np.average(gaps, weights=areas)) if gaps else None


def _convex_hull(particle: np.ndarray) -> np.ndarray:
    """Return the pixels in the convex hull of a particle."""
    contours, _ = cv2.findContours(particle.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = np.zeros(particle.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(contours)), 1)
    return hull.astype(bool)


def _holds_many(smooth: np.ndarray, outline: np.ndarray, background: float) -> bool:
    """Return whether an outline holds many pieces of one size with background between them."""
    rows, columns = (np.flatnonzero(outline.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    padded = np.pad(outline[box], 1).astype(np.uint8)
    inside = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=MARGIN_PX)[1:-1, 1:-1].astype(bool)
    if not inside.any():
        return False
    contrast = smooth[box] - background
    if np.median(contrast[inside]) < 0:
        contrast = -contrast
    level = float(np.quantile(contrast[inside], 0.9))
    if level <= 0 or np.mean(contrast[inside] < GAP_LEVEL * level) < LEAST_GAPS:
        return False
    if outline.mean() > LARGEST_SINGLE:
        return True
    _, _, stats, _ = cv2.connectedComponentsWithStats((inside & (contrast > PIECE_LEVEL * level)).astype(np.uint8))
    pieces = stats[1:, cv2.CC_STAT_AREA]
    pieces = pieces[pieces >= LEAST_PIECE_PX]
    if len(pieces) < LEAST_PIECES:
        return False
    similar = pieces[(pieces > SIZES[0] * np.median(pieces)) & (pieces < SIZES[1] * np.median(pieces))]
    return len(similar) >= LEAST_PIECES and similar.sum() >= LEAST_SHARE * pieces.sum()
