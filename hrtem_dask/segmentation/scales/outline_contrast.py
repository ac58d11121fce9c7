"""How much steeper gray values are along the outlines of a mask than elsewhere: whether outlines lie on edges.

A network may be sure of an outline that lies on no edge, for example around a group of particles, or outside of a
blurred particle. The gray values, which the network does not decide, tell such outlines from others.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scales.windows import Box

__all__ = ["OutlineContrast"]

SMOOTHING_SD_PX = (1.5, 3.0)
"""Smoothing (px of the micrograph) before gradients: for sharp and for blurred or noisy images."""
FLAT = 1e-6
"""Mean gradient of an image in [0, 1] that is due to rounding."""
LEAST_RATIO = 0.05
"""Ratio of gradients that stands for a mask without any outline."""


class OutlineContrast:
    """Compare outlines with the gray values of one part of a micrograph.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), float32: the part.
    box : Box
        Where the part lies in the micrograph.
    """

    def __init__(self, image: np.ndarray, box: Box) -> None:
        self._box = box
        self._gradients = [_gradient(image, sd) for sd in SMOOTHING_SD_PX]

    def log_ratio(self, probability: np.ndarray, window: Box, threshold: float) -> float:
        """Return how much steeper gray values are along outlines than on average.

        Parameters
        ----------
        probability : numpy.ndarray
            Shape (y, x), 0 to 1: of particles in a window, at any scale.
        window : Box
            The window in the micrograph, which overlaps the part.
        threshold : float
            Probability from which a pixel belongs to a particle.

        Returns
        -------
        float
            Mean over the smoothings of the logarithm of the ratio of the mean gradient along the outlines to that of
            all pixels, where window and part overlap.
        """
        common = self._box.common(window)
        outline = _outline(_enlarged(probability, window, common) >= threshold)
        y, x = common.y0 - self._box.y0, common.x0 - self._box.x0
        ratios = []
        for gradient in self._gradients:
            there = gradient[y : y + outline.shape[0], x : x + outline.shape[1]]
            mean = float(there.mean())
            ratios.append(float(there[outline].mean()) / mean if mean > FLAT and outline.any() else 0.0)
        return sum(math.log(max(ratio, LEAST_RATIO)) for ratio in ratios) / len(ratios)


def _gradient(image: np.ndarray, sd_px: float) -> np.ndarray:
    """Return the magnitude of the gradient of a smoothed image."""
    smooth = cv2.GaussianBlur(np.ascontiguousarray(image, dtype=np.float32), (0, 0), sd_px)
    return np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))


def _enlarged(probability: np.ndarray, window: Box, common: Box) -> np.ndarray:
    """Return the probability in a part of its window, at the pixels of the micrograph, within half a pixel."""
    parts, shape, start = [], [], []
    spans = ((window.y0, window.y1, common.y0, common.y1), (window.x0, window.x1, common.x0, common.x1))
    for n, (first, last, low, high) in zip(probability.shape, spans, strict=True):
        scale = n / (last - first)
        begin, end = math.floor((low - first) * scale), min(n, math.ceil((high - first) * scale))
        parts.append(slice(begin, end))
        shape.append(max(1, round((end - begin) / scale)))
        start.append(max(0, round(low - first - begin / scale)))
    at_pixels = resample(probability[tuple(parts)], (shape[0], shape[1]), method="bilinear")
    height, width = common.y1 - common.y0, common.x1 - common.x0
    return at_pixels[start[0] : start[0] + height, start[1] : start[1] + width]


def _outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels on both sides of the outlines of a mask."""
    outline = np.zeros_like(mask)
    for axis in (0, 1):
        along, marked = mask.swapaxes(0, axis), outline.swapaxes(0, axis)
        changes = along[1:] != along[:-1]
        marked[1:] |= changes
        marked[:-1] |= changes
    return outline
