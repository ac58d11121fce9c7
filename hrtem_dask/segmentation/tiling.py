"""Exact tiling: a large image goes through the network in pieces, and the result has no seams.

Two rules make the result of tiles equal to that of the whole image. Windows begin on multiples of the network's total
stride, so that pooling acts on the same blocks. Each window includes a halo as wide as the receptive field reaches,
which is cut off afterwards. A window at the border of the image ends at that border, so zero padding happens exactly
where it would in the whole image. Neighboring tiles overlap by one more strip in which both are valid. The largest
difference there is the seam score, which a wrong halo or origin would make large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrtem_dask import backend

__all__ = ["AxisTile", "pad_to_stride", "plan_axis", "tiled_logits"]


@dataclass(frozen=True)
class AxisTile:
    """One tile along one axis, in pixels of the padded image."""

    start: int
    """First pixel of the network's input."""
    stop: int
    """One past the last pixel of the network's input."""
    valid_start: int
    """First pixel whose result equals that of the whole image."""
    valid_stop: int
    """One past the last such pixel."""


def plan_axis(length_px: int, *, tile_px: int, stride_px: int, halo_px: int) -> list[AxisTile]:
    """Cover one axis with tiles of one size.

    Parameters
    ----------
    length_px : int
        Length of the axis, a multiple of `stride_px`.
    tile_px : int
        Largest valid part of an inner tile; rounded up to a multiple of `stride_px`, and lowered where the same
        number of smaller tiles covers the axis.
    stride_px : int
        Total stride of the network.
    halo_px : int
        Margin that is cut off, a multiple of `stride_px`.

    Returns
    -------
    list of AxisTile
        Windows of the same length (so that an engine compiles one shape), with valid parts that overlap by at
        least `stride_px`.

    Examples
    --------
    >>> from hrtem_dask.segmentation.tiling import plan_axis
    >>> [(t.start, t.stop) for t in plan_axis(96, tile_px=32, stride_px=8, halo_px=8)]
    [(0, 48), (24, 72), (48, 96)]
    """
    step = max(1, -(-tile_px // stride_px)) * stride_px
    overlap = 2 * halo_px + stride_px
    if length_px <= step + overlap:
        return [AxisTile(0, length_px, 0, length_px)]
    n_tiles = -(-(length_px - overlap) // step)
    step = -(-(length_px - overlap) // (n_tiles * stride_px)) * stride_px
    window = step + overlap
    tiles = []
    for i in range(n_tiles):
        start = min(i * step, length_px - window)
        stop = start + window
        valid_start = start + halo_px if start > 0 else 0
        tiles.append(AxisTile(start, stop, valid_start, stop - halo_px if stop < length_px else length_px))
    return tiles


def pad_to_stride(image: np.ndarray, *, stride_px: int) -> np.ndarray:
    """Mirror an image at its bottom and right edge up to a multiple of the total stride.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x).
    stride_px : int
        Total stride of the network.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        The same object where the image has such a shape already.
    """
    missing = [-n % stride_px for n in image.shape]
    if not any(missing):
        return image
    padded: np.ndarray = backend.array_namespace(image).pad(image, [(0, m) for m in missing], mode="symmetric")
    return padded


def tiled_logits(
    image: np.ndarray,
    network: Callable[[np.ndarray], np.ndarray],
    *,
    stride_px: int,
    halo_px: int,
    tile_px: int | None,
) -> tuple[np.ndarray, float | None]:
    """Run a network over an image, whole or by tiles.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any size from 1×1, scaled as the network expects.
    network : callable
        Takes (n, y, x), y and x multiples of `stride_px`, returns logits of that shape, float32.
    stride_px : int
        Total stride of the network.
    halo_px : int
        Margin that makes tiles exact, a multiple of `stride_px`.
    tile_px : int or None
        Side of the tiles without halo; None runs the network on the whole image.

    Returns
    -------
    logits : numpy.ndarray or cupy.ndarray
        Shape of `image`, float32.
    seam_score : float or None
        Largest difference of logits between neighboring tiles where both are valid; None for one tile.
    """
    padded = pad_to_stride(image, stride_px=stride_px)
    height, width = padded.shape
    rows, columns = (plan_axis(n, tile_px=tile_px or n, stride_px=stride_px, halo_px=halo_px) for n in (height, width))
    if len(rows) == len(columns) == 1:
        return network(padded[None])[0, : image.shape[0], : image.shape[1]], None
    logits: np.ndarray = backend.array_namespace(image).empty((height, width), dtype=np.float32)
    seam_score = 0.0
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = network(padded[None, row.start : row.stop, column.start : column.stop])[0]
            valid = window[
                row.valid_start - row.start : row.valid_stop - row.start,
                column.valid_start - column.start : column.valid_stop - column.start,
            ]
            target = logits[row.valid_start : row.valid_stop, column.valid_start : column.valid_stop]
            # the rows above and the columns to the left have been written: compare them before writing again
            above = rows[i - 1].valid_stop - row.valid_start if i else 0
            left = columns[j - 1].valid_stop - column.valid_start if j else 0
            for strip in (np.s_[:above], np.s_[:, :left]):
                if valid[strip].size:
                    seam_score = max(seam_score, float(abs(valid[strip] - target[strip]).max()))
            target[...] = valid
    return logits[: image.shape[0], : image.shape[1]], seam_score
