"""Random fields: band-limited noise and winding lines, made coarse and enlarged."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["grains", "ridges"]


def grains(rng: np.random.Generator, shape: tuple[int, int], grain_px: float) -> np.ndarray:
    """Draw a random field of one grain size.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape : tuple of int
        (y, x) in px.
    grain_px : float
        Size of its grains (px): about the width of a bright or dark spot.

    Returns
    -------
    numpy.ndarray of float32
        Mean 0 and standard deviation 1 over the field.
    """
    step = max(grain_px / 2, 1.0)
    coarse = tuple(int(np.ceil(n / step)) + 4 for n in shape)
    noise: np.ndarray = rng.standard_normal((coarse[0], coarse[1]), np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.45 * grain_px / step)
    if step > 1:
        # a random start keeps the coarse grid from showing at the same place
        y0, x0 = rng.uniform(0, 1, 2)
        way = np.array([[1 / step, 0, 1 + x0], [0, 1 / step, 1 + y0]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        noise = cv2.warpAffine(noise, way, shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    noise = noise[: shape[0], : shape[1]]
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-6), np.float32)


def ridges(rng: np.random.Generator, shape: tuple[int, int], *, spacing_px: float, width_px: float) -> np.ndarray:
    """Draw winding lines, such as wrinkles or the strands of a net.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape : tuple of int
        (y, x) in px.
    spacing_px : float
        About their distance (px).
    width_px : float
        About their width (px).

    Returns
    -------
    numpy.ndarray of float32
        From 0 to 1, 1 on the lines.
    """
    field = grains(rng, shape, spacing_px)
    slope = np.hypot(*np.gradient(field)) + 0.3 / spacing_px
    return np.asarray(np.exp(-((field / slope / (0.6 * width_px)) ** 2)), np.float32)
