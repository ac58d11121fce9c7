"""Maxima of the spectrum of a crop, for `lattice`."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["paraboloid_shifts", "refinement_phases", "separated_maxima", "windowed_crop"]


@compiled("float32[:, ::1], float64[::1], float64[::1]")
def windowed_crop(crop: np.ndarray, along_y: np.ndarray, along_x: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Subtract the weighted mean of a crop and multiply it by a window, which keeps the power of white noise.

    Parameters
    ----------
    crop : numpy.ndarray of float32
        Shape (y, x).
    along_y, along_x : numpy.ndarray of float64
        Factors of the window.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x).
    """
    height, width = crop.shape
    total = 0.0
    for i in range(height):
        row = 0.0
        for j in range(width):
            row += crop[i, j] * along_x[j]
        total += row * along_y[i]
    sum_y = sum_x = squares_y = squares_x = 0.0
    for weight in along_y:
        sum_y += weight
        squares_y += weight * weight
    for weight in along_x:
        sum_x += weight
        squares_x += weight * weight
    mean = crop.dtype.type(total / (sum_y * sum_x))  # of a constant crop exactly its value
    scale = 1 / math.sqrt(squares_y * squares_x)
    result = np.empty((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            result[i, j] = (crop[i, j] - mean) * (scale * along_y[i] * along_x[j])
    return result


@compiled("float32[:, ::1], float32, int64, float64")
def separated_maxima(
    snr: np.ndarray, least: np.float32, most: int, separation: float
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover
    """Find the maxima of a half plane above a threshold, largest first, without the side lobes of others.

    Parameters
    ----------
    snr : numpy.ndarray of float32
        Shape (height, width // 2 + 1), 0 in the last column, the Nyquist frequency.
    least : numpy.float32
        Threshold.
    most : int
        Largest number of maxima.
    separation : float
        A maximum nearer than this to a stronger one, or to its Friedel mate, is left out (samples).

    Returns
    -------
    rows, columns : numpy.ndarray of int64
        Position of each, rows beyond the middle as negative frequencies.
    """
    height, width = snr.shape
    places, n_places = np.empty(snr.size, np.int64), 0
    for i in range(height):
        for j in range(width):
            value = snr[i, j]
            if value >= least:
                is_maximum = True
                for di in range(-1, 2):
                    for dj in range(-1, 2):
                        row, column = i + di, j + dj
                        if column < 0:  # by Friedel's law this point has the power of the opposite one
                            row, column = -row, -column
                        if snr[row % height, min(column, width - 1)] > value:
                            is_maximum = False
                if is_maximum:
                    places[n_places] = i * width + j
                    n_places += 1
    kept_rows, kept_columns = np.empty(most, np.int64), np.empty(most, np.int64)
    n = 0
    while n < most:
        best = -1
        for k in range(n_places):
            at = places[k]
            if at >= 0 and (best < 0 or snr[at // width, at % width] > snr[best // width, best % width]):
                best = at
        if best < 0:
            break
        row, column = best // width, best % width
        if row > height // 2:
            row -= height
        kept_rows[n], kept_columns[n] = row, column
        n += 1
        for k in range(n_places):
            if places[k] >= 0:
                y, x = places[k] // width, places[k] % width
                if y > height // 2:
                    y -= height
                for sign in (1, -1):
                    if (y - sign * row) ** 2 + (x - sign * column) ** 2 <= separation * separation:
                        places[k] = -1
    return kept_rows[:n], kept_columns[:n]


@compiled("int64, float64[::1], float64")
def refinement_phases(n: int, at: np.ndarray, step: float) -> np.ndarray:  # pragma: no cover
    """Return exp(−2πi f k/n) of n samples k, at five frequencies f around each peak.

    Parameters
    ----------
    n : int
        Number of samples.
    at : numpy.ndarray of float64
        Shape (peak,): frequencies of the peaks, in steps of the discrete spectrum.
    step : float
        Distance of the five frequencies.

    Returns
    -------
    numpy.ndarray of float32
        Shape (peak, 10, n): five real parts, then five imaginary parts.
    """
    phases = np.empty((at.size, 10, n), np.float32)
    for p in range(at.size):
        for k in range(5):
            turn = 2 * math.pi / n * (at[p] + step * (k - 2))
            by, wave = complex(math.cos(turn), -math.sin(turn)), complex(1.0, 0.0)
            for i in range(n):
                phases[p, k, i], phases[p, k + 5, i] = wave.real, wave.imag
                wave *= by
    return phases


@compiled("float32[:, :, ::1], float64[::1], float64, float64[:, ::1]")
def paraboloid_shifts(
    along_x: np.ndarray, rows: np.ndarray, step: float, fit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover
    """Fit paraboloids to the logarithm of the power on 5 × 5 frequencies around peaks.

    Parameters
    ----------
    along_x : numpy.ndarray of float32
        Shape (peak, 10, y): the crop times `refinement_phases` of the columns.
    rows : numpy.ndarray of float64
        Shape (peak,): frequencies of the peaks along y.
    step : float
        Distance of the frequencies.
    fit : numpy.ndarray of float64
        Shape (6, 25): from the values to the coefficients of 1, y, x, y², yx and x².

    Returns
    -------
    y, x : numpy.ndarray of float64
        Shape (peak,): distance of the maximum from the middle, in steps; at most 2, and 0 without a maximum.
    """
    n_peaks, _, n = along_x.shape
    shift_y, shift_x = np.zeros(n_peaks), np.zeros(n_peaks)
    for p in range(n_peaks):
        sums = np.zeros((5, 5), np.complex128)
        for i in range(5):
            turn = 2 * math.pi / n * (rows[p] + step * (i - 2))
            by, wave = complex(math.cos(turn), -math.sin(turn)), complex(1.0, 0.0)
            for k in range(n):
                for j in range(5):
                    sums[i, j] += wave * complex(along_x[p, j, k], along_x[p, j + 5, k])
                wave *= by
        coefficients = np.zeros(6)
        for i in range(5):
            for j in range(5):
                power = sums[i, j].real ** 2 + sums[i, j].imag ** 2
                value = math.log(max(power, 1.1754943508222875e-38))
                for c in range(6):
                    coefficients[c] += value * fit[c, 5 * i + j]
        _, gradient_y, gradient_x, yy, yx, xx = coefficients
        determinant = 4 * yy * xx - yx * yx
        if determinant > 0 and yy < 0:
            shift_y[p] = min(max((yx * gradient_x - 2 * xx * gradient_y) / determinant, -2.0), 2.0)
            shift_x[p] = min(max((yx * gradient_y - 2 * yy * gradient_x) / determinant, -2.0), 2.0)
    return shift_y, shift_x
