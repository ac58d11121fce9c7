"""Regions nobody labelled: which are alike, found without classes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from hrtem_dask import tables
from hrtem_dask.defects.embedding import embed_regions

__all__ = ["describe_clusters", "embedded_regions"]

N_EXAMPLES = 4
MAX_CLUSTERS = 8


def embedded_regions(regions: pd.DataFrame) -> pd.DataFrame:
    """Map the regions whose features were measured.

    Parameters
    ----------
    regions : pandas.DataFrame
        Rows of `tables.REGIONS`.

    Returns
    -------
    pandas.DataFrame
        Those with features, with ``embedding_1``, ``embedding_2`` and ``cluster``; without rows where too few.
    """
    names = [column.name for column in tables.REGION_FEATURES]
    measured = regions[regions[names].notna().any(axis=1)]
    return measured.join(embed_regions(measured[names])).dropna(subset=["embedding_1"])


def describe_clusters(regions: pd.DataFrame, particles: pd.DataFrame) -> dict[str, Any]:
    """Say what each cluster holds.

    Parameters
    ----------
    regions : pandas.DataFrame
        Of `embedded_regions`.
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`: examples are shown by the largest particle of a region.

    Returns
    -------
    dict
        ``n_regions`` and ``clusters``, the largest first: ``cluster``, ``n``, ``classes`` (class and ``n``) and
        ``examples``, the particles of the regions nearest to the cluster's middle.
    """
    largest = particles.sort_values("area_px", ascending=False, kind="stable").drop_duplicates(
        ["micrograph_id", "region_id"]
    )
    found = []
    for cluster, rows in list(regions[regions["cluster"] >= 0].groupby("cluster"))[:MAX_CLUSTERS]:
        place = rows[["embedding_1", "embedding_2"]]
        order = ((place - place.median()) ** 2).sum(axis=1).sort_values(kind="stable").index
        near = rows.loc[order, ["micrograph_id", "region_id"]].merge(largest, on=["micrograph_id", "region_id"])
        classes = rows["region_class"].fillna("not classified").value_counts()
        found.append(
            {
                "cluster": int(cluster),
                "n": len(rows),
                "classes": [{"name": str(name), "n": int(n)} for name, n in classes.items()],
                "examples": [
                    {"micrograph_id": str(m), "particle_id": int(p)}
                    for m, p in near[["micrograph_id", "particle_id"]].head(N_EXAMPLES).itertuples(index=False)
                ],
            }
        )
    n_none = int((regions["cluster"] < 0).sum()) if len(regions) else 0
    return {"n_regions": len(regions), "n_without_cluster": n_none, "clusters": found}
