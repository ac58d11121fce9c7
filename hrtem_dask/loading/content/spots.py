"""Diffraction patterns: sharp spots in pairs around a bright center, or rings around it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from scipy import ndimage

__all__ = ["Pattern", "describe_pattern"]

SIDE_PX = 512
"""Longer side of the copy that is searched for spots (px)."""
COARSE_PX = 64
"""Side of the copy in which a bright center is looked for."""
MIN_PEAK = 3.0
"""Smallest brightness of the surroundings of the center over that of the median of the image, above the darkest: in
other images there is no need to look closer."""
SPOT_PX = 13
"""Structures wider than this, in pixels of the copy, are no sharp spots."""
MAX_SPOTS = 300
MIN_SPOTS = 4
PARTNER_PX = 3.0
"""Largest distance of a partner from the inverted place of a spot (px of the copy)."""
N_SECTORS = 8
FINE_PX, NEAR_PX = 5.0, 45
"""Width of the structures that rings are looked for in, and largest distance of a hidden center from the brightest
place (px of the copy)."""
MIN_HIDDEN_RINGS = 3
"""Fewest rings about a center that is not the brightest place: shells of a particle are one or two."""


@dataclass(frozen=True)
class Pattern:
    """Measures of an image as a pattern of reciprocal space."""

    peak: float = 0.0
    """Brightness around the center over the median, both above the darkest."""
    n_spots: int = 0
    """Number of sharp bright spots beside the center."""
    paired: float = 0.0
    """Share of the spots that have a partner on the other side of the center."""
    chance: float = 1.0
    """Share that would have one by chance."""
    decay: float = 0.0
    """Rank correlation of the heights of spots with their distance from the center; negative in a pattern."""
    filled: float = 1.0
    """Share of the area of the spots that is covered by them at half of their height."""
    n_rings: int = 0
    """Number of narrow rings that are bright in all directions."""


def describe_pattern(image: np.ndarray) -> Pattern:
    """Measure spots and rings around the center of an image.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.

    Returns
    -------
    Pattern
        The measures, of a copy of at most 512 px; only the peak where the image has no bright center.
    """
    copy = _copy(image)
    if copy is None:
        return Pattern()
    peak, center = _peak(copy)
    if peak < MIN_PEAK:
        return Pattern(peak=peak)
    spots, heights, filled = _spots(copy, center)
    rings, hidden = (_n_rings(copy, place) for place in (center, _symmetry_center(copy, center)))
    rings = max(rings, hidden if hidden >= MIN_HIDDEN_RINGS else 0)
    if len(spots) < MIN_SPOTS:
        return Pattern(peak=peak, n_spots=len(spots), n_rings=rings)
    paired, chance = max(_paired(spots, copy.shape, c) for c in (center, _middle_of_pairs(spots, center)))
    from scipy.stats import spearmanr  # half a second to import; few images have spots

    decay = spearmanr(heights, np.hypot(*(spots - center).T)).statistic if np.ptp(heights) > 0 else 0.0
    return Pattern(peak, len(spots), paired, chance, float(decay), filled, rings)


def _copy(image: np.ndarray) -> np.ndarray | None:
    """Return a small copy, float32 from 0 to 1; None where the image is constant or too small."""
    if min(image.shape) < COARSE_PX:
        return None
    factor = max(1.0, max(image.shape) / SIDE_PX)
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    real = np.ascontiguousarray(image, np.float32)
    small = cv2.resize(real, size, interpolation=cv2.INTER_AREA) if factor > 1 else real
    finite = np.isfinite(small)
    if not finite.any():
        return None
    if not finite.all():
        small = np.where(finite, small, np.median(small[finite]))
    low, high = float(np.percentile(small[::3, ::3], 0.5)), float(small.max())
    if not high > low:
        return None
    scaled: np.ndarray = np.clip((small - low) / (high - low), 0, 1)
    return scaled


def _peak(copy: np.ndarray) -> tuple[float, np.ndarray]:
    """Return how bright the surroundings of the brightest place are, and the place (y, x)."""
    blurred = cv2.GaussianBlur(copy, (0, 0), max(copy.shape) / COARSE_PX / 2)
    center = np.array(np.unravel_index(int(np.argmax(blurred)), blurred.shape), float)
    coarse = cv2.resize(blurred, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA)
    y, x = np.indices(coarse.shape)
    at = center * COARSE_PX / np.array(copy.shape)
    radius = np.hypot(y + 0.5 - at[0], x + 0.5 - at[1])
    # beside the center itself, which may be a single bright spot
    around, far = coarse[(radius > 3) & (radius < 9)], coarse[radius > 20]
    floor = float(coarse.min())
    return (float(np.median(around)) - floor) / max(float(np.median(far)) - floor, 1e-4), center


def _spots(copy: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return places (y, x) and heights of sharp bright spots beside the center, and how much they cover."""
    smooth = cv2.GaussianBlur(copy, (0, 0), 1.0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SPOT_PX, SPOT_PX))
    tophat = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, kernel)
    middle = float(np.median(tophat))
    noise = max(1.4826 * float(np.median(np.abs(tophat - middle))), 1e-6)
    largest = cv2.dilate(tophat, np.ones((SPOT_PX, SPOT_PX), np.uint8))
    peaks = (tophat == largest) & (tophat > middle + 8 * noise)
    places, heights = np.argwhere(peaks).astype(float), tophat[peaks].astype(float)
    beside = np.hypot(*(places - center).T) > SPOT_PX
    places, heights = places[beside], heights[beside]
    order = np.argsort(-heights)[:MAX_SPOTS]
    places, heights = places[order], heights[order]
    if len(places) < MIN_SPOTS:
        return places, heights, 1.0
    covered = np.count_nonzero((tophat > 0.5 * largest) & (largest > middle + 8 * noise))
    area = np.pi * np.percentile(np.hypot(*(places - center).T), 90) ** 2
    return places, heights, float(covered / min(area, copy.size))


