"""Simulated micrographs with their truth into one folder, a task per micrograph."""

from __future__ import annotations

import statistics
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client
from distributed.scheduler import KilledWorker

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import SIMULATION_CODE, code_version
from hrtem_dask.simulation.truth import SimulatedMicrograph
from hrtem_dask.storage import simulated as storage
from hrtem_dask.storage.location import Location

__all__ = ["SimulationSummary", "simulate"]

Make = Callable[[Any, int, int], SimulatedMicrograph]
"""Called as ``make(ranges, seed, index)``."""
REPORTS = 10
"""How often a long simulation says how far it is."""


@dataclass(frozen=True)
class SimulationSummary:
    """What a simulation left."""

    store: storage.SimulatedStore
    """All that is in the folder."""
    n_made: int
    """Micrographs simulated now."""
    n_kept: int
    """Micrographs of the first `n` that were there before."""
    failures: dict[str, str]
    """Name → why it could not be simulated."""
    seconds: float
    """Time it took (s)."""
    seconds_per_micrograph: float | None
    """Median time on its worker (s), writing included; None where none was made."""


def simulate(
    out: str | Path,
    *,
    ranges: Any = None,
    n: int,
    seed: int = 0,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    make: Make | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> SimulationSummary:
    """Simulate micrographs with known truth.

    What is in the store depends on ranges, seed and number alone: workers and their order change no bit of it. A second
    run into the same folder makes what lacks, such as what failed or was cut off, or more where `n` has grown.

    Parameters
    ----------
    out : str or path-like
        The folder, or its fsspec URL; `open_simulated` reads it and `hrtem-dask run` analyses it.
    ranges : SimulationRanges, optional
        What micrographs are drawn from; the defaults otherwise.
    n : int
        Number of micrographs: the indices 0 to n − 1 of the series.
    seed : int
        Seed of the series, at least 0.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        Workers on this machine.
    client : distributed.Client, optional
        A connected client, used and left open.
    make : callable, optional
        Called as ``make(ranges, seed, index)`` in place of `simulate_micrograph`.
    say : callable
        Takes lines for the user.

    Returns
    -------
    SimulationSummary
        The opened store, and what failed.

    Raises
    ------
    SettingsError
        If `n` or `seed` is impossible, or the folder holds a series of another seed or other ranges.
    """
    began = time.perf_counter()
    if n < 1 or seed < 0:
        raise SettingsError(f"need at least 1 micrograph and a seed of at least 0, got n={n}, seed={seed}")
    ranges = ranges if ranges is not None else _default_ranges()
    place = Location.of(out)
    note = storage.create_simulated(
        place, ranges=tomllib.loads(ranges.to_toml()), seed=seed, code_version=code_version(SIMULATION_CODE)
    )
    there = storage.finished_ids(place)
    missing = [index for index in range(n) if storage.simulated_id(seed, index) not in there]
    if note is not None and missing:
        say(note)
    arguments = (ranges, seed, place, make)
    if not missing:
        ended: dict[int, float | str] = {}
    elif client is not None:
        ended = dict(_ended(client, missing, arguments, say))
    else:
        with connect(scheduler, workers=workers, device="cpu") as own:
            ended = dict(_ended(own, missing, arguments, say))
    storage.gather_truth(place)
    took = [seconds for seconds in ended.values() if not isinstance(seconds, str)]
    return SimulationSummary(
        store=storage.open_simulated(place),
        n_made=len(took),
        n_kept=n - len(missing),
        failures={storage.simulated_id(seed, i): why for i, why in sorted(ended.items()) if isinstance(why, str)},
        seconds=time.perf_counter() - began,
        seconds_per_micrograph=statistics.median(took) if took else None,
    )


def _default_ranges() -> Any:
    """Return the default mix."""
    from hrtem_dask.simulation import SimulationRanges

    return SimulationRanges()


def _ended(
    client: Client, indices: Sequence[int], arguments: tuple[Any, ...], say: Callable[[str], None]
) -> Iterator[tuple[int, float | str]]:
    """Simulate on the workers; yield for each index the seconds it took, or why it failed.

    A worker that dies takes all of its tasks with it: they are tried again one by one, with nothing else in flight.
    """
    _, seed, place, _ = arguments
    suspects: list[int] = []
    began = time.perf_counter()
    step = -(-len(indices) // REPORTS)
    for number, (index, result) in enumerate(stream(client, _simulate_one, indices, *arguments, key="simulate"), 1):
        if isinstance(result, KilledWorker):
            suspects.append(index)
        else:
            yield index, _outcome(result)
        if number % step == 0 and step > 1:
            left = (time.perf_counter() - began) / number * (len(indices) - number)
            say(f"{number} of {len(indices)} simulated, about {left:.0f} s left")
    for index, result in stream(client, _simulate_one, suspects, *arguments, key="simulate-alone", limit=1):
        if isinstance(result, KilledWorker):
            storage.remove_simulated(place, storage.simulated_id(seed, index))
            yield index, "its worker died each time it was tried alone, most likely out of memory"
        else:
            yield index, _outcome(result)


def _outcome(result: Any) -> float | str:
    """Return seconds, or in words what a task died of before it could say so itself."""
    return result if isinstance(result, float | str) else f"{type(result).__name__}: {result}"


def _simulate_one(index: int, ranges: Any, seed: int, place: Location, make: Make | None) -> float | str:
    """Simulate and write one micrograph; return the seconds it took, or why it could not be."""
    began = time.perf_counter()
    name = storage.simulated_id(seed, index)
    try:
        made = (make or _make)(ranges, seed, index)
        if made.micrograph_id != name:
            raise ValueError(f"the simulator calls it {made.micrograph_id!r}, need {name!r}")
    except Exception as error:  # noqa: BLE001 - one impossible micrograph does not stop the others
        return f"{type(error).__name__}: {error}"
    try:
        storage.write_simulated(place, made)
    except Exception as error:  # noqa: BLE001 - such as a full disk, of which the others shall hear too
        # half of it would look whole, with zeros where nothing was written
        storage.remove_simulated(place, name)
        return f"{type(error).__name__}: {error}"
    return time.perf_counter() - began


def _make(ranges: Any, seed: int, index: int) -> SimulatedMicrograph:
    """Simulate one micrograph; the physics is imported on the worker."""
    from hrtem_dask.simulation import simulate_micrograph

    return simulate_micrograph(ranges, seed=seed, index=index)
