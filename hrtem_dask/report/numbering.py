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


def number_figures_and_tables(page: str) -> str:
    """Give each figure its number, and each table a caption with one.

    Parameters
    ----------
    page : str
        HTML. A table that has a caption already stays as it is; the others are named after the heading above them.

    Returns
    -------
    str
        The page with ``Figure 1.`` before the first caption of a figure, and ``Table 1.`` above the first table.

    Examples
    --------
    >>> number_figures_and_tables("<h3>Sizes</h3><table><tr></tr></table>")
    '<h3>Sizes</h3><table><caption>Table 1. Sizes</caption><tr></tr></table>'
    """
    figures, tables = count(1), count(1)
    heading = ""

    def with_number(piece: re.Match[str]) -> str:
        nonlocal heading
        if piece["heading"]:
            heading = _TAGS.sub("", piece["title"]).strip()
            return piece[0]
        if piece["table"]:
            return f"{piece[0]}<caption>Table {next(tables)}. {heading}</caption>"
        return f"{piece[0]}<b>Figure {next(figures)}.</b> "

    return _PIECES.sub(with_number, page)
