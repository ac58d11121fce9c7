"""Differences between samples in size, spread and defect fraction."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy
import scipy.optimize

from hrtem_dask.intervals import MIN_MICROGRAPHS, wilson_interval
from hrtem_dask.population.inference.averages import geometric_sd, mean, median
from hrtem_dask.population.inference.clusters import no_estimate
from hrtem_dask.population.inference.fractions import clustered_fraction
from hrtem_dask.population.inference.multiple_testing import adjust_p_values
from hrtem_dask.population.particle_table import LazyTable, counted_particles, micrograph_codes, numbers, weight_column
from hrtem_dask.population.relations.defect_fraction import fault_states

__all__ = ["SAMPLE_STATISTICS", "compare_samples"]

SAMPLE_STATISTICS = ("mean", "median", "geometric_sd", "defect_fraction")
"""Statistics in which samples are compared; the first three are those of the size."""
_SIZE_STATISTICS = {"mean": mean, "median": median, "geometric_sd": geometric_sd}


def compare_samples(
    particles: pd.DataFrame | LazyTable, *, size: str = "equivalent_diameter_nm", confidence: float = 0.95
) -> dict[str, Any]:
    """Compare every pair of samples in size, spread and defects.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted particles are used.
    size : str
        A column of positive numbers, for example in nm.
    confidence : float
        Probability, 0 to 1, that each single interval contains the true value.

    Returns
    -------
    dict
        ``size``; ``samples``: sample → statistic of `SAMPLE_STATISTICS` → keys of `clusters.estimate_row`;
        ``differences``: a list with a row per statistic and pair: ``statistic``, ``sample_a``, ``sample_b``, keys of
        `clusters.estimate_row` (``estimate`` is b minus a), ``p_adjusted`` (Holm over all pairs and statistics
        together) and ``differs`` (``p_adjusted`` at most 1 − confidence); ``kruskal``: for ``median`` and
        ``defect_fraction``, the Kruskal–Wallis test of whether any sample differs, on the median and the
        fraction of each micrograph, which are independent: ``p_value``, ``n_samples``, ``n_micrographs``, ``reason``;
        and ``reason`` why there is no comparison. Differences of sizes have Student's t intervals with the degrees of
        freedom of Welch and Satterthwaite; those of fractions combine the two Wilson intervals (R. Newcombe, Stat. Med.
        17 (1998) 873).
    """
    table = counted_particles(particles)
    table = table.assign(sample=table["sample"].fillna("").astype(str))
    groups = {str(name): rows.reset_index(drop=True) for name, rows in table.groupby("sample", sort=True)}
    samples = {name: _describe(rows, size, confidence) for name, rows in groups.items()}
    rows = [
        {"statistic": statistic, "sample_a": a, "sample_b": b}
        | _difference(statistic, samples[a][statistic], samples[b][statistic], confidence)
        for statistic in SAMPLE_STATISTICS
        for a, b in itertools.combinations(samples, 2)
    ]
    adjusted = adjust_p_values([row["p_value"] for row in rows], method="holm")
    differences = [
        {**row, "p_adjusted": p, "differs": None if p is None else p <= 1 - confidence}
        for row, p in zip(rows, adjusted, strict=True)
    ]
    return {
        "size": size,
        "samples": samples,
        "differences": differences,
        "kruskal": {
            "median": _kruskal(groups, lambda t: numbers(t, size), np.median),
            "defect_fraction": _kruskal(groups, fault_states, np.mean),
        },
        "reason": None if len(samples) > 1 else f"{len(samples)} samples: two are needed to compare",
    }


def _describe(rows: pd.DataFrame, size: str, confidence: float) -> dict[str, dict[str, Any]]:
    """Return the statistics of one sample."""
    weights, codes = weight_column(rows), micrograph_codes(rows)
    sizes, fault = numbers(rows, size), fault_states(rows)
    sized, known = (sizes > 0) & (weights > 0), np.isfinite(fault)
    described = {
        name: statistic(sizes[sized], weights[sized], codes[sized], confidence=confidence)
        for name, statistic in _SIZE_STATISTICS.items()
    }
    fraction = clustered_fraction(fault[known] == 1, weights[known], codes[known], confidence=confidence)
    return described | {"defect_fraction": fraction | {"p_value": None}}


def _difference(statistic: str, a: dict[str, Any], b: dict[str, Any], confidence: float) -> dict[str, Any]:
    """Return the statistic of sample b minus that of sample a."""
    row = no_estimate("", n=a["n"] + b["n"], n_micrographs=a["n_micrographs"] + b["n_micrographs"])
    row["reason"] = a["reason"] or b["reason"]
    if a["estimate"] is None or b["estimate"] is None:
        return row
    row["estimate"] = b["estimate"] - a["estimate"]
    if row["reason"]:
        return row
    errors, dfs = (np.array([s[k] for s in (a, b)], dtype=float) for k in ("standard_error", "n_micrographs"))
    row["standard_error"] = float(np.hypot(*errors))
    if statistic == "defect_fraction":
        low, high = _newcombe(a, b, confidence)
        return row | {"low": low, "high": high, "p_value": _newcombe_p(a, b)}
    df = (errors**2).sum() ** 2 / (errors**4 / (dfs - 1)).sum()
    half = scipy.stats.t.ppf((1 + confidence) / 2, df) * row["standard_error"]
    p_value = 2 * scipy.stats.t.sf(abs(row["estimate"]) / row["standard_error"], df)
    return row | {"low": row["estimate"] - half, "high": row["estimate"] + half, "p_value": float(p_value)}


def _newcombe(a: dict[str, Any], b: dict[str, Any], confidence: float) -> tuple[float, float]:
    """Return the interval of a difference of fractions from the intervals of both fractions."""
    ends = [
        wilson_interval(s["estimate"], s["n_effective"], df=s["n_micrographs"] - 1, confidence=confidence)
        for s in (a, b)
    ]
    difference = b["estimate"] - a["estimate"]
    down = np.hypot(b["estimate"] - ends[1][0], ends[0][1] - a["estimate"])
    up = np.hypot(ends[1][1] - b["estimate"], a["estimate"] - ends[0][0])
    return float(difference - down), float(difference + up)


def _newcombe_p(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Return the p-value that agrees with the interval: one minus the confidence at which it just reaches 0."""
    difference = b["estimate"] - a["estimate"]
    if difference == 0:
        return 1.0

    def reach(logarithm: float) -> float:
        low, high = _newcombe(a, b, 1 - np.exp(logarithm))
        return low if difference > 0 else -high

    least = np.log(1e-12)
    if reach(least) > 0:
        return float(np.exp(least))
    return float(np.exp(scipy.optimize.brentq(reach, least, -1e-12)))


def _kruskal(
    groups: dict[str, pd.DataFrame],
    values_of: Callable[[pd.DataFrame], np.ndarray],
    average: Callable[[pd.Series], float],
) -> dict[str, Any]:
    """Return the Kruskal–Wallis test on one number per micrograph."""
    per_sample = []
    for rows in groups.values():
        values = (
            pd.Series(values_of(rows))
            .groupby(rows["micrograph_id"].to_numpy())
            .agg(lambda v: average(v.dropna()) if v.notna().any() else np.nan)
        )
        if len(values := values.dropna()) >= MIN_MICROGRAPHS:
            per_sample.append(values.to_numpy(dtype=float))
    row: dict[str, Any] = {
        "p_value": None,
        "n_samples": len(per_sample),
        "n_micrographs": sum(map(len, per_sample)),
        "reason": None,
    }
    if len(per_sample) < 2:
        return row | {
            "reason": f"{len(per_sample)} samples with at least {MIN_MICROGRAPHS} micrographs: two are needed"
        }
    if np.ptp(np.concatenate(per_sample)) == 0:
        return row | {"reason": "all micrographs have the same value"}
    return row | {"p_value": float(scipy.stats.kruskal(*per_sample).pvalue)}
