"""Cut particles out of a micrograph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hrtem_dask import backend
from hrtem_dask.tables import BOX_COLUMNS

__all__ = ["box_crops", "crop_particle", "particle_crops"]


def _window(box: tuple[int, int, int, int], margin_px: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return a box with its margin, clipped at the border of the image."""
    y0, x0, y1, x1 = box
    return (
        slice(max(y0 - margin_px, 0), min(y1 + margin_px, shape[-2])),
        slice(max(x0 - margin_px, 0), min(x1 + margin_px, shape[-1])),
    )


def crop_particle(
    image: np.ndarray, labels: np.ndarray, particle_id: int, margin_px: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one particle out of a micrograph.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (..., y, x).
    labels : numpy.ndarray or cupy.ndarray of int
        Shape (y, x), 0 is background.
    particle_id : int
        Value of the particle in the labels.
    margin_px : int
        Margin around its bounding box (px), clipped at the border of the image.

    Returns
    -------
    crop : numpy.ndarray or cupy.ndarray
        View of the image, shape (..., height, width).
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (height, width), True on the particle.

    Raises
    ------
    KeyError
        If the labels hold no such particle.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.particles import crop_particle
    >>> labels = np.zeros((9, 9), dtype=int)
    >>> labels[2:5, 3:7] = 1
    >>> crop, mask = crop_particle(np.arange(81).reshape(9, 9), labels, 1, margin_px=1)
    >>> crop.shape, int(mask.sum())
    ((5, 6), 12)
    """
    xp = backend.array_namespace(labels)
    found = labels == particle_id
    rows, columns = xp.flatnonzero(found.any(axis=1)), xp.flatnonzero(found.any(axis=0))
    if particle_id <= 0 or not rows.size:
        raise KeyError(f"no particle {particle_id} in these labels, which go up to {int(labels.max())}")
    box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    window = _window(box, margin_px, labels.shape)
    return image[(..., *window)], found[window]


def particle_crops(image: np.ndarray, table: pd.DataFrame, *, margin_px: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Cut the particles of a table out of a micrograph, one after the other.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (..., y, x).
    table : pandas.DataFrame
        One row per particle to cut out, with the columns ``particle_id`` and ``bbox_*_px``.
    margin_px : int
        Margin around each bounding box (px), clipped at the border of the image.

    Yields
    ------
    particle_id : int
        Value of the particle in the labels.
    crop : numpy.ndarray or cupy.ndarray
        View of the image, shape (..., height, width).

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.particles import measure_particles, particle_crops
    >>> image, labels = np.zeros((9, 9)), np.zeros((9, 9), dtype=np.int32)
    >>> labels[2:5, 3:7] = 1
    >>> table = measure_particles(labels, image, pixel_size_nm=None)
    >>> [(number, crop.shape) for number, crop in particle_crops(image, table)]
    [(1, (3, 4))]
    """
    columns = ["particle_id", *BOX_COLUMNS]
    rows = table[columns].to_numpy(dtype=np.int64)
    yield from zip(rows[:, 0].tolist(), box_crops(image, rows[:, 1:], margin_px=margin_px), strict=True)


def box_crops(image: np.ndarray, boxes: np.ndarray, *, margin_px: int = 0) -> Iterator[np.ndarray]:
    """Cut boxes out of a micrograph, one after the other.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (..., y, x).
    boxes : numpy.ndarray of int
        Shape (n, 4): first row, first column, row and column after the last ones.
    margin_px : int
        Margin around each box (px), clipped at the border of the image.

    Yields
    ------
    numpy.ndarray or cupy.ndarray
        View of the image, shape (..., height, width).
    """
    for y0, x0, y1, x1 in boxes.tolist():
        yield image[(..., *_window((y0, x0, y1, x1), margin_px, image.shape))]
