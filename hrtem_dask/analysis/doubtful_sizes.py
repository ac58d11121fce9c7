"""A finer scale where the sizes of particles are doubtful, and gray values say that its outlines fit better.

The search for the scale tells fine scales of sharp images hardly apart: the network is as sure of an outline around
touching spheres as of one around each. Sizes raise a doubt then, for example where large and small outlines are mixed.
Only such micrographs are looked at again: what is trusted stays as it is.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from hrtem_dask import backend, tables
from hrtem_dask.analysis.finer_scale import LEAST_STEP, particles_in, with_mask
from hrtem_dask.analysis.fused_particles import fused_area_fraction, gap_fraction
from hrtem_dask.analysis.mask_columns import coverage
from hrtem_dask.analysis.outcomes import Segmented
from hrtem_dask.analysis.verdict import doubts_about_sizes, evidence
from hrtem_dask.backend import Array
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.counting import counting_limit_px
from hrtem_dask.particles.find import Particles
from hrtem_dask.segmentation import ScalableSegmenter, Segmentation
from hrtem_dask.segmentation.scales.search import EQUAL_SCORES
from hrtem_dask.settings import Settings

__all__ = ["without_doubtful_sizes"]

MOST_GAPS = 2 / 3
"""Background in outlines at the finer scale, over that at the scale that was found. Of the labeled real images,
limits from 0.5 to 0.9 change the same one."""


def without_doubtful_sizes(
    segmented: Segmented,
    segmenter: ScalableSegmenter,
    settings: Settings,
    *,
    image: Array,
    pixel_size_nm: PixelSize | None,
) -> Segmented:
    """Look at a micrograph at finer scales where the sizes of its particles are doubtful.

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
        The micrograph at the coarsest finer scale whose score in the search is equal (within 0.01), whose sizes raise
        no doubt, and whose outlines hold at most two thirds of the background (`gap_fraction`). If there is none, or
        sizes raise no doubt at the scale that was found, the micrograph as it was.
    """
    first = segmented.segmentation
    if first is None or first.scale is None or first.scale_score is None:
        return segmented
    least = first.scale_score - EQUAL_SCORES
    finer = sorted(s for s, score in first.scale_scores.items() if s > LEAST_STEP * first.scale and score >= least)
    if not finer or not _may_be_doubtful(first, counting_limit_px(settings.particles, pixel_size_nm)):
        return segmented
    found = particles_in(segmented, settings, pixel_size_nm)
    if not len(found.particle_rows) or not _doubts(segmented, found):
        return segmented
    most = MOST_GAPS * _gaps(segmented, found)
    for scale in finer:
        mask = segmenter.at_scale(image, scale, first.scale_scores, pixel_size_nm=pixel_size_nm)
        seen = with_mask(segmented, mask, segmenter, pixel_size_nm=pixel_size_nm)
        found = particles_in(seen, settings, pixel_size_nm)
        is_counted = found.particle_rows.flags("counted").any()
        if is_counted and _gaps(seen, found) <= most and not _doubts(seen, found):
            return seen
    return segmented


def _may_be_doubtful(segmentation: Segmentation, limit_px: float) -> bool:
    """Return whether the sizes of the mask's pieces are doubtful; it takes a tenth of the time of finding particles."""
    mask = backend.to_numpy(segmentation.mask).astype(np.uint8)
    areas = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    large = areas[areas >= limit_px]
    columns = {"counted": np.ones(len(large), bool), "equivalent_diameter_px": np.sqrt(4 / np.pi * large)}
    pieces = tables.Rows(tables.PARTICLES, len(large), columns)
    row = {"n_counted": len(large), "n_too_small": len(areas) - len(large), "coverage": float(mask.mean())}
    return bool(doubts_about_sizes(row | evidence(pieces, network_scale=segmentation.scale)))


def _gaps(segmented: Segmented, found: Particles) -> float:
    """Return the share of background in outlines; NaN, which compares with nothing, without particles of contrast."""
    gaps = gap_fraction(segmented.prepared, found.labels)
    return math.nan if gaps is None else gaps


def _doubts(segmented: Segmented, found: Particles) -> list[str]:
    """Return what is doubtful about the sizes of particles, in the words of the verdict."""
    assert segmented.segmentation is not None
    rows = found.particle_rows
    row = {
        "n_counted": int(rows.flags("counted").sum()),
        "n_too_small": found.n_too_small,
        "coverage": coverage(found.labels, segmented.marks, segmented.outside),
        "fused_area_fraction": fused_area_fraction(segmented.prepared, found.labels),
        **evidence(rows, network_scale=segmented.segmentation.scale),
    }
    return doubts_about_sizes(row)
