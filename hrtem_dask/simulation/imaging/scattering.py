"""Scattering of electrons by atoms: wavelength, scattering factors, and the phase shift by one atom.

References
----------
[1] Lobato & Van Dyck, Acta Cryst. A70 (2014) 636: scattering factors of neutral atoms; ``lobato2014.json`` holds their
    coefficients a (Å) and b (Å²) for the elements used here.
[2] Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., Springer 2010: equations 2.5 and 5.19.
"""

from __future__ import annotations

import functools
import json
import math
from importlib import resources

import numpy as np
import scipy.special

__all__ = ["phase_profile", "scattering_factor_nm", "scattering_phase", "wavelength_nm"]

ELECTRON_REST_ENERGY_KEV = 510.99895
PROFILE_RADIUS_NM = 0.3
"""Radius at which the phase of one atom is cut off."""
PROFILE_POINTS = 2048
"""Number of samples of a phase profile."""


def wavelength_nm(voltage_kv: float) -> float:
    """Return the relativistic wavelength of electrons.

    Parameters
    ----------
    voltage_kv : float
        Acceleration voltage (kV).

    Returns
    -------
    float
        Wavelength (nm), Kirkland equation 2.5: hc / √(E (2 mc² + E)).
    """
    return 1.2398419843 / math.sqrt(voltage_kv * (2 * ELECTRON_REST_ENERGY_KEV + voltage_kv))


@functools.cache
def _coefficients() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the coefficients a (nm) and b (nm²) of each element."""
    text = resources.files("hrtem_dask.simulation.imaging").joinpath("lobato2014.json").read_text(encoding="utf-8")
    return {element: (np.array(a) / 10, np.array(b) / 100) for element, (a, b) in json.loads(text).items()}


def scattering_factor_nm(element: str, frequency_per_nm: np.ndarray) -> np.ndarray:
    """Return the electron scattering factor of a neutral atom.

    Parameters
    ----------
    element : str
        Chemical symbol, such as ``"Au"``.
    frequency_per_nm : numpy.ndarray
        Spatial frequency k = 2 sin(θ) / λ (1/nm), any shape.

    Returns
    -------
    numpy.ndarray
        Scattering factor (nm), without the relativistic factor: Lobato & Van Dyck, equation 16.

    Raises
    ------
    ValueError
        If the element is not in the table.
    """
    try:
        a, b = _coefficients()[element]
    except KeyError:
        known = ", ".join(_coefficients())
        raise ValueError(f"no scattering factor for {element!r}: known are {known}") from None
    bk2 = b * np.square(np.asarray(frequency_per_nm, float))[..., None]
    return np.asarray((a * (2 + bk2) / (1 + bk2) ** 2).sum(-1))


def scattering_phase(element: str, frequency_per_nm: np.ndarray, voltage_kv: float, limit_per_nm: float) -> np.ndarray:
    """Return the band-limited Fourier transform of the phase shift by one atom.

    Parameters
    ----------
    element : str
        Chemical symbol.
    frequency_per_nm : numpy.ndarray
        Spatial frequency (1/nm), any shape.
    voltage_kv : float
        Acceleration voltage (kV).
    limit_per_nm : float
        Band limit (1/nm): zero above it, with a smooth roll-off over the last tenth below it.

    Returns
    -------
    numpy.ndarray
        Relativistic γ λ f (rad nm²), from Kirkland equations 5.19 and C.17. Same shape as `frequency_per_nm`.
    """
    window = 0.5 * (1 - np.cos(np.pi * np.clip((limit_per_nm - frequency_per_nm) / (0.1 * limit_per_nm), 0, 1)))
    gamma = 1 + voltage_kv / ELECTRON_REST_ENERGY_KEV
    return np.asarray(gamma * wavelength_nm(voltage_kv) * scattering_factor_nm(element, frequency_per_nm) * window)


@functools.lru_cache(maxsize=256)
def phase_profile(element: str, voltage_kv: float, limit_per_nm: float) -> np.ndarray:
    """Return the band-limited phase shift by one atom, projected along the beam.

    Parameters
    ----------
    element : str
        Chemical symbol.
    voltage_kv : float
        Acceleration voltage (kV).
    limit_per_nm : float
        Band limit (1/nm): zero above it, with a smooth roll-off over the last tenth below it.

    Returns
    -------
    numpy.ndarray
        Shape (2048,), float32: phase (rad) at equidistant *squared* distances from 0 to (0.3 nm)², where it is 0. It
        is the Hankel transform of `scattering_phase`.
    """
    frequency = np.linspace(0, limit_per_nm, 4000)
    weight = scattering_phase(element, frequency, voltage_kv, limit_per_nm) * 2 * np.pi * frequency
    radius = np.sqrt(np.linspace(0, PROFILE_RADIUS_NM**2, PROFILE_POINTS))
    kernel = scipy.special.j0(2 * np.pi * frequency * radius[:, None])
    phase = np.trapezoid(kernel * weight, frequency, axis=1)
    taper = 0.5 * (1 + np.cos(np.pi * np.clip((radius - 0.25) / (PROFILE_RADIUS_NM - 0.25), 0, 1)))
    return np.asarray(phase * taper, np.float32)
