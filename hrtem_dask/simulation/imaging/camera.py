"""The camera: vibration and drift during the exposure, pixels, shot noise, blur of the scintillator, X-ray spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

__all__ = ["Camera", "expected_image", "record"]

SPIKE_GAIN = (10.0, 200.0)
"""Smallest and largest intensity of an X-ray spike in units of the mean intensity."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Settings of the camera and the exposure."""

    pixel_size_nm: float
    """Height and width of a pixel at the specimen (nm)."""
    dose_per_nm2: float
    """Electrons per nm²."""
    vibration_nm: float = 0.0
    """Standard deviation of the specimen's vibration (nm)."""
    drift_nm: float = 0.0
    """Drift of the specimen during the exposure (nm)."""
    drift_angle_deg: float = 0.0
    """Direction of the drift (°)."""
    mtf_at_nyquist: float = 1.0
    """Modulation transfer of the scintillator at the Nyquist frequency, 0 to 1, without the sinc of the pixel."""
    gain: float = 10.0
    """Counts per electron."""
    readout_noise: float = 2.0
    """Standard deviation of the readout noise (counts)."""
    gradient: float = 0.0
    """Change of the illumination across the field over its mean."""
    gradient_angle_deg: float = 0.0
    """Direction of the gradient (°)."""
    background: float = 0.0
    """Share of electrons that carry no contrast."""
    n_spikes: int = 0
    """Number of X-ray spikes."""

    @property
    def electrons_per_px(self) -> float:
        """Mean electrons per pixel."""
        return self.dose_per_nm2 * self.pixel_size_nm**2


def expected_image(intensity: np.ndarray, camera: Camera, *, subpixels: int) -> np.ndarray:
    """Blur an intensity by vibration and drift and integrate it over pixels, without noise.

    Parameters
    ----------
    intensity : numpy.ndarray
        Shape (n y, n x), float32, periodic.
    camera : Camera
        Settings; vibration, drift and pixel size are used.
    subpixels : int
        Number of samples n along each side of a pixel.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), float32: mean intensity per pixel.
    """
    fy = scipy.fft.fftfreq(intensity.shape[0], camera.pixel_size_nm / subpixels)[:, None]
    fx = scipy.fft.rfftfreq(intensity.shape[1], camera.pixel_size_nm / subpixels)[None, :]
    angle = np.deg2rad(camera.drift_angle_deg)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    vibration = np.exp(-2 * (np.pi * camera.vibration_nm) ** 2 * (fy**2 + fx**2))
    pixel = np.sinc(fy * camera.pixel_size_nm) * np.sinc(fx * camera.pixel_size_nm)
    blur = (vibration * pixel * np.sinc(along * camera.drift_nm)).astype(np.float32)
    spectrum = scipy.fft.rfft2(intensity, workers=1) * blur
    start = subpixels // 2
    return np.asarray(scipy.fft.irfft2(spectrum, s=intensity.shape, workers=1)[start::subpixels, start::subpixels])


def record(rng: np.random.Generator, expected: np.ndarray, camera: Camera) -> np.ndarray:
    """Record an expected image: add background, gradient, noise, blur and spikes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    expected : numpy.ndarray
        Shape (y, x): mean intensity per pixel, 1 for an empty field.
    camera : Camera
        Dose, blur and noise.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), uint16: counts.
    """
    shape = expected.shape
    y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, n) for n in shape), indexing="ij")
    angle = np.deg2rad(camera.gradient_angle_deg)
    light = 1 + camera.gradient * (x * np.cos(angle) + y * np.sin(angle))
    mean = (1 - camera.background) * expected + camera.background
    electrons = rng.poisson(np.clip(mean * light, 0, None) * camera.electrons_per_px).astype(np.float32)
    # the scintillator spreads the light of each electron, so it blurs shot noise as well as the image
    frequency = np.hypot.outer(scipy.fft.fftfreq(shape[0]), scipy.fft.rfftfreq(shape[1])) / 0.5
    spread = (camera.mtf_at_nyquist**frequency).astype(np.float32)
    counts = camera.gain * scipy.fft.irfft2(scipy.fft.rfft2(electrons, workers=1) * spread, s=shape, workers=1)
    counts += rng.normal(0, camera.readout_noise, shape)
    where = rng.integers(0, counts.size, camera.n_spikes)
    counts.ravel()[where] += counts.mean() * np.exp(
        rng.uniform(np.log(SPIKE_GAIN[0]), np.log(SPIKE_GAIN[1]), camera.n_spikes)
    )
    return np.asarray(np.clip(np.round(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16))
