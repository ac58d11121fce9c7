"""What statistics need of the tables of a run, kept while these are written piece by piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hrtem_dask import tables
from hrtem_dask.population.fault_conditions import KNOWN_FAULT_STATES
from hrtem_dask.population.reduction import NEEDED
from hrtem_dask.population.whole_run import reduced
from hrtem_dask.storage.parquet import to_frame

__all__ = ["KeptRows"]

LATTICE = ("micrograph_id", "spacing_1_nm", "spacing_2_nm", "angle_12_deg")
"""Columns of particles and windows that the scale of a setting is measured by."""


class KeptRows:
    """What statistics need of tables that are written piece by piece.

    Parameters
    ----------
    with_lattices : bool
        Whether lattices are needed, too.
    """

    def __init__(self, *, with_lattices: bool) -> None:
        self.particles: list[pd.DataFrame] = []
        """What statistics need of the particles, piece by piece (`whole_run.reduced`); of the last one `NEEDED`."""
        self.lattices: list[pd.DataFrame] = []
        """Columns `LATTICE` of particles and windows, where they are needed."""
        self.n_known_faults: Counter[str] = Counter()
        """`micrograph_id` → counted particles with a known fault state."""
        self._with_lattices = with_lattices

    def watch(self, name: str, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Hand the pieces of a table on, and keep what is needed of them.

        Parameters
        ----------
        name : str
            Name of the table, such as ``particles``.
        parts : iterable of pyarrow.Table
            Its pieces, in order.

        Yields
        ------
        pyarrow.Table
            The same pieces.
        """
        for part in parts:
            if name == "particles":
                if self.particles:  # a run of one piece, which may be reduced elsewhere, keeps it as it is
                    self.particles[-1] = reduced(self.particles[-1])
                self.particles.append(_columns_of(part, NEEDED))
                self.n_known_faults.update(_with_known_faults(part))
            if name in {"particles", "windows"} and self._with_lattices:
                self.lattices.append(_columns_of(part, LATTICE))
            yield part


def _with_known_faults(particles: pa.Table) -> dict[str, int]:
    """Count the counted particles of each micrograph whose fault state is known."""
    is_known = pc.is_in(particles["fault_state"], pa.array(KNOWN_FAULT_STATES, pa.string()))
    names = particles.filter(pc.and_(is_known, pc.fill_null(particles["counted"], False)))["micrograph_id"]
    counts = pc.value_counts(names)
    return {str(one["values"]): int(one["counts"]) for one in counts.to_pylist()}


def _columns_of(table: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    """Return columns of a table as a DataFrame."""
    schema = tuple(c for c in (*tables.PARTICLES, *tables.WINDOWS) if c.name in names)
    return to_frame(table.select(list(names)), tuple({c.name: c for c in schema}.values()))
