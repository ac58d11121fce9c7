"""Tables that travel inside the page, as links that save a CSV file."""

from __future__ import annotations

import base64

import pandas as pd

__all__ = ["csv_uri"]


def csv_uri(table: pd.DataFrame) -> str:
    """Return a table as a link that holds its CSV.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table; its index is left out.

    Returns
    -------
    str
        A data URI; needs no file and no network.
    """
    text = table.to_csv(index=False, float_format="%.6g")
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
