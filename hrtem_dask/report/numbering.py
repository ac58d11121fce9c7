"""Numbers of figures and tables, in the order in which they stand on the page."""

from __future__ import annotations

import re
from itertools import count

__all__ = ["number_figures_and_tables"]

_PIECES = re.compile(
    r"(?P<heading><h[234][^>]*>(?P<title>.*?)</h[234]>)|(?P<table><table(?P<of_table>[^>]*)>)(?!<caption)"
    r'|(?P<figure><figure class="plot[^"]*">.*?<figcaption>)',
    re.DOTALL,
)
_TAGS = re.compile(r"<[^>]+>")
LONG_TABLE = 25
"""Tables of more rows may break across pages."""


def number_figures_and_tables(page: str) -> str:
    """Give each figure its number, and each table a caption with one; mark tables that may break across pages.

    Parameters
    ----------
    page : str
        HTML. A table that has a caption already stays as it is; the others are named after the heading above them. The
        name of a table that stands directly below that heading is for screen readers alone (class ``again``).

    Returns
    -------
    str
        The page with ``Figure 1.`` before the first caption of a figure, and ``Table 1.`` above the first table.

    Examples
    --------
    >>> page = number_figures_and_tables("<h3>Sizes</h3><table></table><table></table>")
    >>> page.removeprefix("<h3>Sizes</h3>")[:75]
    '<table><caption>Table 1<span class="again">. Sizes</span></caption></table>'
    >>> page.removeprefix("<h3>Sizes</h3>")[75:]
    '<table><caption>Table 2. Sizes</caption></table>'
    """
    figures, tables = count(1), count(1)
    heading, is_below = "", False

    def with_number(piece: re.Match[str]) -> str:
        nonlocal heading, is_below
        was_below, is_below = is_below, bool(piece["heading"])
        if piece["heading"]:
            heading = _TAGS.sub("", piece["title"]).strip()
            return piece[0]
        if piece["table"]:
            name = f'<span class="again">. {heading}</span>' if was_below else f". {heading}"
            return f"{_marked(piece, page)}<caption>Table {next(tables)}{name}</caption>"
        return f"{piece[0]}<b>Figure {next(figures)}.</b> "

    return _PIECES.sub(with_number, page)


def _marked(piece: re.Match[str], page: str) -> str:
    """Return the tag of a table, with the class ``long`` where it has many rows."""
    if page.count("<tr", piece.end(), page.find("</table>", piece.end())) <= LONG_TABLE:
        return piece[0]
    if 'class="' in piece["of_table"]:
        return piece[0].replace('class="', 'class="long ', 1)
    return f'<table class="long"{piece["of_table"]}>'
