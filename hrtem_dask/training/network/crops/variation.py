"""Random variation of the intensity of crops, by the effects of `augmentation`."""

from __future__ import annotations

import numpy as np

from hrtem_dask.training.network.crops.augmentation import (
    add_background,
    add_gradient,
    add_noise,
    band_filter,
    blur,
    change_gamma,
    invert,
)
from hrtem_dask.training.network.recipes import Augmentation, Range

__all__ = ["log_uniform", "vary_intensity"]

MIN_CORRELATION_PX = 0.25
"""Noise with a shorter correlation length is drawn as white noise."""


def vary_intensity(
    crop: np.ndarray, ranges: Augmentation, rng: np.random.Generator, *, mean: float = 0.0, spread: float = 1.0
) -> np.ndarray:
    """Apply random effects to the intensity of a crop.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    ranges : Augmentation
        Probability and range of each effect.
    rng : numpy.random.Generator
        Chooses the effects and their strength.
    mean, spread : float
        Mean and standard deviation of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape, float32.

    Examples
    --------
    >>> import numpy as np
    >>> crop = np.ones((8, 8), np.float32)
    >>> gain_only = Augmentation(
    ...     noise_probability=0.0, blur_probability=0.0, band_probability=0.0, invert_probability=0.0,
    ...     gamma_probability=0.0, gradient_probability=0.0, background_probability=0.0,
    ...     gain_probability=1.0, gain=(2.0, 2.0), offset=(0.0, 0.0),
    ... )
    >>> float(vary_intensity(crop, gain_only, np.random.default_rng(0)).mean())
    2.0
    """
    if rng.random() < ranges.band_probability:
        crop = band_filter(
            crop,
            share=rng.uniform(*ranges.band_share),
            turn_over_per_px=rng.uniform(*ranges.band_turn_over_per_px),
            phase_rad=rng.uniform(-np.pi / 4, np.pi / 4),
        )
    if rng.random() < ranges.blur_probability:
        crop = blur(crop, sigma_px=rng.uniform(*ranges.blur_sigma_px))
    if rng.random() < ranges.gamma_probability:
        crop = change_gamma(crop, gamma=log_uniform(rng, ranges.gamma))
    if rng.random() < ranges.invert_probability:
        crop = invert(crop, mean=mean)
    if rng.random() < ranges.gradient_probability:
        rise = rng.uniform(*ranges.gradient_rise)
        crop = add_gradient(crop, rise=rise, direction_rad=rng.uniform(0, 2 * np.pi), spread=spread)
    if rng.random() < ranges.background_probability:
        amplitude = rng.uniform(*ranges.background_amplitude)
        crop = add_background(crop, amplitude=amplitude, cells=int(rng.integers(2, 7)), rng=rng, spread=spread)
    if rng.random() < ranges.noise_probability:
        ratio, correlation_px = log_uniform(rng, ranges.noise_to_spread), rng.uniform(*ranges.noise_correlation_px)
        crop = add_noise(
            crop,
            noise_to_spread=ratio,
            correlation_px=correlation_px if correlation_px > MIN_CORRELATION_PX else 0.0,
            rng=rng,
            mean=mean,
            spread=spread,
        )
    if rng.random() < ranges.gain_probability:
        gain, offset = log_uniform(rng, ranges.gain), rng.uniform(*ranges.offset)
        crop = (crop - np.float32(mean)) * np.float32(gain) + np.float32(mean + offset * spread)
    return crop


def log_uniform(rng: np.random.Generator, limits: Range) -> float:
    """Draw a factor whose logarithm is distributed uniformly.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the random number.
    limits : tuple of float
        Lowest and highest factor, both positive.

    Returns
    -------
    float
        The factor.
    """
    return float(np.exp(rng.uniform(*np.log(limits))))
