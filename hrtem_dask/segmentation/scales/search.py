"""The scale at which a network sees a micrograph best, found from the micrograph itself.

A network recognizes particles of the sizes (in pixels) that it was trained on. Where the pixel size is not known, or is
far from that of training, the network looks at the same part of the micrograph at several scales, and the scale is
taken at which its own output predicts the best mask. A network may be as sure where particles are so small that they
merge. Where another scale is equally good, such particles are therefore seen larger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hrtem_dask import backend
from hrtem_dask.segmentation.network_input import scale_input
from hrtem_dask.segmentation.networks.config import InputScaling
from hrtem_dask.segmentation.networks.output import sigmoid
from hrtem_dask.segmentation.quality.agreement import judge_mask
from hrtem_dask.segmentation.quality.blocks import block_means
from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scales.apparent_size import apparent_diameter_px, apparent_width_px
from hrtem_dask.segmentation.scales.geometry import SCALES

__all__ = ["ScaleChoice", "choose_scale", "scale_margin"]

WINDOW_PX = 512
"""Side (px) of what the network sees at each scale."""
MIN_SIDE_PX = 64
"""Scales at which the shorter side of the micrograph is smaller than this (network pixels) are left out."""
OTHER_SCALE = 1.9
"""Scales that differ by at least this factor from the chosen one compete with it for the margin."""
EQUAL_SCORES = 0.01
"""Scores that differ by no more than this are equally good."""
SMALLEST_DIAMETER_PX = 16.0
"""Diameter (network pixels), by area, below which particles merge and are missed, although the network may be sure."""
SMALLEST_WIDTH_PX = 12.0
"""The same for the width of the parts of pieces: that of particles in agglomerates, and of rods. The largest value that
changes the scale of no labeled image on which the diameter was chosen."""


@dataclass(frozen=True, kw_only=True)
class ScaleChoice:
    """The scale at which a network sees a micrograph."""

    scale: float
    """Network pixels per pixel of the micrograph."""
    score: float | None
    """Predicted Dice coefficient in the window at this scale; None where no scale shows a particle."""
    margin: float | None
    """Score minus the best score of a clearly different scale, slightly negative where small particles are seen larger
    than at the best score; None where there is none. A small margin means doubt."""
    scores: Mapping[float, float] = field(default_factory=dict)
    """Score of every scale that shows a particle."""


def choose_scale(
    image: np.ndarray,
    network: Callable[[np.ndarray], np.ndarray],
    *,
    scaling: InputScaling,
    stride_px: int,
    threshold: float,
    dice_model: DiceModel | None,
    scales: Sequence[float] = SCALES,
) -> ScaleChoice:
    """Choose the scale at which the output of a network predicts the best mask.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), filtered and scaled to [0, 1].
    network : callable
        From images of shape (n, y, x) to log-odds of the same shape.
    scaling : {"min_max", "standard"}
        `UNetConfig.input_scaling`.
    stride_px : int
        Total stride of the network.
    threshold : float
        Probability from which a pixel belongs to a particle.
    dice_model : DiceModel or None
        Predicts the Dice coefficient; without one, the confidence of the mask is the score.
    scales : sequence of float
        Scales that are tried.

    Returns
    -------
    ScaleChoice
        The scale with the highest score. If particles have less than 16 px there, or their parts are narrower than
        12 px, the next finer one with an equal score at which they are large enough, else that at which they are
        largest. 1 where no scale shows a particle.
    """
    turn = dice_model is not None and "mask_agreement" in dice_model.coefficients
    scores: dict[float, float] = {}
    sizes: dict[float, float] = {}
    for scale in _possible(image, scales):
        seen, shape = _window(image, scale, scaling)
        probability = sigmoid(network(seen[None])[0])[: shape[0], : shape[1]]
        terms = judge_mask(
            seen[: shape[0], : shape[1]], probability, network, threshold=threshold, stride_px=stride_px, turn=turn
        )
        if terms is not None and terms["mask_fraction"] > 0:
            scores[scale] = terms["mask_confidence"] if dice_model is None else dice_model.predict(terms, {})
            sizes[scale] = _relative_size(probability, threshold)
    if not scores:
        return ScaleChoice(scale=1.0, score=None, margin=None)
    best = _large_enough(max(scores, key=scores.__getitem__), scores, sizes)
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


def _relative_size(probability: np.ndarray, threshold: float) -> float:
    """Return how large particles look, over the smallest size that is enough: the lower one of both measures."""
    diameter_px = apparent_diameter_px(probability >= threshold) or 1.0
    width_px = apparent_width_px(probability, threshold) or 1.0
    return min(diameter_px / SMALLEST_DIAMETER_PX, width_px / SMALLEST_WIDTH_PX)


def _large_enough(best: float, scores: Mapping[float, float], sizes: Mapping[float, float]) -> float:
    """Return the scale at which particles that are too small (size below 1) at the best one are large enough."""
    if sizes[best] >= 1:
        return best
    equal = [scale for scale in scores if scale >= best and scores[scale] >= scores[best] - EQUAL_SCORES]
    enough = [scale for scale in equal if sizes[scale] >= 1]
    return min(enough) if enough else max(equal, key=sizes.__getitem__)


def _possible(image: np.ndarray, scales: Sequence[float]) -> list[float]:
    """Return the scales at which the micrograph is neither a stamp nor enlarged beyond one window."""
    short, long = min(image.shape), max(image.shape)
    possible = [s for s in scales if short * s >= MIN_SIDE_PX and (s <= 1 or long * s <= 8 * WINDOW_PX)]
    return possible or [1.0]


def _window(image: np.ndarray, scale: float, scaling: InputScaling) -> tuple[np.ndarray, tuple[int, int]]:
    """Return what the network sees at one scale, a square padded by reflection, and the shape without padding.

    The input is scaled by the statistics of the window, which stands for the whole micrograph.
    """
    side = round(WINDOW_PX / scale)
    part = _liveliest(image, side)
    shape = (min(WINDOW_PX, round(part.shape[0] * scale)), min(WINDOW_PX, round(part.shape[1] * scale)))
    seen = scale_input(resample(part, shape, method="bicubic"), scaling)
    xp = backend.array_namespace(seen)
    return xp.pad(seen, [(0, WINDOW_PX - n) for n in shape], mode="reflect"), shape


def _liveliest(image: np.ndarray, side: int) -> np.ndarray:
    """Return the square part, of nine, that varies most on the scale of particles."""
    height, width = image.shape
    rows, columns = (sorted({0, max(0, (n - side) // 2), max(0, n - side)}) for n in (height, width))
    parts = [image[y : y + side, x : x + side] for y in rows for x in columns]
    if len(parts) == 1:
        return parts[0]
    block = max(1, side // 64)
    spreads = [float(block_means(part, block).std(dtype="float64")) for part in parts]
    return parts[int(np.argmax(spreads))]
