"""All statistics of one size of one population."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.intervals import (
    MIN_MICROGRAPHS,
    bootstrap_interval,
    bootstrap_standard_error,
    resample_counts,
    too_few_micrographs,
)
from hrtem_dask.population.inference import averages
from hrtem_dask.population.inference.fractions import clustered_fraction
from hrtem_dask.population.inference.quantiles import weighted_quantiles
from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.sizes import distributions, precision, uncertainty
from hrtem_dask.population.sizes.fits import fit_sizes
from hrtem_dask.population.sizes.size_sample import Sizes, moment_intervals, select_sizes, size_statistics
from hrtem_dask.population.sizes.variance_components import variance_components

__all__ = ["describe_size", "interval_reason", "with_intervals"]

_DIGEST = {"mean": "mean_nm", "sd": "sd_nm", "median": "median_nm", "d10": "d10_nm", "d90": "d90_nm"}
_VOLUME = "volume_"
_LARGEST_RATIO = 0.99
"""Quantile of the ratio of a size to the equivalent diameter that stands for the largest one."""
_MANY = (
    *("sd_nm", "coefficient_of_variation", "d43_nm", "volume_mean_nm", "volume_geometric_mean_nm"),
    *("volume_d10_nm", "volume_median_nm"),
)
"""Statistics whose intervals cover the truth often enough only with `MANY_MICROGRAPHS`."""
MANY_MICROGRAPHS = 20
_NEVER = ("volume_d90_nm", "volume_sd_nm", "volume_geometric_sd", "volume_span")
"""Statistics without intervals: they depend on the few largest particles, and no interval covered 93 % or more."""
_NEVER_REASON = (
    "no interval of deviations, D90 and span by volume: they depend on the few largest particles, so that intervals "
    "would contain the true value less often than stated"
)
_MANY_REASON = (
    f"no interval of the standard deviation, the coefficient of variation, D[4,3], and geometric mean, D10 and median "
    f"by volume: they need {MANY_MICROGRAPHS} micrographs"
)
_AVERAGES: dict[str, Callable[..., dict[str, Any]]] = {
    "mean_nm": averages.mean,
    "median_nm": averages.median,
    "geometric_sd": averages.geometric_sd,
    "d10_nm": functools.partial(averages.quantile, probability=0.1),
    "d90_nm": functools.partial(averages.quantile, probability=0.9),
}
"""Statistics with the same value and interval as where samples are compared, and D10 and D90 by the method of the
median."""
NANOMATERIAL_NM = 100.0
"""Particles of 1 nm to 100 nm in one dimension make a nanomaterial where they are half of all (Recommendation
2022/C 229/01 of the European Commission); the minimum Feret diameter stands for that dimension."""


def describe_size(
    counted: pd.DataFrame,
    column: str,
    *,
    weights: np.ndarray,
    frames: pd.DataFrame | None,
    options: PopulationOptions,
) -> dict[str, Any] | None:
    """Describe one size of the counted particles.

    Parameters
    ----------
    counted : pandas.DataFrame
        Rows of `Population.counted`.
    column : {"equivalent_diameter_nm", "feret_min_nm"}
        Column of the size (nm).
    weights : numpy.ndarray of float
        Shape (rows,): edge weights.
    frames : pandas.DataFrame or None
        Rows of `tables.MICROGRAPHS`, with sources of the pixel sizes, measured lattices and widths of edges.
    options : PopulationOptions
        Options of the statistics.

    Returns
    -------
    dict or None
        Keys as defined in docs/statistics.md; None where no counted particle has this size.
    """
    sizes, known = select_sizes(counted, column, weights)
    if not len(sizes.values):
        return None
    m = sizes.n_micrographs
    counts = resample_counts(m, n_resamples=options.n_resamples, seed=options.seed, strata=sizes.usable_strata)
    statistics = size_statistics(sizes, counts)
    digest = {name: float(statistics[key][0]) for name, key in _DIGEST.items()}
    shown = with_intervals(sizes, statistics, options.confidence)
    rows = counted[known]
    between = variance_components(sizes)
    calibration = uncertainty.pixel_size_uncertainty(frames, rows, options)
    edges = uncertainty.edge_positions(rows, frames)
    return {
        "n": len(sizes.values),
        "n_missing": len(counted) - len(sizes.values),
        **{name: value if np.isfinite(value) else None for name, value in digest.items()},
        "n_micrographs": m,
        **_effective(sizes, between),
        "interval_reason": interval_reason(sizes, shown),
        "number_weighted": {k: v for k, v in shown.items() if not k.startswith(_VOLUME)},
        "volume_weighted": {k.removeprefix(_VOLUME): v for k, v in shown.items() if k.startswith(_VOLUME)},
        "without_edge_weights": _without_weights(sizes, digest),
        "histogram": distributions.histogram(sizes.values, sizes.weights, width_nm=options.bin_width_nm),
        "cumulative": distributions.cumulative(sizes.values, sizes.weights),
        "fits": _fits(sizes, rows, column, bool((~known).any()), options),
        "between_micrographs": between,
        "precision": precision.precision(sizes, statistics, options=options, calibration=calibration[0]),
        "uncertainty": {
            name: _budget(sizes, name, shown[name], statistics[name], rows, edges, calibration, options)
            for name in uncertainty.STATISTICS
        },
        **({"below_100_nm": _below_100_nm(sizes, options)} if column == "feret_min_nm" else {}),
    }


def _effective(sizes: Sizes, between: dict[str, Any]) -> dict[str, float | None]:
    """Return how many independent particles of equal weight would be as informative, and by the weights alone."""
    effect = between.get("design_effect")
    by_weights = sizes.effective_n
    return {
        "effective_n": None if effect is None else by_weights / max(1.0, float(effect)),
        "effective_n_by_weights": by_weights,
    }


def _below_100_nm(sizes: Sizes, options: PopulationOptions) -> dict[str, Any]:
    """Return the share of particles below 100 nm, by number."""
    return clustered_fraction(
        sizes.values < NANOMATERIAL_NM, sizes.weights, sizes.owners, confidence=options.confidence
    )


def with_intervals(
    sizes: Sizes, statistics: dict[str, np.ndarray], confidence: float
) -> dict[str, dict[str, float | None]]:
    """Return each statistic with its interval.

    Parameters
    ----------
    sizes : Sizes
        The particles.
    statistics : dict
        Result of `size_statistics`, with all resamples.
    confidence : float
        Probability, 0 to 1, that an interval contains the true value.

    Returns
    -------
    dict
        Statistic → ``value``, ``low``, ``high``; None for missing numbers: the ends with fewer than
        `intervals.MIN_MICROGRAPHS` micrographs, or where one of them has nearly all of the particles; where micrographs
        differ so much that a moment has no usable interval; those in `_MANY`, such as sd and D[4,3], with fewer than
        `MANY_MICROGRAPHS`; and those of sd, geometric sd, D90 and span by
        volume, which depend on the few largest particles.
    """
    ends: dict[str, tuple[float, float]] = {}
    values = {name: float(found[0]) for name, found in statistics.items()}
    rows = {
        name: average(sizes.values, sizes.weights, sizes.owners, strata=sizes.particle_strata, confidence=confidence)
        for name, average in _AVERAGES.items()
    }
    values |= {name: row["estimate"] for name, row in rows.items() if row["estimate"] is not None}
    if _few_micrographs(sizes) is None:
        ends = {k: bootstrap_interval(v, sizes.n_micrographs, confidence=confidence) for k, v in statistics.items()}
        ends |= moment_intervals(sizes, confidence=confidence)
        ends |= {name: (_number(row["low"]), _number(row["high"])) for name, row in rows.items()}
        few = not _has_many(sizes)
        ends |= dict.fromkeys((*_NEVER, *(_MANY if few else ())), (np.nan, np.nan))
    found = {}
    for name, value in values.items():
        numbers = zip(("value", "low", "high"), (value, *ends.get(name, (np.nan, np.nan))), strict=True)
        found[name] = {key: number if np.isfinite(number) else None for key, number in numbers}
    return found


def _number(value: float | None) -> float:
    """Return a number, NaN for None."""
    return np.nan if value is None else float(value)


def _has_many(sizes: Sizes) -> bool:
    """Return whether there are enough micrographs for statistics of the spread and of the largest particles."""
    return sizes.n_micrographs >= MANY_MICROGRAPHS and sizes.effective_micrographs >= MANY_MICROGRAPHS / 2


def _few_micrographs(sizes: Sizes) -> str | None:
    """Return why the micrographs are too few for any interval, or None."""
    few = too_few_micrographs(sizes.n_micrographs, sizes.shares)
    if few is None or sizes.n_micrographs < MIN_MICROGRAPHS:
        return few
    return f"{few}; analyze micrographs of one magnification together"


def interval_reason(sizes: Sizes, shown: dict[str, dict[str, float | None]]) -> str | None:
    """Return why there are no intervals, or which are missing.

    Parameters
    ----------
    sizes : Sizes
        The particles.
    shown : dict
        Result of `with_intervals`.

    Returns
    -------
    str or None
        The reason in words, or None.
    """
    if (few := _few_micrographs(sizes)) is not None:
        return few.replace("no interval:", "no intervals:", 1)
    missing = [name for name, f in shown.items() if f["value"] is not None and f["low"] is None]
    lacks = not _has_many(sizes)
    usual = f"{_MANY_REASON}; {_NEVER_REASON}" if lacks else _NEVER_REASON
    missing = [name for name in missing if name not in (*_NEVER, *(_MANY if lacks else ()))]
    if not missing:
        return usual
    return f"no interval of {', '.join(missing)}: the micrographs differ too much, or all sizes are equal; {usual}"


def _fits(
    sizes: Sizes, rows: pd.DataFrame, column: str, some_missing: bool, options: PopulationOptions
) -> dict[str, Any]:
    """Fit distributions to the sizes above the limit that the smallest counted area sets to this size."""
    limits = _limits(rows, column, some_missing, options)
    used = sizes.values >= limits
    chosen = Sizes(sizes.values[used], sizes.weights[used], sizes.owners[used], sizes.n_micrographs)
    fits = fit_sizes(chosen, limits[used], n_simulations=options.n_fit_simulations, seed=options.seed)
    return fits | {"n_below_limit": int((~used).sum())}


def _limits(rows: pd.DataFrame, column: str, some_missing: bool, options: PopulationOptions) -> np.ndarray:
    """Return the size (nm) from which on particles of any shape are counted, in the micrograph of each particle."""
    area_nm2, area_px, diameter = (
        rows[name].to_numpy(dtype=float) for name in ("area_nm2", "area_px", "equivalent_diameter_nm")
    )
    smallest_px = options.min_area_px
    if column != "equivalent_diameter_nm" and some_missing:  # small particles have no shape
        smallest_px = max(smallest_px, float(np.nanmin(area_px, initial=np.inf)) if len(area_px) else smallest_px)
    with np.errstate(invalid="ignore", divide="ignore"):
        smallest = np.fmax(options.min_area_nm2, smallest_px * area_nm2 / area_px)
        limits: np.ndarray = np.nan_to_num(np.sqrt(4 * smallest / np.pi))
        if column == "equivalent_diameter_nm":
            return np.asarray(np.minimum(limits, diameter))
        # a particle of this size is counted if its diameter is above the limit: round ones have the smallest diameter
        ratio = rows[column].to_numpy(dtype=float) / diameter
    known = ratio[np.isfinite(ratio)]
    return np.asarray(limits * np.quantile(known, _LARGEST_RATIO)) if len(known) else np.zeros(len(rows))


def _without_weights(sizes: Sizes, digest: dict[str, float]) -> dict[str, float]:
    """Return mean and median without edge weights, and their relative bias."""
    mean, median = float(sizes.values.mean()), float(np.median(sizes.values))
    return {
        "mean_nm": mean,
        "median_nm": median,
        "mean_relative_bias": mean / digest["mean"] - 1,
        "median_relative_bias": median / digest["median"] - 1,
    }


def _budget(
    sizes: Sizes,
    name: str,
    shown: dict[str, float | None],
    statistic: np.ndarray,
    rows: pd.DataFrame,
    edges: np.ndarray | None,
    calibration: tuple[float, str],
    options: PopulationOptions,
) -> dict[str, Any]:
    """Return the uncertainty budget of one statistic."""
    whole = np.isnan(rows["split_confidence"].to_numpy(dtype=float))
    without = None
    if whole.any() and not whole.all():
        without = _statistic(name, sizes.values[whole], sizes.weights[whole])
    with np.errstate(invalid="ignore"):
        pixel = np.sqrt(rows["area_nm2"].to_numpy(dtype=float) / rows["area_px"].to_numpy(dtype=float))
    value = float(statistic[0]) if shown["value"] is None else shown["value"]
    freedom = max(sizes.effective_micrographs - 1, 1.0)
    sampling, basis = None, "standard error by bootstrap over micrographs"
    few = _few_micrographs(sizes)
    if few is None:
        sampling = bootstrap_standard_error(statistic, sizes.n_micrographs)
        if name in _AVERAGES:
            row = _AVERAGES[name](sizes.values, sizes.weights, sizes.owners, strata=sizes.particle_strata)
            if row["standard_error"] is not None:
                sampling, basis = row["standard_error"], "half width of the interval over Student's t"
    return uncertainty.uncertainty_budget(
        sizes,
        uncertainty.SizeStatistic(
            name=name,
            value=value,
            sampling=sampling,
            sampling_basis=basis,
            degrees_of_freedom=freedom,
            without_split=without,
            sampling_reason=few if sizes.n_micrographs >= MIN_MICROGRAPHS else None,
        ),
        pixel_sizes_nm=pixel,
        edges=edges,
        pixel_size=calibration,
        options=options,
    )


def _statistic(name: str, values: np.ndarray, weights: np.ndarray) -> float:
    """Return a statistic of some sizes."""
    if name == "mean_nm":
        return float(np.average(values, weights=weights))
    if name == "d43_nm":
        return float((weights @ values**4) / (weights @ values**3))
    probability = {"d10_nm": 0.1, "median_nm": 0.5, "d90_nm": 0.9}[name]
    return float(weighted_quantiles(values, weights, [probability])[0])
