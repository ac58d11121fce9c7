"""Bragg-filtered maps at some pixels, and their comparison, for `bragg_maps`."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["compare_maps", "filtered_power"]


@compiled()
def _passed(
    n: int, step: float, frequency: float, sigma: float
) -> tuple[np.ndarray, np.ndarray, float]:  # pragma: no cover
    """Return the frequencies of a transform that a Gaussian passes, their factors, and the mean of its square."""
    at, factor, squares = np.empty(n, np.int64), np.empty(n), 0.0
    n_passed = 0
    for k in range(n):
        distance = ((k if k < (n + 1) // 2 else k - n) * step - frequency) / sigma
        near = math.exp(-distance * distance / 2)
        squares += near * near
        if near > 1e-8:  # smaller factors are below the precision of float32
            at[n_passed], factor[n_passed] = k, near
            n_passed += 1
    return at[:n_passed], factor[:n_passed], squares / n


@compiled()
def _turns(n: int) -> np.ndarray:  # pragma: no cover
    """Return exp(2πi k/n) for k from 0 to n − 1."""
    turns = np.empty(n, np.complex128)
    for k in range(n):
        angle = 2 * math.pi * k / n
        turns[k] = complex(math.cos(angle), math.sin(angle))
    return turns


@compiled("complex64[:, ::1], int64, UniTuple(float64, 2), float64[:, ::1], float64, int64[::1], int64[::1]")
def filtered_power(
    spectrum: np.ndarray,
    width: int,
    step_per_nm: tuple[float, float],
    frequencies: np.ndarray,
    sigma_per_nm: float,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:  # pragma: no cover
    """Return the power of the Bragg-filtered images at some pixels, relative to the white noise that passes.

    The Gaussian around a reflection passes some twenty frequencies along each axis, so that sums over these take less
    time than a transform.

    Parameters
    ----------
    spectrum : numpy.ndarray of complex64
        Shape (height, width // 2 + 1): half plane of the transform of the image.
    width : int
        Width of the image (px).
    step_per_nm : tuple of float
        Steps of the frequencies, y and x (1/nm).
    frequencies : numpy.ndarray of float64
        Shape (reflection, 2): y and x of the reflections (1/nm).
    sigma_per_nm : float
        Standard deviation of the Gaussians (1/nm).
    rows, columns : numpy.ndarray of int64
        Shape (pixel,): the pixels, row by row or not.

    Returns
    -------
    numpy.ndarray of float64
        Shape (reflection, pixel).
    """
    height, n_pixels = spectrum.shape[0], rows.size
    power = np.empty((len(frequencies), n_pixels))
    turns_y, turns_x = _turns(height), _turns(width)
    n_columns = 0
    for column in columns:
        n_columns = max(n_columns, column + 1)
    used = np.zeros(n_columns, np.bool_)
    for column in columns:
        used[column] = True
    for r in range(len(frequencies)):
        at_y, near_y, mean_y = _passed(height, step_per_nm[0], frequencies[r, 0], sigma_per_nm)
        at_x, near_x, mean_x = _passed(width, step_per_nm[1], frequencies[r, 1], sigma_per_nm)
        along_x = np.zeros((used.size, at_y.size), np.complex128)
        line = np.empty(at_x.size, np.complex128)
        for p in range(at_y.size):
            for q in range(at_x.size):
                if at_x[q] > width // 2:  # by Friedel's law
                    value = spectrum[(height - at_y[p]) % height, width - at_x[q]].conjugate()
                else:
                    value = spectrum[at_y[p], at_x[q]]
                line[q] = value * (near_y[p] * near_x[q])
            for column in range(used.size):
                if used[column]:
                    total = 0j
                    for q in range(at_x.size):
                        total += line[q] * turns_x[at_x[q] * column % width]
                    along_x[column, p] = total
        scale = 1 / ((height * width) ** 2 * mean_y * mean_x)
        for k in range(n_pixels):
            total = 0j
            for p in range(at_y.size):
                total += along_x[columns[k], p] * turns_y[at_y[p] * rows[k] % height]
            power[r, k] = (total.real * total.real + total.imag * total.imag) * scale
    return power


@compiled("float32[:, ::1], float64[::1], float64[::1], float64, float64")
def compare_maps(
    maps: np.ndarray, y_nm: np.ndarray, x_nm: np.ndarray, noise: float, crystalline: float
) -> tuple[float, float, float, float, float]:  # pragma: no cover
    """Compare the parts of a region that reflections come from.

    Parameters
    ----------
    maps : numpy.ndarray of float32
        Shape (reflection, pixel): power relative to the noise.
    y_nm, x_nm : numpy.ndarray of float64
        Shape (pixel,): positions (nm).
    noise : float
        Power that is subtracted as noise before maps are compared.
    crystalline : float
        Pixels above this power are crystalline.

    Returns
    -------
    coverage : float
        Share of crystalline pixels.
    separation : float
        Largest distance of the centers of two maps (nm).
    overlap, least_overlap : float
        Mean and smallest overlap of two maps; 1 for a single one.
    unevenness : float
        Standard deviation of the logarithm of 1 + the sum of all maps.
    """
    n_maps, n_pixels = maps.shape
    center_y, center_x, norm = np.zeros(n_maps), np.zeros(n_maps), np.zeros(n_maps)
    for r in range(n_maps):
        total = 0.0
        for k in range(n_pixels):
            # a reflection below the noise in all pixels counts in all equally
            signal = max(maps[r, k] - noise, 1e-6)
            total += signal
            center_y[r] += signal * y_nm[k]
            center_x[r] += signal * x_nm[k]
            norm[r] += signal * signal
        center_y[r], center_x[r], norm[r] = center_y[r] / total, center_x[r] / total, math.sqrt(norm[r])
    separation, least, sum_of_overlaps, n_pairs = 0.0, 1.0, 0.0, 0
    for r in range(n_maps):
        for other in range(r):
            separation = max(separation, math.hypot(center_y[r] - center_y[other], center_x[r] - center_x[other]))
            overlap = 0.0
            for k in range(n_pixels):
                overlap += max(maps[r, k] - noise, 1e-6) * max(maps[other, k] - noise, 1e-6)
            overlap /= norm[r] * norm[other]
            least = min(least, overlap) if n_pairs else overlap
            sum_of_overlaps += overlap
            n_pairs += 1
    n_crystalline, logarithm, mean_logarithm = 0, np.empty(n_pixels), 0.0
    for k in range(n_pixels):
        highest, total = maps[0, k], 0.0
        for r in range(n_maps):
            highest = max(highest, maps[r, k])
            total += maps[r, k]
        n_crystalline += highest > crystalline
        logarithm[k] = math.log1p(total)
        mean_logarithm += logarithm[k] / n_pixels
    variance = 0.0
    for k in range(n_pixels):
        variance += (logarithm[k] - mean_logarithm) ** 2 / n_pixels
    mean_overlap = sum_of_overlaps / n_pairs if n_pairs else 1.0
    return n_crystalline / n_pixels, separation, mean_overlap, least, math.sqrt(variance)
