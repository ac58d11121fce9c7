"""Map and clusters of similar regions, without labels, to find structures that no class names.

The paper suggests looking for features that nobody labeled (Groschner et al., Microsc. Microanal. 27 (2021) 549).
Features are turned into normal scores, so that neither units nor outliers dominate. Two of their principal components
are a map. The first six are clustered by density (HDBSCAN; R. Campello, D. Moulavi, J. Sander, PAKDD 2013, LNCS 7819,
160), which needs no number of clusters and leaves regions outside of any cluster unassigned.
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
    """Place regions on a map by their features, and cluster them.

    Parameters
    ----------
    features : pandas.DataFrame
        One row per region with the columns of `tables.REGION_FEATURES`; others are ignored. Rows without any feature
        (unclassified micrographs) belong to no cluster.

    Returns
    -------
    pandas.DataFrame
        The same index, with the columns ``embedding_1``, ``embedding_2`` (float64, no unit; NaN without features) and
        ``cluster`` (int64, numbered from 0 by decreasing size; −1 for none). For fewer than 20 regions all values are
        NaN and −1. The result is deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hrtem_dask import tables
    >>> from hrtem_dask.defects import embed_regions
    >>> names = [column.name for column in tables.REGION_FEATURES]
    >>> rng = np.random.default_rng(0)
    >>> two_kinds = np.repeat([0.0, 10.0], 30)[:, None] + rng.normal(size=(60, len(names)))
    >>> found = embed_regions(pd.DataFrame(two_kinds, columns=names))
    >>> sorted(found["cluster"].unique().tolist())
    [0, 1]
    """
    result = pd.DataFrame({"embedding_1": np.nan, "embedding_2": np.nan, "cluster": NO_CLUSTER}, index=features.index)
    names = [column.name for column in tables.REGION_FEATURES if column.name in features]
    values = features[names].to_numpy(dtype=float, na_value=np.nan)
    measured = np.isfinite(values).any(axis=1)
    if measured.sum() < MIN_REGIONS:
        return result
    scores = _normal_scores(values[measured])
    centered = scores - scores.mean(axis=0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    axes = axes[:N_COMPONENTS]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]  # signs are arbitrary: fix them
    components = centered @ axes.T
    result.loc[measured, ["embedding_1", "embedding_2"]] = components[:, :2]
    result.loc[measured, "cluster"] = _clusters(components)
    return result


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Replace each feature by the normal quantile of its rank; missing values become 0, the median."""
    from scipy.stats import norm, rankdata

    ranks = rankdata(values, axis=0, nan_policy="omit")
    n = np.isfinite(values).sum(axis=0)
    scores = norm.ppf((ranks - 0.5) / np.maximum(n, 1))
    return np.asarray(np.where(np.isfinite(values), scores, 0.0))


def _clusters(components: np.ndarray) -> np.ndarray:
    """Return the number of each row's cluster, the largest cluster first."""
    from sklearn.cluster import HDBSCAN

    size = max(MIN_CLUSTER_SIZE, int(MIN_CLUSTER_SHARE * len(components)))
    found = HDBSCAN(min_cluster_size=size, copy=True).fit_predict(components)
    sizes = (
        pd.Series(found[found != NO_CLUSTER]).value_counts().sort_index().sort_values(ascending=False, kind="stable")
    )
    number = {label: i for i, label in enumerate(sizes.index)}
    return np.array([number.get(int(label), NO_CLUSTER) for label in found], np.int64)
