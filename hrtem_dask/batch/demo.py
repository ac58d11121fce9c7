"""A demonstration: simulated micrographs with known truth, taken through the main job, and compared with the truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.run.run import run
from hrtem_dask.batch.simulate import Make, simulate
from hrtem_dask.evaluation import dice
from hrtem_dask.settings import Settings
from hrtem_dask.storage.results import Results, open_results
from hrtem_dask.storage.simulated import SimulatedStore, truth_ids

__all__ = ["demo"]

SEED = 2026
"""Of a series whose first four hold CdSe, Au and an empty field."""


def demo(
    out: Path,
    *,
    n_micrographs: int = 4,
    scheduler: str | None = None,
    workers: int | None = None,
    ranges: Any = None,
    make: Make | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Simulate micrographs, analyse them, compare with the truth.

    Parameters
    ----------
    out : Path
        Folder for ``simulated`` and ``results``.
    n_micrographs : int
        How many; where the folder holds more from before, they are there too.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        As for `run`.
    ranges : SimulationRanges, optional
        As for `simulate`.
    make : callable, optional
        As for `simulate`.
    say : callable
        Takes lines for the user.
    """
    with connect(scheduler, workers=workers) as client:
        made = simulate(out / "simulated", ranges=ranges, n=n_micrographs, seed=SEED, client=client, make=make, say=say)
        for name, reason in made.failures.items():
            say(f"{name} could not be simulated: {reason}")
        say(
            f"{len(made.store.micrographs)} simulated micrographs in {out / 'simulated'}: multislice through each "
            "particle, its wave put into amorphous carbon, imaged with aberrations and noise"
        )
        summary = run(out / "simulated" / "micrographs.zarr", out / "results", client=client, say=say)
    say(f"segmented by the default method: {Settings().segmentation.chosen_method}")
    _compare(open_results(out / "results"), made.store, say)
    say(f"tables and overlays: {summary.results}")


def _compare(results: Results, store: SimulatedStore, say: Callable[[str], None]) -> None:
    """Say micrograph by micrograph how near the results come to the truth."""
    rows = results.micrographs
    rows = rows.assign(truth_id=truth_ids(rows, store)).dropna(subset="truth_id")
    truth = {str(row["micrograph_id"]): row for row in store.micrographs.to_dict("records")}
    say("micrograph         nm/px  material   particles (true)   Dice   status")
    for row in rows.itertuples():
        true = truth[str(row.truth_id)]
        labels = store.labels(str(row.truth_id))
        analysed = row.status in ("done", "empty")
        scored = analysed and bool(labels.any())
        score = dice(results.labels(str(row.micrograph_id)) > 0, labels > 0) if scored else float("nan")
        material = true["material"] if true["n_particles"] else "empty"
        found = str(row.n_particles) if analysed else "-"
        status = str(row.status) if analysed else f"{row.status}: {row.reason}"
        say(
            f"{row.truth_id!s:16}  {true['pixel_size_nm']:6.3f}  {material:9}  {found:>9} ({true['n_particles']})"
            f"      {score:6.3f}   {status}"
        )
