"""Length, width and alignment of the instances that a detector found, such as nanorods.

Directions of different micrographs cannot be compared, because nobody knows how the specimen lay. Alignment is
therefore that of instances of one micrograph: the mean of cos 2(θᵢ − θⱼ) over all pairs of one micrograph is the square
of the nematic order parameter S in two dimensions (0 random, 1 parallel; P. G. de Gennes and J. Prost, The Physics of
Liquid Crystals, 2nd ed. 1993), without the bias of the mean length of a resultant, which is above 0 for random ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.intervals import BOOTSTRAP_METHOD, MIN_MICROGRAPHS, bootstrap_interval, resample_counts, resample_sums
from hrtem_dask.population.particle_table import is_counted

__all__ = ["LEAST_ASPECT", "describe_instances", "nematic_order"]

LEAST_ASPECT = 1.3
"""Instances that are less elongated have no direction worth the name."""
BIN_DEG = 15.0
_QUANTITIES = ("box_length_nm", "box_width_nm", "box_length_px", "box_width_px", "box_aspect_ratio")


def describe_instances(
    particles: pd.DataFrame, micrographs: pd.DataFrame, *, seed: int = 0, n_resamples: int = 1000
) -> dict[str, Any] | None:
    """Describe the counted instances that a detector found.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    seed : int
        Seed of the bootstrap.
    n_resamples : int
        Resamples of the bootstrap over micrographs.

    Returns
    -------
    dict or None
        ``classes`` (name and number), ``sizes`` (quantiles of length, width and aspect ratio of the boxes), ``order``
        (of elongated ones, from `nematic_order`), ``histogram`` of their angles, and ``scales`` at which the detector
        saw their micrographs; None if no detector was used.
    """
    if "detection_score" not in particles:
        return None
    found = particles[is_counted(particles) & particles["detection_score"].notna().to_numpy(dtype=bool)]
    if found.empty:
        return None
    names, counts = np.unique(found["instance_class"].astype(str).to_numpy(), return_counts=True)
    sizes = {}
    for name in _QUANTITIES:
        values = found[name].to_numpy(dtype=float, na_value=np.nan)
        values = values[np.isfinite(values)]
        if values.size:
            low, middle, high = (float(q) for q in np.quantile(values, [0.1, 0.5, 0.9]))
            sizes[name] = {"n": int(values.size), "d10": low, "median": middle, "d90": high}
    long = found[found["box_aspect_ratio"].to_numpy(dtype=float) >= LEAST_ASPECT]
    angles = long["box_angle_deg"].to_numpy(dtype=float)
    edges = np.arange(-90, 91, BIN_DEG)
    return {
        "n": len(found),
        "classes": [{"name": str(name), "n": int(n)} for name, n in zip(names, counts, strict=True)],
        "sizes": sizes,
        "scales": _scales(micrographs[micrographs["micrograph_id"].isin(found["micrograph_id"])]),
        "order": nematic_order(
            angles, long["micrograph_id"].astype(str).to_numpy(), seed=seed, n_resamples=n_resamples
        ),
        "histogram": {
            "edges_deg": edges.tolist(),
            "n": np.histogram(angles, edges)[0].tolist(),
            "least_aspect_ratio": LEAST_ASPECT,
        },
    }


def _scales(micrographs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the scales at which micrographs were seen, and how many of them at each."""
    known = micrographs["network_scale"].dropna().to_numpy(dtype=float)
    values, counts = np.unique(known, return_counts=True)
    return [{"scale": float(value), "n": int(n)} for value, n in zip(values, counts, strict=True)]


def nematic_order(
    angles_deg: np.ndarray, micrographs: np.ndarray, *, seed: int = 0, n_resamples: int = 1000
) -> dict[str, Any]:
    """Return the nematic order parameter within micrographs.

    Parameters
    ----------
    angles_deg : numpy.ndarray
        Shape (n,): directions (°), the same after 180°.
    micrographs : numpy.ndarray
        Shape (n,): micrograph of each.
    seed : int
        Seed of the bootstrap.
    n_resamples : int
        Resamples of the bootstrap over micrographs.

    Returns
    -------
    dict
        ``estimate``, the root of the mean of cos 2Δ over the pairs of each micrograph (0 where that is negative, None
        without a pair); ``low`` and ``high``, its 95 % interval; ``reason`` where there is none; ``n``,
        ``n_micrographs`` (with at least two instances) and ``method``.
    """
    sums, pairs = [], []
    for name in np.unique(micrographs):
        turns = np.deg2rad(2 * angles_deg[micrographs == name])
        n = turns.size
        if n >= 2:
            sums.append((abs(np.exp(1j * turns).sum()) ** 2 - n) / 2)
            pairs.append(n * (n - 1) / 2)
    found: dict[str, Any] = {"estimate": None, "low": None, "high": None, "n": int(angles_deg.size),
                             "n_micrographs": len(sums), "reason": None, "method": BOOTSTRAP_METHOD}  # fmt: skip
    if not sums:
        return found | {"reason": "no micrograph has two elongated instances"}
    drawn = resample_counts(len(sums), n_resamples=n_resamples, seed=seed)
    statistics = np.sqrt(
        np.maximum(resample_sums(drawn, np.array(sums)) / np.maximum(resample_sums(drawn, np.array(pairs)), 1e-12), 0)
    )
    found["estimate"] = float(statistics[0])
    low, high = bootstrap_interval(statistics, len(sums))
    if np.isnan(low):
        return found | {"reason": f"an interval needs at least {MIN_MICROGRAPHS} micrographs"}
    return found | {"low": min(max(low, 0.0), 1.0), "high": min(max(high, 0.0), 1.0)}
