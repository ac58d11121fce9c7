"""The comparison of two images pixel by pixel, at the scale of the smaller one."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from hrtem_dask.loading.similarity.fingerprint import finite_float

__all__ = ["are_turned_copies", "compare_images", "same_field_correlation"]

TILES = 8
"""Tiles of the common field in a row and in a column."""
MIN_COPY = 0.9
"""Smallest median correlation of the fine structure in the tiles of a copy."""
MIN_COPY_TILE = 0.6
"""Smallest correlation in all tiles but the worst tenth, which marks may cover: particles agree in two exposures too,
the noise between them does not."""
MIN_POSSIBLE = 0.6
"""Smallest median correlation at which two images are possibly one."""
MIN_TILES = 16
"""Fewest tiles with structure or noise; images without any cannot be compared."""
MIN_TILE_PX = 8
COARSE_PX = 32
"""Width at which the fields of two detectors are compared: their noise differs, what they show does not."""


def compare_images(first: np.ndarray, second: np.ndarray) -> tuple[Literal["copy", "possible", "different"], float]:
    """Compare the fine structure of two images, noise included, in tiles over the whole field.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shapes (y, x), any real dtype. The wider one is averaged to the width of the other. Rows that only one of them
        has, such as an information strip at the bottom, are not compared.

    Returns
    -------
    kind : {"copy", "possible", "different"}
        ``copy`` where nearly all tiles agree; ``possible`` where most agree in part.
    correlation : float
        Median over the tiles of the correlation of what differs from the surroundings of 3 × 3 px; negative where the
        contrast is inverted. NaN where the images cannot be compared.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(1000, 50, (256, 256))
    >>> compare_images(image, (image / 6).astype(np.uint8))[0]
    'copy'
    >>> compare_images(image, np.random.default_rng(1).normal(1000, 50, (256, 256)))[0]
    'different'
    """
    details = [_detail(image) for image in _at_common_scale(finite_float(first), finite_float(second))]
    height, width = details[0].shape
    step_y, step_x = height // TILES, width // TILES
    if min(step_y, step_x) < MIN_TILE_PX:
        return "different", float("nan")
    tiles = [d[: TILES * step_y, : TILES * step_x].reshape(TILES, step_y, TILES, step_x) for d in details]
    found = _correlations(*(t.transpose(0, 2, 1, 3).reshape(TILES * TILES, -1) for t in tiles))
    if len(found) < MIN_TILES:
        return "different", float("nan")
    median = float(np.median(found))
    worst = float(np.quantile(found * np.sign(median), 0.1))
    if abs(median) >= MIN_COPY and worst >= MIN_COPY_TILE:
        return "copy", median
    return ("possible" if abs(median) >= MIN_POSSIBLE else "different"), median


def are_turned_copies(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two images have the same pixels but for right angles and mirroring.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shapes (y, x), any real dtype.

    Returns
    -------
    bool
        True where one of the eight ways to lay the second image makes it equal to the first; NaN equals NaN.

    Examples
    --------
    >>> image = np.arange(6.0).reshape(2, 3)
    >>> are_turned_copies(image, np.rot90(image)[::-1]), are_turned_copies(image, image[:, [1, 0, 2]])
    (True, False)
    """
    ways = (np.rot90(laid, n) for laid in (second, second[::-1]) for n in range(4))
    with_nan = "f" in (first.dtype.kind, second.dtype.kind)
    return any(way.shape == first.shape and np.array_equal(first, way, equal_nan=with_nan) for way in ways)


def same_field_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return how far the coarse structure of two images agrees, whatever their noise and contrast.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shape (y, x), the same for both, any real dtype.

    Returns
    -------
    float
        Pearson's correlation of both images, averaged to a width of 32 px: near −1 for the dark and the bright field of
        one scan, near 0 for different fields; NaN where the shapes differ or an image is constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> field = np.kron(rng.normal(size=(16, 16)), np.ones((16, 16)))
    >>> dark, bright = (sign * field + rng.normal(0, 2, field.shape) for sign in (1, -1))
    >>> same_field_correlation(dark, bright) < -0.9
    True
    """
    if first.shape != second.shape:
        return float("nan")
    rows = max(2, round(COARSE_PX * first.shape[0] / first.shape[1]))
    coarse = [cv2.resize(finite_float(i), (COARSE_PX, rows), interpolation=cv2.INTER_AREA) for i in (first, second)]
    if min(float(image.std()) for image in coarse) == 0:
        return float("nan")
    return float(np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1])


def _at_common_scale(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the common rows of two images at one pixel size."""
    width = min(first.shape[1], second.shape[1])
    images = []
    for image in (first, second):
        rows = round(image.shape[0] * width / image.shape[1])
        images.append(
            image if image.shape[1] == width else cv2.resize(image, (width, rows), interpolation=cv2.INTER_AREA)
        )
    rows = min(image.shape[0] for image in images)
    images = [image[:rows] for image in images]
    # the way in which an image was made smaller, or compressed as JPEG, matters less in averages of 2 × 2 px
    if rows >= 2 * TILES * MIN_TILE_PX and width >= 2 * TILES * MIN_TILE_PX:
        images = [cv2.resize(image, (width // 2, rows // 2), interpolation=cv2.INTER_AREA) for image in images]
    return images[0], images[1]


def _detail(image: np.ndarray) -> np.ndarray:
    """Return the differences to the surroundings of 3 × 3 px."""
    return np.asarray(image - cv2.blur(image, (3, 3), borderType=cv2.BORDER_REFLECT_101))


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation in each tile in which both images vary."""
    first, second = (t - t.mean(1, keepdims=True, dtype=np.float64) for t in (first, second))
    power = (first**2).sum(1), (second**2).sum(1)
    varies = (power[0] > 1e-9 * power[0].max(initial=0)) & (power[1] > 1e-9 * power[1].max(initial=0))
    product = (first * second).sum(1)[varies]
    return np.asarray(product / np.sqrt(power[0] * power[1])[varies])
