"""Tables as xarray knows them: one variable per column, with its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hrtem_dask.tables.columns import Schema

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["to_dataset"]


def to_dataset(table: pd.DataFrame, schema: Schema, row: str) -> xr.Dataset:
    """Convert a table to a dataset with one variable per column.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of the schema, with covariates.
    schema : tuple of Column
        Its columns.
    row : str
        Name of the dimension that counts the rows, such as ``particle``.

    Returns
    -------
    xarray.Dataset
        Numbers with nulls become float64 with NaN, truth values with nulls float64 of 0 and 1 with NaN; a text that is
        null is empty. ``attrs`` has ``units``, ``long_name`` and ``formula`` where the schema has them.

    Examples
    --------
    >>> from hrtem_dask.tables import PARTICLES
    >>> dataset = to_dataset(pd.DataFrame({"micrograph_id": ["a"], "area_nm2": [4.0]}), PARTICLES, "particle")
    >>> float(dataset.area_nm2[0]), dataset.area_nm2.units
    (4.0, 'nm²')
    """
    import xarray as xr  # a quarter of a second to import, which workers of a run need not pay

    described = {column.name: column for column in schema}
    variables = {}
    for label, values in table.items():
        column = described.get(str(label))
        known = {} if column is None else {"units": column.unit, "long_name": column.meaning, "formula": column.formula}
        attrs = {key: text for key, text in known.items() if text}
        variables[str(label)] = xr.Variable((row,), _plain(values), attrs)
    return xr.Dataset(variables)


def _plain(values: pd.Series) -> np.ndarray:
    """Return a column as an array of NumPy."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        if values.isna().any() or pd.api.types.is_float_dtype(values):
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
        return values.to_numpy(dtype=np.bool_ if pd.api.types.is_bool_dtype(values) else np.int64)
    return values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=object)
