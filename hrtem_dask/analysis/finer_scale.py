"""A finer scale where outlines hold many particles.

The search for the scale scores masks by how sure the network is, and a network is sure of an outline around a whole
raft of particles. Such outlines are recognized by their gray values, see `analysis.fused_particles`. The network then
looks at the micrograph again, at finer and finer scales, until particles have outlines of their own.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from hrtem_dask import backend
from hrtem_dask.analysis.fused_particles import LEAST_AREA_PX, fused_area_fraction
from hrtem_dask.analysis.mask_columns import predicted_quality
from hrtem_dask.analysis.outcomes import Segmented
from hrtem_dask.analysis.stages import label
from hrtem_dask.analysis.verdict import MAX_FUSED_AREA
from hrtem_dask.backend import Array
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.find import Particles
from hrtem_dask.segmentation import ScalableSegmenter, Segmentation, Segmenter
from hrtem_dask.settings import Settings

__all__ = ["LEAST_STEP", "particles_in", "with_mask", "without_fused_outlines"]

LEAST_STEP = 1.1
"""A scale is finer than another one from this factor on."""
MAX_DICE_LOSS = 0.1
"""Predicted Dice coefficient that outlines of single particles may cost."""


def with_mask(
    known: Segmented, segmentation: Segmentation, segmenter: Segmenter, *, pixel_size_nm: PixelSize | None
) -> Segmented:
    """Add a mask and its predicted quality to what is known of a micrograph.

    Parameters
    ----------
    known : Segmented
        A micrograph, with or without another mask.
    segmentation : Segmentation
        The mask.
    segmenter : Segmenter
        It predicts the quality of its masks.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    Segmented
        The micrograph with this mask.
    """
    quality = predicted_quality(segmenter, segmentation, known.micrograph, pixel_size_nm=pixel_size_nm)
    is_calibrated = quality is not None
    return replace(known, segmentation=segmentation, predicted_quality=quality or {}, is_calibrated=is_calibrated)


def without_fused_outlines(
    segmented: Segmented,
    segmenter: ScalableSegmenter,
    settings: Settings,
    *,
    image: Array,
    pixel_size_nm: PixelSize | None,
) -> Segmented:
    """Look at a micrograph at finer scales where its outlines hold many particles.

    Parameters
    ----------
    segmented : Segmented
        A micrograph with a mask at the scale that was found.
    segmenter : ScalableSegmenter
        The segmenter that made the mask.
    settings : Settings
        All stages' settings.
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x): the prepared image on the device of the segmenter.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    Segmented
        The micrograph at the coarsest scale, from the found one on, at which at most 20 % of the area lies in outlines
        of many particles. If there is none, that with the least of such area. Scales that lose more than 0.1 of the
        predicted Dice coefficient are left out.
    """
    first = segmented.segmentation
    if first is None or first.scale is None or not first.scale_scores or not _may_be_fused(segmented, first):
        return segmented
    best, least = segmented, _fused_area(segmented, settings, pixel_size_nm)
    for scale in sorted(scale for scale in first.scale_scores if scale > LEAST_STEP * first.scale):
        if least <= MAX_FUSED_AREA:
            break
        mask = segmenter.at_scale(image, scale, first.scale_scores, pixel_size_nm=pixel_size_nm)
        finer = with_mask(segmented, mask, segmenter, pixel_size_nm=pixel_size_nm)
        if _loss(segmented, finer) > MAX_DICE_LOSS:
            continue
        fused = _fused_area(finer, settings, pixel_size_nm)
        if fused < least:
            best, least = finer, fused
    return best


def _may_be_fused(segmented: Segmented, segmentation: Segmentation) -> bool:
    """Return whether the large pieces of the mask, with holes filled, hold many particles; they may still be split."""
    mask = backend.to_numpy(segmentation.mask).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    pieces = np.zeros(mask.shape, np.int32)
    for number, contour in enumerate(contours, 1):
        if cv2.contourArea(contour) >= LEAST_AREA_PX / 2:  # closing may enlarge it
            cv2.drawContours(pieces, [contour], -1, number, thickness=cv2.FILLED)
    fraction = fused_area_fraction(segmented.prepared, pieces)
    return fraction is not None and fraction > MAX_FUSED_AREA


def particles_in(segmented: Segmented, settings: Settings, pixel_size_nm: PixelSize | None) -> Particles:
    """Find the particles in the mask of a micrograph.

    Parameters
    ----------
    segmented : Segmented
        A micrograph with a mask, on any device.
    settings : Settings
        Of these, `particles`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    Particles
        Labels and tables.
    """
    segmentation = segmented.segmentation
    assert segmentation is not None
    on_host = replace(
        segmentation,
        probability=backend.to_numpy(segmentation.probability),
        mask=backend.to_numpy(segmentation.mask),
    )
    hidden = {"marks": segmented.marks, "outside": segmented.outside}
    return label(segmented.image, on_host, settings, pixel_size_nm=pixel_size_nm, **hidden)


def _fused_area(segmented: Segmented, settings: Settings, pixel_size_nm: PixelSize | None) -> float:
    """Return the share of the particles' area in outlines that hold many particles; 1 without any particle."""
    found = particles_in(segmented, settings, pixel_size_nm)
    fraction = fused_area_fraction(segmented.prepared, found.labels)
    return 1.0 if fraction is None else fraction


def _loss(before: Segmented, after: Segmented) -> float:
    """Return by how much the predicted Dice coefficient is lower; infinite where one is not known."""
    values = [one.predicted_quality.get("predicted_dice") for one in (before, after)]
    return np.inf if None in values else float(values[0]) - float(values[1])  # type: ignore[arg-type]
