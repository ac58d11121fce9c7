"""The size of a population in pixels, where no particle has one in nm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.intervals import resample_counts
from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.sizes.describe_size import interval_reason, with_intervals
from hrtem_dask.population.sizes.size_sample import select_sizes, size_statistics

__all__ = ["PIXEL_SIZE", "describe_pixel_size"]

PIXEL_SIZE = "equivalent_diameter_px"
_SHOWN = ("mean", "sd", "coefficient_of_variation", "geometric_mean", "geometric_sd", "d10", "median", "d90", "span")


def describe_pixel_size(
    counted: pd.DataFrame, *, weights: np.ndarray, options: PopulationOptions
) -> dict[str, Any] | None:
    """Describe the equivalent circular diameter in pixels of the counted particles, by number.

    Diameters of different magnifications mean different lengths, so that these statistics describe a population only
    where all micrographs have the same one. Nothing is known of the uncertainty of a pixel, so there is no budget.

    Parameters
    ----------
    counted : pandas.DataFrame
        Rows of `Population.counted`.
    weights : numpy.ndarray of float
        Shape (rows,): edge weights.
    options : PopulationOptions
        Options of the statistics.

    Returns
    -------
    dict or None
        ``n``, ``n_missing``, ``n_micrographs``, ``interval_reason`` and ``number_weighted``: ``mean_px``, ``sd_px``,
        ``coefficient_of_variation``, ``geometric_mean_px``, ``geometric_sd``, ``d10_px``, ``median_px``, ``d90_px`` and
        ``span``, each with ``value``, ``low`` and ``high``. None where no counted particle has this size.
    """
    sizes, _ = select_sizes(counted, PIXEL_SIZE, weights)
    if not len(sizes.values):
        return None
    m = sizes.n_micrographs
    counts = resample_counts(m, n_resamples=options.n_resamples, seed=options.seed, strata=sizes.usable_strata)
    shown = with_intervals(sizes, size_statistics(sizes, counts), options.confidence)
    found = {name: found for name, found in shown.items() if name.removesuffix("_nm") in _SHOWN}
    missing = [name.removesuffix("_nm").replace("_", " ") for name, row in found.items() if row["low"] is None]
    reason = None
    if len(missing) == len(found):
        reason = interval_reason(sizes, found)
    elif missing:
        reason = f"no interval of {', '.join(missing)}: the micrographs are too few, or differ too much"
    return {
        "n": len(sizes.values),
        "n_missing": len(counted) - len(sizes.values),
        "n_micrographs": m,
        "interval_reason": reason,
        "number_weighted": {name.replace("_nm", "_px"): row for name, row in found.items()},
    }
