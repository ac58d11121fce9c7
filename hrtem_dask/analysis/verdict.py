"""A verdict on each micrograph: whether its numbers can be trusted, and why not.

The verdict is decided by columns of the micrograph's row alone, so it can be decided again from a table. The limits
were chosen on real micrographs with labels drawn by hand: ``benchmarks/verdicts.py`` measures how often the verdict is
right, and the model card gives the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import tables

__all__ = ["doubts_about_sizes", "evidence", "judge_micrograph"]

MIN_PREDICTED_DICE = 0.8
"""A mask with a lower predicted Dice coefficient is doubtful: masks with a Dice coefficient below 0.8 are called bad
here. On 154 real images, 24 of 24 bad masks are below it, and 8 of 130 good ones. The margin of the scale gives no
reason: it says nothing about the mask."""
NETWORK_DIAMETERS_PX = (13.0, 300.0)
"""Median diameters (network pixels) that the bundled network segments well. On every second panel of `emps_tem`, 7 of
10 bad masks have a smaller median: it mostly counts specks, or the image is seen at too coarse a scale."""
MAX_AREA_TO_NUMBER_MEDIAN = 1.6
"""Ratio of the median diameter by area to that by number above which specks may decide the latter. A lognormal
population reaches it at a geometric standard deviation of 1.6. On `emps_tem`, 31 of 43 wrong medians (by more than
20 %) are above it, and 4 of 56 right ones."""
MAX_FUSED_AREA = 0.2
"""Share of the area in outlines that hold many particles above which sizes are doubtful."""
MOST_UNCOUNTED = 0.5
"""Coverage above which a micrograph without any counted particle is doubtful: its outlines may hold all of them."""
MANY_SMALL = 10
"""From so many objects below the counting limit on, a micrograph that has more of them than counted particles is
doubtful: its median is that of the largest objects."""
EMPTY_MASS_CONTRAST, EMPTY_PEAK_SNR = 4.0, 15.0
"""A micrograph without a particle that has less contrast and weaker fringes than these is empty, beyond doubt. Chosen
on 160 simulated micrographs (seed 101): 12 of 20 empty ones are, and none of those with particles."""

LOW_DICE = f"predicted Dice below {MIN_PREDICTED_DICE:g}"
PIXEL_SIZE = "pixel size unlike those of the training"
SMALL = f"particles too small for the network (median below {NETWORK_DIAMETERS_PX[0]:g} network pixels)"
LARGE = f"particles larger than in training (median above {NETWORK_DIAMETERS_PX[1]:g} network pixels)"
NO_MICROGRAPH = "perhaps no image of the specimen (its flag in quality_flags says why)"
UNPROVEN = "the bundled detector was trained on simulated scenes alone"
SPECKS = "many small objects beside large ones, which make the median meaningless"
BELOW_LIMIT = (
    "most objects are below the counting limit (particles.min_area_px), so that sizes are those of the largest"
)
FUSED = "outlines that hold many particles, such as a raft"
NONE_WHOLE = "particles cover most of the field, and none of them is counted"
EMPTY_BUT_SEEN = "no particle found, but the search for the scale saw some"
EMPTY_BUT_UNCERTAIN = "no particle found, but uncertain objects were left out (particles.min_mean_probability)"
EMPTY_BUT_SATURATED = "no particle found, but part of the image is saturated"
EMPTY_BUT_CONTRAST = "no particle found, but the image has contrast or lattice fringes"


def evidence(particles: tables.Rows, *, network_scale: float | None) -> dict[str, float | None]:
    """Measure what the sizes of the particles say about the segmentation.

    Parameters
    ----------
    particles : tables.Rows
        Of `tables.PARTICLES` of one micrograph; only counted particles are used.
    network_scale : float or None
        Network pixels per pixel of the micrograph; None without a U-Net or detector.

    Returns
    -------
    dict
        Columns of `tables.MICROGRAPHS`: ``median_diameter_network_px`` and ``area_to_number_median``, None where
        they are not known.

    Examples
    --------
    >>> columns = {"counted": np.ones(4, bool), "equivalent_diameter_px": np.array([10.0, 10.0, 10.0, 40.0])}
    >>> rows = tables.Rows(tables.PARTICLES, 4, columns)
    >>> evidence(rows, network_scale=2.0)  # more than half of the area belongs to the largest particle
    {'median_diameter_network_px': 20.0, 'area_to_number_median': 4.0}
    """
    diameters = np.sort(particles.numbers("equivalent_diameter_px")[particles.flags("counted")])
    if not len(diameters):
        return {"median_diameter_network_px": None, "area_to_number_median": None}
    covered = np.cumsum(diameters**2)
    by_area, by_number = diameters[np.searchsorted(covered, covered[-1] / 2)], np.median(diameters)
    return {
        "median_diameter_network_px": None if network_scale is None else float(by_number * network_scale),
        "area_to_number_median": float(by_area / by_number),
    }


def judge_micrograph(
    row: Mapping[str, Any], *, is_calibrated: bool, is_unproven: bool = False
) -> dict[str, str | None]:
    """Decide whether the numbers of one micrograph can be trusted.

    Parameters
    ----------
    row : mapping
        Columns of `tables.MICROGRAPHS`: ``corrected``, ``n_particles``, ``regime``, ``predicted_dice``,
        ``network_scale_score``, ``pixel_size_in_training``, ``median_diameter_network_px``, ``area_to_number_median``,
        ``fused_area_fraction``, ``n_counted``, ``n_too_small``, ``n_uncertain``, ``coverage``,
        ``mass_contrast``, ``peak_snr`` and ``quality_flags``. A missing column counts as null.
    is_calibrated : bool
        Whether the segmenter can predict the quality of its masks in this regime. If not, there is no verdict.
    is_unproven : bool
        Whether the method is known to work on simulated images only; then the verdict is doubtful.

    Returns
    -------
    dict
        ``verdict``: ``"trusted"``, ``"doubtful"`` or None; ``doubt_reasons``: short phrases separated by "; ", None
        where there is no doubt. Labels that were corrected by hand are trusted.

    Examples
    --------
    >>> row = {"n_particles": 40, "regime": "contrast", "predicted_dice": 0.6}
    >>> judge_micrograph(row, is_calibrated=True)
    {'verdict': 'doubtful', 'doubt_reasons': 'predicted Dice below 0.8'}
    """
    if _number(row, "corrected") == 1:
        return {"verdict": "trusted", "doubt_reasons": None}
    if is_unproven:
        return {"verdict": "doubtful", "doubt_reasons": UNPROVEN}
    if not is_calibrated:
        return {"verdict": None, "doubt_reasons": None}
    reasons = [PIXEL_SIZE] if _number(row, "pixel_size_in_training") == 0 else []
    flags = set(str(row.get("quality_flags")).split(","))
    reasons += [NO_MICROGRAPH] if flags & {"diffraction", "illuminated_disk", "fourier_transform", "mask"} else []
    if _number(row, "n_particles") > 0:
        reasons += [LOW_DICE] if _number(row, "predicted_dice") < MIN_PREDICTED_DICE else []
        reasons += doubts_about_sizes(row)
    else:
        reasons += _about_emptiness(row)
    return {"verdict": "doubtful" if reasons else "trusted", "doubt_reasons": "; ".join(reasons) or None}


def doubts_about_sizes(row: Mapping[str, Any]) -> list[str]:
    """Return doubts about the sizes of particles, which hold whatever quality is predicted for their mask.

    Parameters
    ----------
    row : mapping
        Columns of `tables.MICROGRAPHS`: ``median_diameter_network_px``, ``area_to_number_median``, ``n_too_small``,
        ``n_counted``, ``fused_area_fraction`` and ``coverage``. A missing column counts as null.

    Returns
    -------
    list of str
        Short phrases.

    Examples
    --------
    >>> doubts_about_sizes({"median_diameter_network_px": 20.0, "n_counted": 40, "n_too_small": 12})
    []
    """
    smallest, largest = NETWORK_DIAMETERS_PX
    median = _number(row, "median_diameter_network_px")
    doubts = {
        SMALL: median < smallest,
        LARGE: median > largest,
        SPECKS: _number(row, "area_to_number_median") > MAX_AREA_TO_NUMBER_MEDIAN,
        BELOW_LIMIT: _number(row, "n_too_small") >= max(MANY_SMALL, _number(row, "n_counted") + 1),
        FUSED: _number(row, "fused_area_fraction") > MAX_FUSED_AREA,
        NONE_WHOLE: _number(row, "n_counted") == 0 and _number(row, "coverage") > MOST_UNCOUNTED,
    }
    return [reason for reason, raised in doubts.items() if raised]


def _about_emptiness(row: Mapping[str, Any]) -> list[str]:
    """Return doubts about a micrograph on which no particle was found."""
    if not math.isnan(_number(row, "network_scale_score")):
        return [EMPTY_BUT_SEEN]
    flags = str(row.get("quality_flags")).split(",")
    if "saturation" in flags:
        return [EMPTY_BUT_SATURATED]
    if _number(row, "n_uncertain") > 0:
        return [EMPTY_BUT_UNCERTAIN]
    is_flat = _number(row, "mass_contrast") < EMPTY_MASS_CONTRAST and _number(row, "peak_snr") < EMPTY_PEAK_SNR
    return [] if is_flat or "empty_field" in flags else [EMPTY_BUT_CONTRAST]


def _number(row: Mapping[str, Any], column: str) -> float:
    """Return a column as a float, NaN where it is null: no comparison with NaN raises a doubt."""
    value = row.get(column)
    return math.nan if value is None or value is pd.NA else float(value)
