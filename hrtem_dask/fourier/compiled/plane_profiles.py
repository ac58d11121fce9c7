"""Fits of profiles of demodulated reflections along a normal, for `plane_fit`."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["amplitudes", "best_position", "streak_powers", "two_constants"]


@compiled()
def two_constants(
    position: np.ndarray, count: np.ndarray, wave: np.ndarray, turns: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:  # pragma: no cover
    """Fit a profile with one constant and with two, for every position of the plane between them.

    With n = n₁ + n₂ pixels and sums s = s₁ + s₂, two constants explain the power |s₁|²/n₁ + |s₂|²/n₂ =
    |s|²/n + |s₁ − s n₁/n|² n/(n₁n₂).

    Parameters
    ----------
    position : numpy.ndarray of float64
        Shape (line,): positions along the normal (nm).
    count : numpy.ndarray of float64
        Shape (line,): number of pixels.
    wave : numpy.ndarray of complex128
        Shape (line,): sums of the wave.
    turns : numpy.ndarray of float64
        Shape (slope,): slopes of the phase, in turns from the first to the last line, at equal distances.

    Returns
    -------
    whole : float
        Power that one constant explains, with the best slope.
    explained : numpy.ndarray of float64
        Shape (line − 1,): power that two constants explain, with the best slope.
    slope : numpy.ndarray of int64
        Shape (line − 1,): number of the best slope.
    """
    n_lines, n_slopes = position.size, turns.size
    to_phase = 2 * math.pi / (position[-1] - position[0])
    real, imaginary = np.empty((n_lines, n_slopes)), np.empty((n_lines, n_slopes))
    whole_real, whole_imaginary = np.zeros(n_slopes), np.zeros(n_slopes)
    for i in range(n_lines):
        phase = to_phase * position[i]
        # exp(−i phase) of each slope from that of the one before
        turned = complex(math.cos(turns[0] * phase), -math.sin(turns[0] * phase))
        by = complex(math.cos((turns[1] - turns[0]) * phase), -math.sin((turns[1] - turns[0]) * phase))
        for s in range(n_slopes):
            ramped = wave[i] * turned
            real[i, s], imaginary[i, s] = ramped.real, ramped.imag
            turned *= by
        for s in range(n_slopes):
            whole_real[s] += real[i, s]
            whole_imaginary[s] += imaginary[i, s]
    n, whole, alone = 0.0, 0.0, np.empty(n_slopes)
    for pixels in count:
        n += pixels
    for s in range(n_slopes):
        alone[s] = (whole_real[s] * whole_real[s] + whole_imaginary[s] * whole_imaginary[s]) / n
        whole = max(whole, alone[s])
    explained, slope = np.empty(n_lines - 1), np.empty(n_lines - 1, np.int64)
    sum_real, sum_imaginary, power = np.zeros(n_slopes), np.zeros(n_slopes), np.empty(n_slopes)
    before = 0.0
    for i in range(n_lines - 1):
        before += count[i]
        share, factor = count[i] / n, n / (before * (n - before))
        for s in range(n_slopes):
            sum_real[s] += real[i, s] - share * whole_real[s]
            sum_imaginary[s] += imaginary[i, s] - share * whole_imaginary[s]
            power[s] = (sum_real[s] * sum_real[s] + sum_imaginary[s] * sum_imaginary[s]) * factor + alone[s]
        best = 0
        for s in range(1, n_slopes):
            if power[s] > power[best]:
                best = s
        slope[i], explained[i] = best, power[best]
    return whole, explained, slope


@compiled("float64[::1], float64[::1], complex128[:, ::1], float64[::1], float64[::1], boolean[::1], float64, float64")
def best_position(
    position: np.ndarray,
    count: np.ndarray,
    waves: np.ndarray,
    turns: np.ndarray,
    noise: np.ndarray,
    inclined: np.ndarray,
    min_side_share: float,
    noise_gain: float,
) -> tuple[int, float]:  # pragma: no cover
    """Find the position of a plane at which two constants explain most.

    Parameters
    ----------
    position, count : numpy.ndarray of float64
        As for `two_constants`.
    waves : numpy.ndarray of complex128
        Shape (line, reflection).
    turns : numpy.ndarray of float64
        As for `two_constants`.
    noise : numpy.ndarray of float64
        Shape (reflection,): noise power per pixel.
    inclined : numpy.ndarray of bool
        Shape (reflection,): the reflections to look at.
    min_side_share : float
        Smallest share of the pixels on each side.
    noise_gain : float
        Gain of a reflection in noise alone, in units of the noise.

    Returns
    -------
    at : int
        The last line before the plane; −1 if no position leaves enough pixels on both sides.
    gain : float
        Share of the power that needs the step, of all inclined reflections together.
    """
    n_planes, n = position.size - 1, 0.0
    for pixels in count:
        n += pixels
    allowed, before, n_allowed = np.zeros(max(n_planes, 0), np.bool_), 0.0, 0
    for i in range(n_planes):
        before += count[i]
        if min(before, n - before) >= min_side_share * n:
            allowed[i] = True
            n_allowed += 1
    at, gain = -1, -1.0
    if n_allowed == 0:
        return at, gain
    extra, explained, by_chance = np.zeros(n_planes), np.zeros(n_planes), 0.0
    for r in range(noise.size):
        if inclined[r]:
            by_chance += noise_gain
            whole, power, _ = two_constants(position, count, waves[:, r].copy(), turns)
            for i in range(n_planes):
                explained[i] += power[i] / noise[r]
                extra[i] += (power[i] - whole) / noise[r]
    for i in range(n_planes):
        if allowed[i]:
            one = max(extra[i] - by_chance, 0.0) / (explained[i] + by_chance)
            if one > gain:
                at, gain = i, one
    return at, gain


@compiled("float64[::1], float64[::1], complex128[:, ::1], int64, float64[::1], float64")
def amplitudes(
    position: np.ndarray, count: np.ndarray, waves: np.ndarray, at: int, slopes: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover
    """Return the complex amplitudes before and behind a plane.

    Slopes are refined first, because their errors would appear as steps.

    Parameters
    ----------
    position, count : numpy.ndarray of float64
        As for `two_constants`.
    waves : numpy.ndarray of complex128
        Shape (line, reflection).
    at : int
        The last line before the plane.
    slopes : numpy.ndarray of float64
        Shape (reflection,): slopes of the phase (turns per nm).
    reach : float
        Largest refinement of a slope (turns per nm).

    Returns
    -------
    before, behind : numpy.ndarray of complex128
        Shape (reflection,).
    """
    n_fine = 17
    n_lines, n_waves = waves.shape
    before, behind = np.zeros(n_waves, np.complex128), np.zeros(n_waves, np.complex128)
    n_first, n_second = 0.0, 0.0
    for i in range(n_lines):
        if i <= at:
            n_first += count[i]
        else:
            n_second += count[i]
    for r in range(n_waves):
        first, second = np.zeros(n_fine, np.complex128), np.zeros(n_fine, np.complex128)
        for i in range(n_lines):
            phase = 2 * math.pi * (position[i] - position[at])
            step = 2 * reach / (n_fine - 1) * phase
            start = (slopes[r] - reach) * phase
            turned = waves[i, r] * complex(math.cos(start), -math.sin(start))
            by = complex(math.cos(step), -math.sin(step))
            side = first if i <= at else second
            for s in range(n_fine):
                side[s] += turned
                turned *= by
        highest = -1.0
        for s in range(n_fine):
            power = (first[s].real ** 2 + first[s].imag ** 2) / n_first
            power += (second[s].real ** 2 + second[s].imag ** 2) / n_second
            if power > highest:
                highest = power
                before[r], behind[r] = first[s] / n_first, second[s] / n_second
    return before, behind


@compiled("float64[::1], complex128[::1], float64[::1]")
def streak_powers(position: np.ndarray, wave: np.ndarray, distances: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Return the power of a profile's Fourier transform.

    Parameters
    ----------
    position : numpy.ndarray of float64
        Shape (line,): positions along the normal (nm).
    wave : numpy.ndarray of complex128
        Shape (line,): sums of the wave.
    distances : numpy.ndarray of float64
        Shape (n,): frequencies (1/nm), at equal distances.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,).
    """
    sums = np.zeros(distances.size, np.complex128)
    for i in range(position.size):
        phase = 2 * math.pi * position[i]
        turned = wave[i] * complex(math.cos(distances[0] * phase), -math.sin(distances[0] * phase))
        step = (distances[1] - distances[0]) * phase
        by = complex(math.cos(step), -math.sin(step))
        for k in range(distances.size):
            sums[k] += turned
            turned *= by
    power = np.empty(distances.size)
    for k in range(distances.size):
        power[k] = sums[k].real * sums[k].real + sums[k].imag * sums[k].imag
    return power
