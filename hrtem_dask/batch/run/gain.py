"""The gain reference that micrographs are divided by."""

from __future__ import annotations

import functools

import numpy as np

from hrtem_dask import loading

__all__ = ["gain_hash", "gain_reference"]


def gain_reference(path: str | None) -> np.ndarray | None:
    """Read the gain reference, once per worker and content.

    Parameters
    ----------
    path : str or None
        File of the reference, which holds exactly one image; None for no reference.

    Returns
    -------
    numpy.ndarray or None
        Shape (y, x).

    Raises
    ------
    HrtemDaskError
        If the file cannot be read, holds no image, or several.
    """
    return None if path is None else _gain(path, gain_hash(path))


def gain_hash(path: str | None) -> str | None:
    """Return the content hash of the gain reference.

    Parameters
    ----------
    path : str or None
        File of the reference.

    Returns
    -------
    str or None
        The hash; None for no reference.

    Raises
    ------
    NothingToAnalyseError
        If the file does not exist.
    """
    return None if path is None else loading.source_hash(loading.find_sources(path)[0])


@functools.lru_cache(maxsize=2)
def _gain(path: str, content: str) -> np.ndarray:  # noqa: ARG001 - the content is the key of the cache
    return loading.read_single_image(path)
