"""Pixels of a region and of its surroundings, for `contrast`."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["REGION", "RING", "means_and_deviations", "region_and_ring"]

REGION = 1
RING = 2


@compiled()
def _squared_nm2(dx: int, dy: int, pixel_size_nm: tuple[float, float]) -> np.float32:  # pragma: no cover
    """Return the squared distance of two pixels."""
    if pixel_size_nm[0] == pixel_size_nm[1]:
        return np.float32(np.float32(dx * dx + dy * dy) * np.float32(pixel_size_nm[0] ** 2))
    return np.float32((dx * pixel_size_nm[1]) ** 2 + (dy * pixel_size_nm[0]) ** 2)


@compiled()
def _add_disks(mask: np.ndarray, reach_nm: float, pixel_size_nm: tuple[float, float]) -> np.ndarray:  # pragma: no cover
    """Return which pixels are at most so far from the mask (nm).

    A run of pixels in a row reaches equally far to both sides in each row above and below it, so that only the ends of
    runs are looked at.
    """
    height, width = mask.shape
    down = int(reach_nm / pixel_size_nm[0]) + 1
    across = np.full(down + 1, -1, np.int64)  # how far a pixel reaches in a row so many rows away
    for dy in range(down + 1):
        dx = int(reach_nm / pixel_size_nm[1]) + 1
        while dx >= 0 and _squared_nm2(dx, dy, pixel_size_nm) > np.float32(reach_nm**2):
            dx -= 1
        across[dy] = dx
    change = np.zeros((height, width + 1), np.int32)
    for i in range(height):
        first = -1
        for j in range(width + 1):
            covered = j < width and mask[i, j]
            if covered and first < 0:
                first = j
            elif not covered and first >= 0:
                for row in range(max(i - down, 0), min(i + down + 1, height)):
                    by = across[abs(row - i)]
                    if by >= 0:
                        change[row, max(first - by, 0)] += 1
                        change[row, min(j + by, width)] -= 1
                first = -1
    near = np.empty((height, width), np.bool_)
    for i in range(height):
        runs = 0
        for j in range(width):
            runs += change[i, j]
            near[i, j] = runs > 0
    return near


@compiled("boolean[:, ::1], float64, float64, UniTuple(float64, 2)")
def region_and_ring(
    mask: np.ndarray, low_nm: float, high_nm: float, pixel_size_nm: tuple[float, float]
) -> np.ndarray:  # pragma: no cover
    """Mark the pixels of a region, and those whose distance from it is between two limits.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), True on the region.
    low_nm, high_nm : float
        The ring is farther away than the first, and at most as far as the second (nm).
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).

    Returns
    -------
    numpy.ndarray of uint8
        Shape (y, x): `REGION`, `RING` or 0.
    """
    near, far = _add_disks(mask, low_nm, pixel_size_nm), _add_disks(mask, high_nm, pixel_size_nm)
    kind = np.zeros(mask.shape, np.uint8)
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j]:
                kind[i, j] = REGION
            elif far[i, j] and not near[i, j]:
                kind[i, j] = RING
    return kind


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
