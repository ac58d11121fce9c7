"""Rows as arrays hold what a table holds, and are written as a table is."""

import numpy as np
import pandas as pd
import pandas.testing as pdt
import pytest

from hrtem_dask import tables
from hrtem_dask.tables.schema import conform

SCHEMA = (
    tables.Column("n", "int", "a number"),
    tables.Column("size", "float", "a size"),
    tables.Column("good", "bool", "a flag"),
    tables.Column("name", "str", "a name"),
)
TABLE = conform(
    pd.DataFrame(
        {"n": [1, None, 3], "size": [0.5, None, np.inf], "good": [True, None, False], "name": ["a", None, ""]}
    ),
    SCHEMA,
)


def read(written: object) -> pd.DataFrame:
    """Return an Arrow table as pandas reads it, with the types of the schema."""
    return conform(written.to_pandas(integer_object_nulls=True), SCHEMA)  # type: ignore[attr-defined]


def test_a_table_survives_being_taken_apart() -> None:
    rows = tables.Rows.of_table(TABLE, SCHEMA)
    pdt.assert_frame_equal(rows.table(), TABLE)
    assert rows.numbers("size").tolist()[::2] == [0.5, np.inf]
    assert rows.flags("good").tolist() == [True, False, False]
    assert rows.texts("name").tolist() == ["a", "", ""]
    changed = rows.filled({"n": np.array([7, 8, 9]), "unknown": np.zeros(3)})
    assert changed.table()["n"].tolist() == [7, 8, 9]
    pdt.assert_frame_equal(rows.table(), TABLE)  # the earlier rows are as they were


@pytest.mark.parametrize("missing", [(), ("n", "name"), ("size", "good")])
def test_parts_are_written_as_one_table(missing: tuple[str, ...]) -> None:
    """Also where a part lacks columns, holds other types, or is no rows but a table."""
    rows = tables.Rows.of_table(TABLE, SCHEMA)
    fewer = tables.Rows(SCHEMA, 3, {k: v for k, v in rows.columns.items() if k not in missing})
    other = tables.Rows(SCHEMA, 2, {"n": np.array([5.0, np.nan]), "size": np.array([2, 3], np.int32)})
    written = tables.arrow_table([rows, tables.Rows(SCHEMA, 0), fewer, other, TABLE], SCHEMA)
    expected = pd.concat([TABLE, fewer.table(), other.table(), TABLE], ignore_index=True)
    assert written.schema.equals(tables.arrow_schema(SCHEMA), check_metadata=True)
    pdt.assert_frame_equal(read(written), expected)


def test_records_are_written_as_a_table_of_them() -> None:
    records = [
        {"n": np.int64(2), "size": float("nan"), "good": np.bool_(True), "name": "x", "beyond": 1},
        {"n": 4.0, "size": 1, "good": None, "name": pd.NA},
        {},
    ]
    written = tables.arrow_of_records(records, SCHEMA)
    pdt.assert_frame_equal(read(written), conform(pd.DataFrame(records)[["n", "size", "good", "name"]], SCHEMA))
    with pytest.raises(ValueError, match=r"n holds whole numbers, got 0\.5"):
        tables.arrow_of_records([{"n": 0.5}], SCHEMA)
