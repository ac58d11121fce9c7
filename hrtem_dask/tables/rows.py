"""Rows of a table as arrays, one per column: what particles are between the mask and their file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from hrtem_dask.tables.columns import BOX_COLUMNS, Column, Kind, Schema
from hrtem_dask.tables.schema import arrow_schema, as_column, assemble, conform

__all__ = ["Rows", "arrow_of_records", "arrow_table"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table as a mapping of arrays; a DataFrame of them takes a hundred times as long to make."""

    schema: Schema
    """For instance `tables.PARTICLES`."""
    n_rows: int
    """Number of rows."""
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name → values, shape (rows,); a column of the schema that is not here is null. Missing numbers are NaN, missing
    texts None."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.n_rows

    @classmethod
    def of_table(cls, table: pd.DataFrame, schema: Schema) -> Rows:
        """Take a table apart.

        Parameters
        ----------
        table : pandas.DataFrame
            Any columns; those that are not in the schema are left out.
        schema : tuple of Column
            For instance `PARTICLES`.

        Returns
        -------
        Rows
            The same values.
        """
        columns = {c.name: _plain(table[c.name], c.kind) for c in schema if c.name in table}
        return cls(schema, len(table), columns)

    def filled(self, columns: Mapping[str, np.ndarray]) -> Rows:
        """Replace columns.

        Parameters
        ----------
        columns : mapping
            Name → new values, shape (rows,); names that are not in the schema are left out.

        Returns
        -------
        Rows
            New rows, which share all other columns.
        """
        known = {column.name for column in self.schema}
        new = {name: values for name, values in columns.items() if name in known}
        return replace(self, columns={**self.columns, **new})

    def table(self) -> pd.DataFrame:
        """Return the rows as a table.

        Returns
        -------
        pandas.DataFrame
            Columns, order and dtypes of the schema; rows are numbered from 0.
        """
        return assemble(self.columns, self.schema, self.n_rows)

    def integers(self, name: str) -> np.ndarray:
        """Return a column of whole numbers that has no null.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        numpy.ndarray of int64
            Shape (rows,).
        """
        return np.asarray(self.columns[name]).astype(np.int64) if self.n_rows else np.zeros(0, np.int64)

    def numbers(self, name: str) -> np.ndarray:
        """Return a column of numbers.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        numpy.ndarray of float64
            Shape (rows,), NaN where it is null.
        """
        values = self.columns.get(name)
        return np.full(self.n_rows, np.nan) if values is None else np.asarray(values).astype(float)

    def flags(self, name: str) -> np.ndarray:
        """Return a column of truth values.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        numpy.ndarray of bool
            Shape (rows,), False where it is null.
        """
        values = self.columns.get(name)
        if values is None:
            return np.zeros(self.n_rows, dtype=bool)
        return values if values.dtype == bool else np.array([value is True for value in values.tolist()], dtype=bool)

    def texts(self, name: str) -> np.ndarray:
        """Return a column of texts.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        numpy.ndarray of object
            Shape (rows,), an empty text where it is null.
        """
        values = self.columns.get(name)
        found = np.full(self.n_rows, "", dtype=object)
        if values is not None:
            found[:] = [value if isinstance(value, str) else "" for value in values.tolist()]
        return found

    def boxes(self) -> np.ndarray:
        """Return the bounding boxes.

        Returns
        -------
        numpy.ndarray of int64
            Shape (rows, 4): first row, first column, row and column after the last ones.
        """
        return np.stack([self.integers(name) for name in BOX_COLUMNS], axis=1)


def _plain(values: pd.Series, kind: Kind) -> np.ndarray:
    """Return a column of a table as a plain array."""
    if kind == "float":
        return values.to_numpy(dtype=float, na_value=np.nan)
    if kind == "str" or values.isna().any():
        return np.array([None if value is pd.NA else value for value in values.astype(object)], dtype=object)
    return values.to_numpy(dtype=np.int64 if kind == "int" else bool)


