"""Pixels of a region and of its surroundings, for `contrast`."""

from __future__ import annotations

import functools
import math

import numpy as np

from hrtem_dask.machine_code import compiled
from hrtem_dask.micrograph import PixelSize

__all__ = ["REGION", "RING", "means_and_deviations", "region_and_ring"]

REGION = 1
RING = 2


def region_and_ring(mask: np.ndarray, low_nm: float, high_nm: float, pixel_size_nm: PixelSize) -> np.ndarray:
    """Mark the pixels of a region, and those whose distance from it is between two limits.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), True on the region, C-contiguous.
    low_nm, high_nm : float
        The ring is farther away than the first, and at most as far as the second (nm).
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).

    Returns
    -------
    numpy.ndarray of uint8
        Shape (y, x): `REGION`, `RING` or 0.
    """
    kind = np.zeros(mask.shape, np.uint8)
    change = np.zeros((2, mask.shape[0], mask.shape[1] + 1), np.int32)
    _mark(mask, _reaches(low_nm, high_nm, pixel_size_nm), change, kind)
    return kind


@functools.lru_cache(maxsize=64)
def _reaches(low_nm: float, high_nm: float, pixel_size_nm: PixelSize) -> np.ndarray:
    """Return how far a pixel reaches to both sides in each row above and below it, shape (2, rows); −1 is nowhere."""
    height_nm, width_nm = pixel_size_nm
    dy, dx = np.arange(int(high_nm / height_nm) + 2), np.arange(int(high_nm / width_nm) + 2)
    if height_nm == width_nm:
        squared = (dx**2 + dy[:, None] ** 2).astype(np.float32) * np.float32(height_nm**2)
    else:
        squared = ((dx * width_nm) ** 2 + ((dy * height_nm) ** 2)[:, None]).astype(np.float32)
    return np.stack([np.count_nonzero(squared <= np.float32(limit**2), axis=1) - 1 for limit in (low_nm, high_nm)])


@compiled("boolean[:, ::1], int64[:, ::1], int32[:, :, ::1], uint8[:, ::1]")
def _mark(mask: np.ndarray, reaches: np.ndarray, change: np.ndarray, kind: np.ndarray) -> None:  # pragma: no cover
    """Mark region and ring; `change` counts the runs of pixels that reach a pixel, by how their number changes.

    A run of pixels in a row reaches equally far to both sides in each row above and below it, so that only the ends of
    runs are looked at. Arrays are made by the caller, because making one takes long to compile.
    """
    height, width = mask.shape
    down = reaches.shape[1] - 1
    for i in range(height):
        first = -1
        for j in range(width + 1):
            covered = j < width and mask[i, j]
            if covered and first < 0:
                first = j
            elif not covered and first >= 0:
                for row in range(max(i - down, 0), min(i + down + 1, height)):
                    for k in range(2):
                        by = reaches[k, abs(row - i)]
                        if by >= 0:
                            change[k, row, max(first - by, 0)] += 1
                            change[k, row, min(j + by, width)] -= 1
                first = -1
    for i in range(height):
        near, far = 0, 0
        for j in range(width):
            near += change[0, i, j]
            far += change[1, i, j]
            if mask[i, j]:
                kind[i, j] = REGION
            elif far > 0 and near == 0:
                kind[i, j] = RING


@compiled("float32[:, :, ::1], uint8[:, ::1]")
def means_and_deviations(
    images: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover
    """Return statistics of images in a region and in its ring.

    Parameters
    ----------
    images : numpy.ndarray of float32
        Shape (image, y, x).
    kind : numpy.ndarray of uint8
        Shape (y, x): from `region_and_ring`.

    Returns
    -------
    count : numpy.ndarray of int64
        Shape (3,): number of pixels of each kind.
    mean, deviation : numpy.ndarray of float64
        Shape (image, 3): mean and standard deviation of `REGION` and `RING`.
    """
    n_images, height, width = images.shape
    count = np.zeros(3, np.int64)
    for i in range(height):
        for j in range(width):
            count[kind[i, j]] += 1
    mean, deviation = np.zeros((n_images, 3)), np.zeros((n_images, 3))
    for k in range(n_images):
        origin = np.float64(images[k, height // 2, width // 2])  # sums of squares about it lose no digits
        region = ring = region_squares = ring_squares = 0.0
        for i in range(height):
            for j in range(width):
                value = images[k, i, j] - origin
                if kind[i, j] == REGION:
                    region += value
                    region_squares += value * value
                elif kind[i, j] == RING:
                    ring += value
                    ring_squares += value * value
        for n, total, squares in ((REGION, region, region_squares), (RING, ring, ring_squares)):
            average = total / max(count[n], 1)
            mean[k, n] = origin + average
            deviation[k, n] = math.sqrt(max(squares / max(count[n], 1) - average * average, 0.0))
    return count, mean, deviation
