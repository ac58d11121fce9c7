"""Power spectra, with frequencies in 1/nm."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np

from hrtem_dask.backend import Array, array_namespace, fft
from hrtem_dask.errors import CalibrationError
from hrtem_dask.hann_window import hann
from hrtem_dask.micrograph import PixelSize

__all__ = ["Window", "frequencies_per_nm", "power_spectrum", "radial_power_spectrum", "windowed"]

Window = Literal["hann", "none"]


def windowed(crop: Array, *, window: Window = "hann") -> Array:
    """Subtract the mean of a crop and multiply it by a window.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (..., y, x), any real dtype.
    window : {"hann", "none"}
        A Hann window suppresses the cross that the borders of the crop cause in the spectrum.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32 (float64 for float64). The mean is weighted by the window, so that the result sums to
        zero; it is scaled so that white noise of variance v has mean power v in `power_spectrum`.
    """
    xp = array_namespace(crop)
    crop = xp.asarray(crop)
    values = crop.astype(xp.float64 if crop.dtype == np.float64 else xp.float32)
    if window == "none":
        values -= values.mean(axis=(-2, -1), keepdims=True)
        return values / xp.asarray(np.sqrt(values.shape[-2] * values.shape[-1]), values.dtype)
    weights, total, scaled = _hann_weights((values.shape[-2], values.shape[-1]), str(values.dtype))
    values -= (values * xp.asarray(weights)).sum(axis=(-2, -1), keepdims=True) / total
    values *= xp.asarray(scaled)
    return values


@functools.lru_cache(maxsize=32)  # two arrays of the size of a crop each
def _hann_weights(shape: tuple[int, int], dtype: str) -> tuple[np.ndarray, float, np.ndarray]:
    """Return a Hann window, without the zeros at both ends, its sum, and the window that keeps the power of noise."""
    weights = np.multiply.outer(*(hann(n + 2)[1:-1] for n in shape)).astype(dtype)
    return weights, float(weights.sum()), weights / np.sqrt((weights**2).sum())


def power_spectrum(crop: Array, *, window: Window = "hann") -> Array:
    """Return the power spectrum of an image, its mean subtracted.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (..., y, x), any real dtype.
    window : {"hann", "none"}
        See `windowed`.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (..., y, x // 2 + 1), float32 (float64 for float64): the half plane of frequencies with the
        axes `frequencies_per_nm`, zero frequency at [..., 0, 0]; the other half is the same (Friedel's law). White
        noise of variance v gives the mean power v.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 2, (200, 200))
    >>> power = power_spectrum(noise)
    >>> power.shape, round(float(power.mean()))
    ((200, 101), 4)
    """
    xp = array_namespace(crop)
    spectrum = fft(crop).rfft2(windowed(crop, window=window))
    return xp.square(spectrum.real) + xp.square(spectrum.imag)


def frequencies_per_nm(shape: tuple[int, int], pixel_size_nm: PixelSize) -> tuple[np.ndarray, np.ndarray]:
    """Return the frequency axes of `power_spectrum`.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image in pixels.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    frequency_y : numpy.ndarray
        Shape (y,), 1/nm, in the FFT's order, positive downwards.
    frequency_x : numpy.ndarray
        Shape (x // 2 + 1,), 1/nm, not negative.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.

    Examples
    --------
    >>> frequency_y, frequency_x = frequencies_per_nm((4, 4), (0.5, 0.25))
    >>> frequency_y.tolist(), frequency_x.tolist()
    ([0.0, 0.5, -1.0, -0.5], [0.0, 1.0, 2.0])
    """
    if not all(np.isfinite(size) and size > 0 for size in pixel_size_nm):
        raise CalibrationError(f"a pixel size must be positive and finite, got (y, x) = {pixel_size_nm} nm")
    (height, width), (step_y, step_x) = shape, pixel_size_nm
    return np.fft.fftfreq(height, step_y), np.fft.rfftfreq(width, step_x)


def radial_power_spectrum(
    crop: Array, *, pixel_size_nm: PixelSize, bin_width_per_nm: float | None = None, window: Window = "hann"
) -> tuple[np.ndarray, Array]:
    """Average the power spectrum over rings of equal frequency.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; rings are circles in 1/nm also where the two differ.
    bin_width_per_nm : float, optional
        Width of a ring in 1/nm; by default the larger step of the two axes.
    window : {"hann", "none"}
        See `windowed`.

    Returns
    -------
    frequency_per_nm : numpy.ndarray
        Shape (n,), 1/nm: middle of each ring, up to the smaller one of the Nyquist frequencies of the axes.
    power : numpy.ndarray or cupy.ndarray
        Shape (n,), float64: mean power of each ring; NaN for a ring without a sample.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the bin width is not positive.

    Examples
    --------
    >>> fringes = np.cos(2 * np.pi * 4.0 * 0.05 * np.arange(80)) * np.ones((80, 1))
    >>> frequency_per_nm, power = radial_power_spectrum(fringes, pixel_size_nm=(0.05, 0.05))
    >>> round(float(frequency_per_nm[power.argmax()]), 1)
    4.1
    """
    xp = array_namespace(crop)
    height, width = crop.shape
    y, x = frequencies_per_nm((height, width), pixel_size_nm)
    step = bin_width_per_nm or 1 / min(height * pixel_size_nm[0], width * pixel_size_nm[1])
    if not step > 0:
        raise ValueError(f"bin_width_per_nm must be positive, got {step}")
    n_bins = max(int(0.5 / max(pixel_size_nm) / step), 1)
    ring = xp.asarray(np.floor(np.hypot(y[:, None], x) / step).astype(np.int64)).ravel()
    # each column of the half plane counts twice, except the first and, for an even width, the last
    multiplicity = np.full(x.size, 2.0)
    multiplicity[0] = 1
    if width % 2 == 0:
        multiplicity[-1] = 1
    weight = xp.asarray(np.broadcast_to(multiplicity, (height, x.size))).ravel()
    power = power_spectrum(crop, window=window).ravel()
    total = xp.bincount(ring, weight * power, minlength=n_bins)[:n_bins]
    count = xp.bincount(ring, weight, minlength=n_bins)[:n_bins]
    mean = xp.where(count > 0, total / xp.maximum(count, 1), xp.nan)
    return (np.arange(n_bins) + 0.5) * step, mean
