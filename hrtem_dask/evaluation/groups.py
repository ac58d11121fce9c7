"""Groups of micrographs by the values of a column, such as material or dose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

__all__ = ["group_labels", "grouped_micrographs"]

_MAX_CATEGORIES = 6


def group_labels(values: pd.Series) -> pd.Series:
    """Name the group of each micrograph.

    Parameters
    ----------
    values : pandas.Series
        A column with one value per micrograph.

    Returns
    -------
    pandas.Series of str
        The value itself, or its quarter, as ``low–high``, where the column has numbers of more than 6 values; null
        stays null.

    Examples
    --------
    >>> group_labels(pd.Series([300.0, 80.0, 300.0])).tolist()
    ['300', '80', '300']
    """
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.astype(float)
        if numbers.nunique() > _MAX_CATEGORIES:
            quarters = pd.qcut(numbers, 4, duplicates="drop")
            return quarters.map(lambda q: f"{max(q.left, numbers.min()):.4g}–{q.right:.4g}", na_action="ignore").astype(
                "object"
            )
        return numbers.map(lambda v: f"{v:.4g}", na_action="ignore").astype("object")
    return values.map(str, na_action="ignore").astype("object")


def grouped_micrographs(micrographs: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield all micrographs, then the micrographs of each group.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        A row per micrograph.
    columns : sequence of str
        Columns to group by.

    Yields
    ------
    column : str
        The column, or ``"all"``.
    group : str
        Name of the group from `group_labels`, or ``"all"``.
    rows : pandas.DataFrame
        Its micrographs. A micrograph without a value is in no group of that column.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    yield "all", "all", micrographs
    for column in columns:
        labels = group_labels(micrographs[column])
        kept = micrographs[column][labels.notna()]
        for label in labels.loc[kept.sort_values(kind="stable").index].unique():
            yield column, str(label), micrographs[(labels == label).fillna(False).astype(bool)]
