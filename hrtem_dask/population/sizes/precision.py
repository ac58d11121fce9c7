"""Precision of mean and median: the width of the interval against the number of particles, and the number needed.

Micrographs are subsampled. C. Wouters et al., Sci. Rep. 15 (2025), 10.1038/s41598-025-92266-4, subsample particles, but
two particles of the same micrograph are less informative than two of different micrographs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

from hrtem_dask.intervals import bootstrap_standard_error, resample_counts, too_few_micrographs
from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.sizes.size_sample import Sizes, size_statistics

__all__ = ["STATISTICS", "needed_for", "precision"]

STATISTICS = ("mean_nm", "median_nm")
_LADDER = 8
_RESAMPLES = 400


def precision(
    sizes: Sizes, statistics: Mapping[str, np.ndarray], *, options: PopulationOptions, calibration: float | None
) -> dict[str, Any]:
    """Return the precision of mean and median, and the number of particles for a target precision.

    Parameters
    ----------
    sizes : Sizes
        Sizes of the particles.
    statistics : mapping
        Result of `size_statistics`, with all resamples.
    options : PopulationOptions
        Options of the statistics; the target, the confidence and the seed are used.
    calibration : float or None
        Relative standard uncertainty of the pixel size.

    Returns
    -------
    dict
        ``target_relative_precision``; ``curve``: ``n_micrographs``, ``n_particles`` and per statistic the relative
        half width of the interval with that number; per statistic the result of `needed_for`; ``reason`` where there
        are too few micrographs.
    """
    m = sizes.n_micrographs
    head: dict[str, Any] = {"target_relative_precision": options.target_relative_precision}
    if (few := too_few_micrographs(m, sizes.shares)) is not None:
        return head | {"reason": few}
    per = len(sizes.values) / m
    ladder = sorted({*np.unique(np.geomspace(2, m, _LADDER).round().astype(int)).tolist(), m})
    curve: dict[str, list[float]] = {"n_micrographs": ladder, "n_particles": [float(per * k) for k in ladder]}
    z = float(scipy.special.ndtri((1 + options.confidence) / 2))
    widths: dict[str, list[float]] = {name: [] for name in STATISTICS}
    for i, k in enumerate(ladder):
        counts = resample_counts(m, n_resamples=_RESAMPLES, seed=options.seed + 1 + i, size=k)
        found = size_statistics(sizes, counts, only_main=True)
        for name in STATISTICS:
            widths[name].append(z * bootstrap_standard_error(found[name], m) / float(found[name][0]))
    curve |= {f"{name.removesuffix('_nm')}_relative_half_width": w for name, w in widths.items()}
    needed = {
        name: needed_for(statistics[name], m, particles_per_micrograph=per, options=options, calibration=calibration)
        for name in STATISTICS
    }
    return head | {"curve": curve, **needed, "reason": None}


def needed_for(
    statistic: np.ndarray,
    n: int,
    *,
    particles_per_micrograph: float,
    options: PopulationOptions,
    calibration: float | None,
) -> dict[str, Any]:
    """Return the number of particles for the target precision.

    Parameters
    ----------
    statistic : numpy.ndarray of float
        Shape (resamples + 1,): the statistic of all `n` micrographs, then of each resample.
    n : int
        Number of micrographs.
    particles_per_micrograph : float
        Mean number of counted particles per micrograph.
    options : PopulationOptions
        Options of the statistics; the target and the confidence are used.
    calibration : float or None
        Relative standard uncertainty of the pixel size.

    Returns
    -------
    dict
        ``relative_half_width`` of these micrographs; ``n_micrographs_needed`` and ``n_particles_needed`` for the target
        by sampling alone (the variance falls as 1/n: n × (half width / target)², of the normal interval), the latter
        with ``low`` and ``high`` from the χ² interval of the variance; ``relative_half_width_of_calibration``, which
        does not decrease with the number of particles; ``n_particles_where_calibration_dominates``, where the two are
        equal; ``n_particles_needed_with_calibration`` for the target by both, None where calibration alone exceeds it
        (``reason`` then says so).
    """
    z = float(scipy.special.ndtri((1 + options.confidence) / 2))
    width = z * bootstrap_standard_error(statistic, n) / float(statistic[0])
    per, target = particles_per_micrograph, options.target_relative_precision
    needed = n * (width / target) ** 2
    tails: Sequence[float] = ((1 + options.confidence) / 2, (1 - options.confidence) / 2)
    low, high = ((n - 1) / (2 * scipy.special.gammaincinv((n - 1) / 2, tail)) for tail in tails)  # quantiles of χ²
    ceiling = None if calibration is None else z * calibration
    left = None if ceiling is None else target**2 - ceiling**2
    reason = None
    if ceiling is not None and left is not None and left <= 0:
        reason = (
            f"calibration alone is ±{ceiling:.1%}: no number of particles gives ±{target:.1%}; the number is for "
            "sampling alone; state the uncertainty of the pixel size if it is smaller"
        )
    return {
        "relative_half_width": width,
        "n_micrographs_needed": _ceil(needed),
        "n_particles_needed": {
            "value": _ceil(needed * per),
            "low": _ceil(needed * per * low),
            "high": _ceil(needed * per * high),
        },
        "relative_half_width_of_calibration": ceiling,
        "n_particles_where_calibration_dominates": float(np.ceil(n * per * (width / ceiling) ** 2))
        if ceiling
        else None,
        "n_particles_needed_with_calibration": float(np.ceil(n * per * width**2 / left)) if left and left > 0 else None,
        "reason": reason,
    }


def _ceil(number: float) -> int | None:
    """Round up; None for NaN."""
    return int(np.ceil(number)) if np.isfinite(number) else None
