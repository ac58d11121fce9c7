"""The scale at which a network sees a micrograph best, found from the micrograph itself.

A network recognizes particles of the sizes (in pixels) that it was trained on. Where the pixel size is not known, or is
far from that of training, the network looks at parts of the micrograph at several scales, and the scale is taken at
which it is surest of its mask and the outlines lie on edges of the gray values. The network alone cannot decide: it may
be as sure of one outline around touching particles as of one around each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hrtem_dask import backend
from hrtem_dask.segmentation.network_input import scale_input
from hrtem_dask.segmentation.networks.config import InputScaling
from hrtem_dask.segmentation.networks.output import sigmoid
from hrtem_dask.segmentation.quality.agreement import mask_confidence
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scales.apparent_size import apparent_width_px
from hrtem_dask.segmentation.scales.geometry import SCALES
from hrtem_dask.segmentation.scales.outline_contrast import OutlineContrast
from hrtem_dask.segmentation.scales.windows import Box, liveliest

__all__ = ["EQUAL_SCORES", "ScaleChoice", "choose_scale", "scale_margin"]

WINDOW_PX = 512
"""Side (px) of what the network sees at each scale."""
EDGES_PX = 1024
"""Side (px of the micrograph) of the part whose gray values the outlines of all scales are compared with."""
MIN_SIDE_PX = 64
"""Scales at which the shorter side of the micrograph is smaller than this (network pixels) are left out."""
OTHER_SCALE = 1.9
"""Scales that differ by at least this factor from the chosen one compete with it for the margin."""
EQUAL_SCORES = 0.3
"""Scores that differ by no more than this are equally good."""
WIDTH_WEIGHT, SMALL_WIDTH_PX = 0.5, 16.0
"""The larger particles look, the surer is a network, because fewer of their pixels are at outlines: if outlines are
equally sharp in network pixels, the log-odds of the confidence rise as the logarithm of the width. Half of this is
taken away for parts that are wider than this width (network pixels). Narrower ones merge and are missed."""
EDGE_WEIGHT = 2.0
"""Weight of the contrast of gray values along outlines. Both weights were chosen among some 500 combinations on the
labeled real images and the simulated ones of the model card, which says how much they matter."""
MOST_LOG_ODDS = math.log(999)
"""A confidence nearer to 1 than this says nothing more."""


@dataclass(frozen=True, kw_only=True)
class ScaleChoice:
    """The scale at which a network sees a micrograph."""

    scale: float
    """Network pixels per pixel of the micrograph."""
    score: float | None
    """Score at this scale: log-odds of the confidence of the mask in the window, less for wide particles, more for
    outlines on edges of the gray values. None where no scale shows a particle."""
    margin: float | None
    """Score minus the best score of a clearly different scale; None where there is none."""
    scores: Mapping[float, float] = field(default_factory=dict)
    """Score of every scale that shows a particle."""


def choose_scale(
    image: np.ndarray,
    network: Callable[[np.ndarray], np.ndarray],
    *,
    scaling: InputScaling,
    threshold: float,
    scales: Sequence[float] = SCALES,
) -> ScaleChoice:
    """Choose the scale at which a network is surest of its mask, and outlines lie on edges of the gray values.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), filtered and scaled to [0, 1].
    network : callable
        From images of shape (n, y, x) to log-odds of the same shape.
    scaling : {"min_max", "standard"}
        `UNetConfig.input_scaling`.
    threshold : float
        Probability from which a pixel belongs to a particle.
    scales : sequence of float
        Scales that are tried.

    Returns
    -------
    ScaleChoice
        The scale with the highest score; 1 where no scale shows a particle.
    """
    scores: dict[float, float] = {}
    edges: OutlineContrast | None = None
    for scale, window, part in _windows(image, scales):
        edges = edges or OutlineContrast(backend.to_numpy(image[part.slices]), part)
        seen, shape = _seen(image[window.slices], scale, scaling)
        probability = sigmoid(network(seen[None])[0])[: shape[0], : shape[1]]
        mask = probability >= threshold
        if mask.any():
            on_host = backend.to_numpy(probability)
            confidence = mask_confidence(probability, mask)
            width_px = apparent_width_px(on_host, threshold)
            scores[scale] = _score(confidence, width_px, edges.log_ratio(on_host, window, threshold))
    if not scores:
        return ScaleChoice(scale=1.0, score=None, margin=None)
    best = max(scores, key=scores.__getitem__)
    return ScaleChoice(scale=best, score=scores[best], margin=scale_margin(best, scores), scores=scores)


def scale_margin(scale: float, scores: Mapping[float, float]) -> float | None:
    """Return how clearly one scale is better than others.

    Parameters
    ----------
    scale : float
        One of the scales.
    scores : mapping of float to float
        Scale → score.

    Returns
    -------
    float or None
        Its score minus the best score of a clearly different scale; None where there is none.

    Examples
    --------
    >>> scale_margin(1.0, {1.0: 0.9, 1.4: 0.95, 2.0: 0.4})
    0.5
    """
    others = [score for other, score in scores.items() if max(scale / other, other / scale) >= OTHER_SCALE]
    return scores[scale] - max(others) if others else None


def _score(confidence: float, width_px: float | None, log_edge_ratio: float) -> float:
    """Return the score of a mask from its confidence, the width of its parts, and the contrast along its outlines."""
    odds = max(confidence, 1e-9) / max(1 - confidence, 1e-9)
    surer_by_width = 0.0 if width_px is None else max(0.0, math.log(width_px / SMALL_WIDTH_PX))
    sure = max(-MOST_LOG_ODDS, min(MOST_LOG_ODDS, math.log(odds)))
    return sure - WIDTH_WEIGHT * surer_by_width + EDGE_WEIGHT * log_edge_ratio


def _windows(image: np.ndarray, scales: Sequence[float]) -> Iterator[tuple[float, Box, Box]]:
    """Yield the scales, coarsest first, the window at each, within those of coarser ones, and the part for edges."""
    field = Box(0, 0, int(image.shape[0]), int(image.shape[1]))
    part = window = liveliest(image, field, EDGES_PX)
    for scale in sorted(_possible(image, scales)):
        side = round(WINDOW_PX / scale)
        if side > EDGES_PX:
            yield scale, part.around(side, field), part
        else:
            window = liveliest(image, window, side)
            yield scale, window, part


def _possible(image: np.ndarray, scales: Sequence[float]) -> list[float]:
    """Return the scales at which the micrograph is neither a stamp nor enlarged beyond one window."""
    short, long = min(image.shape), max(image.shape)
    possible = [s for s in scales if short * s >= MIN_SIDE_PX and (s <= 1 or long * s <= 8 * WINDOW_PX)]
    return possible or [1.0]


def _seen(part: np.ndarray, scale: float, scaling: InputScaling) -> tuple[np.ndarray, tuple[int, int]]:
    """Return what the network sees of a part, a square padded by reflection, and the shape without padding.

    The input is scaled by the statistics of the part, which stands for the whole micrograph.
    """
    shape = (min(WINDOW_PX, round(part.shape[0] * scale)), min(WINDOW_PX, round(part.shape[1] * scale)))
    seen = scale_input(resample(part, shape, method="bicubic"), scaling)
    xp = backend.array_namespace(seen)
    return xp.pad(seen, [(0, WINDOW_PX - n) for n in shape], mode="reflect"), shape
