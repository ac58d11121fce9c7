"""Exact tiling: a large image goes through the network in pieces, and no seam is left.

Two things make tiles equal the whole image: windows begin on multiples of the network's total stride, so that
pooling sees the same blocks, and each keeps a halo as wide as the receptive field reaches, which is cut off. A
window at the border of the image ends at that border, so zero padding happens exactly where it would in the
whole image. Neighbouring tiles overlap by one more strip in which both are valid: the largest difference there
is the seam score, which a wrong halo or origin would make large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrtem_dask import backend

__all__ = ["AxisTile", "pad_to_stride", "plan_axis", "tiled_logits"]


@dataclass(frozen=True)
class AxisTile:
    """One tile along one axis, in pixels of the padded image."""

    start: int
    """First pixel that the network sees."""
    stop: int
    """One past the last pixel that the network sees."""
    valid_start: int
    """First pixel whose result equals the whole image's."""
    valid_stop: int
    """One past the last such pixel."""


def plan_axis(length_px: int, *, tile_px: int, stride_px: int, halo_px: int) -> list[AxisTile]:
    """Cover one axis with tiles of one size.

    Parameters
    ----------
    length_px : int
        Length of the axis, a multiple of `stride_px`.
    tile_px : int
        Largest valid part of an inner tile; rounded up to a multiple of `stride_px`, and lowered where as many
        smaller tiles do.
    stride_px : int
        Total stride of the network.
    halo_px : int
        Margin that is cut off, a multiple of `stride_px`.

    Returns
    -------
    list of AxisTile
        Windows all of the same length (so that an engine compiles one shape), valid parts that overlap by at
        least `stride_px`.
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


def pad_to_stride(image: Any, *, stride_px: int) -> Any:
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
        The same object where nothing is missing.
    """
    missing = [-n % stride_px for n in image.shape]
    if not any(missing):
        return image
    return backend.array_namespace(image).pad(image, [(0, m) for m in missing], mode="symmetric")


def tiled_logits(
    image: Any,
    network: Callable[[Any], Any],
    *,
    stride_px: int,
    halo_px: int,
    tile_px: int | None,
) -> tuple[Any, float | None]:
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
        Side of the tiles without halo; None takes the image whole.

    Returns
    -------
    logits : numpy.ndarray or cupy.ndarray
        Shape of `image`, float32.
    seam_score : float or None
        Largest difference of logits between neighbouring tiles where both are valid; None for one tile.
    """
    padded = pad_to_stride(image, stride_px=stride_px)
    height, width = padded.shape
    rows, columns = (plan_axis(n, tile_px=tile_px or n, stride_px=stride_px, halo_px=halo_px) for n in (height, width))
    if len(rows) == len(columns) == 1:
        return network(padded[None])[0, : image.shape[0], : image.shape[1]], None
    logits = backend.array_namespace(image).empty((height, width), dtype=np.float32)
    seam_score = 0.0
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = network(padded[None, row.start : row.stop, column.start : column.stop])[0]
            valid = window[
                row.valid_start - row.start : row.valid_stop - row.start,
                column.valid_start - column.start : column.valid_stop - column.start,
            ]
            target = logits[row.valid_start : row.valid_stop, column.valid_start : column.valid_stop]
            # rows above and columns to the left are there already: compare before they are written again
            above = rows[i - 1].valid_stop - row.valid_start if i else 0
            left = columns[j - 1].valid_stop - column.valid_start if j else 0
            for strip in (np.s_[:above], np.s_[:, :left]):
                if valid[strip].size:
                    seam_score = max(seam_score, float(abs(valid[strip] - target[strip]).max()))
            target[...] = valid
    return logits[: image.shape[0], : image.shape[1]], seam_score
