"""Simulate micrographs with their truth into one folder, a task per micrograph."""

from __future__ import annotations

import logging
import statistics
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from distributed import Client

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import failure_reason, stream_with_retry, worker_died
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import SettingsError, typed_error_text
from hrtem_dask.provenance import SIMULATION_CODE, code_version
from hrtem_dask.simulation.contrast import ContrastRanges, simulate_contrast_micrograph
from hrtem_dask.simulation.scenes import RodRanges, VesicleRanges, simulate_rod_scene, simulate_vesicle_scene
from hrtem_dask.storage import simulated_writing as storage
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.regimes import CONTRAST, LATTICE, RODS, VESICLES, Regime
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated

__all__ = ["Make", "Ranges", "SimulationSummary", "simulate"]

REPORTS = 10
"""How often a long simulation logs its progress."""

logger = logging.getLogger(__name__)


class Ranges(Protocol):
    """Ranges that micrographs are drawn from: `SimulationRanges`, `ContrastRanges`, `RodRanges` or `VesicleRanges`."""

    def to_toml(self) -> str:
        """Write the ranges as TOML, which the folder keeps."""
        ...


Make = Callable[[Any, int, int], storage.Simulated]
"""Simulates one micrograph, called as ``make(ranges, seed, index)`` with ranges of its own kind."""


@dataclass(frozen=True)
class SimulationSummary:
    """How a simulation ended."""

    store: SimulatedStore
    """The opened folder, with the micrographs of earlier calls."""
    n_made: int
    """Micrographs simulated now."""
    n_kept: int
    """Micrographs of the first `n` that were there before."""
    failures: dict[str, str]
    """Name → why it could not be simulated."""
    seconds: float
    """Duration of the call (s)."""
    seconds_per_micrograph: float | None
    """Median time to simulate and write one micrograph on its worker (s); None if none was made."""


def simulate(
    out: str | Path,
    *,
    ranges: Ranges | None = None,
    n: int,
    seed: int = 0,
    cluster: Cluster | Client | str | None = None,
    make: Make | None = None,
) -> SimulationSummary:
    """Simulate micrographs with known truth.

    The store depends on ranges, seed and number alone: workers and their order change no bit of it. A second call with
    the same folder makes the micrographs that are missing, because they failed, the call was cut off, or `n` has grown.

    Parameters
    ----------
    out : str or path-like
        The folder, or its fsspec URL; `open_simulated` reads it and `hrtem-dask run` analyzes it.
    ranges : SimulationRanges, ContrastRanges, RodRanges or VesicleRanges, optional
        Ranges that micrographs are drawn from; by default ``SimulationRanges()``. Their class decides the regime of
        the store: ``lattice``, ``contrast``, ``rods`` or ``vesicles``.
    n : int
        Number of micrographs: the indices 0 to n − 1 of the series.
    seed : int
        Seed of the series, at least 0.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.
    make : callable, optional
        Called as ``make(ranges, seed, index)`` in place of the simulator of the regime.

    Returns
    -------
    SimulationSummary
        The opened store, and the micrographs that failed with their reasons.

    Raises
    ------
    SettingsError
        If `n` or `seed` is impossible, or the folder holds a series of another regime, another seed or other ranges.

    Examples
    --------
    >>> import tempfile
    >>> from hrtem_dask.batch.simulate import simulate
    >>> from hrtem_dask.simulation import SimulationRanges
    >>> ranges = SimulationRanges(size_px=64, empty_fraction=1.0)
    >>> summary = simulate(tempfile.mkdtemp(), ranges=ranges, n=2, cluster="threads")
    >>> summary.n_made, summary.failures
    (2, {})
    >>> summary.store.image("sim-0-000000").shape
    (64, 64)
    """
    began = time.perf_counter()
    if n < 1 or seed < 0:
        raise SettingsError(f"need at least 1 micrograph and a seed of at least 0, got n={n}, seed={seed}")
    ranges = ranges if ranges is not None else _default_ranges()
    folder = Location.of(out)
    series = _Series(ranges, seed, folder, _regime(ranges), make)
    note = storage.create_simulated(
        folder,
        ranges=tomllib.loads(ranges.to_toml()),
        seed=seed,
        code_version=code_version(SIMULATION_CODE),
        regime=series.regime,
    )
    existing = storage.finished_ids(folder)
    missing = [index for index in range(n) if series.micrograph_id(index) not in existing]
    if note is not None and missing:
        logger.warning("%s", note)
    ended: dict[int, float | str] = {}
    if missing:  # a complete series needs no cluster
        with connect(cluster, device="cpu") as client:
            ended = dict(_simulate_on(client, missing, series))
    storage.gather_truth(folder, series.regime)
    durations_s = [result for result in ended.values() if not isinstance(result, str)]
    return SimulationSummary(
        store=open_simulated(folder),
        n_made=len(durations_s),
        n_kept=n - len(missing),
        failures={series.micrograph_id(i): why for i, why in sorted(ended.items()) if isinstance(why, str)},
        seconds=time.perf_counter() - began,
        seconds_per_micrograph=statistics.median(durations_s) if durations_s else None,
    )


