"""Whether the integers of an MRC file have a sign, which its mode does not say for certain.

MRC2014 defines mode 0 as signed bytes; before, most programs wrote unsigned ones, and IMOD still does unless its stamp
says otherwise. Some cameras write unsigned 16-bit values with the mode of signed ones. Read with the wrong sign, the
brighter half of the values moves below the darker one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrtem_dask.errors import RefusedSignalError

__all__ = ["PACKED_FLAG", "imod_flags", "true_dtype"]

_IMOD_STAMP = 1146047817
_STAMP_OFFSET = 40
"""Position of IMOD's stamp in the field ``extra2`` of the header, which begins at byte 112 (bytes)."""
_SIGNED_FLAG = 1
PACKED_FLAG = 16
"""Flag of IMOD: each byte holds two 4-bit values."""
SAMPLE_ROWS = 256
MAX_ROUGHNESS_RATIO = 0.8
"""Differences between neighbors in one reading over those in the other, below which the first is the right one."""


def imod_flags(header: Any) -> int | None:
    """Return the flags of IMOD.

    Parameters
    ----------
    header : numpy.recarray
        Header of mrcfile.

    Returns
    -------
    int or None
        None where IMOD's stamp is missing.
    """
    order = ">" if header.nx.dtype.byteorder == ">" else "<"
    stamp, flags = np.frombuffer(header.extra2.tobytes(), f"{order}i4", 2, _STAMP_OFFSET)
    return int(flags) if stamp == _IMOD_STAMP else None


def true_dtype(dtype: np.dtype, header: Any, pixels: np.ndarray) -> np.dtype:
    """Return the data type that the integers of a file have.

    Parameters
    ----------
    dtype : numpy.dtype
        Data type by the mode of the file, in its byte order.
    header : numpy.recarray
        Header of mrcfile.
    pixels : numpy.ndarray
        All values of the file with `dtype`; of these, some rows are read, and only if the header decides nothing.

    Returns
    -------
    numpy.dtype
        Unsigned for signed integers of 1 and 2 bytes, where the first of these that decides says so: the stamp of
        IMOD (bytes only), the smallest and largest value in the header, their mean, the smoothness of the image.

    Raises
    ------
    RefusedSignalError
        If nothing decides about bytes.
    """
    if dtype.kind != "i" or dtype.itemsize > 2:
        return dtype
    unsigned = np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")
    flags = imod_flags(header)
    if flags is not None and dtype.itemsize == 1:
        return dtype if flags & _SIGNED_FLAG else unsigned
    low, high, mean = float(header.dmin), float(header.dmax), float(header.dmean)
    if all(map(math.isfinite, (low, high))) and low < high:
        limit = np.iinfo(dtype).max
        if low >= 0 and limit < high <= 2 * limit + 1:
            return unsigned
        if -limit - 1 <= low < 0 and high <= limit:
            return dtype
    sample = _sample(pixels)
    if not (sample < 0).any():
        return dtype  # both readings are the same
    if math.isfinite(mean) and low < mean < high:
        signed_error, unsigned_error = abs(sample.mean() - mean), abs(sample.view(unsigned).mean() - mean)
        if abs(signed_error - unsigned_error) > 0.1 * np.iinfo(dtype).max:
            return unsigned if unsigned_error < signed_error else dtype
    return _smoother(sample, dtype, unsigned)


def _smoother(sample: np.ndarray, dtype: np.dtype, unsigned: np.dtype) -> np.dtype:
    """Return the reading with smaller differences between neighbors, since the wrong one tears the image apart."""
    if (sample < 0).all():
        return dtype  # both readings differ by a constant
    signed_roughness, unsigned_roughness = _roughness(sample), _roughness(sample.view(unsigned))
    if unsigned_roughness < MAX_ROUGHNESS_RATIO * signed_roughness:
        return unsigned
    if dtype.itemsize == 1 and signed_roughness > MAX_ROUGHNESS_RATIO * unsigned_roughness:
        raise RefusedSignalError(
            "the file does not state whether its bytes have a sign, and its values do not show it: save it again with "
            "the smallest and largest value in its header, or with 16 bits"
        )
    return dtype


def _sample(pixels: np.ndarray) -> np.ndarray:
    """Return rows spread over all sections, whole, since neighbors are compared."""
    rows = pixels.reshape(-1, pixels.shape[-1])
    return np.ascontiguousarray(rows[:: max(1, len(rows) // SAMPLE_ROWS)])


def _roughness(sample: np.ndarray) -> float:
    """Return the mean difference of neighbors in a row."""
    return float(np.abs(np.diff(sample.astype(np.int64), axis=-1)).mean()) if sample.shape[-1] > 1 else 0.0
