"""The tables of a run as CSV and as an Excel workbook."""

from __future__ import annotations

import importlib.util
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hrtem_dask import tables
from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.spreadsheet_text import for_a_workbook, plain_text, text_columns, without_formulas
from hrtem_dask.storage.location import Location

__all__ = ["require_openpyxl", "write_csv", "write_workbook"]

_EXCEL_ROWS = 1_048_576


def write_csv(folder: Location, written: Mapping[str, pd.DataFrame]) -> list[str]:
    """Write tables as CSV in UTF-8, each with its units in the names of its columns.

    A text that a spreadsheet program would take for a formula has an apostrophe before it.

    Parameters
    ----------
    folder : Location
        The folder.
    written : mapping
        Name → table.

    Returns
    -------
    list of str
        The files, relative to the folder.
    """
    for name, table in written.items():
        folder.write_bytes(f"{name}.csv", without_formulas(table).to_csv(index=False).encode())
    return [f"{name}.csv" for name in written]


def require_openpyxl() -> None:
    """Refuse before anything is written where Excel workbooks cannot be.

    Raises
    ------
    HrtemDaskError
        If openpyxl is not installed.
    """
    if importlib.util.find_spec("openpyxl") is None:
        raise HrtemDaskError(
            "xlsx needs openpyxl, which is not installed: pip install openpyxl, or export --format csv"
        )


def write_workbook(folder: Location, written: Mapping[str, pd.DataFrame]) -> list[str]:
    """Write tables as one Excel workbook, a sheet each, and a sheet that explains the columns.

    Texts that begin like formulas are texts; control characters are written as escapes.

    Parameters
    ----------
    folder : Location
        The folder.
    written : mapping
        Name → table.

    Returns
    -------
    list of str
        The file, relative to the folder.

    Raises
    ------
    HrtemDaskError
        If openpyxl is not installed, or a table has more rows than a sheet can hold.
    """
    require_openpyxl()
    for name, table in written.items():
        if len(table) >= _EXCEL_ROWS:
            raise HrtemDaskError(
                f"the table {name} has {len(table)} rows, a sheet holds {_EXCEL_ROWS - 1}: export --format csv, or "
                "fewer micrographs by --only"
            )
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer, engine="openpyxl") as workbook:
        for name, table in {**written, "columns": _explained(written)}.items():
            for_a_workbook(table).to_excel(workbook, sheet_name=name, index=False, freeze_panes=(1, 0))
            _keep_text(workbook.sheets[name], text_columns(table))
    folder.write_bytes("tables.xlsx", buffer.getvalue())
    return ["tables.xlsx"]


def _keep_text(sheet: Any, columns: Sequence[int]) -> None:
    """Make cells texts again that openpyxl took for formulas, because they begin with an equals sign."""
    of_columns = (cell for i in columns for cells in sheet.iter_cols(i + 1, i + 1, 2) for cell in cells)
    for cell in itertools.chain(sheet[1], of_columns):
        if isinstance(cell.value, str) and plain_text(cell.value) != cell.value:
            cell.data_type = "s"
            cell.quotePrefix = True  # and they stay texts when someone edits them


def _explained(written: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the description of each column."""
    return pd.DataFrame(
        [
            {"table": name, "column": c.name, "unit": c.unit, "meaning": c.meaning, "formula": c.formula}
            for name in written
            for c in tables.SCHEMAS[name]
        ]
    )
