"""Tables inside the page, as links that save a CSV file."""

from __future__ import annotations

import base64

import pandas as pd

from hrtem_dask.spreadsheet_text import without_formulas

__all__ = ["csv_uri"]


def csv_uri(table: pd.DataFrame) -> str:
    """Convert a table to a link that contains it as CSV.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table; its index is left out.

    Returns
    -------
    str
        Data URI, which needs no file and no network.

    Examples
    --------
    >>> import pandas as pd
    >>> csv_uri(pd.DataFrame({"size_nm": [4.5]}))
    'data:text/csv;charset=utf-8;base64,c2l6ZV9ubQo0LjUK'
    """
    text = without_formulas(table).to_csv(index=False, float_format="%.6g")
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
