"""Text that a spreadsheet program shows as text: file names and notes of others may begin like formulas."""

from __future__ import annotations

import re
from collections.abc import Hashable

import pandas as pd

__all__ = ["for_a_workbook", "plain_text", "text_columns", "without_formulas"]

# Excel and LibreOffice take these for the begin of a formula, also full-width and after blanks. A semicolon, a tab or
# the end of a line may begin a new cell, if a program takes it for the separator.
_BEGINS_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@＝＋－＠]|[\t\r\n])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def plain_text(text: str) -> str:
    """Put an apostrophe before what a spreadsheet program would take for a formula.

    Parameters
    ----------
    text : str
        Content of a cell.

    Returns
    -------
    str
        The same text where it is a number, or begins no formula.

    Examples
    --------
    >>> [plain_text(text) for text in ("=1+1", "a;@b", "-1.5", "Au = gold")]
    ["'=1+1", "a;'@b", '-1.5', 'Au = gold']
    """
    return text if _NUMBER.fullmatch(text) else _BEGINS_FORMULA.sub(r"\1'", text)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts and column names begin no formula, for a CSV file.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table; it is not changed.

    Returns
    -------
    pandas.DataFrame
        The same numbers, and each text as `plain_text` gives it.

    Examples
    --------
    >>> without_formulas(pd.DataFrame({"note": ["=1+1", "Au"], "x": [-1.0, 2.0]})).values.tolist()
    [["'=1+1", -1.0], ['Au', 2.0]]
    """
    safe = table.copy(deep=False)
    for i in text_columns(table):
        safe.isetitem(i, pd.Series(map(_safe, table.iloc[:, i]), dtype=object).to_numpy())
    safe.columns = pd.Index([_safe(name) for name in table.columns])
    return safe


def for_a_workbook(table: pd.DataFrame) -> pd.DataFrame:
    r"""Return a table whose texts a workbook can hold: XML has no control characters.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table; it is not changed.

    Returns
    -------
    pandas.DataFrame
        The same, with each control character as the escape that Python writes.

    Examples
    --------
    >>> for_a_workbook(pd.DataFrame({"note": ["bell\x07", "=1"]}))["note"].tolist()
    ['bell\\x07', '=1']
    """
    fit = table.copy(deep=False)
    for i in text_columns(table):
        fit.isetitem(i, pd.Series(map(_escaped, table.iloc[:, i]), dtype=object).to_numpy())
    fit.columns = pd.Index([_escaped(name) for name in table.columns])
    return fit


def text_columns(table: pd.DataFrame) -> list[int]:
    """Return the columns that may hold text.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table.

    Returns
    -------
    list of int
        Positions of the columns that are not numeric.

    Examples
    --------
    >>> text_columns(pd.DataFrame({"x": [1.0], "note": ["a"]}))
    [1]
    """
    kinds = [table.iloc[:, i].dtype for i in range(table.shape[1])]
    return [i for i, kind in enumerate(kinds) if not pd.api.types.is_numeric_dtype(kind)]


def _escaped(value: Hashable) -> Hashable:
    """Return a value, without control characters if it is text."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], value) if isinstance(value, str) else value


def _safe(value: Hashable) -> Hashable:
    """Return a value, without a formula if it is text."""
    return plain_text(value) if isinstance(value, str) else value
