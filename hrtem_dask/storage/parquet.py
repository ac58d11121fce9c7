"""Tables as Parquet, always with the explicit schema of `tables`, so that an empty part reads like a full one."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hrtem_dask import tables
from hrtem_dask.provenance import BytesHash, bytes_hash
from hrtem_dask.storage.location import Location

__all__ = [
    "gather_rows", "read_part", "read_rows", "read_table", "rows_of_micrograph", "schema_with_extra", "table_bytes",
    "to_frame", "with_extra_columns", "write_table", "write_table_in_order",
]  # fmt: skip

ROW_GROUP = 2**14
"""Rows of a group of a large table, which are some 10 MB in memory: a reader takes as much at once."""
_PANDAS = b"pandas"
"""Key of the types of the columns in pandas, in the metadata of a schema."""


def write_table(folder: Location, name: str, table: pd.DataFrame | pa.Table, schema: tables.Schema) -> str:
    """Write a table whole, atomically.

    Parameters
    ----------
    folder : Location
        The results folder.
    name : str
        File inside it, for instance ``particles.parquet``.
    table : pandas.DataFrame or pyarrow.Table
        Columns of the schema; columns beyond it (covariates) are kept, typed by their values. An Arrow table is written
        as it is (`with_extra_columns`).
    schema : tuple of tables.Column
        For instance `tables.PARTICLES`. Meaning, unit and formula go into each column's metadata.

    Returns
    -------
    str
        Hash of the file's content.
    """
    content = table_bytes(table, schema)
    folder.write_bytes(name, content)
    return bytes_hash(content)


def write_table_in_order(folder: Location, name: str, parts: Iterable[pa.Table], fields: pa.Schema) -> tuple[str, int]:
    """Write a table piece by piece, so that it is never in memory as a whole.

    Parameters
    ----------
    folder : Location
        The results folder.
    name : str
        File inside it, for instance ``particles.parquet``.
    parts : iterable of pyarrow.Table
        Its rows, in order. The content of the file does not depend on where one part ends and the next one begins.
    fields : pyarrow.Schema
        Schema of every part and of the file.

    Returns
    -------
    content_hash : str
        Hash of the file's content.
    n_rows : int
        Number of its rows.
    """
    n_rows, waiting = 0, fields.empty_table()
    with folder.open_whole(name) as file:
        hashed = _HashedFile(file)
        with pq.ParquetWriter(pa.PythonFile(hashed, mode="w"), fields, compression="zstd") as writer:
            for part in parts:
                n_rows += len(part)
                waiting = pa.concat_tables([waiting, part])
                while len(waiting) >= ROW_GROUP:
                    writer.write_table(waiting.slice(0, ROW_GROUP).combine_chunks())
                    waiting = waiting.slice(ROW_GROUP).combine_chunks()
            if len(waiting) or not n_rows:
                writer.write_table(waiting.combine_chunks())
    return hashed.digest(), n_rows


class _HashedFile(io.RawIOBase):
    """Hands what is written on to a file, and hashes it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._hash = file, BytesHash()

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, content: Any) -> int:
        """Write bytes after those that are there."""
        self._hash.update(content)
        return self._file.write(content)

    def digest(self) -> str:
        """Return the hash of what was written, as of `provenance.bytes_hash`."""
        return self._hash.digest()


def table_bytes(table: pd.DataFrame | pa.Table, schema: tables.Schema, *, is_part: bool = False) -> bytes:
    """Return a table as the bytes of a Parquet file.

    Parameters
    ----------
    table : pandas.DataFrame or pyarrow.Table
        As for `write_table`; a part is best given as an Arrow table (`tables.arrow_table`).
    schema : tuple of tables.Column
        For instance `tables.PARTICLES`.
    is_part : bool
        Whether it is a part of a run, of some tens of rows, which is read once and whole: it has no compression,
        statistics and dictionaries, which take longer than everything else.

    Returns
    -------
    bytes
        Content of the file.
    """
    sink = pa.BufferOutputStream()
    if is_part:
        arrow = table if isinstance(table, pa.Table) else tables.arrow_table([table], schema)
        pq.write_table(arrow, sink, compression="none", write_statistics=False, use_dictionary=False)
        return bytes(sink.getvalue().to_pybytes())
    arrow = table if isinstance(table, pa.Table) else _with_extra_columns(table, schema)
    pq.write_table(arrow, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _with_extra_columns(table: pd.DataFrame, schema: tables.Schema) -> pa.Table:
    """Return a table with its covariates, which are typed by their values."""
    table = tables.conform(table, schema)
    fields = tables.arrow_schema(schema)
    for extra in table.columns[len(schema) :]:
        fields = fields.append(pa.Schema.from_pandas(table[[extra]], preserve_index=False).field(0))
    arrow = pa.Table.from_pandas(table, schema=fields, preserve_index=False)
    return arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **tables.arrow_schema(schema).metadata})


def read_table(folder: Location, name: str, schema: tables.Schema) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    folder : Location
        The results folder.
    name : str
        File inside it.
    schema : tuple of tables.Column
        The schema it was written with.

    Returns
    -------
    pandas.DataFrame
        With the schema's dtypes, whatever the file's writer.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    arrow = pq.read_table(pa.BufferReader(folder.read_bytes(name)))
    return tables.conform(arrow.to_pandas(types_mapper=_nullable), schema)


def read_rows(folder: Location, files: Mapping[str, Sequence[str]], schema: tables.Schema) -> pd.DataFrame:
    """Read the rows of some micrographs from several files of one table.

    Parameters
    ----------
    folder : Location
        The results folder.
    files : mapping
        File inside it → the micrographs whose rows are wanted; none gives an empty table.
    schema : tuple of tables.Column
        The schema they were written with.

    Returns
    -------
    pandas.DataFrame
        File after file, with the schema's dtypes.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    """
    # one conversion for all: pandas takes longer over a hundred small tables than over a large one
    return to_frame(gather_rows(folder, files, schema), schema)


