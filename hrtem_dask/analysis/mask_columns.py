"""Columns of a micrograph's row about its mask: how it was made, and how good its outlines are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hrtem_dask.analysis.edge_position import edge_position_px
from hrtem_dask.analysis.fused_particles import fused_area_fraction
from hrtem_dask.analysis.outcomes import Segmented
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation import Segmentation, Segmenter

__all__ = ["about_outlines", "about_segmentation", "coverage", "predicted_quality"]


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


def coverage(labels: np.ndarray, *hidden: np.ndarray | None) -> float:
    """Return the share of the field that is particle.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x): particles, 0 = background.
    *hidden : numpy.ndarray of bool or None
        Shape (y, x): burnt-in marks and what is no image, which are no part of the field.

    Returns
    -------
    float
        0 to 1; 0 without a field.

    Examples
    --------
    >>> coverage(np.array([[1, 1, 0, 0]]), None), coverage(np.array([[1, 1, 0, 0]]), np.array([[0, 0, 0, 1]], bool))
    (0.5, 0.6666666666666666)
    """
    known = [mask for mask in hidden if mask is not None]
    field = ~np.logical_or.reduce(known) if known else None
    field_px = labels.size if field is None else np.count_nonzero(field)
    return float(np.count_nonzero(labels if field is None else labels[field]) / field_px) if field_px else 0.0


def predicted_quality(
    segmenter: Segmenter,
    segmentation: Segmentation,
    metrics: Mapping[str, Any],
    *,
    pixel_size_nm: PixelSize | None,
) -> dict[str, float | None] | None:
    """Predict how good a mask is.

    Parameters
    ----------
    segmenter : Segmenter
        It has the calibrations of both regimes.
    segmentation : Segmentation
        The mask and its quality terms.
    metrics : mapping
        Columns of `tables.MICROGRAPHS` about the quality of the image.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    dict or None
        Columns of `tables.MICROGRAPHS`; None where the segmenter cannot predict it.
    """
    is_contrast = segmentation.regime == "contrast"
    dice_model = segmenter.contrast_dice_model if is_contrast else segmenter.dice_model
    terms = segmentation.quality_terms
    if dice_model is None or terms is None:
        return None
    pixel_nm = None if pixel_size_nm is None else float(np.mean(pixel_size_nm))
    # an empty mask is right or wrong as a whole, and its probabilities do not tell which
    is_empty = terms["mask_fraction"] == 0
    return {
        "mask_agreement": terms.get("mask_agreement"),
        "predicted_dice": None if is_empty else dice_model.predict(terms, {**metrics, "pixel_size_nm": pixel_nm}),
        "pixel_size_in_training": None if is_contrast else dice_model.has_seen_pixel_size(pixel_nm),
    }
