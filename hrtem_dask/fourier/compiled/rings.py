"""Medians of the power of a spectrum in rings of equal frequency."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["ring_median", "ring_signal_to_noise", "squared_modulus", "sums_over_rings"]


@compiled("complex64[:, ::1]")
def squared_modulus(spectrum: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Return the power of each frequency.

    Parameters
    ----------
    spectrum : numpy.ndarray of complex64
        Shape (y, x).

    Returns
    -------
    numpy.ndarray of float32
        Same shape.
    """
    power = np.empty(spectrum.shape, np.float32)
    for i in range(spectrum.shape[0]):
        for j in range(spectrum.shape[1]):
            value = spectrum[i, j]
            power[i, j] = value.real * value.real + value.imag * value.imag
    return power


@compiled()
def _nth_smallest(values: np.ndarray, n: int) -> float:  # pragma: no cover
    """Return the n-th smallest value, from 0, and reorder the values; `numpy.partition` takes seconds to compile."""
    low, high = 0, values.size - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if n <= j:
            high = j
        elif n >= i:
            low = i
        else:
            break
    return float(values[n])


@compiled("float32[:, ::1], float64, float64, float64, float64")
def ring_median(power: np.ndarray, step_y: float, step_x: float, low: float, high: float) -> float:  # pragma: no cover
    """Return the median power in a ring of frequencies.

    Parameters
    ----------
    power : numpy.ndarray of float32
        Shape (height, width // 2 + 1): squared modulus of the half plane of a Fourier transform.
    step_y, step_x : float
        Steps of its frequencies (1/nm).
    low, high : float
        Smallest and largest frequency (1/nm).

    Returns
    -------
    float
        The median of the squared modulus; 0 where the ring has no sample.
    """
    height, width = power.shape
    powers = np.empty(height * width, np.float32)
    n = 0
    for i in range(height):
        y = (i if i < (height + 1) // 2 else i - height) * step_y
        if abs(y) <= high:
            first = max(int(math.sqrt(max(low * low - y * y, 0.0)) / step_x) - 1, 0)
            last = min(int(math.sqrt(high * high - y * y) / step_x) + 2, width)
            for j in range(first, last):
                squared = np.float32(y * y + (j * step_x) ** 2)
                if low * low <= squared <= high * high:
                    powers[n] = power[i, j]
                    n += 1
    if n == 0:
        return 0.0
    ring = powers[:n]
    upper = _nth_smallest(ring, n // 2)
    if n % 2:
        return upper
    lower = float(ring[0])
    for k in range(1, n // 2):  # all of them are at most the upper one
        lower = max(lower, float(ring[k]))
    return (lower + upper) / 2


@compiled("float32[:, ::1], float64, float64, float64, float64, float64")
def ring_signal_to_noise(
    power: np.ndarray, step_y: float, step_x: float, low: float, high: float, ring_width: float
) -> np.ndarray:  # pragma: no cover
    """Return the ratio of the power to the median of its ring.

    The larger median of two staggered sets of rings: on a slope, and in a ring of few samples, one median alone is
    sometimes too small and would turn noise into peaks.

    Parameters
    ----------
    power : numpy.ndarray of float32
        Shape (height, width // 2 + 1): squared modulus of the half plane of a Fourier transform.
    step_y, step_x : float
        Steps of its frequencies (1/nm).
    low, high : float
        Smallest and largest frequency (1/nm).
    ring_width : float
        Width of a ring (1/nm).

    Returns
    -------
    numpy.ndarray of float32
        The same shape; 0 outside of the annulus and near the Nyquist frequency.
    """
    height, width = power.shape
    snr = np.zeros((height, width), np.float32)
    most_y, most_x = 0.97 * (height // 2) * step_y, 0.97 * (width - 1) * step_x
    half_ring = np.empty((height, width), np.int32)
    n_halves = int(2 * (high - low) / ring_width) + 2
    start = np.zeros(n_halves + 2, np.int64)
    for i in range(height):
        y = (i if i < (height + 1) // 2 else i - height) * step_y
        for j in range(width):
            half_ring[i, j] = -1
            x = j * step_x
            frequency = math.sqrt(y * y + x * x)
            if x < most_x and abs(y) < most_y and low <= frequency <= high:
                half_ring[i, j] = int(2 * ((frequency - low) / ring_width))
                start[half_ring[i, j] + 1] += 1
    for k in range(1, start.size):
        start[k] += start[k - 1]
    powers = np.empty(start[-1], np.float32)
    place = start.copy()
    for i in range(height):
        for j in range(width):
            k = half_ring[i, j]
            if k >= 0:
                powers[place[k]] = power[i, j]
                place[k] += 1
    background = np.zeros(n_halves + 1)
    for first in range(-1, n_halves):  # a ring of either set is two halves, and a half is in one ring of each set
        begin, end = start[max(first, 0)], start[min(first + 2, n_halves)]
        if end > begin:
            middle = (end - begin) // 2
            ring = powers[begin:end].copy()
            median = _nth_smallest(ring, middle)
            for k in range(max(first, 0), min(first + 2, n_halves)):
                background[k] = max(background[k], median)
    for i in range(height):
        for j in range(width):
            k = half_ring[i, j]
            if k >= 0:
                snr[i, j] = power[i, j] / max(background[k], 1.1754943508222875e-38)
    return snr


@compiled("complex64[::1], int32[::1], Array(int32, 1, 'C', readonly=True), uint8[:, ::1], float64[:, ::1], int64")
def sums_over_rings(
    spectrum: np.ndarray,
    index: np.ndarray,
    mirrored: np.ndarray,
    ring: np.ndarray,
    weight: np.ndarray,
    n_rings: int,
) -> np.ndarray:  # pragma: no cover
    """Sum the magnitude of a spectrum over rings to which each radius contributes with a weight.

    Parameters
    ----------
    spectrum : numpy.ndarray of complex64 or complex128
        Shape (n,).
    index, mirrored : numpy.ndarray of int32
        Shape (n,): radius of each coefficient and of its Friedel mate; the number of radii where it does not count.
    ring, weight : numpy.ndarray
        Shape (radius, m): rings that a radius contributes to, and its weights; `n_rings` where it contributes to none.
    n_rings : int
        Number of rings.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n_rings,).
    """
    n_radii = ring.shape[0]
    own, mates = np.zeros(n_radii + 1), np.zeros(n_radii + 1)
    for k in range(spectrum.size):
        if index[k] < n_radii or mirrored[k] < n_radii:
            real, imaginary = np.float64(spectrum[k].real), np.float64(spectrum[k].imag)
            magnitude = math.sqrt(real * real + imaginary * imaginary)  # a hypotenuse takes three times as long
            own[index[k]] += magnitude
            mates[mirrored[k]] += magnitude
    sums = np.zeros(n_rings + 1)
    for i in range(n_radii):
        for j in range(ring.shape[1]):
            sums[ring[i, j]] += (own[i] + mates[i]) * weight[i, j]
    return sums[:n_rings]
