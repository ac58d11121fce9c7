"""Numbers in a table that a person wrote: decimal commas, missing values, and columns that look like numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hrtem_dask.errors import SettingsError

__all__ = ["Value", "as_number", "column_values", "has_decimal_commas"]

Value = str | int | float | bool | None

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
"""A number that may have commas between its thousands."""
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
_LOOKS_LIKE_A_NUMBER = re.compile(r"[+-]?\d[\d\s.,'’]*\s*([eE][+-]?\d+)?\s*(%|°?[A-Za-zµμÅ/%]{0,6})")
_MISSING = {"na", "n/a", "nan", "null", "none", "-", "–", "?"}
_TRUTH = {"true": True, "false": False}
MAX_INT = 2**63


def has_decimal_commas(cells: Sequence[str]) -> bool:
    """Return whether the numbers of a table are written with decimal commas.

    Parameters
    ----------
    cells : sequence of str
        All cells of its columns of numbers.

    Returns
    -------
    bool
        True where a number has a comma that cannot stand between thousands, such as ``0,021`` or ``12,5``, and no
        number has a decimal point.
    """
    if any(_NUMBER.fullmatch(cell) and "." in cell for cell in cells):
        return False
    return any(_COMMA_NUMBER.fullmatch(cell) and not _GROUPED.fullmatch(cell) for cell in cells)


def column_values(
    cells: Sequence[str], rows: Sequence[int], *, name: str, decimal_commas: bool
) -> tuple[list[Value], str | None]:
    """Return the values of a column: numbers where all of its cells are numbers, else text.

    Parameters
    ----------
    cells : sequence of str
        Cells of the column, empty where nothing was written.
    rows : sequence of int
        Number of the row of each cell, for messages.
    name : str
        Name of the column, for messages.
    decimal_commas : bool
        From `has_decimal_commas`.

    Returns
    -------
    values : list
        Whole numbers, numbers, truth values or texts; None where a cell is empty. In a column of numbers, words such as
        ``NA`` are missing values too.
    remark : str or None
        What the user should know: a column that looks like numbers and is text, or words taken for missing values.

    Raises
    ------
    SettingsError
        If a comma may be a decimal comma or stand between thousands, and nothing in the table says which.

    Examples
    --------
    >>> column_values(["1", "2.5", ""], [2, 3, 4], name="age_h", decimal_commas=False)
    ([1.0, 2.5, None], None)
    >>> column_values(["300", "RT"], [2, 3], name="anneal_c", decimal_commas=False)[0]
    ['300', 'RT']
    """
    filled = [cell for cell in cells if cell]
    if filled and all(cell.casefold() in _TRUTH for cell in filled):
        return [_TRUTH[cell.casefold()] if cell else None for cell in cells], None
    grouped = next((cell for cell in filled if _GROUPED.fullmatch(cell)), None)
    numbers = [as_number(cell, decimal_commas=decimal_commas) for cell in cells]
    words = {c for c, n in zip(cells, numbers, strict=True) if c and n is None}
    if grouped is not None and not decimal_commas and all(w.casefold() in _MISSING or "," in w for w in words):
        row = rows[list(cells).index(grouped)]
        raise SettingsError(
            f"column {name!r}, row {row}: {grouped!r} may be {grouped.replace(',', '.', 1)} or "
            f"{grouped.replace(',', '')}: write numbers with a decimal point and without separators of thousands"
        )
    known = [n for n in numbers if n is not None]
    if known and all(w.casefold() in _MISSING for w in words):
        whole = all(isinstance(n, int) for n in known) and len(known) == len(cells)
        values: list[Value] = [n if n is None or whole else float(n) for n in numbers]
        return values, f"column {name!r}: {_quoted(words)} is read as a missing number" if words else None
    like = [c for c in filled if _LOOKS_LIKE_A_NUMBER.fullmatch(c)]
    if not known and (2 * len(like) < len(filled) or not like):
        return [cell or None for cell in cells], None
    first = next(c for c in filled if c in words)
    row = rows[list(cells).index(first)]
    return [cell or None for cell in cells], (
        f"column {name!r} looks like numbers but is text, because of {first!r} in row {row}: write numbers alone, and "
        "the unit in the name of the column, or ignore this"
    )


def as_number(cell: str, *, decimal_commas: bool = False) -> int | float | None:
    """Return the number that a cell is.

    Parameters
    ----------
    cell : str
        Text of the cell.
    decimal_commas : bool
        Whether a comma is a decimal comma.

    Returns
    -------
    int, float or None
        The number, which is finite; None where the cell is none. ``007`` is a name.
    """
    if decimal_commas and _COMMA_NUMBER.fullmatch(cell):
        cell = cell.replace(",", ".")
    if not _NUMBER.fullmatch(cell) or _LEADING_ZERO.fullmatch(cell):
        return None
    value = float(cell)
    if not math.isfinite(value):
        return None
    if cell.lstrip("+-").isdigit() and abs(int(cell)) < MAX_INT:
        return int(cell)
    return value


def _quoted(words: set[str]) -> str:
    """Return some words in quotation marks."""
    return ", ".join(repr(word) for word in sorted(words))
