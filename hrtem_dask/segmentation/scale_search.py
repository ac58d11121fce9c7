"""The scale at which a network sees a micrograph best, found from the micrograph itself.

A network recognizes particles of the sizes (in pixels) that it was trained on. Where the pixel size is not known, or is
far from that of training, the network looks at the same part of the micrograph at several scales, and the scale is
taken at which its own output predicts the best mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.network_input import scale_input
from hrtem_dask.segmentation.quality.agreement import judge_mask
from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.tensors import as_array, as_tensor
from hrtem_dask.segmentation.unet import InputScaling, UNetConfig
from hrtem_dask.settings import SegmentationSettings

__all__ = ["SCALES", "ScaleChoice", "ScaleFinder", "choose_scale", "scale_for_diameter", "scaled_shape"]

SCALES = tuple(2 ** (k / 2) for k in range(-6, 7))
"""Scales that are tried: network pixels per pixel of the micrograph."""
WINDOW_PX = 512
"""Side (px) of what the network sees at each scale."""
MIN_SIDE_PX = 64
"""Scales at which the shorter side of the micrograph is smaller than this (network pixels) are left out."""
OTHER_SCALE = 1.9
"""Scales that differ by at least this factor from the best one compete with it for the margin."""
NETWORK_DIAMETER_PX = 80.0
"""Diameter (network pixels) at which the bundled network segments particles best: median over `emps_tem`."""
LATTICE_MAX_PIXEL_NM = 0.1
"""Pixels up to this size (nm) resolve lattice fringes."""
MAX_ASPECT = 4.0
"""Pixels that are longer than this multiple of their width are not those of a micrograph."""


@dataclass(frozen=True, kw_only=True)
class ScaleChoice:
    """The scale at which a network sees a micrograph."""

    scale: float
    """Network pixels per pixel of the micrograph."""
    score: float | None
    """Predicted Dice coefficient in the window at this scale; None where no scale shows a particle."""
    margin: float | None
    """Score minus the best score of a clearly different scale; None where there is none. A small margin means doubt."""


class ScaleFinder:
    """Decide between the lattice and the contrast regime, and find the scale in the contrast regime.

    Parameters
    ----------
    settings : SegmentationSettings
        Uses `regime`, `diameter_nm`, `diameter_px`, `threshold`.
    dice_model : DiceModel or None
        Predicts the quality of the masks of the network.
    """

    def __init__(self, settings: SegmentationSettings, dice_model: DiceModel | None) -> None:
        self._settings = settings
        self._dice_model = dice_model

    def find(
        self,
        image: np.ndarray,
        network: Callable[[np.ndarray], np.ndarray],
        config: UNetConfig,
        *,
        pixel_size_nm: PixelSize | None,
    ) -> ScaleChoice | None:
        """Find the scale for one micrograph.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), filtered and scaled to [0, 1], particles dark.
        network : callable
            From images of shape (n, y, x) to log-odds of the same shape.
        config : UNetConfig
            Scaling and stride of the network.
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        ScaleChoice or None
            The scale in the contrast regime; None in the lattice regime, where the pixel size decides.

        Raises
        ------
        CalibrationError
            If the diameter is given in nm and the pixel size is not known, or the pixels are far from square.
        """
        if not self.is_contrast(pixel_size_nm):
            return None
        diameter_px = self.expected_diameter_px(pixel_size_nm)
        if diameter_px is not None:
            return ScaleChoice(scale=scale_for_diameter(diameter_px), score=None, margin=None)
        square = resample(image, scaled_shape(image.shape, 1.0, pixel_size_nm=pixel_size_nm), method="bicubic")
        return choose_scale(
            square,
            network,
            scaling=config.input_scaling,
            stride_px=config.total_stride_px,
            threshold=self._settings.threshold,
            dice_model=self._dice_model,
        )

    def is_contrast(self, pixel_size_nm: PixelSize | None) -> bool:
        """Decide on the regime.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        bool
            Whether the scale is found from the image.
        """
        if self._settings.regime != "auto":
            return self._settings.regime == "contrast"
        if self._dice_model is None:  # no score to compare scales by
            return False
        return pixel_size_nm is None or max(pixel_size_nm) > LATTICE_MAX_PIXEL_NM

    def expected_diameter_px(self, pixel_size_nm: PixelSize | None) -> float | None:
        """Return the diameter that the user expects.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        float or None
            Diameter in square pixels; None where the user states none.

        Raises
        ------
        CalibrationError
            If it is given in nm and the pixel size is not known.
        """
        if self._settings.diameter_nm is None:
            return self._settings.diameter_px
        if pixel_size_nm is None:
            raise CalibrationError(
                f"diameter_nm = {self._settings.diameter_nm:g} needs a pixel size, and the micrograph has none: give "
                "one (--pixel-size), or give the diameter in pixels (--diameter-px)"
            )
        return self._settings.diameter_nm / math.sqrt(pixel_size_nm[0] * pixel_size_nm[1])


def scaled_shape(shape: tuple[int, ...], scale: float, *, pixel_size_nm: PixelSize | None) -> tuple[int, int]:
    """Return the shape of an image at a scale, with square pixels.

    Parameters
    ----------
    shape : tuple of int
        Shape (y, x) of the micrograph.
    scale : float
        Network pixels per pixel of the micrograph, geometric mean of both axes.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; pixels of unknown size are taken as square.

    Returns
    -------
    tuple of int
        Shape (y, x), at least 1 each.

    Raises
    ------
    CalibrationError
        If the pixels are more than four times as long as wide.

    Examples
    --------
    >>> from hrtem_dask.segmentation.scale_search import scaled_shape
    >>> scaled_shape((100, 200), 0.5, pixel_size_nm=None), scaled_shape((100, 200), 1.0, pixel_size_nm=(4.0, 1.0))
    ((50, 100), (200, 100))
    """
    stretch = 1.0
    if pixel_size_nm is not None:
        aspect = pixel_size_nm[0] / pixel_size_nm[1]
        if max(aspect, 1 / aspect) > MAX_ASPECT:
            raise CalibrationError(
                f"pixels of (y, x) = {pixel_size_nm} nm are {max(aspect, 1 / aspect):.3g} times as long as wide, need "
                f"at most {MAX_ASPECT:g}: check the pixel size"
            )
        stretch = math.sqrt(aspect) if abs(aspect - 1) > 0.01 else 1.0
    return max(1, round(shape[0] * scale * stretch)), max(1, round(shape[1] * scale / stretch))


def scale_for_diameter(diameter_px: float) -> float:
    """Return the scale at which particles of a known diameter are seen best.

    Parameters
    ----------
    diameter_px : float
        Typical diameter in pixels of the micrograph, positive.

    Returns
    -------
    float
        Network pixels per pixel of the micrograph, within the range of `SCALES`.

    Raises
    ------
    ValueError
        If the diameter is not positive.

    Examples
    --------
    >>> from hrtem_dask.segmentation.scale_search import scale_for_diameter
    >>> scale_for_diameter(160.0)
    0.5
    """
    if not diameter_px > 0:
        raise ValueError(f"need a diameter above 0 px, got {diameter_px}")
    return float(np.clip(NETWORK_DIAMETER_PX / diameter_px, SCALES[0], SCALES[-1]))


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
        The scale with the highest score; 1 where no scale shows a particle.
    """
    scores: dict[float, float] = {}
    for scale in _possible(image, scales):
        seen, shape = _window(image, scale, scaling)
        logits = as_tensor(network(seen[None]))[0]
        probability = as_array(torch.sigmoid(logits)[: shape[0], : shape[1]].contiguous(), like=image)
        terms = judge_mask(
            seen[: shape[0], : shape[1]], probability, network, threshold=threshold, stride_px=stride_px, turn=False
        )
        if terms is not None and terms["mask_fraction"] > 0:
            scores[scale] = terms["mask_confidence"] if dice_model is None else dice_model.predict(terms, {})
    if not scores:
        return ScaleChoice(scale=1.0, score=None, margin=None)
    best = max(scores, key=scores.__getitem__)
    others = [score for scale, score in scores.items() if max(scale / best, best / scale) >= OTHER_SCALE]
    return ScaleChoice(scale=best, score=scores[best], margin=scores[best] - max(others) if others else None)


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
    padding = (0, WINDOW_PX - shape[1], 0, WINDOW_PX - shape[0])
    padded = as_tensor(seen)[None, None]
    while any(padding):  # reflection pads by less than the image at a time
        step = (0, min(padding[1], padded.shape[3] - 1), 0, min(padding[3], padded.shape[2] - 1))
        padded = torch.nn.functional.pad(padded, step, mode="reflect")
        padding = (0, padding[1] - step[1], 0, padding[3] - step[3])
    return as_array(padded[0, 0].contiguous(), like=image), shape


def _liveliest(image: np.ndarray, side: int) -> np.ndarray:
    """Return the square part, of nine, that varies most on the scale of particles."""
    height, width = image.shape
    rows, columns = (sorted({0, max(0, (n - side) // 2), max(0, n - side)}) for n in (height, width))
    parts = [image[y : y + side, x : x + side] for y in rows for x in columns]
    if len(parts) == 1:
        return parts[0]
    block = max(1, side // 64)
    spreads = [float(torch.nn.functional.avg_pool2d(as_tensor(part)[None], block).std()) for part in parts]
    return parts[int(np.argmax(spreads))]
