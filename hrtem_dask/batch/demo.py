"""A demonstration: simulated micrographs with known truth are analyzed by a run and compared with the truth."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from distributed import Client

from hrtem_dask import tables
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.run.run import run
from hrtem_dask.batch.simulate import Make, Ranges, simulate
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.evaluation import dice
from hrtem_dask.settings import Settings
from hrtem_dask.storage.results import Results, open_results
from hrtem_dask.storage.simulated import SimulatedStore, truth_ids

__all__ = ["Demonstration", "demo"]

SEED = 2026
"""Seed of a series whose first four micrographs hold CdSe, Au and an empty field."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration found, beside the truth."""

    results: str
    """The results folder."""
    comparison: pd.DataFrame
    """A row per simulated micrograph: ``truth_id``, ``pixel_size_nm``, ``material`` (or empty), ``n_particles`` (found;
    null where it was not analyzed), ``true_n_particles``, ``dice`` (NaN without true particles), ``status``,
    ``reason``."""


def demo(
    out: Path,
    *,
    n_micrographs: int = 4,
    cluster: Cluster | Client | str | None = None,
    ranges: Ranges | None = None,
    make: Make | None = None,
) -> Demonstration:
    """Simulate micrographs, analyze them, and compare the results with the truth.

    Parameters
    ----------
    out : Path
        Folder for ``simulated`` and ``results``.
    n_micrographs : int
        Number of micrographs; those of an earlier call with the same folder are analyzed too.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.
    ranges : SimulationRanges, optional
        Ranges that micrographs are drawn from, as for `simulate`.
    make : callable, optional
        Simulates one micrograph, as for `simulate`.

    Returns
    -------
    Demonstration
        The comparison with the truth.
    """
    with connect(cluster) as client:
        made = simulate(out / "simulated", ranges=ranges, n=n_micrographs, seed=SEED, cluster=client, make=make)
        for name, reason in made.failures.items():
            logger.warning("%s could not be simulated: %s", name, reason)
        logger.info(
            "%d simulated micrographs in %s: multislice through each particle, whose exit wave is put into amorphous "
            "carbon and imaged with aberrations and noise",
            len(made.store.micrographs),
            out / "simulated",
        )
        summary = run(out / "simulated" / "micrographs.zarr", out / "results", cluster=client)
    logger.info("segmented by the default method: %s", Settings().segmentation.chosen_method)
    return Demonstration(summary.results, _compare(open_results(out / "results"), made.store))


def _compare(results: Results, store: SimulatedStore) -> pd.DataFrame:
    """Compare the results with the truth, micrograph by micrograph."""
    rows = results.micrographs
    rows = rows.assign(truth_id=truth_ids(rows, store)).dropna(subset="truth_id")
    truth = {str(row["micrograph_id"]): row for row in store.micrographs.to_dict("records")}
    compared = []
    for row in rows.itertuples():
        true = truth[str(row.truth_id)]
        true_labels = store.labels(str(row.truth_id))
        analyzed = row.status in tables.ANALYZED_STATUSES
        score = float("nan")
        if analyzed and true_labels.any():
            score = dice(results.labels(str(row.micrograph_id)) > 0, true_labels > 0)
        compared.append(
            {
                "truth_id": str(row.truth_id),
                "pixel_size_nm": true["pixel_size_nm"],
                "material": true["material"] if true["n_particles"] else "empty",
                "n_particles": row.n_particles if analyzed else None,
                "true_n_particles": true["n_particles"],
                "dice": score,
                "status": str(row.status),
                "reason": row.reason,
            }
        )
    return pd.DataFrame(compared).astype({"n_particles": "Int64"})
