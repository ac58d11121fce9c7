"""Statistics of the particles of each sample and of all samples together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.errors import SettingsError
from hrtem_dask.intervals import BOOTSTRAP_METHOD, MIN_MICROGRAPHS
from hrtem_dask.population import edge_weights
from hrtem_dask.population.inference import jackknife_moments
from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.particle_table import LazyTable, computed
from hrtem_dask.population.reduction import SIZES, Population, collect
from hrtem_dask.population.sizes.describe_size import describe_size
from hrtem_dask.population.sizes.fits import fit_sizes
from hrtem_dask.population.sizes.pixel_sizes import PIXEL_SIZE, describe_pixel_size
from hrtem_dask.population.sizes.size_sample import select_sizes
from hrtem_dask.population.verdicts import KEPT, LEFT_OUT, doubtful_micrographs

__all__ = ["summarize"]

_OF_MICROGRAPHS = (
    *("micrograph_id", "height_px", "width_px", "field_height_px", "field_width_px", "edge_position_px"),
    *("pixel_size_source", "pixel_size_y_nm", "lattice_scale_ratio"),
)
"""Columns of `tables.MICROGRAPHS` that edge weights and budgets of uncertainty use."""


def summarize(
    particles: pd.DataFrame | LazyTable | Population,
    micrographs: pd.DataFrame | LazyTable | None = None,
    options: PopulationOptions | None = None,
    *,
    sizes: Sequence[str] = SIZES,
) -> dict[str, Any]:
    """Summarize the counted particles of each sample, and of all samples together.

    Parameters
    ----------
    particles : pandas.DataFrame, dask.dataframe.DataFrame or reduction.Population
        Rows of `tables.PARTICLES`. A lazy table is reduced partition by partition, with the same result.
    micrographs : pandas.DataFrame or dask.dataframe.DataFrame, optional
        Rows of `tables.MICROGRAPHS`: the sizes of the images, for edge weights, the sources of the pixel sizes, and
        the verdicts. Without it there are no edge weights, and the result states the reason.
    options : PopulationOptions, optional
        Options of the statistics; the defaults without them.
    sizes : sequence of str
        Which of the sizes are described, by default all; the others are left out.

    Returns
    -------
    dict
        ``definitions``, ``all`` and ``samples`` (name → the same as ``all``), plain numbers, strings, lists and None,
        ready for JSON. Lengths are in nm. docs/statistics.md defines every key.

    Raises
    ------
    TypeError
        If `particles` is no table.
    SettingsError
        If doubtful micrographs are to be left out and there is no table of micrographs.

    Examples
    --------
    >>> table = pd.DataFrame({"sample": "Au", "micrograph_id": ["a", "a", "b"], "counted": True})
    >>> table["equivalent_diameter_nm"] = [4.0, 5.0, 6.0]
    >>> summary = summarize(table, options=PopulationOptions(n_resamples=100))
    >>> size = summary["samples"]["Au"]["equivalent_diameter_nm"]
    >>> size["n"], round(size["mean"], 3), size["median"]
    (3, 5.0, 5.0)
    """
    if not hasattr(particles, "columns") and not isinstance(particles, Population):
        raise TypeError(
            f"need a table of particles, got {type(particles).__name__}: open_results(folder).particles is one"
        )
    options = options or PopulationOptions()
    population = collect(particles)
    micrographs = None if micrographs is None else computed(micrographs)
    if options.leave_out_doubtful:
        if micrographs is None:
            raise SettingsError("leave_out_doubtful needs the table of micrographs, which has the verdicts: give it")
        population = population.without(doubtful_micrographs(micrographs))
    if micrographs is not None:  # selecting rows of all columns would take longer than the statistics
        micrographs = micrographs[[name for name in _OF_MICROGRAPHS if name in micrographs]]
    names = sorted({*population.counted["sample"], *population.excluded["sample"]})
    samples = {name: _one_population(population.sample(name), micrographs, options, sizes) for name in names}
    whole = samples[names[0]] if len(names) == 1 else _one_population(population, micrographs, options, sizes)
    return {"definitions": _definitions(options), "all": whole, "samples": samples}


def _one_population(
    population: Population, micrographs: pd.DataFrame | None, options: PopulationOptions, sizes: Sequence[str]
) -> dict[str, Any]:
    """Describe the particles of one sample, or of all samples."""
    counted, excluded = population.counted, population.excluded
    frames = micrographs if options.edge_weights else None
    weights, reason = edge_weights.particle_weights(counted, frames)
    if not options.edge_weights:
        reason = "turned off by the user"
    by_reason = excluded[excluded["exclusion_reason"] != ""].groupby("exclusion_reason")["n"].sum()
    found: dict[str, Any] = {
        "n_particles": len(counted) + int(excluded["n"].sum()),
        "n_counted": len(counted),
        "excluded": {str(name): int(n) for name, n in by_reason.sort_index().items()},
        "n_micrographs_with_particles": int(counted["micrograph_id"].nunique()),
        "edge_weights": {
            "rule": edge_weights.RULE if reason is None else edge_weights.UNWEIGHTED,
            "applied": reason is None,
            "reason": reason,
            "largest_weight": float(weights.max()) if len(weights) else None,
        },
    }
    for column in sizes:
        size = describe_size(counted, column, weights=weights, frames=micrographs, options=options)
        if size is not None:
            found[column] = size
    if not (counted[list(SIZES)] > 0).any(axis=None):
        in_pixels = describe_pixel_size(counted, weights=weights, options=options)
        if in_pixels is not None:
            found[PIXEL_SIZE] = in_pixels
    found["aspect_ratio"] = _aspect_ratio(counted, weights, options)
    return found


def _aspect_ratio(counted: pd.DataFrame, weights: np.ndarray, options: PopulationOptions) -> dict[str, Any] | None:
    """Fit distributions to the aspect ratio less 1, which has no limits but 0."""
    elongation = counted.assign(elongation=counted["aspect_ratio"] - 1)
    chosen, _ = select_sizes(elongation, "elongation", weights)
    if not len(chosen.values):
        return None
    fits = fit_sizes(chosen, np.zeros(len(chosen.values)), n_simulations=options.n_fit_simulations, seed=options.seed)
    for family in fits["families"].values():
        family["parameters"] = {name.removesuffix("_nm"): row for name, row in family["parameters"].items()}
    del fits["detection_limit_nm"]
    return {"n": len(chosen.values), "fitted": "aspect ratio less 1", "fits": fits}


def _definitions(options: PopulationOptions) -> dict[str, Any]:
    """Return the methods behind the numbers, in words."""
    return {
        "confidence": options.confidence,
        "interval_method": "mean, geometric standard deviation: jackknife over micrographs; median: Woodruff; other "
        f"moments: {jackknife_moments.METHOD}; other quantiles, span: {BOOTSTRAP_METHOD}",
        "n_resamples": options.n_resamples,
        "min_micrographs_for_intervals": MIN_MICROGRAPHS,
        "seed": options.seed,
        "bias_uncertainty_nm": options.bias_uncertainty_nm,
        "doubtful_micrographs": LEFT_OUT if options.leave_out_doubtful else KEPT,
        "edge_rule": edge_weights.RULE if options.edge_weights else edge_weights.UNWEIGHTED,
        "quantiles": "weighted, Hyndman and Fan's definition 5",
        "volume": "size cubed",
    }
