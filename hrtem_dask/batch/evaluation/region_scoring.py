"""Score the classes of the regions of a run against the truth; errors of the segmentation count too."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.stream import failure_reason, stream
from hrtem_dask.defects import make_classifier
from hrtem_dask.evaluation import true_region_classes
from hrtem_dask.evaluation.region_scores import region_scores
from hrtem_dask.settings import Settings
from hrtem_dask.storage.ground_truth import GroundTruth
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import Results
from hrtem_dask.storage.simulated import open_simulated
from hrtem_dask.tables import REGION_CLASSES
from hrtem_dask.training.forest.region_table import is_ordinary

__all__ = ["score_classes"]

PROBABILITIES = [f"probability_{name}" for name in REGION_CLASSES]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Item:
    """One micrograph: its names in the store and in the results, and the region of each of its particles."""

    truth_id: str
    micrograph_id: str
    region_of: dict[int, int]


def score_classes(
    client: Client,
    truth: GroundTruth,
    results: Results,
    settings: Settings,
    *,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the classes of the regions of a run over a simulated store.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    truth : GroundTruth
        A simulated store; hand-drawn masks and stores of the regime contrast have no classes.
    results : Results
        Results of a run over it.
    settings : Settings
        Settings of that run.
    seed : int
        Seed of the bootstrap over micrographs.

    Returns
    -------
    regions : pandas.DataFrame
        A row per found region that was classified: its true class and visibility (`evaluation.true_region_classes`),
        its probabilities and its predicted class (``said_class``).
    scores : pandas.DataFrame
        Rows of `evaluation.region_scores` with ``subset`` (all, clear) and ``n``: regions that the border cuts, or
        without a true class, are left out. Both tables are empty if nothing was classified.
    """
    classified = results.regions
    classified = classified[classified[PROBABILITIES[0]].notna()]
    if truth.folder is None or not truth.has_regions or classified.empty:
        return pd.DataFrame(), pd.DataFrame()
    micrographs = results.micrographs
    names = micrographs.assign(truth_id=truth.join(micrographs)).dropna(subset=["truth_id"])
    owners = results.particles[["micrograph_id", "particle_id", "region_id"]]
    by_name = {str(name): rows for name, rows in owners.groupby("micrograph_id")}
    items = [
        _Item(str(t), str(m), {int(p): int(r) for p, r in by_name[str(m)][["particle_id", "region_id"]].to_numpy()})
        for t, m in names[["truth_id", "micrograph_id"]].to_numpy()
        if str(m) in by_name
    ]
    parts = []
    for item, result in stream(client, _true_classes, items, results, truth.folder, key="classes"):
        if isinstance(result, BaseException):
            logger.warning("the regions of %s are not scored: %s", item.truth_id, failure_reason(result))
        else:
            parts.append(result)
    if not parts:
        return pd.DataFrame(), pd.DataFrame()
    predicted = classified[["micrograph_id", "region_id", "region_class", *PROBABILITIES]]
    predicted = predicted.rename(columns={"region_class": "said_class"})
    regions = pd.concat(parts, ignore_index=True).merge(predicted, on=["micrograph_id", "region_id"])
    return regions, _scores(regions, settings, seed)


def _true_classes(item: _Item, results: Results, folder: Location) -> pd.DataFrame:
    """Return the true classes of the found regions of one micrograph."""
    store = open_simulated(folder)
    labels = results.labels(item.micrograph_id)
    owner = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    for particle, region in item.region_of.items():
        owner[particle] = region
    about = store.micrographs[store.micrographs["micrograph_id"] == item.truth_id].iloc[0]
    particles = store.particles[store.particles["micrograph_id"] == item.truth_id]
    known = true_region_classes(
        owner[labels], store.labels(item.truth_id), particles, ordinary=is_ordinary(about)
    )  # fmt: skip
    return known.reset_index().assign(micrograph_id=item.micrograph_id, truth_id=item.truth_id)


def _scores(regions: pd.DataFrame, settings: Settings, seed: int) -> pd.DataFrame:
    """Score all regions, and the clear ones alone."""
    scored = regions[regions["region_class"].notna() & ~regions["touches_edge"].astype(bool)]
    classifier = make_classifier(settings.defects)
    parts = []
    for name, rows in (("all", scored), ("clear", scored[scored["is_clear"].astype(bool)])):
        if len(rows):
            number = rows["region_class"].map({name: i for i, name in enumerate(REGION_CLASSES)})
            unsure = classifier.unsure_threshold if classifier else 0.0
            table = region_scores(
                number.to_numpy(np.int64), rows[PROBABILITIES].to_numpy(float), rows["micrograph_id"].to_numpy(str),
                REGION_CLASSES, seed=seed, unsure_threshold=unsure,
            )  # fmt: skip
            parts.append(table.rename_axis("score").reset_index().assign(subset=name, n=len(rows)))
    return pd.concat(parts, ignore_index=True)[["subset", "score", "n", "value", "low", "high"]] if parts else scored
