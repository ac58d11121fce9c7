"""Augmentation of crops by effects that change the image but not the particles in it.

All functions take a crop (y, x), float32, in the scaled units of the network's input. `mean` and `spread` are mean and
standard deviation of the whole image in the same units (0 and 1 for networks with ``input_scaling="standard"``).
Networks see images scaled by the statistics of the whole image, so an effect that changes the standard deviation of the
whole image is scaled back.
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
    """Rotate a crop or its mask by quarter turns, optionally after mirroring.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any dtype, square.
    quarters : int
        Number of quarter turns, counter-clockwise.
    mirrored : bool
        Whether the order of rows is reversed first.

    Returns
    -------
    numpy.ndarray
        Same shape and dtype, contiguous; no pixel is interpolated.

    Examples
    --------
    >>> import numpy as np
    >>> turn(np.array([[1, 2], [3, 4]]), quarters=1, mirrored=False)
    array([[2, 4],
           [1, 3]])
    """
    return np.ascontiguousarray(np.rot90(image[::-1] if mirrored else image, quarters))


def add_noise(
    crop: np.ndarray,
    *,
    noise_to_spread: float,
    correlation_px: float,
    rng: np.random.Generator,
    mean: float = 0.0,
    spread: float = 1.0,
) -> np.ndarray:
    """Add Gaussian noise, which approximates a lower dose, and scale the crop back to the spread of the image.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    noise_to_spread : float
        Standard deviation a of the noise relative to that of the whole image. A signal with the variance ratio r to
        noise of variance n per pixel has the ratio r n / (n + a² spread²) afterwards.
    correlation_px : float
        Gaussian sigma (px) of the correlation of the noise, which comes from resampling and from the point spread of
        the camera; 0 adds white noise.
    rng : numpy.random.Generator
        Source of the noise.
    mean, spread : float
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
    noisy = (crop - np.float32(mean)) + noise * np.float32(noise_to_spread * spread)
    return noisy * np.float32(1 / np.sqrt(1 + noise_to_spread**2)) + np.float32(mean)


def blur(crop: np.ndarray, *, sigma_px: float) -> np.ndarray:
    """Blur by a Gaussian, as by vibration or defocus, and restore the standard deviation of the crop.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    sigma_px : float
        Standard deviation of the Gaussian (px).

    Returns
    -------
    numpy.ndarray
        Same shape and standard deviation.
    """
    return restored(cv2.GaussianBlur(crop, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT), crop)


def band_filter(crop: np.ndarray, *, share: float, turn_over_per_px: float, phase_rad: float) -> np.ndarray:
    """Mix a crop with a copy filtered by an oscillating transfer function, as with another defocus.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    share : float
        Weight w of the filtered copy, 0 to 1.
    turn_over_per_px : float
        Spatial frequency k₀ (1/px) of the first half oscillation of the transfer function.
    phase_rad : float
        Phase φ (rad) of the transfer function at frequency zero.

    Returns
    -------
    numpy.ndarray
        The crop filtered by (1 − w) + w cos(π (k/k₀)² + φ), with the same mean and standard deviation.
    """
    transfer = (1 - share) + share * np.cos(np.pi / turn_over_per_px**2 * _frequencies_squared(crop.shape) + phase_rad)
    transfer[0, 0] = 1
    filtered = scipy.fft.irfft2(scipy.fft.rfft2(crop) * transfer.astype(np.float32), s=crop.shape)
    return restored(filtered, crop)


def invert(crop: np.ndarray, *, mean: float = 0.0) -> np.ndarray:
    """Invert the contrast about the mean of the whole image.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    mean : float
        Mean of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape.

    Examples
    --------
    >>> import numpy as np
    >>> invert(np.array([[0.0, 1.0]], np.float32), mean=0.5)
    array([[1., 0.]], dtype=float32)
    """
    return np.float32(2 * mean) - crop


def change_gamma(crop: np.ndarray, *, gamma: float) -> np.ndarray:
    """Apply a power law to the gray values between the minimum and maximum of a crop.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    gamma : float
        Exponent on values scaled to [0, 1]; values above 1 darken the crop.

    Returns
    -------
    numpy.ndarray
        Same shape, mean and standard deviation.
    """
    low, high = float(crop.min()), float(crop.max())
    if high <= low:
        return crop
    changed = np.power((crop - np.float32(low)) / np.float32(high - low), np.float32(gamma))
    return restored(changed, crop)


def add_gradient(crop: np.ndarray, *, rise: float, direction_rad: float, spread: float = 1.0) -> np.ndarray:
    """Add a plane, as by uneven illumination.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    rise : float
        Rise across the crop, in standard deviations of the whole image.
    direction_rad : float
        Direction of the steepest rise (rad), from +x towards +y.
    spread : float
        Standard deviation of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape and mean.
    """
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in crop.shape)
    amplitude = np.float32(rise * spread)
    return crop + amplitude * (
        np.float32(np.sin(direction_rad)) * y[:, None] + np.float32(np.cos(direction_rad)) * x[None]
    )


def add_background(
    crop: np.ndarray, *, amplitude: float, cells: int, rng: np.random.Generator, spread: float = 1.0
) -> np.ndarray:
    """Add a smooth random field, as by a support of varying thickness.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    amplitude : float
        Standard deviation of the nodes of the field, in standard deviations of the whole image.
    cells : int
        Number of nodes per side, at least 2; the field is interpolated between them.
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
    """Restore the mean and standard deviation of a changed crop.

    Parameters
    ----------
    changed : numpy.ndarray
        Shape (y, x), float: the crop after a change.
    crop : numpy.ndarray
        Any shape, float: the crop before the change.

    Returns
    -------
    numpy.ndarray
        Shape of `changed`, float32. If `changed` is constant, all pixels have the mean of `crop`.

    Examples
    --------
    >>> import numpy as np
    >>> restored(np.array([[10.0, 30.0]]), np.array([[1.0, 3.0]]))
    array([[1., 3.]], dtype=float32)
    """
    factor = float(crop.std()) / max(float(changed.std()), 1e-6)
    rescaled = (changed - np.float32(changed.mean())) * np.float32(factor) + np.float32(crop.mean())
    return rescaled.astype(np.float32, copy=False)


@functools.lru_cache(maxsize=8)
def _frequencies_squared(shape: tuple[int, int]) -> np.ndarray:
    """Return the squared spatial frequencies (1/px²) of the spectrum of a real image."""
    y, x = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return (y[:, None] ** 2 + x[None] ** 2).astype(np.float32)
