"""Groups of similar regions, found without labels or classes."""

from __future__ import annotations

import pandas as pd

from hrtem_dask import tables
from hrtem_dask.defects.embedding import embed_regions
from hrtem_dask.report.json_types import JsonDict

__all__ = ["describe_clusters", "embedded_regions"]

N_EXAMPLES = 4
MAX_CLUSTERS = 8


def embedded_regions(regions: pd.DataFrame) -> pd.DataFrame:
    """Embed the regions whose features were measured in a plane, and cluster them.

    Parameters
    ----------
    regions : pandas.DataFrame
        Rows of `tables.REGIONS`.

    Returns
    -------
    pandas.DataFrame
        The regions with features, with the further columns ``embedding_1``, ``embedding_2`` and ``cluster``; empty if
        there are too few.
    """
    names = [column.name for column in tables.REGION_FEATURES]
    measured = regions[regions[names].notna().any(axis=1)]
    return measured.join(embed_regions(measured[names])).dropna(subset=["embedding_1"])


def describe_clusters(regions: pd.DataFrame, particles: pd.DataFrame) -> JsonDict:
    """Describe each cluster: its classes and some typical particles.

    Parameters
    ----------
    regions : pandas.DataFrame
        Regions, as `embedded_regions` returns them.
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`. The largest particle of a region is shown as its example.

    Returns
    -------
    dict
        ``n_regions``, ``n_without_cluster`` and ``clusters``, largest first. Each cluster has ``cluster`` (its number),
        ``n``, ``classes`` (class and ``n``) and ``examples``: particles of the regions nearest to its median.
    """
    largest = particles.sort_values("area_px", ascending=False, kind="stable").drop_duplicates(
        ["micrograph_id", "region_id"]
    )
    found = []
    for cluster, rows in list(regions[regions["cluster"] >= 0].groupby("cluster"))[:MAX_CLUSTERS]:
        points = rows[["embedding_1", "embedding_2"]]
        order = ((points - points.median()) ** 2).sum(axis=1).sort_values(kind="stable").index
        near = rows.loc[order, ["micrograph_id", "region_id"]].merge(largest, on=["micrograph_id", "region_id"])
        classes = rows["region_class"].fillna("not classified").value_counts()
        found.append(
            {
                "cluster": int(str(cluster)),
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
