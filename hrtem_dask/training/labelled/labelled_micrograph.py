"""Training data of a network from any source: a prepared micrograph with the mask of its particles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrtem_dask.filtering.prepare import prepare
from hrtem_dask.micrograph import PixelSize

__all__ = ["Labelled", "LabelledMicrograph", "make_labelled"]


@dataclass(frozen=True, kw_only=True)
class LabelledMicrograph:
    """A prepared micrograph with its true mask."""

    image: np.ndarray
    """Shape (y, x), float32 in [0, 1]: result of `filtering.prepare`."""
    mask: np.ndarray
    """Shape (y, x), bool: True on particles."""
    pixel_size_nm: PixelSize | None
    """Height and width of a pixel (nm). If it is unknown (None), the micrograph is used without resampling."""
    valid: np.ndarray | None = None
    """Shape (y, x), bool: True where the mask is known; None means everywhere."""
    labels: np.ndarray | None = None
    """Shape (y, x), int32: number of the particle, 0 on background; None where touching particles are not separated."""
    recorded: np.ndarray | None = None
    """Shape (y, x): the image as it was in the file, from which its quality is measured; None if it was not kept."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A labeled micrograph that has not been read yet."""

    micrograph_id: str
    """Name of the micrograph, unique within its source."""
    group: str
    """Name of the group (patches of one image, frames of one movie). A group is never split between training,
    validation and test."""
    read: Callable[[], LabelledMicrograph]
    """Reads the micrograph with its mask."""


def make_labelled(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    valid: np.ndarray | None = None,
    instances: bool = False,
) -> LabelledMicrograph:
    """Prepare an image as analysis does, and check the shape of its mask.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.
    mask : numpy.ndarray
        Shape (y, x): non-zero on particles.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); None if unknown.
    valid : numpy.ndarray of bool, optional
        Shape (y, x): True where the mask is known; by default everywhere.
    instances : bool
        Whether the values of `mask` are the numbers of particles, so that touching particles are told apart.

    Returns
    -------
    LabelledMicrograph
        The prepared image with its mask.

    Raises
    ------
    ValueError
        If the shapes differ, or no pixel is finite.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(12.0).reshape(3, 4)
    >>> labelled = make_labelled(image, image > 8, pixel_size_nm=(0.05, 0.05))
    >>> labelled.image.dtype, float(labelled.image.max()), int(labelled.mask.sum())
    (dtype('float32'), 1.0, 3)
    """
    for name, other in (("mask", mask), ("map of known pixels", valid)):
        if other is not None and other.shape != image.shape:
            raise ValueError(
                f"the {name} has shape {other.shape}, the image {image.shape}: they must have the same shape"
            )
    prepared, _ = prepare(image)
    return LabelledMicrograph(
        image=prepared,
        mask=mask != 0,
        pixel_size_nm=pixel_size_nm,
        valid=valid,
        labels=np.asarray(mask, dtype=np.int32) if instances else None,
        recorded=image,
    )
