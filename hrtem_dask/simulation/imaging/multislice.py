"""The wave that leaves a particle: multislice in the particle's own box.

References
----------
[1] Cowley & Moodie, Acta Cryst. 10 (1957) 609: multislice.
[2] Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., Springer 2010, chapter 6: band limit, slices.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numba
import numpy as np
import scipy.fft

from hrtem_dask.simulation.imaging.scattering import PROFILE_RADIUS_NM, phase_profile, wavelength_nm

__all__ = ["add_phases", "exit_wave", "resample_wave"]


@numba.njit(cache=True, fastmath=True)
def _add_profiles(phase, x, y, kind, profiles, sampling, radius):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add one atom's phase after another; the grid is periodic."""
    height, width = phase.shape
    reach = int(np.ceil(radius / sampling))
    scale = (profiles.shape[1] - 1) / radius**2
    for n in range(x.size):
        cx, cy = x[n] / sampling, y[n] / sampling
        left, top = int(np.floor(cx)), int(np.floor(cy))
        profile = profiles[kind[n]]
        for row in range(top - reach, top + reach + 1):
            dy = (row - cy) * sampling
            wrapped = row % height
            for column in range(left - reach, left + reach + 1):
                dx = (column - cx) * sampling
                t = (dx * dx + dy * dy) * scale
                i = int(t)
                if i < profile.size - 1:
                    phase[wrapped, column % width] += profile[i] + (t - i) * (profile[i + 1] - profile[i])


def add_phases(
    phase: np.ndarray,
    positions_nm: np.ndarray,
    kinds: np.ndarray,
    elements: Sequence[str],
    *,
    sampling_nm: float,
    voltage_kv: float,
    limit_per_nm: float,
) -> None:
    """Add the phase of atoms to a grid, in place.

    Parameters
    ----------
    phase : numpy.ndarray
        Shape (y, x), float32, periodic; atoms are added to it.
    positions_nm : numpy.ndarray
        Shape (n, 2 or 3): x, y (nm) from the first pixel's centre.
    kinds : numpy.ndarray
        Shape (n,), int: index into `elements`.
    elements : sequence of str
        Chemical symbols.
    sampling_nm : float
        Distance of pixels (nm).
    voltage_kv : float
        Acceleration voltage (kV).
    limit_per_nm : float
        Band limit of each atom's phase (1/nm).
    """
    if len(positions_nm):
        profiles = np.stack([phase_profile(e, voltage_kv, limit_per_nm) for e in elements])
        x, y = (np.ascontiguousarray(positions_nm[:, i]) for i in (0, 1))
        _add_profiles(phase, x, y, kinds.astype(np.int64), profiles, sampling_nm, PROFILE_RADIUS_NM)


def exit_wave(
    positions_nm: np.ndarray,
    kinds: np.ndarray,
    elements: Sequence[str],
    *,
    size_px: int,
    sampling_nm: float,
    voltage_kv: float,
    slice_nm: float = 0.2,
    limit_per_nm: float,
    absorption: float = 0.0,
) -> np.ndarray:
    """Send a plane wave through atoms in a periodic square box.

    Parameters
    ----------
    positions_nm : numpy.ndarray
        Shape (n, 3): x, y from the first pixel's centre, z along the beam (nm).
    kinds : numpy.ndarray
        Shape (n,), int: index into `elements`.
    elements : sequence of str
        Chemical symbols.
    size_px : int
        Side of the box (px).
    sampling_nm : float
        Distance of pixels (nm).
    voltage_kv : float
        Acceleration voltage (kV).
    slice_nm : float
        Thickness of slices (nm).
    limit_per_nm : float
        Band limit (1/nm); at most 2/3 of the Nyquist frequency keeps products free of aliases.
    absorption : float
        Absorptive over elastic potential.

    Returns
    -------
    numpy.ndarray
        Shape (size_px, size_px), complex64: the wave in the plane of the largest z, 1 where nothing was met.
    """
    wave = np.ones((size_px, size_px), np.complex64)
    if not len(positions_nm):
        return wave
    height = positions_nm[:, 2] - positions_nm[:, 2].min()
    slices = (height / slice_nm).astype(int)
    order = np.argsort(slices, kind="stable")
    bounds = np.searchsorted(slices[order], np.arange(slices.max() + 2))
    propagator = _propagator(size_px, sampling_nm, voltage_kv, slice_nm, limit_per_nm)
    for start, stop in itertools.pairwise(bounds):
        phase = np.zeros((size_px, size_px), np.float32)
        chosen = order[start:stop]
        add_phases(
            phase, positions_nm[chosen], kinds[chosen], elements,
            sampling_nm=sampling_nm, voltage_kv=voltage_kv, limit_per_nm=limit_per_nm,
        )  # fmt: skip
        _transmit(wave, phase, absorption)
        wave = scipy.fft.fft2(wave, overwrite_x=True, workers=1)
        wave *= propagator
        wave = scipy.fft.ifft2(wave, overwrite_x=True, workers=1)
    return np.asarray(wave)


@numba.njit(cache=True, fastmath=True)
def _transmit(wave, phase, absorption):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Multiply a wave by exp((i - absorption) phase), in place."""
    for row in range(wave.shape[0]):
        for column in range(wave.shape[1]):
            angle = phase[row, column]
            if angle != 0:
                wave[row, column] *= np.exp(-absorption * angle) * complex(np.cos(angle), np.sin(angle))


def _propagator(
    size_px: int, sampling_nm: float, voltage_kv: float, slice_nm: float, limit_per_nm: float
) -> np.ndarray:
    """Return the Fresnel propagator of one slice, zero beyond the band limit."""
    frequency = scipy.fft.fftfreq(size_px, sampling_nm)
    squared = np.add.outer(frequency**2, frequency**2)
    phase = -np.pi * wavelength_nm(voltage_kv) * slice_nm * squared
    return np.asarray((np.exp(1j * phase) * (squared <= limit_per_nm**2)).astype(np.complex64))


def resample_wave(wave: np.ndarray, size_px: int) -> np.ndarray:
    """Sample a periodic wave on another number of pixels, by its Fourier coefficients.

    Parameters
    ----------
    wave : numpy.ndarray
        Shape (n, n), complex64.
    size_px : int
        New number of pixels along each side of the same box.

    Returns
    -------
    numpy.ndarray
        Shape (size_px, size_px), complex64.
    """
    n = len(wave)
    if n == size_px:
        return wave
    spectrum = scipy.fft.fft2(wave, workers=1)
    kept = min(n, size_px)
    low, high = (kept + 1) // 2, kept // 2
    out = np.zeros((size_px, size_px), np.complex64)
    for rows in (slice(0, low), slice(-high, None)):
        for columns in (slice(0, low), slice(-high, None)):
            out[rows, columns] = spectrum[rows, columns]
    out *= (size_px / n) ** 2
    return np.asarray(scipy.fft.ifft2(out, overwrite_x=True, workers=1))