def arrow_table(parts: Sequence[Rows | pd.DataFrame], schema: Schema) -> pa.Table:
    """Put the rows of several micrographs together, as they are written to a file.

    Parameters
    ----------
    parts : sequence of Rows or pandas.DataFrame
        Rows of one schema.
    schema : tuple of Column
        For instance `PARTICLES`.

    Returns
    -------
    pyarrow.Table
        All rows, with the Parquet schema.

    Examples
    --------
    >>> from hrtem_dask.tables import Column
    >>> schema = (Column("n", "int", "a number"), Column("name", "str", "a name"))
    >>> parts = [Rows(schema, 2, {"n": np.array([1, 2])}), Rows(schema, 1, {"name": np.array(["a"], object)})]
    >>> arrow_table(parts, schema).to_pydict()
    {'n': [1, 2, None], 'name': [None, None, 'a']}
    """
    fields = arrow_schema(schema)
    filled = [
        part if isinstance(part, Rows) else Rows.of_table(conform(part, schema), schema) for part in parts if len(part)
    ]
    columns = [_arrow_column(filled, column, field.type) for column, field in zip(schema, fields, strict=True)]
    return pa.Table.from_arrays(columns, schema=fields)


def _arrow_column(parts: Sequence[Rows], column: Column, kind: pa.DataType) -> pa.Array:
    """Return one column of several micrographs."""
    values = [part.columns.get(column.name) for part in parts]
    known = [one for one in values if one is not None]
    if not known:
        return pa.nulls(sum(map(len, parts)), kind)
    if len(known) == len(values) and len({one.dtype for one in known}) == 1:
        return _arrow_array(np.concatenate(known), column.kind, kind)
    pieces = [
        pa.nulls(len(part), kind) if one is None else _arrow_array(one, column.kind, kind)
        for part, one in zip(parts, values, strict=True)
    ]
    return pa.concat_arrays(pieces)


def _arrow_array(values: np.ndarray, kind: Kind, arrow: pa.DataType) -> pa.Array:
    """Return values as an Arrow array, NaN and None as nulls."""
    usual = {"float": np.dtype(float), "int": np.dtype(np.int64), "bool": np.dtype(bool), "str": np.dtype(object)}
    if values.dtype != usual[kind]:
        return pa.array(as_column(values, kind, len(values)), type=arrow)
    return pa.array(values, type=arrow, from_pandas=True)


def arrow_of_records(records: Sequence[Mapping[str, Any]], schema: Schema) -> pa.Table:
    """Put records together as they are written to a file, such as the rows of micrographs.

    Parameters
    ----------
    records : sequence of mapping
        Column → value, one per row; columns of the schema that a record does not have are null, others are left out.
    schema : tuple of Column
        For instance `MICROGRAPHS`.

    Returns
    -------
    pyarrow.Table
        One row per record, with the Parquet schema.

    Raises
    ------
    ValueError
        If a column of whole numbers holds another number.

    Examples
    --------
    >>> from hrtem_dask.tables import Column
    >>> schema = (Column("n", "int", "a number"), Column("size", "float", "a size"))
    >>> arrow_of_records([{"n": 1.0, "size": float("nan")}, {"size": 2}], schema).to_pydict()
    {'n': [1, None], 'size': [None, 2.0]}
    """
    fields = arrow_schema(schema)
    columns = [
        pa.array([_scalar(record.get(column.name), column) for record in records], type=field.type)
        for column, field in zip(schema, fields, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=fields)


def _scalar(value: Any, column: Column) -> Any:
    """Return a value as its column holds it; None where it is missing."""
    if value is None or value is pd.NA or value != value:
        return None
    if column.kind == "str":
        return str(value)
    if column.kind == "int":
        if int(value) != value:
            raise ValueError(f"{column.name} holds whole numbers, got {value}")
        return int(value)
    return bool(value) if column.kind == "bool" else float(value)
