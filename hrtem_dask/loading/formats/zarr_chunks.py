"""Chunks of a Zarr array that are missing: Zarr fills them with one value, as if it had been measured."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import zarr

from hrtem_dask.errors import UnreadableMicrographError

__all__ = ["read_with_missing"]


def read_with_missing(array: Any, index: tuple[Any, ...]) -> np.ndarray:
    """Read a part of an array, with missing chunks as missing pixels.

    A chunk that was not written because all of its pixels had the fill value is missing too: nothing distinguishes it
    from one that was lost, and an area of exactly one value holds no particle either.

    Parameters
    ----------
    array : zarr.Array
        Array of real numbers; with or without shards, of either version of the format.
    index : tuple
        Part that is read.

    Returns
    -------
    numpy.ndarray
        The part. Where pixels are missing, they are NaN, and the data type is float32 or, for integers of more than
        24 bits, float64.

    Raises
    ------
    UnreadableMicrographError
        If all pixels are missing.
    """
    image = np.asarray(array[index])
    filled = _is_fill(image, array.fill_value)
    if not filled.any():
        return image
    # read with another fill value: what differs then comes from no chunk
    other = (
        np.array(1, image.dtype)
        if _is_fill(np.zeros(1, image.dtype), array.fill_value)[0]
        else np.zeros((), image.dtype)
    )
    again = np.asarray(_with_fill(array, other.item())[index])
    missing = filled & (again == other)
    if not missing.any():
        return image
    if missing.all():
        raise UnreadableMicrographError("the Zarr array has none of the chunks of this image")
    wide = image.dtype.kind == "f" or image.dtype.itemsize <= 2
    values = image if image.dtype.kind == "f" else image.astype(np.float32 if wide else np.float64)
    return np.where(missing, np.array(np.nan, values.dtype), values)


def _is_fill(image: np.ndarray, fill: Any) -> np.ndarray:
    """Return which pixels have the fill value; one that is not stated is zero."""
    value = 0 if fill is None else fill
    return np.asarray(np.isnan(image) if value != value else image == value)


def _with_fill(array: Any, fill: Any) -> Any:
    """Return the same array with another fill value, which is not written."""
    metadata = array.metadata
    if metadata.zarr_format == 3:
        changed = dataclasses.replace(metadata, fill_value=metadata.data_type.cast_scalar(fill))
    else:
        changed = type(metadata).from_dict({**metadata.to_dict(), "fill_value": fill})
    return zarr.Array(zarr.AsyncArray(metadata=changed, store_path=array.store_path))
