"""The classes of a run's regions against truth: what users get, segmentation included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.stream import stream
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


@dataclass(frozen=True)
class _Item:
    """One micrograph: its name in the store and in the results, and which region each particle is in."""

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
    say: Callable[[str], None] = lambda _: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the classes of the regions of a run over a simulated store.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    truth : GroundTruth
        A simulated store: hand-drawn masks tell no classes.
    results : Results
        Of a run over it.
    settings : Settings
        Of that run.
    seed : int
        Of the bootstrap over micrographs.
    say : callable
        Takes lines for the user.

    Returns
    -------
    regions : pandas.DataFrame
        A row per found region that was classified: its true class and visibility, of
        `evaluation.true_region_classes`, its probabilities and the class that was said.
    scores : pandas.DataFrame
        Rows of `evaluation.region_scores` with ``subset`` (all, clear) and ``n``: regions that the border cuts, or of
        no true class, left out. Both are empty where nothing was classified.
    """
    classified = results.regions
    classified = classified[classified[PROBABILITIES[0]].notna()]
    if truth.folder is None or not truth.is_simulated or classified.empty:
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
            say(f"the regions of {item.truth_id} are not scored: {type(result).__name__}: {result}")
        else:
            parts.append(result)
    if not parts:
        return pd.DataFrame(), pd.DataFrame()
    said = classified[["micrograph_id", "region_id", "region_class", *PROBABILITIES]]
    said = said.rename(columns={"region_class": "said_class"})
    regions = pd.concat(parts, ignore_index=True).merge(said, on=["micrograph_id", "region_id"])
    return regions, _scores(regions, settings, seed)


def _true_classes(item: _Item, results: Results, place: Location) -> pd.DataFrame:
    """Say what the found regions of one micrograph are."""
    store = open_simulated(place)
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
    """Score all regions and the clear ones."""
    scored = regions[regions["region_class"].notna() & ~regions["touches_edge"].astype(bool)]
    classifier = make_classifier(settings.defects)
    parts = []
    for name, rows in (("all", scored), ("clear", scored[scored["is_clear"].astype(bool)])):
        if len(rows):
            number = rows["region_class"].map({name: i for i, name in enumerate(REGION_CLASSES)})
            arguments: dict[str, Any] = {"unsure_threshold": classifier.unsure_threshold if classifier else 0.0}
            table = region_scores(
                number.to_numpy(np.int64), rows[PROBABILITIES].to_numpy(float), rows["micrograph_id"].to_numpy(str),
                REGION_CLASSES, seed=seed, **arguments,
            )  # fmt: skip
            parts.append(table.rename_axis("score").reset_index().assign(subset=name, n=len(rows)))
    return pd.concat(parts, ignore_index=True)[["subset", "score", "n", "value", "low", "high"]] if parts else scored
