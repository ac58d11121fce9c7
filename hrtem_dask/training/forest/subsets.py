"""Scores of subsets of labeled regions: all, clear, and by source of the outline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.region_scores import region_scores
from hrtem_dask.training.forest.region_samples import RegionSamples

__all__ = ["score_subsets"]


def score_subsets(
    samples: RegionSamples, probability: np.ndarray, *, unsure_threshold: float, seed: int = 0
) -> pd.DataFrame:
    """Score all regions, the clear regions, and the regions of each source.

    Parameters
    ----------
    samples : RegionSamples
        Labeled regions.
    probability : numpy.ndarray
        Shape (region, class): predicted probabilities, 0 to 1.
    unsure_threshold : float
        Probability below which a region is unsure, 0 to 1.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        Columns ``subset``, ``score``, ``n`` (number of regions), ``value``, and the ends ``low`` and ``high`` of its
        95 % interval.
    """
    table = samples.table
    subsets = {"all": np.ones(len(table), bool)}
    if "is_clear" in table:
        subsets["clear"] = table["is_clear"].fillna(False).to_numpy(bool)
    if "source" in table and table["source"].nunique() > 1:
        for name in sorted(table["source"].dropna().unique()):
            subsets[str(name)] = (table["source"] == name).fillna(False).to_numpy(bool)
            if "clear" in subsets:
                subsets[f"{name}, clear"] = subsets[str(name)] & subsets["clear"]
    parts = []
    for name, chosen in subsets.items():
        if chosen.any():
            scored = region_scores(
                samples.truth[chosen], probability[chosen], samples.groups[chosen], samples.classes,
                unsure_threshold=unsure_threshold, seed=seed,
            )  # fmt: skip
            parts.append(scored.rename_axis("score").reset_index().assign(subset=name, n=int(chosen.sum())))
    return pd.concat(parts, ignore_index=True)[["subset", "score", "n", "value", "low", "high"]]
