"""The first numbers of a population: how many, how big, by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["summarize"]


def summarize(particles: Any) -> dict[str, dict[str, Any]]:
    """Summarise the counted particles of each sample.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; a lazy table is computed.

    Returns
    -------
    dict
        Sample → ``n_particles``, ``n_counted``, ``excluded`` (reason → number), and of the counted ones with a
        size in nm: ``equivalent_diameter_nm`` with ``n``, ``mean``, ``sd`` (n − 1), ``median``, ``d10``, ``d90``.
        Number-weighted, edge particles left out, without edge correction or interval.
    """
    particles = particles.compute() if hasattr(particles, "compute") else particles
    return {
        str(sample): _one_sample(rows) for sample, rows in particles.groupby(particles["sample"].fillna(""), sort=True)
    }


def _one_sample(rows: pd.DataFrame) -> dict[str, Any]:
    """Summarise the particles of one sample."""
    counted = rows[rows["counted"].fillna(False).astype(bool)]
    sizes = counted["equivalent_diameter_nm"].dropna().to_numpy(dtype=float)
    summary: dict[str, Any] = {
        "n_particles": len(rows),
        "n_counted": len(counted),
        "excluded": {str(k): int(v) for k, v in rows["exclusion_reason"].dropna().value_counts().sort_index().items()},
    }
    if sizes.size:
        d10, median, d90 = np.quantile(sizes, [0.1, 0.5, 0.9])
        summary["equivalent_diameter_nm"] = {
            "n": int(sizes.size),
            "mean": float(sizes.mean()),
            "sd": float(sizes.std(ddof=1)) if sizes.size > 1 else None,
            "median": float(median),
            "d10": float(d10),
            "d90": float(d90),
        }
    return summary
