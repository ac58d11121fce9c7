"""Illumination, exposure and what saving an image does to it: stretch, sharpening, 8 bits, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Camera", "Saving", "compress", "expose", "save"]

GAIN = 10.0
MANY_ELECTRONS = 60.0


@dataclass(frozen=True, kw_only=True)
class Camera:
    """How the exposure is made."""

    electrons_per_px: float = 100.0
    """Mean electrons per pixel."""
    gradient: float = 0.0
    """Change of the illumination across the field over its mean."""
    gradient_angle_deg: float = 0.0
    """Its direction (°)."""
    vignette: float = 0.0
    """Loss of illumination at the corners."""
    readout_noise: float = 0.0
    """Standard deviation of the readout noise over the mean."""
    mtf_px: float = 0.0
    """Standard deviation of the blur of image and noise (px)."""
    n_spikes: int = 0
    """X-ray spikes."""
    streaks: float = 0.0
    """Standard deviation of a scan line's offset over the mean; 0 for no scan."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How the image is saved."""

    is_8_bit: bool = False
    """Stretched to 0–255 and rounded; else counts, 10 per electron."""
    gamma: float = 1.0
    """Exponent of the stretch."""
    clipped: float = 0.0
    """Share of the pixels cut off at either end of the stretch."""
    sharpening: float = 0.0
    """Strength of an unsharp mask."""
    sharpening_px: float = 2.0
    """Its standard deviation (px)."""
    jpeg_quality: int = 0
    """JPEG quality, 0 for none."""
    is_inverted: bool = False
    """Grey values turned round."""


def expose(rng: np.random.Generator, expected: np.ndarray, camera: Camera) -> np.ndarray:
    """Expose the camera.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    expected : numpy.ndarray
        Shape (y, x), float32: mean intensity, about 1.
    camera : Camera
        Illumination, dose and noise.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x): counts, at least 0.
    """
    shape = expected.shape
    mean = np.maximum(expected * _light(shape, camera), 0)
    mean *= np.float32(camera.electrons_per_px / max(float(mean.mean()), 1e-6))
    if camera.electrons_per_px < MANY_ELECTRONS:
        electrons = rng.poisson(mean).astype(np.float32)
    else:
        electrons = mean + np.sqrt(mean) * rng.standard_normal(shape, np.float32)
    if camera.mtf_px > 0.15:
        electrons = cv2.GaussianBlur(electrons, (0, 0), camera.mtf_px, borderType=cv2.BORDER_REFLECT)
    level = np.float32(camera.electrons_per_px)
    if camera.readout_noise > 0:
        electrons += np.float32(camera.readout_noise) * level * rng.standard_normal(shape, np.float32)
    if camera.streaks > 0:
        electrons += level * _streaks(rng, shape, camera.streaks)
    for y, x in rng.integers(0, shape, (camera.n_spikes, 2)):
        electrons[y, x] += level * np.float32(np.exp(rng.uniform(0, np.log(20))))
    return np.asarray(np.maximum(GAIN * electrons, 0), np.float32)


def save(rng: np.random.Generator, counts: np.ndarray, saving: Saving) -> np.ndarray:
    """Bring counts to the grey values of a saved image, before its annotation and compression.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness: the stretch leaves some room at either end.
    counts : numpy.ndarray
        Shape (y, x), float32.
    saving : Saving
        How.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x): whole grey values, 0–255 in 8 bits, else 0–65535.
    """
    values = counts
    if saving.sharpening > 0:
        soft = cv2.GaussianBlur(values, (0, 0), saving.sharpening_px, borderType=cv2.BORDER_REFLECT)
        values = values + np.float32(saving.sharpening) * (values - soft)
    tail = max(saving.clipped, 0.001)
    low, high = np.quantile(values[::3, ::3], [tail, 1 - tail])
    if saving.is_8_bit:
        room = (0.0, 0.0) if saving.clipped > 0 else (rng.uniform(0, 0.7), rng.uniform(0, 0.5))
        span = max(float(high - low), 1e-3)
        start, span = float(low) - room[0] * span, span * (1 + sum(room))
        values = np.clip((values - np.float32(start)) / np.float32(span), 0, 1) ** np.float32(saving.gamma) * 255
    top = 255.0 if saving.is_8_bit else min(float(values.max()) + 1, 65535.0)
    if saving.is_inverted:
        values = np.float32(high + low if not saving.is_8_bit else top) - values
    return np.asarray(np.clip(np.round(values), 0, top), np.float32)


def compress(values: np.ndarray, quality: int) -> np.ndarray:
    """Put the artefacts of JPEG into an 8-bit image.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (y, x), float32, 0–255.
    quality : int
        1–100.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x), 0–255.
    """
    ok, packed = cv2.imencode(".jpg", values.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"JPEG could not be written at quality {quality}")
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.float32)


def _light(shape: tuple[int, ...], camera: Camera) -> np.ndarray:
    """Return the illumination, mean about 1."""
    y = np.linspace(-0.5, 0.5, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)[None, :]
    angle = np.deg2rad(camera.gradient_angle_deg)
    plane = 1 + np.float32(camera.gradient) * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)))
    return np.asarray(plane * (1 - np.float32(2 * camera.vignette) * (x * x + y * y)), np.float32)


def _streaks(rng: np.random.Generator, shape: tuple[int, ...], strength: float) -> np.ndarray:
    """Return what a scan adds: an offset per line, and short streaks along it."""
    lines = rng.standard_normal((shape[0], 1), np.float32)
    short = rng.standard_normal((shape[0], shape[1] // 16 + 1), np.float32)
    along = cv2.resize(short, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.float32(strength) * (0.6 * lines + 0.6 * along), np.float32)
