"""What networks are trained on, wherever it comes from: a prepared micrograph with the mask of its particles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrtem_dask.filtering.prepare import prepare
from hrtem_dask.micrograph import PixelSize

__all__ = ["Labelled", "LabelledMicrograph", "make_labelled"]


@dataclass(frozen=True, kw_only=True)
class LabelledMicrograph:
    """A micrograph and its truth."""

    image: np.ndarray
    """Shape (y, x), float32 in [0, 1], as `filtering.prepare` gives it."""
    mask: np.ndarray
    """Shape (y, x), bool: particle."""
    pixel_size_nm: PixelSize | None
    """(y, x) in nm; None where it is not known: the micrograph is then taken as it is."""
    valid: np.ndarray | None = None
    """Shape (y, x), bool: where the mask is known; None means everywhere."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A labelled micrograph that has not been read yet."""

    micrograph_id: str
    """Its name, unique within its source."""
    group: str
    """Micrographs of one group (patches of one image, frames of one movie) are never split."""
    read: Callable[[], LabelledMicrograph]
    """Reads it."""


def make_labelled(
    image: np.ndarray, mask: np.ndarray, *, pixel_size_nm: PixelSize | None, valid: np.ndarray | None = None
) -> LabelledMicrograph:
    """Prepare an image as analysis does, and check that its mask fits.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.
    mask : numpy.ndarray
        Shape (y, x): particle wherever it is not 0.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    valid : numpy.ndarray of bool, optional
        Shape (y, x): where the mask is known.

    Returns
    -------
    LabelledMicrograph
        Ready for training.

    Raises
    ------
    ValueError
        If the shapes differ, or no pixel is finite.
    """
    for name, other in (("mask", mask), ("valid", valid)):
        if other is not None and other.shape != image.shape:
            raise ValueError(
                f"the {name} has shape {other.shape}, the image {image.shape}: they must show the same field"
            )
    prepared, _ = prepare(image)
    return LabelledMicrograph(image=prepared, mask=mask != 0, pixel_size_nm=pixel_size_nm, valid=valid)
