"""What the end of a run says of its particles: statistics and verdicts, from the columns that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.reduction import SIZES, Population, summarize_partition, unite
from hrtem_dask.population.summary import summarize
from hrtem_dask.population.verdicts import describe_verdicts

__all__ = ["Begin", "RunStatistics", "begin_here", "describe_run", "joined", "reduced"]


@dataclass(frozen=True)
class RunStatistics:
    """Statistics of a run."""

    statistics: dict[str, Any]
    """From `summarize`."""
    verdicts: dict[str, Any]
    """From `verdicts.describe_verdicts`."""


Begin = Callable[[Sequence[pd.DataFrame], pd.DataFrame, PopulationOptions], Callable[[], RunStatistics]]
"""Begins `describe_run`, which takes the same arguments; the function that it returns waits for the result."""


def reduced(piece: pd.DataFrame) -> pd.DataFrame:
    """Reduce a piece of a table of particles, unless it is reduced already.

    Parameters
    ----------
    piece : pandas.DataFrame
        Columns `reduction.NEEDED` of the particles, or what `reduction.summarize_partition` made of them.

    Returns
    -------
    pandas.DataFrame
        From `reduction.summarize_partition`.
    """
    return piece if "n" in piece else summarize_partition(piece)


def describe_run(
    particles: Sequence[pd.DataFrame],
    micrographs: pd.DataFrame,
    options: PopulationOptions,
    sizes: Sequence[str] = SIZES,
) -> RunStatistics:
    """Describe the particles of a run.

    Parameters
    ----------
    particles : sequence of pandas.DataFrame
        Its particles in at least one piece, which may be empty; each as for `reduced`.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    options : PopulationOptions
        Options of the statistics.
    sizes : sequence of str
        Which sizes are described, by default all; see `joined`.

    Returns
    -------
    RunStatistics
        The same for every partitioning.
    """
    return _described(unite(map(reduced, particles)), micrographs, options, sizes)


def joined(parts: Sequence[RunStatistics]) -> RunStatistics:
    """Join statistics of one run that describe different sizes.

    Parameters
    ----------
    parts : sequence of RunStatistics
        At least one, from `describe_run`.

    Returns
    -------
    RunStatistics
        That of all of their sizes.
    """
    first = parts[0].statistics
    whole = {key: value for part in parts for key, value in part.statistics["all"].items()}
    samples = {
        name: {k: v for p in parts for k, v in p.statistics["samples"][name].items()} for name in first["samples"]
    }
    return RunStatistics(first | {"all": whole, "samples": samples}, parts[0].verdicts)


def begin_here(
    particles: Sequence[pd.DataFrame], micrographs: pd.DataFrame, options: PopulationOptions
) -> Callable[[], RunStatistics]:
    """Compute the statistics of a run in this process, when they are asked for.

    Parameters
    ----------
    particles : sequence of pandas.DataFrame
        As for `describe_run`; they are not needed any more when this function returns.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    options : PopulationOptions
        Options of the statistics.

    Returns
    -------
    callable
        Computes and returns the statistics.
    """
    population = unite(map(reduced, particles))
    return lambda: _described(population, micrographs, options)


def _described(
    population: Population, micrographs: pd.DataFrame, options: PopulationOptions, sizes: Sequence[str] = SIZES
) -> RunStatistics:
    """Return the statistics of a population, and its verdicts."""
    statistics = summarize(population, micrographs, options, sizes=sizes)
    return RunStatistics(statistics, describe_verdicts(micrographs, population.rows()))
