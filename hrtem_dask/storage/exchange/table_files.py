"""The tables of a run as CSV and as an Excel workbook."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping

import pandas as pd

from hrtem_dask import tables
from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.storage.location import Location

__all__ = ["require_openpyxl", "write_csv", "write_workbook"]

_EXCEL_ROWS = 1_048_576


def write_csv(folder: Location, written: Mapping[str, pd.DataFrame]) -> list[str]:
    """Write tables as CSV in UTF-8, each with its units in the names of its columns.

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
        folder.write_bytes(f"{name}.csv", table.to_csv(index=False).encode())
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
            table.to_excel(workbook, sheet_name=name, index=False, freeze_panes=(1, 0))
    folder.write_bytes("tables.xlsx", buffer.getvalue())
    return ["tables.xlsx"]


def _explained(written: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the description of each column."""
    return pd.DataFrame(
        [
            {"table": name, "column": c.name, "unit": c.unit, "meaning": c.meaning, "formula": c.formula}
            for name in written
            for c in tables.SCHEMAS[name]
        ]
    )
