"""The parts of a particle table that statistics use: counted particles, their numbers, weights and micrographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pandas as pd

__all__ = [
    "LazyTable",
    "computed",
    "counted_particles",
    "is_counted",
    "micrograph_codes",
    "numbers",
    "weight_column",
]


TableFunction = Callable[[pd.DataFrame], pd.DataFrame]


class LazyTable(Protocol):
    """A table that is read when it is computed, such as a `dask.dataframe.DataFrame`."""

    _meta: pd.DataFrame
    """Empty table with the columns and types of the partitions."""

    def compute(self) -> pd.DataFrame:
        """Return the table in memory."""

    def reduction(
        self, *, chunk: TableFunction, combine: TableFunction, aggregate: TableFunction, meta: pd.DataFrame
    ) -> LazyTable:
        """Reduce the table partition by partition.

        Parameters
        ----------
        chunk : callable
            Function that is applied to each partition.
        combine : callable
            Function that merges some of the results.
        aggregate : callable
            Function that merges the last results.
        meta : pandas.DataFrame
            Empty table with the columns and types of the result.

        Returns
        -------
        LazyTable
            The reduced table.
        """


def computed(table: pd.DataFrame | LazyTable) -> pd.DataFrame:
    """Return a table in memory.

    Parameters
    ----------
    table : pandas.DataFrame or dask.dataframe.DataFrame
        Any table; a lazy one is computed.

    Returns
    -------
    pandas.DataFrame
        Its rows.
    """
    return table if isinstance(table, pd.DataFrame) else table.compute()


def is_counted(particles: pd.DataFrame) -> np.ndarray:
    """Return which particles enter the statistics.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.

    Returns
    -------
    numpy.ndarray of bool
        Shape (rows,): the column ``counted``; False where it is null.
    """
    return np.asarray(particles["counted"].fillna(False).to_numpy(dtype=bool))


def counted_particles(particles: pd.DataFrame | LazyTable) -> pd.DataFrame:
    """Return the particles that enter the statistics.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; a lazy table is computed.

    Returns
    -------
    pandas.DataFrame
        The rows of counted particles, with a new index from 0.

    Examples
    --------
    >>> table = pd.DataFrame({"counted": [True, False, True], "equivalent_diameter_nm": [5.0, 0.4, 6.0]})
    >>> counted_particles(table)["equivalent_diameter_nm"].tolist()
    [5.0, 6.0]
    """
    table = computed(particles)
    return table[is_counted(table)].reset_index(drop=True)


def numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return a column as plain floats.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table.
    column : str
        Name of a numeric column.

    Returns
    -------
    numpy.ndarray of float
        Shape (rows,); NaN where the value is null or not finite, and throughout where there is no such column.
    """
    if column not in table:
        return np.full(len(table), np.nan)
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(np.where(np.isfinite(values), values, np.nan))


def weight_column(table: pd.DataFrame) -> np.ndarray:
    """Return the weight of each particle.

    Parameters
    ----------
    table : pandas.DataFrame
        Particles. Their optional column ``weight`` (for instance the edge correction of Miles and Lantuéjoul) must not
        be negative; a null weight counts as 0.

    Returns
    -------
    numpy.ndarray of float
        Shape (rows,); 1 throughout without the column.
    """
    if "weight" not in table:
        return np.ones(len(table))
    return np.asarray(np.nan_to_num(numbers(table, "weight")))


def micrograph_codes(table: pd.DataFrame) -> np.ndarray:
    """Return the micrograph of each particle as a number.

    Parameters
    ----------
    table : pandas.DataFrame
        Particles, with ``micrograph_id``.

    Returns
    -------
    numpy.ndarray of int
        Shape (rows,), from 0 without gaps.
    """
    return np.asarray(pd.factorize(table["micrograph_id"])[0])
