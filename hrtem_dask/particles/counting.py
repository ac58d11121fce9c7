"""Which particles enter the statistics, and why the others do not.

There is one rule, applied in this order. A particle is not counted if it reaches the border of the image (``edge``: its
size is not known; the border of an aligned image is where its missing pixels begin) or a burnt-in mark (``mark``: the
same), or if it is smaller than either minimum (``too_small``), or if it alone is larger than a region may be
(``agglomerate``: it was not split into parts below the limit).
`counting_limit_px` is the larger of both minima.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from hrtem_dask.micrograph import PixelSize
from hrtem_dask.settings import ParticleSettings

__all__ = ["counting_limit_px", "population_rule", "touches_edge", "touches_mark", "touches_outside"]

OUTSIDE_MARGIN_PX = 2
"""Opening and smoothing may move the outline of a particle that is cut away from the cut by so much."""


def counting_limit_px(settings: ParticleSettings, pixel_size_nm: PixelSize | None) -> float:
    """Return the area below which particles are not counted.

    Parameters
    ----------
    settings : ParticleSettings
        Its `min_area_px` and `min_area_nm2`.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); without it (None) `min_area_nm2` does not apply.

    Returns
    -------
    float
        The larger of both limits (px).
    """
    if pixel_size_nm is None:
        return settings.min_area_px
    return max(settings.min_area_px, settings.min_area_nm2 / (pixel_size_nm[0] * pixel_size_nm[1]))


def touches_edge(columns: Mapping[str, np.ndarray], *, shape: tuple[int, int]) -> np.ndarray:
    """Return which rows reach the border of the image.

    Parameters
    ----------
    columns : mapping
        ``bbox_*_px``, shape (n,) each.
    shape : tuple of int
        Height and width of the image (px).

    Returns
    -------
    numpy.ndarray of bool
        Shape (n,).
    """
    return np.asarray(
        (columns["bbox_y0_px"] == 0)
        | (columns["bbox_x0_px"] == 0)
        | (columns["bbox_y1_px"] == shape[0])
        | (columns["bbox_x1_px"] == shape[1]),
        dtype=bool,
    )


def touches_mark(labels: np.ndarray, marks: np.ndarray | None, *, particle_ids: np.ndarray) -> np.ndarray:
    """Return which particles reach a burnt-in mark.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x): labels of particles, 0 is background.
    marks : numpy.ndarray of bool or None
        Shape (y, x): burnt-in marks; None for none.
    particle_ids : numpy.ndarray of int
        Shape (n,): labels of the particles that are asked for.

    Returns
    -------
    numpy.ndarray of bool
        Shape (n,): whether a pixel of the particle is marked, or next to a marked one (by an edge or a corner).
    """
    if marks is None:
        return np.zeros(len(particle_ids), dtype=bool)
    reached = cv2.dilate(marks.view(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return np.isin(particle_ids, labels[reached])


def touches_outside(labels: np.ndarray, outside: np.ndarray | None, *, label_ids: np.ndarray) -> np.ndarray:
    """Return which particles or regions reach pixels that are no image.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background.
    outside : numpy.ndarray of bool or None
        Shape (y, x): pixels that are no image; None for none.
    label_ids : numpy.ndarray of int
        Shape (n,): labels that are asked for.

    Returns
    -------
    numpy.ndarray of bool
        Shape (n,): whether a pixel of the label is outside, or at most 2 px from it.
    """
    if outside is None:
        return np.zeros(len(label_ids), dtype=bool)
    side = 2 * OUTSIDE_MARGIN_PX + 1
    reached = cv2.dilate(outside.view(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
    return np.isin(label_ids, labels[reached])


def population_rule(
    columns: Mapping[str, np.ndarray],
    settings: ParticleSettings,
    *,
    shape: tuple[int, int],
    at_mark: np.ndarray | None = None,
    at_outside: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the columns that state whether a particle is counted, and why not.

    Parameters
    ----------
    columns : mapping
        ``bbox_*_px``, ``area_px`` and ``area_nm2`` of `measure_particles`, shape (n,) each.
    settings : ParticleSettings
        Particles smaller than `min_area_px` or `min_area_nm2` are not counted. Particles larger than
        `max_region_area_nm2` are agglomerates that could not be split; None sets no limit. Limits in nm² do not apply
        where the pixel size is not known.
    shape : tuple of int
        Height and width of the image (px).
    at_mark : numpy.ndarray of bool, optional
        Shape (n,): whether each particle reaches a burnt-in mark, from `touches_mark`; by default none does.
    at_outside : numpy.ndarray of bool, optional
        Shape (n,): whether each particle reaches pixels that are no image, from `touches_outside`; by default none
        does.

    Returns
    -------
    dict of str to numpy.ndarray
        ``touches_edge``, ``touches_mark``, ``counted`` and ``exclusion_reason`` (None where it is counted).
    """
    edge = touches_edge(columns, shape=shape)
    edge = edge if at_outside is None else edge | at_outside
    at_mark = np.zeros(edge.size, dtype=bool) if at_mark is None else at_mark
    area_nm2 = columns["area_nm2"]  # NaN compares as False: no limit without a pixel size
    small = (columns["area_px"] < settings.min_area_px) | (area_nm2 < settings.min_area_nm2)
    large = area_nm2 > (np.inf if settings.max_region_area_nm2 is None else settings.max_region_area_nm2)
    reason = np.select([edge, at_mark, small, large], ["edge", "mark", "too_small", "agglomerate"], default="")
    return {
        "touches_edge": edge,
        "touches_mark": at_mark,
        "counted": reason == "",
        "exclusion_reason": np.array([text or None for text in reason], dtype=object),
    }
