"""Intensity of particles and of the background around them."""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.particles.runs import Runs

__all__ = ["intensities", "means", "readable"]

_RING_SHARE = 0.25
"""Width of the ring relative to the equivalent diameter: wide enough to average over lattice fringes."""
_RING_MIN_PX = 3
"""Smallest width (px) of the ring."""
_MARGIN_PX = 1
"""Pixels this close (px) to any particle are left out of the ring, because they hold part of the particle."""
_CONSTANT = 1e-7
"""Standard deviation relative to the mean below which a ring is constant except for rounding."""
_OPENCV = {np.dtype(t) for t in ("u1", "i1", "u2", "i2", "i4", "f4", "f8")}


def readable(image: np.ndarray) -> np.ndarray:
    """Return an image in a dtype that OpenCV reads.

    Parameters
    ----------
    image : numpy.ndarray
        Any real dtype, either byte order.

    Returns
    -------
    numpy.ndarray
        The same object where OpenCV reads it, else a float64 copy.
    """
    return image if image.dtype in _OPENCV and image.dtype.isnative else image.astype(np.float64)


def means(labels: np.ndarray, image: np.ndarray, *, runs: Runs) -> np.ndarray:
    """Return the mean of an image over each label.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background.
    image : numpy.ndarray
        Shape (y, x), any real dtype.
    runs : Runs
        Runs of the labels.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,).
    """
    if not runs.ids.size:
        return np.zeros(0)
    places, first = runs.places(labels.shape[1])
    return np.asarray(np.add.reduceat(image.reshape(-1).take(places), first, dtype=np.float64) / runs.area_px)


def intensities(labels: np.ndarray, image: np.ndarray, *, runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of an image over each label and its contrast to the ring of background around it.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background.
    image : numpy.ndarray
        Shape (y, x), any real dtype.
    runs : Runs
        Runs of the labels.

    Returns
    -------
    mean_inside : numpy.ndarray of float64
        Shape (n,).
    contrast : numpy.ndarray of float64
        Shape (n,): (mean inside − mean of the ring) / standard deviation of the ring. The ring is the background
        from 2 px to a quarter of the equivalent diameter (at least 3 px more) away, counted in rows and columns
        and without pixels next to any particle; NaN where there is none or it is constant.
    """
    image = readable(image)
    near = cv2.dilate((labels != 0).view(np.uint8), np.ones((2 * _MARGIN_PX + 1,) * 2, dtype=np.uint8))
    free = (near == 0).view(np.uint8)
    widths = np.maximum(_RING_MIN_PX, np.round(_RING_SHARE * np.sqrt(4 / np.pi * runs.area_px))).astype(int)
    mean_inside, contrast = means(labels, image, runs=runs), np.full(runs.ids.size, np.nan)
    for i, (label, (y0, x0, y1, x1)) in enumerate(zip(runs.ids.tolist(), runs.boxes.tolist(), strict=True)):
        reach = int(widths[i]) + _MARGIN_PX
        here = (slice(max(y0 - reach, 0), y1 + reach), slice(max(x0 - reach, 0), x1 + reach))
        inside = (labels[here] == label).view(np.uint8)
        around = cv2.dilate(inside, np.ones((2 * reach + 1,) * 2, dtype=np.uint8))
        ring = cv2.bitwise_and(around, free[here])
        if ring.any():
            mean, deviation = cv2.meanStdDev(image[here], mask=ring)
            if deviation[0, 0] > _CONSTANT * abs(mean[0, 0]):
                contrast[i] = (mean_inside[i] - mean[0, 0]) / deviation[0, 0]
    return mean_inside, contrast
