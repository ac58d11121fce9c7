"""Rows of a small table that a person wrote: separators, encodings and workbooks as spreadsheet programs save them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec

from hrtem_dask.addresses import check_address
from hrtem_dask.errors import SettingsError, error_text
from hrtem_dask.text_encoding import decode_text

__all__ = ["Row", "read_rows"]

_SEPARATORS = (",", ";", "\t", "|")
_WORKBOOK, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
MAX_BYTES = 100 * 2**20
"""Largest table that is read; one row per micrograph takes some hundred bytes."""


@dataclass(frozen=True)
class Row:
    """One row that is not empty."""

    number: int
    """Number of the row as a spreadsheet program counts, from 1."""
    cells: tuple[str, ...]
    """Its cells as text, without blanks at their ends."""


def read_rows(name: str, column: str) -> tuple[list[Row], tuple[str, ...]]:
    """Read the rows of a table, the header first.

    Parameters
    ----------
    name : str
        Path or fsspec URL of a CSV file with commas, semicolons, tabs or bars, or of an XLSX workbook.
    column : str
        Name of a column that the table must have, by which its separator is found.

    Returns
    -------
    rows : list of Row
        The header and the rows that are not empty, all of the same length; cells that a row lacks are empty.
    remarks : tuple of str
        What the user should know about how the file was read.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a row has more cells than the header.
    """
    try:
        with fsspec.open(check_address(name), "rb", compression="infer") as file:
            content = file.read(MAX_BYTES + 1)
    except SettingsError:
        raise
    except Exception as error:  # object stores have errors of their own
        raise SettingsError(f"cannot read the metadata file {name!r}: {error_text(error)}") from error
    if len(content) > MAX_BYTES:
        raise SettingsError(f"the metadata file {name!r} is larger than {MAX_BYTES >> 20} MiB: is it the right file?")
    if content.startswith(_OLD_WORKBOOK):
        raise SettingsError(f"the metadata file {name!r} is an old Excel workbook (.xls): save it as CSV or .xlsx")
    if content.startswith(_WORKBOOK):
        rows, remarks = _read_workbook(content, name, column)
    else:
        rows, remarks = _read_text(content, name, column)
    if not rows:
        raise SettingsError(f"cannot read the metadata file {name!r}: it is empty")
    return _rectangular(rows, name), remarks


def _read_text(content: bytes, name: str, column: str) -> tuple[list[Row], tuple[str, ...]]:
    """Read separated text."""
    try:
        text, encoding = decode_text(content, guess=True)
    except ValueError as error:
        raise SettingsError(
            f"cannot read the metadata file {name!r}: {error_text(error)}; save it as CSV in UTF-8"
        ) from error
    remarks: tuple[str, ...] = ()
    if encoding == "cp1252":
        odd = next(word for word in text.split() if not word.isascii())
        remarks = (f"the metadata file {name!r} is not UTF-8 and was read as Windows-1252 (Latin-1), such as {odd!r}",)
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own note of the separator
        return _split(rest, first[4], name, before=1), remarks
    tries: list[tuple[int, str]] = []
    for separator in _SEPARATORS:
        header = next(iter(_split(text, separator, name, limit=1)), None)
        if header is not None and column in [cell.casefold() for cell in header.cells]:
            tries.append((len(header.cells), separator))
    return _split(text, max(tries)[1] if tries else ",", name), remarks


def _split(text: str, separator: str, name: str, *, before: int = 0, limit: int | None = None) -> list[Row]:
    """Split text into rows that are not empty, at most so many."""
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    number = before
    while limit is None or len(rows) < limit:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if limit is not None:  # the wrong separator
                return []
            raise SettingsError(
                f"the metadata file {name!r}, row {number + 1}: {error}; is a quotation mark left open?"
            ) from error
        if cells is None:
            break
        number += 1
        if any(cleaned := [_clean(cell) for cell in cells]):
            rows.append(Row(number, tuple(cleaned)))
    return rows


def _read_workbook(content: bytes, name: str, column: str) -> tuple[list[Row], tuple[str, ...]]:
    """Read the sheet of an XLSX workbook that has the column; the first where none has it."""
    try:
        import openpyxl
    except ImportError as error:
        raise SettingsError(
            f"the metadata file {name!r} is an Excel workbook, which needs openpyxl (pip install openpyxl): "
            "install it, or save the table as CSV"
        ) from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheets = {sheet.title: _sheet_rows(sheet) for sheet in book.worksheets}
    except Exception as error:  # a damaged archive, or one of another program
        raise SettingsError(
            f"cannot read the metadata file {name!r} as an Excel workbook ({error_text(error)}): save it as CSV"
        ) from error
    filled = {title: rows for title, rows in sheets.items() if rows}
    fitting = [t for t, rows in filled.items() if column in [cell.casefold() for cell in rows[0].cells]]
    if len(fitting) > 1:
        raise SettingsError(
            f"the metadata file {name!r} has {len(fitting)} sheets with a column {column!r} ({', '.join(fitting)}): "
            "keep one of them"
        )
    chosen = fitting[0] if fitting else next(iter(filled), None)
    remarks = (f"of the sheets of {name!r} only {chosen!r} is used",) if len(filled) > 1 else ()
    return filled[chosen] if chosen is not None else [], remarks


def _sheet_rows(sheet: object) -> list[Row]:
    """Return the rows of a sheet that are not empty."""
    rows = []
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):  # type: ignore[attr-defined]
        cells = tuple(_cell_text(value) for value in values)
        if any(cells):
            rows.append(Row(number, cells))
    return rows


def _cell_text(value: object) -> str:
    """Return the text of a workbook's cell: numbers as Python writes them, times in ISO 8601."""
    if value is None:
        return ""
    isoformat = getattr(value, "isoformat", None)
    return _clean(str(isoformat() if isoformat is not None else value))


def _clean(cell: str) -> str:
    """Remove blanks and invisible characters at the ends of a cell."""
    return cell.strip().strip("\ufeff\u200b\u200e\u200f").strip()


def _rectangular(rows: Sequence[Row], name: str) -> list[Row]:
    """Return rows as long as the header, whose last columns are dropped where they have neither name nor cell."""
    header = rows[0].cells
    while header and not header[-1]:
        header = header[:-1]
    for row in rows[1:]:
        if any(row.cells[len(header) :]):
            raise SettingsError(
                f"the metadata file {name!r}, row {row.number}, has more fields than the header has columns "
                f"({len(header)}): put fields with a comma in quotation marks, write numbers with a decimal point, "
                "or give the last column a name"
            )
    width = len(header)
    return [Row(row.number, (row.cells + ("",) * width)[:width]) for row in rows]
