"""What is kept of tables while they are written."""

import pandas as pd
import pyarrow as pa

from hrtem_dask import tables
from hrtem_dask.storage.packing.kept_rows import KeptRows


def piece(names: list[str], states: list[str | None], counted: list[bool | None]) -> pa.Table:
    rows = pd.DataFrame({"micrograph_id": names, "fault_state": states, "counted": counted})
    schema = tables.arrow_schema(tables.PARTICLES)
    return pa.Table.from_pandas(tables.conform(rows, tables.PARTICLES), schema=schema, preserve_index=False)


def test_counted_particles_with_a_known_fault_state_are_counted_over_all_pieces() -> None:
    pieces = [
        piece(["a", "a", "a", "b"], ["fault", "no_fault", "unknown", None], [True, True, True, True]),
        piece(["a", "b", "c"], ["fault", "no_fault", "fault"], [True, None, False]),
        piece([], [], []),
    ]
    kept = KeptRows(with_lattices=False)
    assert [part.num_rows for part in kept.watch("particles", pieces)] == [4, 3, 0]
    assert dict(kept.n_known_faults) == {"a": 3}
    assert not kept.lattices
