"""Regions without labels: which are alike, for the eye to find what no class names.

The paper suggests to look for features that nobody labelled (Groschner et al., Microsc. Microanal. 27 (2021) 549).
Features are turned into normal scores, so that no unit or outlier decides, and their principal components taken: two of
them are a map, the first six are clustered by density (HDBSCAN; R. Campello, D. Moulavi, J. Sander, PAKDD 2013, LNCS
7819, 160), which asks for no number of clusters and leaves what belongs to none alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask import tables

__all__ = ["embed_regions"]

N_COMPONENTS = 6
MIN_REGIONS = 20
MIN_CLUSTER_SHARE = 0.03
MIN_CLUSTER_SIZE = 5
NO_CLUSTER = -1


def embed_regions(features: pd.DataFrame) -> pd.DataFrame:
    """Map regions by their features, and cluster them.

    Parameters
    ----------
    features : pandas.DataFrame
        A row per region with the columns of `tables.REGION_FEATURES`; others are not looked at. Rows without any
        feature (unclassified micrographs) belong to no cluster.

    Returns
    -------
    pandas.DataFrame
        The same index: ``embedding_1``, ``embedding_2`` (float64, no unit; NaN without features) and ``cluster``
        (int64, by falling size from 0; −1 for none). All NaN and −1 for fewer than 20 regions. Deterministic.
    """
    result = pd.DataFrame({"embedding_1": np.nan, "embedding_2": np.nan, "cluster": NO_CLUSTER}, index=features.index)
    names = [column.name for column in tables.REGION_FEATURES if column.name in features]
    values = features[names].to_numpy(dtype=float, na_value=np.nan)
    measured = np.isfinite(values).any(axis=1)
    if measured.sum() < MIN_REGIONS:
        return result
    scores = _normal_scores(values[measured])
    centred = scores - scores.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:N_COMPONENTS]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]  # a sign is arbitrary: settle it
    components = centred @ axes.T
    result.loc[measured, ["embedding_1", "embedding_2"]] = components[:, :2]
    result.loc[measured, "cluster"] = _clusters(components)
    return result


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Replace each feature by the normal quantile of its rank; what is missing stands in the middle."""
    from scipy.stats import norm, rankdata

    ranks = rankdata(values, axis=0, nan_policy="omit")
    n = np.isfinite(values).sum(axis=0)
    scores = norm.ppf((ranks - 0.5) / np.maximum(n, 1))
    return np.asarray(np.where(np.isfinite(values), scores, 0.0))


def _clusters(components: np.ndarray) -> np.ndarray:
    """Cluster by density, the largest first."""
    from sklearn.cluster import HDBSCAN

    size = max(MIN_CLUSTER_SIZE, int(MIN_CLUSTER_SHARE * len(components)))
    found = HDBSCAN(min_cluster_size=size, copy=True).fit_predict(components)
    sizes = (
        pd.Series(found[found != NO_CLUSTER]).value_counts().sort_index().sort_values(ascending=False, kind="stable")
    )
    number = {label: i for i, label in enumerate(sizes.index)}
    return np.array([number.get(int(label), NO_CLUSTER) for label in found], np.int64)
