"""Tables of text for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["TextTable", "format_percent", "format_share", "to_markdown"]


@dataclass(frozen=True)
class TextTable:
    """A table of text with a title and notes."""

    title: str
    """Title of the table."""
    headings: tuple[str, ...]
    """Headings of the columns; the first column names the rows."""
    rows: tuple[tuple[str, ...], ...]
    """Cells of each row, as many as headings."""
    notes: tuple[str, ...] = ()
    """Notes below the table."""


def to_markdown(tables: Sequence[TextTable]) -> str:
    """Return tables as Markdown.

    Parameters
    ----------
    tables : sequence of TextTable
        Tables in the order of the text.

    Returns
    -------
    str
        A heading, the table and its notes for each table.

    Examples
    --------
    >>> print(to_markdown([TextTable("Scores", ("data", "Dice"), (("Au", "0.890"),))]))
    ## Scores
    <BLANKLINE>
    | data | Dice |
    | --- | --- |
    | Au | 0.890 |
    <BLANKLINE>
    """
    parts = []
    for table in tables:
        lines = [table.headings, ("---",) * len(table.headings), *table.rows]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        parts.append("\n\n".join((f"## {table.title}", body, *table.notes)))
    return "\n\n".join(parts) + "\n"


def format_share(value: float) -> str:
    """Return a share with three decimals.

    Parameters
    ----------
    value : float
        A share, 0 to 1, or NaN.

    Returns
    -------
    str
        The number; a dash for NaN.
    """
    return "–" if math.isnan(value) else f"{value:.3f}"


def format_percent(value: float) -> str:
    """Return a share in percent.

    Parameters
    ----------
    value : float
        A share, 0 to 1, or NaN.

    Returns
    -------
    str
        Whole percents; a dash for NaN.
    """
    return "–" if math.isnan(value) else f"{value:.0%}"
