"""Reduction of a partitioned particle table to the columns that statistics need, the same for every partitioning.

The steps are summarize, merge and finish. The summary of a partition keeps the necessary columns of each counted
particle, and the number of the other particles per micrograph and reason. The merge is a union, which is associative
and commutative. `finish` sorts the rows, so that later sums add the same numbers in the same order whatever the order
of reading. (Sums and sums of squares would be smaller, but medians, fits and the bootstrap need the sizes, and
floating-point sums depend on their order.) This module does not import Dask: a lazy table has its own ``reduction``.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask.population.particle_table import LazyTable, is_counted
from hrtem_dask.population.sizes.pixel_sizes import PIXEL_SIZE
from hrtem_dask.tables import BOX_COLUMNS

__all__ = ["NEEDED", "Population", "collect", "finish", "merge", "summarize_partition", "unite"]

KEY = ("sample", "micrograph_id", "particle_id")
SIZES = ("equivalent_diameter_nm", "feret_min_nm")
MEASURED = (*BOX_COLUMNS, "area_px", "area_nm2", "split_confidence", "aspect_ratio", PIXEL_SIZE, *SIZES)
NEEDED = (*KEY, "counted", "exclusion_reason", *MEASURED)
"""Columns of a particle table that statistics use."""


@dataclass(frozen=True)
class Population:
    """A particle table, reduced to the columns that statistics need."""

    counted: pd.DataFrame
    """A row per counted particle, sorted by sample, micrograph and particle; measured columns float, NaN for null."""
    excluded: pd.DataFrame
    """``sample``, ``micrograph_id``, ``exclusion_reason``, ``n``: the particles that are not counted."""

    def rows(self) -> pd.DataFrame:
        """Return one row per counted particle, and one per micrograph and reason of the others.

        Returns
        -------
        pandas.DataFrame
            ``sample``, ``micrograph_id`` and ``counted``.
        """
        tables = [
            t[["sample", "micrograph_id"]].assign(counted=t is self.counted) for t in (self.counted, self.excluded)
        ]
        full = [table for table in tables if len(table)]
        return pd.concat(full, ignore_index=True) if full else tables[0]

    def sample(self, name: str) -> Population:
        """Return the population of one sample.

        Parameters
        ----------
        name : str
            Name of the sample; empty for particles without one.

        Returns
        -------
        Population
            The particles of the sample.
        """
        return Population(*(t[t["sample"] == name].reset_index(drop=True) for t in (self.counted, self.excluded)))

    def without(self, micrograph_ids: Set[str]) -> Population:
        """Return the population without the particles of some micrographs.

        Parameters
        ----------
        micrograph_ids : set of str
            The micrographs.

        Returns
        -------
        Population
            The particles of all others.
        """
        tables = (self.counted, self.excluded)
        return Population(*(t[~t["micrograph_id"].isin(micrograph_ids)].reset_index(drop=True) for t in tables))


def summarize_partition(particles: pd.DataFrame) -> pd.DataFrame:
    """Reduce one partition of a particle table.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`; missing columns count as null.

    Returns
    -------
    pandas.DataFrame
        A row per counted particle (``n`` is 1), and a row per sample, micrograph and exclusion reason of the others.
    """
    n = len(particles)
    text = {
        name: particles[name].astype("object").fillna("").astype(str) if name in particles else pd.Series([""] * n)
        for name in ("sample", "micrograph_id", "exclusion_reason")
    }
    table = pd.DataFrame({name: np.asarray(column, dtype=object) for name, column in text.items()})
    numbers = (particles[c].to_numpy(dtype=float, na_value=np.nan) if c in particles else _nan(n) for c in MEASURED)
    table = table.assign(particle_id=_ids(particles), **dict(zip(MEASURED, numbers, strict=True)))
    counted = is_counted(particles)
    kept = table[counted].assign(counted=True, n=1)
    others = table[~counted].groupby(["sample", "micrograph_id", "exclusion_reason"], as_index=False).size()
    others = others.rename(columns={"size": "n"}).assign(
        counted=False, particle_id=0, **dict.fromkeys(MEASURED, np.nan)
    )
    return _typed([kept, others[list(kept.columns)]])


def unite(summaries: Iterable[pd.DataFrame]) -> Population:
    """Unite the summaries of a table that came piece by piece.

    Parameters
    ----------
    summaries : iterable of pandas.DataFrame
        At least one, from `summarize_partition` of the pieces, of which the columns `NEEDED` suffice.

    Returns
    -------
    Population
        That of `collect` of the whole table.
    """
    return finish(_typed(list(summaries)))


def merge(summaries: pd.DataFrame) -> pd.DataFrame:
    """Merge summaries.

    Parameters
    ----------
    summaries : pandas.DataFrame
        Rows of any number of results of `summarize_partition` and `merge`, in any order.

    Returns
    -------
    pandas.DataFrame
        One summary: the numbers of particles of a micrograph that are not counted are added up.
    """
    others = summaries[~summaries["counted"]]
    added = others.groupby(["sample", "micrograph_id", "exclusion_reason"], as_index=False)["n"].sum()
    added = added.assign(counted=False, particle_id=0, **dict.fromkeys(MEASURED, np.nan))[list(summaries.columns)]
    kept = summaries[summaries["counted"]]
    return _typed([kept, added])


def finish(summary: pd.DataFrame) -> Population:
    """Sort a summary.

    Parameters
    ----------
    summary : pandas.DataFrame
        Summary of the whole table.

    Returns
    -------
    Population
        The counted particles and the numbers of the others.
    """
    order = [*KEY, *MEASURED]  # the measured columns matter only where the key is not unique
    counted = summary.loc[summary["counted"], order].sort_values(order, ignore_index=True)
    others = merge(summary[~summary["counted"]]).sort_values(["sample", "micrograph_id", "exclusion_reason"])
    names = ["sample", "micrograph_id", "exclusion_reason", "n"]
    return Population(counted, others[names].reset_index(drop=True))


def collect(particles: pd.DataFrame | LazyTable | Population) -> Population:
    """Reduce a particle table, whole or partitioned.

    Parameters
    ----------
    particles : pandas.DataFrame, dask.dataframe.DataFrame or Population
        Rows of `tables.PARTICLES`. A lazy table is reduced partition by partition on its workers. What is reduced
        already is returned.

    Returns
    -------
    Population
        Identical for every partitioning.
    """
    if isinstance(particles, Population):
        return particles
    if isinstance(particles, pd.DataFrame):
        return finish(merge(summarize_partition(particles)))
    empty = summarize_partition(particles._meta)
    summary = particles.reduction(chunk=summarize_partition, combine=merge, aggregate=merge, meta=empty).compute()
    return finish(summary)


def _ids(particles: pd.DataFrame) -> np.ndarray:
    """Return particle ids, or row numbers from 1 where there are none."""
    if "particle_id" not in particles:
        return np.arange(1, len(particles) + 1)
    return particles["particle_id"].to_numpy(dtype=np.int64, na_value=0)


def _nan(n: int) -> np.ndarray:
    """Return a column of NaN."""
    return np.full(n, np.nan)


def _typed(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables and restore the types of their columns; empty tables, which have none, are left out."""
    full = [part for part in parts if len(part)]
    table = pd.concat(full, ignore_index=True) if full else parts[0]
    text = dict.fromkeys(("sample", "micrograph_id", "exclusion_reason"), "str")
    kinds = {"particle_id": np.int64, "counted": bool, "n": np.int64}
    return table.astype({**text, **dict.fromkeys(MEASURED, float), **kinds})
