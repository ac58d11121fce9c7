"""The scale at which a micrograph is used in fine-tuning: that of inference after fine-tuning.

In the lattice regime the pixel size decides, in training and in inference. In the contrast regime, inference looks for
the scale at which the network expects its best mask, and the fine-tuned network will look again. Two rules make it find
the scale of its training:

1. The scale that the initial network finds is used if its mask there is right on the whole (Dice of at least 0.5). The
   fine-tuned network starts from the same preference, and the training strengthens it.
2. Otherwise the initial network does not see these particles, and what it found may be the grain of the support. Then
   the scale at which the labeled particles have the diameter that networks expect is used.

The cross-validation scores the fine-tuned networks at the scales that they find themselves, so that a mismatch would be
seen there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from hrtem_dask.segmentation.network_input import scale_input
from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scales.geometry import scale_for_diameter, scaled_shape
from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph

__all__ = ["TrainingScale", "at_scale", "choose_training_scale", "typical_diameter_px"]

RIGHT_DICE = 0.5
"""A mask of the initial network with at least this Dice coefficient shows that it sees the particles."""
LARGEST_SIDE_PX = 4096
"""A micrograph is not enlarged beyond this side (px), as in the search for the scale."""


@dataclass(frozen=True, kw_only=True)
class TrainingScale:
    """The scale at which a micrograph is used in fine-tuning."""

    scale: float | None
    """Network pixels per pixel of the micrograph; None where the pixel size decides, as in inference."""
    source: Literal["pixel size", "diameter", "image", "masks"]
    """What decided."""


def choose_training_scale(
    micrograph: LabelledMicrograph,
    *,
    regime: str | None,
    found_scale: float,
    dice: float,
    is_given: bool,
) -> TrainingScale:
    """Choose the scale of one micrograph.

    Parameters
    ----------
    micrograph : LabelledMicrograph
        The micrograph with its mask.
    regime : {"lattice", "contrast"} or None
        Regime in which the initial network segmented it.
    found_scale : float
        Scale at which it did so, network pixels per pixel.
    dice : float
        Dice coefficient of its mask; NaN if the micrograph has no particles, and then the found scale is used, because
        a false particle would be found at that scale.
    is_given : bool
        Whether the scale followed from a diameter that the user stated, which is then used as it is.

    Returns
    -------
    TrainingScale
        Scale and what decided.
    """
    if regime != "contrast":
        return TrainingScale(scale=None, source="pixel size")
    if is_given:
        return TrainingScale(scale=found_scale, source="diameter")
    diameter = typical_diameter_px(micrograph)
    if diameter is None or dice >= RIGHT_DICE:
        return TrainingScale(scale=found_scale, source="image")
    largest = max(1.0, LARGEST_SIDE_PX / max(micrograph.image.shape))
    return TrainingScale(scale=min(scale_for_diameter(diameter), largest), source="masks")


def typical_diameter_px(micrograph: LabelledMicrograph) -> float | None:
    """Return the typical diameter of the labeled particles.

    Parameters
    ----------
    micrograph : LabelledMicrograph
        A micrograph with its mask.

    Returns
    -------
    float or None
        Median over connected pieces, weighted by their area, of the diameter of the largest circle inside (square
        pixels of the micrograph): the width of rods, and one particle of several that touch. Pieces that the border
        or unknown pixels cut are left out unless there are no others. None if there is no particle.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.training.labelled.labelled_micrograph import make_labelled
    >>> y, x = np.indices((100, 160))
    >>> disks = ((y - 50) ** 2 + (x - 50) ** 2 < 20**2) | ((y - 50) ** 2 + (x - 88) ** 2 < 20**2)
    >>> round(typical_diameter_px(make_labelled(x, disks, pixel_size_nm=None)), -1)  # two that touch
    40.0
    """
    shape = scaled_shape(micrograph.mask.shape, 1.0, pixel_size_nm=micrograph.pixel_size_nm)
    # beyond the border nothing is known, and a particle does not end there
    drawn = micrograph.mask if micrograph.valid is None else micrograph.mask & micrograph.valid
    mask = np.pad(resample(drawn.astype(np.float32), shape, method="bilinear") >= 0.5, 1)
    unknown = np.pad(np.zeros(shape, bool), 1, constant_values=True)
    if micrograph.valid is not None:
        unknown[1:-1, 1:-1] = resample(micrograph.valid.astype(np.float32), shape, method="bilinear") <= 0.999
    n, pieces, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if n < 2:
        return None
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    diameters = np.zeros(n)
    np.maximum.at(diameters, pieces.ravel().astype(np.intp), 2 * distance.ravel())
    near_unknown = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    is_whole = ~np.isin(np.arange(n), pieces[near_unknown])
    chosen = is_whole if is_whole[1:].any() else np.ones(n, bool)
    chosen[0] = False
    sizes, areas = diameters[chosen], statistics[chosen, cv2.CC_STAT_AREA]
    order = np.argsort(sizes)
    return float(sizes[order][np.searchsorted(np.cumsum(areas[order]), areas.sum() / 2)])


def at_scale(micrograph: LabelledMicrograph, scale: float | None, config: UNetConfig) -> LabelledMicrograph:
    """Resample a micrograph to the scale at which a network will see it, by the functions of inference.

    Parameters
    ----------
    micrograph : LabelledMicrograph
        Micrograph and mask in native pixels.
    scale : float or None
        Network pixels per pixel; None leaves it to the pixel size.
    config : UNetConfig
        Scaling of the input of the network.

    Returns
    -------
    LabelledMicrograph
        In pixels of the network and without a pixel size, so that it is not resampled again; the same object if
        `scale` is None. A pixel is particle if at least half of its area is, and valid if all of it is.
    """
    if scale is None:
        return micrograph
    shape = scaled_shape(micrograph.image.shape, scale, pixel_size_nm=micrograph.pixel_size_nm)
    image = resample(micrograph.image, shape, method="bicubic")
    if config.input_scaling == "min_max" and image is not micrograph.image:
        image = scale_input(image, "min_max")  # an image without a pixel size is taken as scaled already
    valid = micrograph.valid
    return replace(
        micrograph,
        image=image,
        mask=resample(micrograph.mask.astype(np.float32), shape, method="bilinear") >= 0.5,
        valid=None if valid is None else resample(valid.astype(np.float32), shape, method="bilinear") > 0.999,
        pixel_size_nm=None,
        recorded=None,
    )
