"""Sums of demodulated pixels, in blocks and along lines, for `plane_fit`."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["block_waves", "line_sums"]


@compiled("float32[:, ::1], boolean[:, ::1], UniTuple(int64, 2), UniTuple(float64, 2), float64[:, ::1]")
def block_waves(
    flat: np.ndarray,
    mask: np.ndarray,
    block: tuple[int, int],
    pixel_size_nm: tuple[float, float],
    frequencies: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover
    """Demodulate an image by each reflection, and sum it in blocks of pixels.

    The wave within a block is the same for all blocks, but for its phase at the first pixel.

    Parameters
    ----------
    flat : numpy.ndarray of float32
        Shape (y, x): the image, 0 outside of the mask.
    mask : numpy.ndarray of bool
        Shape (y, x).
    block : tuple of int
        Height and width of a block (px).
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).
    frequencies : numpy.ndarray of float64
        Shape (reflection, 2): y and x of the reflections (1/nm).

    Returns
    -------
    y, x : numpy.ndarray of float64
        Shape (block,): middle of each block that has a pixel of the mask, from the center of the image (nm).
    n_pixels : numpy.ndarray of float64
        Shape (block,): number of its pixels in the mask.
    waves : numpy.ndarray of complex128
        Shape (block, reflection): sums of the image times exp(−2πi g·r).
    """
    (height, width), n_waves, (down, across) = flat.shape, len(frequencies), block
    n_rows, n_columns = (height + down - 1) // down, (width + across - 1) // across
    top, left = np.empty(n_rows), np.empty(n_columns)
    by_row = np.empty((n_rows, n_waves), np.complex128)
    by_column = np.empty((n_columns, n_waves), np.complex128)
    for i in range(n_rows):
        top[i] = (i * down - (height - 1) / 2) * pixel_size_nm[0]
        for r in range(n_waves):
            phase = 2 * math.pi * frequencies[r, 0] * top[i]
            by_row[i, r] = complex(math.cos(phase), -math.sin(phase))
    for j in range(n_columns):
        left[j] = (j * across - (width - 1) / 2) * pixel_size_nm[1]
        for r in range(n_waves):
            phase = 2 * math.pi * frequencies[r, 1] * left[j]
            by_column[j, r] = complex(math.cos(phase), -math.sin(phase))
    within = np.empty((down, across, n_waves), np.complex128)
    for p in range(down):
        for q in range(across):
            for r in range(n_waves):
                turns = frequencies[r, 0] * p * pixel_size_nm[0] + frequencies[r, 1] * q * pixel_size_nm[1]
                phase = 2 * math.pi * turns
                within[p, q, r] = complex(math.cos(phase), -math.sin(phase))
    y, x, n_pixels = np.empty(n_rows * n_columns), np.empty(n_rows * n_columns), np.empty(n_rows * n_columns)
    waves = np.zeros((n_rows * n_columns, n_waves), np.complex128)
    n = 0
    for i in range(n_rows):
        for j in range(n_columns):
            count = 0
            for p in range(min(down, height - i * down)):
                for q in range(min(across, width - j * across)):
                    if mask[i * down + p, j * across + q]:
                        count += 1
                        value = np.float64(flat[i * down + p, j * across + q])
                        for r in range(n_waves):
                            waves[n, r] += value * within[p, q, r]
            if count:
                y[n] = top[i] + (down - 1) / 2 * pixel_size_nm[0]
                x[n] = left[j] + (across - 1) / 2 * pixel_size_nm[1]
                n_pixels[n] = count
                for r in range(n_waves):
                    waves[n, r] *= by_row[i, r] * by_column[j, r]
                n += 1
    return y[:n], x[:n], n_pixels[:n], waves[:n]


@compiled("float64[::1], float64[::1], float64[::1], complex128[:, ::1], float64[::1], float64")
def line_sums(
    x: np.ndarray, y: np.ndarray, n_pixels: np.ndarray, waves: np.ndarray, normals: np.ndarray, bin_nm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover
    """Sum waves over lines perpendicular to each normal.

    Parameters
    ----------
    x, y : numpy.ndarray of float64
        Shape (block,): positions (nm), to the right and downwards.
    n_pixels : numpy.ndarray of float64
        Shape (block,): number of pixels.
    waves : numpy.ndarray of complex128
        Shape (block, reflection).
    normals : numpy.ndarray of float64
        Shape (normal,): directions, counter-clockwise from +x on the screen (rad).
    bin_nm : float
        Width of a line (nm).

    Returns
    -------
    start : numpy.ndarray of float64
        Shape (normal,): where the first line begins (nm).
    n_bins : numpy.ndarray of int64
        Shape (normal,): number of lines.
    count : numpy.ndarray of float64
        Shape (normal, line): number of pixels.
    sums : numpy.ndarray of complex128
        Shape (normal, line, reflection).
    """
    n_normals, (n_blocks, n_waves) = normals.size, waves.shape
    along = np.empty((n_normals, n_blocks))
    start, n_bins, most = np.empty(n_normals), np.empty(n_normals, np.int64), 0
    for k in range(n_normals):
        cosine, sine = math.cos(normals[k]), math.sin(normals[k])
        low = high = cosine * x[0] - sine * y[0]
        for b in range(n_blocks):
            at = cosine * x[b] - sine * y[b]
            along[k, b] = at
            low, high = min(low, at), max(high, at)
        start[k] = low
        n_bins[k] = int((high - low) / bin_nm) + 1
        most = max(most, n_bins[k])
    count, sums = np.zeros((n_normals, most)), np.zeros((n_normals, most, n_waves), np.complex128)
    for k in range(n_normals):
        for b in range(n_blocks):
            line = int((along[k, b] - start[k]) / bin_nm)
            count[k, line] += n_pixels[b]
            for r in range(n_waves):
                sums[k, line, r] += waves[b, r]
    return start, n_bins, count, sums
