"""The wave that leaves a particle: multislice in the particle's own box.

References
----------
[1] Cowley & Moodie, Acta Cryst. 10 (1957) 609: multislice.
[2] Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., Springer 2010, chapter 6: band limit, slices.
"""

from __future__ import annotations

import itertools

import numba
import numpy as np
import scipy.fft

from hrtem_dask.simulation.atoms import Atoms
from hrtem_dask.simulation.imaging.scattering import PROFILE_RADIUS_NM, phase_profile, wavelength_nm

__all__ = ["add_phases", "exit_wave", "resample_wave"]


@numba.njit(cache=True, fastmath=True)
def _add_profiles(phase, x, y, kind, profiles, sampling, radius):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the phase of each atom to a periodic grid, in place.

    `profiles` is sampled at equidistant squared distances, which saves a square root per pixel and atom.
    """
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


def add_phases(phase: np.ndarray, atoms: Atoms, *, sampling_nm: float, voltage_kv: float, limit_per_nm: float) -> None:
    """Add the phase of atoms to a grid, in place.

    Parameters
    ----------
    phase : numpy.ndarray
        Shape (y, x), float32, periodic; atoms are added to it.
    atoms : Atoms
        Positions count from the center of the first pixel.
    sampling_nm : float
        Distance between pixels (nm).
    voltage_kv : float
        Acceleration voltage (kV).
    limit_per_nm : float
        Band limit of each atom's phase (1/nm).
    """
    if len(atoms.positions_nm):
        profiles = np.stack([phase_profile(e, voltage_kv, limit_per_nm) for e in atoms.elements])
        x, y = (np.ascontiguousarray(atoms.positions_nm[:, i]) for i in (0, 1))
        _add_profiles(phase, x, y, atoms.kinds.astype(np.int64), profiles, sampling_nm, PROFILE_RADIUS_NM)


def exit_wave(
    atoms: Atoms,
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
    atoms : Atoms
        Positions count from the center of the first pixel.
    size_px : int
        Side of the box (px).
    sampling_nm : float
        Distance between pixels (nm).
    voltage_kv : float
        Acceleration voltage (kV).
    slice_nm : float
        Thickness of slices (nm).
    limit_per_nm : float
        Band limit (1/nm); at most 2/3 of the Nyquist frequency keeps products free of aliases.
    absorption : float
        Ratio of the absorptive to the elastic potential.

    Returns
    -------
    numpy.ndarray
        Shape (size_px, size_px), complex64: the wave in the plane of the largest z, 1 where it passed no atom.
    """
    wave = np.ones((size_px, size_px), np.complex64)
    if not len(atoms.positions_nm):
        return wave
    height = atoms.positions_nm[:, 2] - atoms.positions_nm[:, 2].min()
    slices = (height / slice_nm).astype(int)
    order = np.argsort(slices, kind="stable")
    bounds = np.searchsorted(slices[order], np.arange(slices.max() + 2))
    propagator = _propagator(size_px, sampling_nm, voltage_kv, slice_nm, limit_per_nm)
    for start, stop in itertools.pairwise(bounds):
        phase = np.zeros((size_px, size_px), np.float32)
        chosen = order[start:stop]
        in_slice = Atoms(atoms.positions_nm[chosen], atoms.kinds[chosen], atoms.elements)
        add_phases(phase, in_slice, sampling_nm=sampling_nm, voltage_kv=voltage_kv, limit_per_nm=limit_per_nm)
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
    """Resample a periodic wave to another number of pixels, by its Fourier coefficients.

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
