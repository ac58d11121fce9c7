"""Windows that cover a field, and the image in pixels that are no finer than a lattice needs."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.micrograph import PixelSize

__all__ = ["WINDOW_NM", "Grid", "Window", "binned"]

WINDOW_NM = 5.0
"""Side of a window (nm): more than ten lattice fringes of every usual crystal. At half of it a phase step drowns in the
noise of real micrographs, at twice of it a fault that ends in the field is lost."""
MIN_WINDOW_PX = 96
"""Smallest side of a window: fewer frequencies give no reliable noise level."""
FINEST_PIXEL_NM = 0.025
"""Pixels much finer than this are joined: a lattice spacing of 0.1 nm is four of them."""


@dataclass(frozen=True)
class Window:
    """One window of a field."""

    box: tuple[int, int, int, int]
    """First row, first column, row and column after the last ones (px)."""
    core: tuple[float, float, float, float]
    """The part of the field that is nearer to the middle of this window than to that of others: first row and column,
    last row and column (px). The cores of all windows tile the field."""

    @property
    def part(self) -> tuple[slice, slice]:
        """The window as an index of the image."""
        y0, x0, y1, x1 = self.box
        return slice(y0, y1), slice(x0, x1)


@dataclass(frozen=True)
class Grid:
    """Equally spaced windows of one size, from border to border of a field."""

    windows: tuple[Window, ...]
    """Row after row."""
    shape: tuple[int, int]
    """Number of windows along y and x."""

    @classmethod
    def over(cls, shape_px: tuple[int, int], pixel_size_nm: PixelSize, *, overlap: float) -> Grid:
        """Cover a field with windows.

        Parameters
        ----------
        shape_px : tuple of int
            Height and width of the field (px).
        pixel_size_nm : tuple of float
            Height and width of a pixel (nm).
        overlap : float
            Smallest share of a side that neighbors have in common, 0 up to below 1.

        Returns
        -------
        Grid
            Windows of `WINDOW_NM`, at least `MIN_WINDOW_PX` and at most the field.

        Examples
        --------
        >>> grid = Grid.over((400, 200), (0.05, 0.05), overlap=0.5)
        >>> grid.shape, grid.windows[0].box, grid.windows[0].core
        ((7, 3), (0, 0, 100, 100), (0.0, 0.0, 75.0, 75.0))
        """
        axes = [_axis(n, size, overlap) for n, size in zip(shape_px, pixel_size_nm, strict=True)]
        windows = tuple(
            Window((y.start, x.start, y.stop, x.stop), (y.first, x.first, y.last, x.last))
            for y in axes[0]
            for x in axes[1]
        )
        return cls(windows, (len(axes[0]), len(axes[1])))


@dataclass(frozen=True)
class _Interval:
    """A window along one axis."""

    start: int
    stop: int
    first: float  # of the core
    last: float


def _axis(length: int, size_nm: float, overlap: float) -> list[_Interval]:
    """Cover one axis."""
    side = min(max(round(WINDOW_NM / size_nm), MIN_WINDOW_PX), length)
    count = int(np.ceil((length - side) / (side * (1 - overlap)))) + 1
    starts = np.rint(np.linspace(0, length - side, count)).astype(int)
    middles = starts + side / 2
    limits = [0.0, *((middles[1:] + middles[:-1]) / 2).tolist(), float(length)]
    return [
        _Interval(int(s), int(s) + side, low, high)
        for s, low, high in zip(starts, limits[:-1], limits[1:], strict=True)
    ]


def binned(image: np.ndarray, pixel_size_nm: PixelSize) -> tuple[np.ndarray, PixelSize, tuple[int, int]]:
    """Join pixels that are much finer than a lattice needs.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), real, finite.
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).

    Returns
    -------
    image : numpy.ndarray of float32
        Means of blocks of pixels; rows and columns that fill no block are left out.
    pixel_size_nm : tuple of float
        Height and width of a block (nm).
    factor : tuple of int
        Pixels of a block along y and x; 1 where pixels are not fine.

    Examples
    --------
    >>> image, size, factor = binned(np.zeros((103, 100)), (0.0125, 0.0125))
    >>> image.shape, size, factor
    ((51, 50), (0.025, 0.025), (2, 2))
    """
    fine = np.asarray(image, np.float32)
    factor = (max(int(FINEST_PIXEL_NM / pixel_size_nm[0]), 1), max(int(FINEST_PIXEL_NM / pixel_size_nm[1]), 1))
    if factor == (1, 1):
        return fine, pixel_size_nm, factor
    height, width = fine.shape[0] // factor[0], fine.shape[1] // factor[1]
    whole = fine[: height * factor[0], : width * factor[1]]
    coarse = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(coarse), (pixel_size_nm[0] * factor[0], pixel_size_nm[1] * factor[1]), factor
