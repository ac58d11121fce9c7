"""The lens of the contrast regime: Fresnel fringes of defocus, blur, drift. Lengths are in px."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

__all__ = ["Lens", "image_intensity"]

LARGEST_FRINGE = 0.8


@dataclass(frozen=True, kw_only=True)
class Lens:
    """How an exit wave becomes an intensity."""

    fresnel_px: float = 0.0
    """√(wavelength × |defocus|) (px)."""
    is_overfocus: bool = False
    """Overfocus: the fringe outside a dark particle is dark, else bright."""
    uses_propagator: bool = False
    """The wave itself is propagated; else its fringes are linear in the phase."""
    astigmatism: float = 0.0
    """Defocus's change over the direction, relative to it."""
    astigmatism_angle_deg: float = 0.0
    """Direction of the larger defocus (°)."""
    blur_px: float = 0.5
    """Standard deviation of the blur (px)."""
    drift_px: float = 0.0
    """Way of the specimen during the exposure (px)."""
    drift_angle_deg: float = 0.0
    """Its direction (°)."""


def image_intensity(transmission: np.ndarray, phase: np.ndarray, lens: Lens) -> np.ndarray:
    """Image an object; no noise.

    Parameters
    ----------
    transmission : numpy.ndarray
        Shape (y, x), float32: share of the electrons behind each pixel.
    phase : numpy.ndarray
        Shape (y, x), float32: phase of the wave (rad).
    lens : Lens
        Defocus and blur.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x): intensity, 1 for an empty field; no pixel is shifted.
    """
    shape = transmission.shape
    fy = scipy.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = scipy.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    if lens.fresnel_px <= 0:
        intensity = transmission
    elif lens.uses_propagator:
        whole = scipy.fft.fftfreq(shape[1]).astype(np.float32)[None, :]
        wave = np.sqrt(transmission) * np.exp(np.complex64(1j) * phase)
        spread = np.exp(np.complex64(1j) * _chi(fy, whole, lens))
        propagated = scipy.fft.ifft2(scipy.fft.fft2(wave) * spread)
        intensity = propagated.real**2 + propagated.imag**2
    else:
        # fringes of a finite source die out where the phase turns fast
        transfer = -2 * np.sin(_chi(fy, fx, lens)) * np.exp(-((0.7 * lens.fresnel_px) ** 2) * (fy * fy + fx * fx) * 2)
        fringes = scipy.fft.irfft2(scipy.fft.rfft2(phase) * transfer.astype(np.float32), s=shape)
        intensity = transmission * (1 + LARGEST_FRINGE * np.tanh(fringes / np.float32(LARGEST_FRINGE)))
    blurred = scipy.fft.irfft2(scipy.fft.rfft2(intensity) * _blur(fy, fx, lens), s=shape)
    return np.asarray(np.maximum(blurred, 0), np.float32)


def _chi(fy: np.ndarray, fx: np.ndarray, lens: Lens) -> np.ndarray:
    """Return the phase that defocus gives each frequency, positive in underfocus."""
    squared = fy * fy + fx * fx
    angle = 2 * np.deg2rad(lens.astigmatism_angle_deg)
    double = (fx * fx - fy * fy) * np.cos(angle) + 2 * fx * fy * np.sin(angle)
    sign = -1 if lens.is_overfocus else 1
    return np.asarray(sign * np.pi * lens.fresnel_px**2 * (squared + lens.astigmatism * double), np.float32)


def _blur(fy: np.ndarray, fx: np.ndarray, lens: Lens) -> np.ndarray:
    """Return the transfer of blur and drift, which keeps every mean."""
    # the propagator's fringes are those of a point source: a finite one blurs them
    sigma = np.hypot(lens.blur_px, 0.35 * lens.fresnel_px if lens.uses_propagator else 0.0)
    angle = np.deg2rad(lens.drift_angle_deg)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    gauss = np.exp(-2 * (np.pi * sigma) ** 2 * (fy * fy + fx * fx))
    return np.asarray(gauss * np.sinc(along * lens.drift_px), np.float32)
