"""Augmentation of crops: what micrographs differ by without their particles being other ones.

All of these take a crop (y, x), float32, as the network would see it; `centre` and `spread` are mean and standard
deviation of its whole image in the same units (0 and 1 for networks with ``input_scaling="standard"``). Networks see
images scaled by statistics of the whole image, so what would change that standard deviation is scaled back.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import scipy.fft

__all__ = [
    "add_background",
    "add_gradient",
    "add_noise",
    "band_filter",
    "blur",
    "change_gamma",
    "invert",
    "restored",
    "turn",
]


def turn(image: np.ndarray, *, quarters: int, mirrored: bool) -> np.ndarray:
    """Turn a crop, or its mask, by quarter turns; mirror it first where asked.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any dtype, square.
    quarters : int
        Quarter turns, counter-clockwise.
    mirrored : bool
        Whether the order of rows is reversed first.

    Returns
    -------
    numpy.ndarray
        Contiguous, exact: no pixel is interpolated.
    """
    return np.ascontiguousarray(np.rot90(image[::-1] if mirrored else image, quarters))


def add_noise(
    crop: np.ndarray,
    *,
    noise_to_spread: float,
    correlation_px: float,
    rng: np.random.Generator,
    centre: float = 0.0,
    spread: float = 1.0,
) -> np.ndarray:
    """Add Gaussian noise, as a lower dose does where intensity varies little, and scale back to the spread.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    noise_to_spread : float
        Standard deviation of the noise over that of the whole image, a: what had the variance ratio signal to noise r
        per pixel, with noise variance n, now has r n / (n + a² spread²).
    correlation_px : float
        Gaussian sigma (px) by which the noise is correlated, as resampled noise and the camera's point spread are.
    rng : numpy.random.Generator
        Source of the noise.
    centre, spread : float
        Mean and standard deviation of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape, float32.
    """
    noise: np.ndarray = rng.standard_normal(crop.shape, dtype=np.float32)
    if correlation_px > 0:
        smooth = cv2.GaussianBlur(noise, (0, 0), correlation_px, borderType=cv2.BORDER_REFLECT)
        noise = restored(smooth, noise)
    noisy = (crop - np.float32(centre)) + noise * np.float32(noise_to_spread * spread)
    return noisy * np.float32(1 / np.sqrt(1 + noise_to_spread**2)) + np.float32(centre)


def blur(crop: np.ndarray, *, sigma_px: float) -> np.ndarray:
    """Blur by a Gaussian, as vibration and poor focus do, and scale back to the crop's standard deviation.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    sigma_px : float
        Standard deviation (px).

    Returns
    -------
    numpy.ndarray
        Same shape and standard deviation.
    """
    return restored(cv2.GaussianBlur(crop, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT), crop)


def band_filter(crop: np.ndarray, *, share: float, turn_over_per_px: float, phase_rad: float) -> np.ndarray:
    """Mix a crop with its copy filtered by an oscillating transfer function, as another defocus does.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    share : float
        Weight w of the filtered copy, 0 to 1.
    turn_over_per_px : float
        Spatial frequency k₀ (1/px) at which the transfer function has gone through half an oscillation.
    phase_rad : float
        Its phase φ at frequency zero.

    Returns
    -------
    numpy.ndarray
        Filtered by (1 − w) + w cos(π (k/k₀)² + φ), its mean kept, of the same standard deviation.
    """
    transfer = (1 - share) + share * np.cos(np.pi / turn_over_per_px**2 * _frequencies_squared(crop.shape) + phase_rad)
    transfer[0, 0] = 1
    filtered = scipy.fft.irfft2(scipy.fft.rfft2(crop) * transfer.astype(np.float32), s=crop.shape)
    return restored(filtered, crop)


def invert(crop: np.ndarray, *, centre: float = 0.0) -> np.ndarray:
    """Exchange bright and dark about the whole image's mean.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    centre : float
        Mean of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape.
    """
    return np.float32(2 * centre) - crop


def change_gamma(crop: np.ndarray, *, gamma: float) -> np.ndarray:
    """Bend the grey scale between a crop's minimum and maximum.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    gamma : float
        Exponent on the range scaled to [0, 1]; above 1 darkens.

    Returns
    -------
    numpy.ndarray
        Same shape, mean and standard deviation.
    """
    low, high = float(crop.min()), float(crop.max())
    if high <= low:
        return crop
    bent = np.power((crop - np.float32(low)) / np.float32(high - low), np.float32(gamma))
    return restored(bent, crop)


def add_gradient(crop: np.ndarray, *, rise: float, direction_rad: float, spread: float = 1.0) -> np.ndarray:
    """Add a plane, as uneven illumination does.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    rise : float
        Change across the crop, in standard deviations of the whole image.
    direction_rad : float
        Direction of the steepest rise.
    spread : float
        Standard deviation of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape; the mean is kept.
    """
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in crop.shape)
    amplitude = np.float32(rise * spread)
    return crop + amplitude * (
        np.float32(np.sin(direction_rad)) * y[:, None] + np.float32(np.cos(direction_rad)) * x[None]
    )


def add_background(
    crop: np.ndarray, *, amplitude: float, cells: int, rng: np.random.Generator, spread: float = 1.0
) -> np.ndarray:
    """Add a smooth random field, as a support of varying thickness does.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    amplitude : float
        Standard deviation of the field's nodes, in standard deviations of the whole image.
    cells : int
        Nodes per side, at least 2, between which the field is interpolated.
    rng : numpy.random.Generator
        Source of the nodes.
    spread : float
        Standard deviation of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape.
    """
    nodes = rng.standard_normal((cells, cells), dtype=np.float32) * np.float32(amplitude * spread)
    return crop + cv2.resize(nodes, crop.shape[::-1], interpolation=cv2.INTER_CUBIC)


def restored(changed: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """Give a changed crop the mean and standard deviation that it had.

    Parameters
    ----------
    changed : numpy.ndarray
        Shape (y, x), float.
    crop : numpy.ndarray
        Any shape: what it was.

    Returns
    -------
    numpy.ndarray
        Shape of `changed`, float32; where it has become constant, the mean.
    """
    factor = float(crop.std()) / max(float(changed.std()), 1e-6)
    moved = (changed - np.float32(changed.mean())) * np.float32(factor) + np.float32(crop.mean())
    return moved.astype(np.float32, copy=False)


@functools.lru_cache(maxsize=8)
def _frequencies_squared(shape: tuple[int, int]) -> np.ndarray:
    """Return squared frequencies (1/px²) of a real spectrum."""
    y, x = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return (y[:, None] ** 2 + x[None] ** 2).astype(np.float32)
