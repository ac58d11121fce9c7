"""The parts of a micrograph at which a network looks in the search for the scale, one within the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hrtem_dask.backend import Array
from hrtem_dask.segmentation.quality.blocks import block_means

__all__ = ["Box", "liveliest"]

BLOCKS = 64
"""Number of blocks along the side of a part, whose means tell how much it varies on the scale of particles."""


class Box(NamedTuple):
    """A rectangle of whole pixels."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an image."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def around(self, side_px: int, field: Box) -> Box:
        """Return a square around the rectangle.

        Parameters
        ----------
        side_px : int
            Side (px) of the square.
        field : Box
            The micrograph, which holds the rectangle.

        Returns
        -------
        Box
            The square, moved into the field and cut at its border.
        """
        low = [
            max(first, min((start + end - side_px) // 2, last - side_px))
            for start, end, first, last in (
                (self.y0, self.y1, field.y0, field.y1), (self.x0, self.x1, field.x0, field.x1)
            )
        ]  # fmt: skip
        return Box(low[0], low[1], min(low[0] + side_px, field.y1), min(low[1] + side_px, field.x1))

    def common(self, other: Box) -> Box:
        """Return what two rectangles have in common.

        Parameters
        ----------
        other : Box
            A rectangle that overlaps this one.

        Returns
        -------
        Box
            The pixels that both hold.
        """
        return Box(
            max(self.y0, other.y0), max(self.x0, other.x0), min(self.y1, other.y1), min(self.x1, other.x1)
        )  # fmt: skip


def liveliest(image: Array, within: Box, side_px: int) -> Box:
    """Return the square part, of nine, that varies most on the scale of particles.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float32.
    within : Box
        Where to look.
    side_px : int
        Side (px) of the part; it is cut at the border of `within`.

    Returns
    -------
    Box
        The part.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((100, 100), np.float32)
    >>> image[80:90, 40:60] = 1.0
    >>> liveliest(image, Box(0, 0, 100, 100), 50)
    Box(y0=50, x0=25, y1=100, x1=75)
    """
    rows, columns = (
        sorted({start, start + max(0, (end - start - side_px) // 2), max(start, end - side_px)})
        for start, end in ((within.y0, within.y1), (within.x0, within.x1))
    )
    parts = [Box(y, x, min(y + side_px, within.y1), min(x + side_px, within.x1)) for y in rows for x in columns]
    if len(parts) == 1:
        return parts[0]
    block = max(1, side_px // BLOCKS)
    spreads = [float(block_means(image[part.slices], block).std(dtype="float64")) for part in parts]
    return parts[int(np.argmax(spreads))]