@dataclass(frozen=True)
class _Series:
    """What all micrographs of a series have in common."""

    ranges: Ranges
    seed: int
    folder: Location
    regime: Regime
    make: Make | None

    def micrograph_id(self, index: int) -> str:
        """Return the name of a micrograph."""
        return storage.simulated_id(self.seed, index, self.regime)


def _regime(ranges: Ranges) -> Regime:
    """Return the regime of ranges."""
    regimes = {ContrastRanges: CONTRAST, RodRanges: RODS, VesicleRanges: VESICLES}
    return next((regime for kind, regime in regimes.items() if isinstance(ranges, kind)), LATTICE)


def _default_ranges() -> Ranges:
    """Return the default ranges; the simulation is imported only where it is used."""
    from hrtem_dask.simulation import SimulationRanges

    return SimulationRanges()


def _simulate_on(client: Client, indices: Sequence[int], series: _Series) -> Iterator[tuple[int, float | str]]:
    """Simulate on the workers; yield for each index its duration (s), or why it failed."""
    began = time.perf_counter()
    step = -(-len(indices) // REPORTS)
    results = stream_with_retry(client, _simulate_one, indices, series, key="simulate")
    for number, (index, result) in enumerate(results, 1):
        if isinstance(result, BaseException):
            if worker_died(result):
                storage.remove_simulated(series.folder, series.micrograph_id(index), series.regime)
            yield index, failure_reason(result)
        else:
            yield index, result
        if number % step == 0 and step > 1:
            left_s = (time.perf_counter() - began) / number * (len(indices) - number)
            logger.info("%d of %d simulated, about %.0f s left", number, len(indices), left_s)


def _simulate_one(index: int, series: _Series) -> float | str:
    """Simulate and write one micrograph; return the duration (s), or why it failed."""
    began = time.perf_counter()
    name = series.micrograph_id(index)
    try:
        made = (series.make or _make)(series.ranges, series.seed, index)
        if made.micrograph_id != name:
            raise ValueError(f"the simulator names it {made.micrograph_id!r}, need {name!r}")
    except Exception as error:  # noqa: BLE001 - one impossible micrograph does not stop the others
        return typed_error_text(error)
    try:
        storage.write_simulated(series.folder, made, series.regime)
    except Exception as error:  # noqa: BLE001 - a full disk, for instance, is reported for each micrograph
        # half an image would look whole, with zeros where nothing was written
        storage.remove_simulated(series.folder, name, series.regime)
        return typed_error_text(error)
    return time.perf_counter() - began


def _make(ranges: Any, seed: int, index: int) -> storage.Simulated:
    """Simulate one micrograph of the regime of its ranges."""
    if isinstance(ranges, ContrastRanges):
        return simulate_contrast_micrograph(ranges, seed=seed, index=index)
    if isinstance(ranges, RodRanges):
        return simulate_rod_scene(ranges, seed=seed, index=index)
    if isinstance(ranges, VesicleRanges):
        return simulate_vesicle_scene(ranges, seed=seed, index=index)
    # the multislice simulation is imported on the worker
    from hrtem_dask.simulation import simulate_micrograph

    return simulate_micrograph(ranges, seed=seed, index=index)