def gather_rows(folder: Location, files: Mapping[str, Sequence[str]], schema: tables.Schema) -> pa.Table:
    """Read the rows of some micrographs from several files of one table; `read_rows` as an Arrow table.

    Parameters
    ----------
    folder : Location
        The results folder.
    files : mapping
        File inside it → the micrographs whose rows are wanted; none gives an empty table.
    schema : tuple of tables.Column
        The schema they were written with.

    Returns
    -------
    pyarrow.Table
        File after file, with the schema's columns and types. It takes a fraction of the memory of a DataFrame.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file is damaged.
    """
    fields = tables.arrow_schema(schema)
    parts = [_filtered(read_part(folder.read_bytes(name)), wanted) for name, wanted in files.items()]
    if not parts:
        return fields.empty_table()
    whole = pa.concat_tables(parts, promote_options="default")
    if whole.schema.equals(fields):  # nearly always; metadata are not compared
        return pa.Table.from_arrays(whole.columns, schema=fields)
    columns = [
        whole[field.name].cast(field.type) if field.name in whole.column_names else pa.nulls(len(whole), field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(columns, schema=fields)


def to_frame(table: pa.Table, schema: tables.Schema) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame.

    Parameters
    ----------
    table : pyarrow.Table
        From `gather_rows` or `with_extra_columns`.
    schema : tuple of tables.Column
        Its schema.

    Returns
    -------
    pandas.DataFrame
        With the schema's dtypes, and any further columns after the schema's.
    """
    return tables.conform(table.to_pandas(types_mapper=_nullable, ignore_metadata=True), schema)


def schema_with_extra(columns: pd.DataFrame, schema: tables.Schema) -> pa.Schema:
    """Return the schema of a table with the columns of its micrographs.

    Parameters
    ----------
    columns : pandas.DataFrame
        One row per micrograph of the run, with its name as index; covariates are typed by all their values.
    schema : tuple of tables.Column
        Schema of the table.

    Returns
    -------
    pyarrow.Schema
        Columns that are not in the schema come after it.
    """
    extra = [str(name) for name in columns if name not in {column.name for column in schema}]
    # pandas takes long over a hundred columns of four types: it is asked about one of each
    kinds = {column.kind: column for column in schema}
    few = _with_extra_columns(columns[extra].drop_duplicates(), tuple(kinds.values()))
    fields = tables.arrow_schema(schema)
    for name in extra:
        fields = fields.append(few.schema.field(name))
    about = json.loads(few.schema.metadata[_PANDAS])
    known = {entry["name"]: entry for entry in about["columns"]}
    about["columns"] = [
        *({**known[kinds[c.kind].name], "name": c.name, "field_name": c.name} for c in schema),
        *(known[name] for name in extra),
    ]
    return fields.with_metadata({**fields.metadata, _PANDAS: json.dumps(about).encode()})


def with_extra_columns(
    table: pa.Table, columns: pd.DataFrame, schema: tables.Schema, fields: pa.Schema | None = None
) -> pa.Table:
    """Set columns of an Arrow table from those of its micrographs, such as sample and covariates.

    Parameters
    ----------
    table : pyarrow.Table
        With the schema's columns, among them ``micrograph_id``.
    columns : pandas.DataFrame
        One row per micrograph, with its name as index; columns that are not in the schema are added after it.
    schema : tuple of tables.Column
        Schema of the table.
    fields : pyarrow.Schema, optional
        From `schema_with_extra`, where `columns` has only some of the micrographs of the run.

    Returns
    -------
    pyarrow.Table
        As `write_table` writes a DataFrame: pandas reads it with types that keep null apart from NaN.
    """
    micrograph = pc.index_in(table["micrograph_id"], value_set=pa.array(columns.index, pa.string()))
    fields = schema_with_extra(columns, schema) if fields is None else fields
    arrays = []
    for field in fields:
        if field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type, from_pandas=True).take(micrograph.combine_chunks()))
        else:
            arrays.append(table[field.name])
    return pa.Table.from_arrays(arrays, schema=fields)


def read_part(content: bytes) -> pa.Table:
    """Read a table of a part.

    Parameters
    ----------
    content : bytes
        Content of its file.

    Returns
    -------
    pyarrow.Table
        All its rows.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    # a part is small: threads, and what reads folders of files, would take half of the time
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)


def rows_of_micrograph(part: pa.Table, micrograph_id: str, schema: tables.Schema) -> pd.DataFrame:
    """Return the rows of one micrograph.

    Parameters
    ----------
    part : pyarrow.Table
        From `read_part`.
    micrograph_id : str
        The micrograph.
    schema : tuple of tables.Column
        The schema it was written with.

    Returns
    -------
    pandas.DataFrame
        With the schema's dtypes, rows numbered from 0.
    """
    return tables.conform(_filtered(part, [micrograph_id]).to_pandas(types_mapper=_nullable), schema)


def _filtered(part: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """Return the rows of some micrographs."""
    is_wanted = pc.is_in(part["micrograph_id"], pa.array(wanted, pa.string()))
    return part if pc.all(is_wanted, min_count=0).as_py() else part.filter(is_wanted)


def _nullable(kind: pa.DataType) -> object | None:
    """Return the pandas dtype that keeps nulls of an Arrow type apart from NaN."""
    return {
        pa.string(): pd.StringDtype("pyarrow"),
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }.get(kind)
