"""The objective lens: aberrations, aperture, focal spread.

References
----------
[1] Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., Springer 2010, chapters 2 and 3: aberrations,
    underfocus positive.
[2] Ishizuka, Ultramicroscopy 5 (1980) 55: partial coherence. An envelope on the wave is only an approximation of the
    average over the focal spread; here intensities are averaged over defocus, which conserves electrons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from hrtem_dask.simulation.imaging.scattering import wavelength_nm

__all__ = ["Optics", "image_intensity", "propagate"]


@dataclass(frozen=True, kw_only=True)
class Optics:
    """Settings of the objective lens."""

    voltage_kv: float = 300.0
    """Acceleration voltage (kV)."""
    defocus_nm: float = 50.0
    """Defocus (nm), positive is underfocus."""
    cs_mm: float = 0.0
    """Spherical aberration (mm)."""
    astigmatism_nm: float = 0.0
    """Two-fold astigmatism: half the difference of defocus between its axes (nm)."""
    astigmatism_angle_deg: float = 0.0
    """Direction of the axis with the larger defocus (°)."""
    coma_nm: float = 0.0
    """Axial coma C21 (nm)."""
    coma_angle_deg: float = 0.0
    """Direction of the coma (°)."""
    focal_spread_nm: float = 0.0
    """Standard deviation of the defocus (nm)."""
    aperture_per_nm: float = 12.0
    """Radius of the objective aperture (1/nm); its edge is softened over a tenth of it."""


def _aberration(optics: Optics, fy: np.ndarray, fx: np.ndarray) -> np.ndarray:
    """Return the aberration function χ (rad), Kirkland equation 2.13 with astigmatism C12 and coma C21."""
    wavelength = wavelength_nm(optics.voltage_kv)
    squared = fy**2 + fx**2
    angle = np.arctan2(fy, fx)
    astigmatism = optics.astigmatism_nm * np.cos(2 * (angle - np.deg2rad(optics.astigmatism_angle_deg)))
    coma = optics.coma_nm * np.cos(angle - np.deg2rad(optics.coma_angle_deg))
    spherical = 0.5 * optics.cs_mm * 1e6 * wavelength**2 * squared
    lens = np.pi * wavelength * squared * (spherical - optics.defocus_nm - astigmatism)
    return np.asarray(lens + 2 * np.pi / 3 * wavelength**2 * squared**1.5 * coma)


def image_intensity(wave: np.ndarray, optics: Optics, *, sampling_nm: float, n_foci: int = 5) -> np.ndarray:
    """Image a wave through the lens.

    Parameters
    ----------
    wave : numpy.ndarray
        Shape (y, x), complex64: exit wave, periodic.
    optics : Optics
        Settings of the lens.
    sampling_nm : float
        Distance between pixels (nm).
    n_foci : int
        Number of points of the Gauss-Hermite quadrature over the focal spread.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), float32: intensity, 1 for an empty field.
    """
    fy = scipy.fft.fftfreq(wave.shape[0], sampling_nm)[:, None]
    fx = scipy.fft.fftfreq(wave.shape[1], sampling_nm)[None, :]
    squared = fy**2 + fx**2
    edge = 0.1 * optics.aperture_per_nm
    aperture = np.clip((optics.aperture_per_nm + edge / 2 - np.sqrt(squared)) / edge, 0, 1)
    transfer = (aperture * np.exp(-1j * _aberration(optics, fy, fx))).astype(np.complex64)
    spectrum = scipy.fft.fft2(wave, workers=1) * transfer
    if optics.focal_spread_nm == 0:
        nodes, weights = np.zeros(1), np.ones(1)
    else:
        nodes, weights = np.polynomial.hermite_e.hermegauss(n_foci)
    intensity = np.zeros(wave.shape, np.float32)
    phase_per_nm = np.pi * wavelength_nm(optics.voltage_kv) * squared
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        shift = np.exp((1j * node * optics.focal_spread_nm) * phase_per_nm).astype(np.complex64)
        focused = scipy.fft.ifft2(spectrum * shift, overwrite_x=True, workers=1)
        intensity += np.float32(weight) * (focused.real**2 + focused.imag**2)
    return intensity


def propagate(wave: np.ndarray, distance_nm: float, *, voltage_kv: float, sampling_nm: float) -> np.ndarray:
    """Propagate a wave through free space.

    Parameters
    ----------
    wave : numpy.ndarray
        Shape (y, x), complex64, periodic.
    distance_nm : float
        Distance along the beam (nm).
    voltage_kv : float
        Acceleration voltage (kV).
    sampling_nm : float
        Distance between pixels (nm).

    Returns
    -------
    numpy.ndarray
        Shape (y, x), complex64: the wave after Fresnel propagation, Kirkland equation 6.65.
    """
    fy, fx = (scipy.fft.fftfreq(n, sampling_nm) for n in wave.shape)
    phase = -np.pi * wavelength_nm(voltage_kv) * distance_nm * np.add.outer(fy**2, fx**2)
    spectrum = scipy.fft.fft2(wave, workers=1) * np.exp(1j * phase).astype(np.complex64)
    return np.asarray(scipy.fft.ifft2(spectrum, overwrite_x=True, workers=1))
