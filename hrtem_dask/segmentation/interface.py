"""What every segmenter takes and returns: image in, probability and mask out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.quality.dice_model import DiceModel

__all__ = ["ScalableSegmenter", "Segmentation", "Segmenter"]


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Result of a segmenter for one image; its arrays belong to the image's library (NumPy or CuPy)."""

    probability: np.ndarray
    """Particle probability, shape (y, x), float32, 0 to 1; for the baselines it equals the mask."""
    mask: np.ndarray
    """Shape (y, x), bool: True on particles."""
    regime: Literal["lattice", "contrast"] | None = None
    """Whether the scale of the network came from the pixel size or was found from the image; None for the baselines."""
    scale: float | None = None
    """Network pixels per pixel of the image (geometric mean of both axes), of a U-Net or detector; None for the
    baselines."""
    scale_score: float | None = None
    """How well the scale suits the image, see `scales.search.ScaleChoice`; higher is better."""
    scale_margin: float | None = None
    """How clearly the scale was found, see `scales.search.ScaleChoice`; None where it was not searched for."""
    scale_scores: Mapping[float, float] = field(default_factory=dict)
    """Score of every scale that showed particles in the search; empty where none was searched for."""
    seam_score: float | None = None
    """Largest difference of logits between neighboring tiles; None where the image was segmented as a whole."""
    quality_terms: Mapping[str, float] | None = None
    """Terms that predict the quality of the mask, see `agreement.judge_mask`; None where they were not computed."""
    instances: Instances | None = None
    """What a detector found, each with its own mask; None where only a mask was found."""
    out_of_memory_steps: tuple[str, ...] = ()
    """What was tried next each time memory ran out, in order."""
    engine: str
    """Software that computed it: ``"openvino"``, ``"torch"``, or the array library."""
    device: str
    """``"cpu"`` or ``"cuda"``."""


@runtime_checkable
class Segmenter(Protocol):
    """Anything that separates particles from the support film in an image."""

    name: str
    """``"otsu"``, ``"fourier"``, ``"unet"``, or a detector's."""
    model_hash: str | None
    """Hash of the model's file; None for the baselines."""
    receptive_field_px: int | None
    """Side (px) of the square that one output pixel depends on; None where it depends on the whole image."""
    dice_model: DiceModel | None
    """Predicts the quality of its masks; None for the baselines and for networks without such a calibration."""
    contrast_dice_model: DiceModel | None
    """The same for masks in the contrast regime, at a scale that was found from the image."""

    def __call__(self, image: np.ndarray, *, pixel_size_nm: PixelSize | None) -> Segmentation:
        """Segment an image of shape (y, x), filtered and scaled to [0, 1]."""
        ...

    def check_pixel_size(self, pixel_size_nm: PixelSize | None) -> None:
        """Refuse a pixel size that the segmenter cannot work with.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Raises
        ------
        CalibrationError
            If it cannot; the message has the remedy.
        """


@runtime_checkable
class ScalableSegmenter(Segmenter, Protocol):
    """A segmenter that can look at an image again, at another scale than the one that it found."""

    def at_scale(
        self, image: np.ndarray, scale: float, scores: Mapping[float, float], *, pixel_size_nm: PixelSize | None
    ) -> Segmentation:
        """Segment an image at another scale than the one that was found.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), filtered and scaled to [0, 1].
        scale : float
            Network pixels per pixel of the image, one of the keys of `scores`.
        scores : mapping of float to float
            `Segmentation.scale_scores` of the image.
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        Segmentation
            As of the segmenter itself.
        """
        ...
