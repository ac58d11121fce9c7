"""Run-length encoding of labels: the stretches of each label along the rows.

An image of 16 million pixels with a thousand particles has about fifty thousand runs, so boxes, areas, moments and
hulls are computed from the runs in very little time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Runs", "find_runs"]


@dataclass(frozen=True)
class Runs:
    """Runs of every label, sorted by label, in raster order within each."""

    ids: np.ndarray
    """Labels that occur, ascending, int64, shape (n,)."""
    first: np.ndarray
    """Index of the first run of each of them, int64, shape (n,)."""
    row: np.ndarray
    """Row of each run, int64, shape (m,)."""
    start: np.ndarray
    """First column of each run, int64, shape (m,)."""
    stop: np.ndarray
    """Column after the last one of each run, int64, shape (m,)."""

    @property
    def area_px(self) -> np.ndarray:
        """Number of pixels of each label, int64, shape (n,)."""
        return self.total(self.stop - self.start)

    @property
    def boxes(self) -> np.ndarray:
        """Half-open bounding box (y0, x0, y1, x1) of each label, int64, shape (n, 4)."""
        if not self.ids.size:
            return np.zeros((0, 4), dtype=np.int64)
        return np.stack(
            [
                np.minimum.reduceat(self.row, self.first),
                np.minimum.reduceat(self.start, self.first),
                np.maximum.reduceat(self.row, self.first) + 1,
                np.maximum.reduceat(self.stop, self.first),
            ],
            axis=1,
        )

    @property
    def index(self) -> np.ndarray:
        """Position in `ids` of the label of each run, int64, shape (m,)."""
        counts = np.diff(np.append(self.first, self.row.size))
        return np.repeat(np.arange(self.ids.size), counts)

    def places(self, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels of all labels.

        Parameters
        ----------
        width : int
            Number of columns of the image.

        Returns
        -------
        places : numpy.ndarray of int64
            Shape (pixels,): row × width + column, of one label after the other.
        first : numpy.ndarray of int64
            Shape (n,): index of the first pixel of each label.
        """
        length = self.stop - self.start
        before = np.cumsum(length) - length
        places = np.repeat(self.row * width + self.start - before, length)
        places += np.arange(places.size)
        return places, before[self.first]

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum a value per run over the runs of each label.

        Parameters
        ----------
        values : numpy.ndarray
            Shape (m,).

        Returns
        -------
        numpy.ndarray
            Shape (n,).
        """
        return np.asarray(np.add.reduceat(values, self.first) if self.ids.size else values[:0])

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return centroids and central second moments, pixels taken as squares, not points.

        Returns
        -------
        y, x : numpy.ndarray of float64
            Shape (n,): centroid of each label (px).
        yy, xx, yx : numpy.ndarray of float64
            Shape (n,): variances and covariance of the coordinates of each label (px²).
        """
        area, n = self.area_px, self.stop - self.start
        middle = (self.start + self.stop - 1) / 2
        y, x = self.total(n * self.row) / area, self.total(n * middle) / area
        dy, dx = self.row - y[self.index], middle - x[self.index]
        yy = self.total(n * dy**2) / area + 1 / 12
        xx = self.total(n * (dx**2 + (n**2 - 1) / 12)) / area + 1 / 12
        return y, x, yy, xx, self.total(n * dy * dx) / area


def find_runs(labels: np.ndarray, *, mask: np.ndarray | None = None) -> Runs:
    """Find the runs of a label image.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background; labels need not be consecutive.
    mask : numpy.ndarray of bool, optional
        Shape (y, x): where the labels are not 0, if no two labels are neighbors in a row. It is read in half of the
        time.

    Returns
    -------
    Runs
        Runs of all labels.
    """
    width, flat = labels.shape[1], labels.reshape(-1)
    steps = flat if mask is None else np.ascontiguousarray(mask).reshape(-1).view(np.uint8)
    change = np.empty(flat.size, dtype=bool)
    np.not_equal(steps[1:], steps[:-1], out=change[1:])  # of all rows at once: half of the time
    change[:: max(width, 1)] = True  # a run ends with its row
    begins = np.flatnonzero(change)
    ends = np.append(begins[1:], labels.size)
    values = flat[begins].astype(np.int64)
    keep = np.flatnonzero(values)
    keep = keep[np.argsort(values[keep], kind="stable")]
    values = values[keep]
    first = np.flatnonzero(np.diff(values, prepend=0)) if values.size else np.zeros(0, dtype=np.int64)
    row, start = np.divmod(begins[keep], max(width, 1))
    return Runs(ids=values[first], first=first, row=row, start=start, stop=start + ends[keep] - begins[keep])
