"""Whether an image is one of the specimen at all, judged by its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.loading.content.inversion import inversion_symmetry
from hrtem_dask.loading.content.masks import is_mask
from hrtem_dask.loading.content.spots import Pattern, describe_pattern

__all__ = ["Content", "judge_content"]

MIN_INVERSION = 0.3
"""Smallest correlation of noise with its inversion in a Fourier transform; it is 0.06 at most in real images."""
MIN_PAIRED, MIN_SPOTS, MAX_FILLED = 0.7, 10, 0.05
"""A pattern of spots: share of spots with a partner (at most 0.33 in micrographs), their number, and their area."""
NEARLY_ALL_PAIRED, FILLED_BY_THEM = 0.9, 0.12
"""The same where spots are wider, as in small images."""
CERTAIN_RINGS, DOUBTFUL_RINGS = 4, 2
"""Narrow rings around a bright center: micrographs have one at most."""
RING_PEAK = 4.0
"""Smallest brightness of the center of rings."""
DISK_SHARE = (0.08, 0.8)
"""Part of the field that an illuminated disk fills."""
MIN_RIM = 0.75
"""Smallest brightness near the rim of the disk over that inside; a bright sphere has 0.6 there."""
MAX_OUTSIDE = 0.1
"""Largest brightness outside of the disk over that inside, above the darkest."""


@dataclass(frozen=True)
class Content:
    """What an image shows, as far as its pixels say."""

    flag: str = ""
    """``fourier_transform``, ``diffraction``, ``mask`` or ``illuminated_disk``; empty for a micrograph."""
    is_certain: bool = False
    """Whether it is no micrograph for certain."""
    reason: str = ""
    """What was seen, in words."""


def judge_content(image: np.ndarray) -> Content:
    """Judge by its pixels whether an image is a micrograph.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, as it is in the file.

    Returns
    -------
    Content
        Certain for a mask, the Fourier transform of an image, and a diffraction pattern with many paired spots or
        rings; a doubt for fewer rings, and for a bright disk on black, which may be a Ronchigram, or a beam that is
        smaller than the field. A spectrum image has no pixels of its own: the readers set it aside.

    Examples
    --------
    >>> noise = np.random.default_rng(0).poisson(100.0, (128, 128))
    >>> judge_content(noise).flag, judge_content(np.abs(np.fft.fftshift(np.fft.fft2(noise)))).flag
    ('', 'fourier_transform')
    """
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype.kind not in "buif" or min(image.shape) < 2:
        return Content()
    if is_mask(image):
        return Content("mask", True, "a mask or label image: few values in connected pieces, without noise")
    if inversion_symmetry(image) >= MIN_INVERSION:
        return Content(
            "fourier_transform", True, "a Fourier transform or power spectrum: its noise is symmetric about the middle"
        )
    image = np.ascontiguousarray(image, np.float32)  # once for all that follows
    pattern = describe_pattern(image)
    if _has_pairs(pattern) or (pattern.n_rings >= CERTAIN_RINGS and pattern.peak >= RING_PEAK):
        what = f"{pattern.n_spots} sharp spots" if _has_pairs(pattern) else f"{pattern.n_rings} rings"
        return Content("diffraction", True, f"a diffraction pattern: {what} around a bright center")
    if pattern.n_rings >= DOUBTFUL_RINGS and pattern.peak >= RING_PEAK:
        return Content(
            "diffraction", False, f"perhaps a diffraction pattern: {pattern.n_rings} rings around its center"
        )
    if _is_disk(image):
        return Content(
            "illuminated_disk", False, "a bright disk on black: a Ronchigram, or a beam smaller than the field"
        )
    return Content()


def _has_pairs(pattern: Pattern) -> bool:
    """Return whether most of many sharp spots have a partner on the other side of the center."""
    filled = FILLED_BY_THEM if pattern.paired >= NEARLY_ALL_PAIRED else MAX_FILLED
    paired = max(MIN_PAIRED, 5 * pattern.chance)
    return pattern.n_spots >= MIN_SPOTS and pattern.paired >= paired and pattern.filled <= filled


def _is_disk(image: np.ndarray) -> bool:
    """Return whether the field is dark but for one bright disk with a sharp rim."""
    small = cv2.resize(np.ascontiguousarray(image, np.float32), (128, 128), interpolation=cv2.INTER_AREA)
    if not bool(np.isfinite(small).all()):
        return False
    low, high = (float(v) for v in np.percentile(small, (0.5, 99.5)))
    if not high > low:
        return False
    level = cv2.GaussianBlur(np.clip((small - low) / (high - low), 0, 1), (0, 0), 1.5)
    threshold, _ = cv2.threshold((level * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    bright = (level * 255 > threshold).astype(np.uint8)
    n, pieces, stats, _ = cv2.connectedComponentsWithStats(bright)
    if n < 2:
        return False
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    piece = (pieces == largest).astype(np.uint8)
    outline, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    (x, y), radius = cv2.minEnclosingCircle(outline[0])
    area = float(cv2.contourArea(outline[0]))
    if not DISK_SHARE[0] < area / level.size < DISK_SHARE[1] or area < 0.9 * np.pi * radius**2:
        return False
    far = cv2.dilate(piece, np.ones((9, 9), np.uint8)) == 0
    inside = float(np.median(level[cv2.erode(piece, np.ones((9, 9), np.uint8)) > 0]))
    rows, columns = np.indices(level.shape)
    distance = np.hypot(rows - y, columns - x) / radius
    rim = level[(distance > 0.82) & (distance < 0.93)]
    is_flat = rim.size > 0 and float(np.median(rim)) >= MIN_RIM * inside
    return is_flat and bool(far.any()) and float(np.percentile(level[far], 95)) < MAX_OUTSIDE * inside