def _middle_of_pairs(spots: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the place near another one at which most pairs of spots have their middle."""
    middles = ((spots[:, None] + spots[None, :]) / 2)[np.triu_indices(len(spots), 1)]
    close = middles[np.hypot(*(middles - near).T) < 2 * SPOT_PX]
    if not len(close):
        return near
    offsets = np.round((close - near) / PARTNER_PX).astype(int)
    cells, counts = np.unique(offsets, axis=0, return_counts=True)
    chosen = np.abs(offsets - cells[int(np.argmax(counts))]).max(1) <= 1
    middle: np.ndarray = close[chosen].mean(0)
    return middle


def _paired(spots: np.ndarray, shape: tuple[int, ...], center: np.ndarray) -> tuple[float, float]:
    """Return the share of spots with a partner on the other side of a center, and the share by chance."""
    inverted = 2 * center - spots
    inside = np.all((inverted >= 0) & (inverted < np.array(shape)), axis=1)
    if inside.sum() < MIN_SPOTS:
        return 0.0, 1.0
    nearest = np.min(np.hypot(*(inverted[inside][:, None] - spots[None, :]).transpose(2, 0, 1)), axis=1)
    chance = 1 - np.exp(-len(spots) / (shape[0] * shape[1]) * np.pi * PARTNER_PX**2)
    return float(np.mean(nearest <= PARTNER_PX)), float(chance)


def _symmetry_center(copy: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the place (y, x) near the brightest one about which the fine structure is most symmetric.

    A beam stop hides the center of a pattern, so that its brightest place lies beside it. Where an image is like its
    inversion about a place, its convolution with itself has a maximum at twice that place.
    """
    fine = np.log(copy + 0.02)
    fine -= cv2.GaussianBlur(fine, (0, 0), FINE_PX)
    spread = max(float(np.median(np.abs(fine))), 1e-6)
    fine = np.clip(fine, -4 * spread, 4 * spread)  # the edges of a beam stop are stronger than any ring
    shape = [2 * n for n in fine.shape]
    found = scipy.fft.irfft2(scipy.fft.rfft2(fine, shape) ** 2, shape)
    y, x = (np.arange(max(0, int(2 * (c - NEAR_PX))), int(2 * (c + NEAR_PX)) + 1) for c in near)
    y, x = y[y < shape[0]], x[x < shape[1]]
    best = np.unravel_index(int(np.argmax(found[np.ix_(y, x)])), (len(y), len(x)))
    return np.array([y[best[0]], x[best[1]]]) / 2


def _n_rings(copy: np.ndarray, center: np.ndarray) -> int:
    """Count radii at which nearly all sectors around a center have a narrow peak."""
    small = cv2.resize(copy, (copy.shape[1] // 2, copy.shape[0] // 2), interpolation=cv2.INTER_AREA)
    y, x = np.indices(small.shape, np.float32)
    at = center / 2
    bins = np.hypot(y - at[0], x - at[1]).astype(np.int32)
    angle = (np.arctan2(y - at[0], x - at[1]) / (2 * np.pi) + 0.5) * N_SECTORS
    largest = int(max(min(*at, small.shape[0] - at[0], small.shape[1] - at[1]), 0.3 * min(small.shape)))
    place = np.minimum(angle.astype(np.int32), N_SECTORS - 1) * largest + bins
    chosen = bins < largest
    total = np.bincount(place[chosen], small[chosen], N_SECTORS * largest)
    count = np.bincount(place[chosen], minlength=N_SECTORS * largest)
    profiles = (total / np.maximum(count, 1)).reshape(N_SECTORS, largest)
    profiles = ndimage.gaussian_filter1d(profiles, 0.7, axis=1)
    residual = profiles - ndimage.median_filter(profiles, size=(1, 15))
    noise = 1.4826 * np.median(np.abs(residual), axis=1, keepdims=True) + 1e-5
    votes = ndimage.maximum_filter1d((residual > 4 * noise).astype(float), 3, axis=1).sum(0)
    votes[:8] = 0  # the center itself
    return int(ndimage.label(votes >= N_SECTORS - 1)[1])
