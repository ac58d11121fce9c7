"""Columns of a micrograph's row about its mask: how it was made, and how good its outlines are."""

from __future__ import annotations

import numpy as np

from hrtem_dask.analysis.edge_position import edge_position_px
from hrtem_dask.analysis.fused_particles import fused_area_fraction
from hrtem_dask.analysis.outcomes import Segmented
from hrtem_dask.segmentation import Segmentation

__all__ = ["about_outlines", "about_segmentation"]


def about_segmentation(segmentation: Segmentation) -> dict[str, object]:
    """Return how a micrograph was segmented.

    Parameters
    ----------
    segmentation : Segmentation
        The mask and what is known about it.

    Returns
    -------
    dict
        Columns of `tables.MICROGRAPHS`.
    """
    return {
        "seam_score": segmentation.seam_score,
        "regime": segmentation.regime,
        "network_scale": segmentation.scale,
        "network_scale_score": segmentation.scale_score,
        "network_scale_margin": segmentation.scale_margin,
    }


def about_outlines(segmented: Segmented, segmentation: Segmentation, labels: np.ndarray) -> dict[str, object]:
    """Return how good the outlines of a segmenter are.

    Parameters
    ----------
    segmented : Segmented
        The prepared image and the predicted quality.
    segmentation : Segmentation
        The mask; how well the position of outlines is known needs a probability on the host.
    labels : numpy.ndarray of int
        Shape (y, x).

    Returns
    -------
    dict
        Columns of `tables.MICROGRAPHS`. Outlines of many particles are looked for without lattice fringes only, whose
        dots would look like particles.
    """
    has_probability = segmentation.quality_terms is not None
    is_contrast = segmentation.regime == "contrast"
    return {
        "edge_position_px": edge_position_px(segmentation.probability, labels) if has_probability else None,
        "fused_area_fraction": fused_area_fraction(segmented.prepared, labels) if is_contrast else None,
        **segmented.predicted_quality,
    }
