"""What is subtracted from images before they are rounded to fewer digits."""

from __future__ import annotations

from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.settings import Precision

__all__ = ["center_of_images"]

MIDDLE_OF_RANGE = 0.45
"""Typical mean of an image that is scaled to [0, 1]; subtracted before an image is rounded to bfloat16."""


def center_of_images(config: UNetConfig, precision: Precision) -> float:
    """Return what is subtracted from images, because their mean would take up the few digits that tell pixels apart.

    Parameters
    ----------
    config : UNetConfig
        Configuration of the network.
    precision : {"float32", "bfloat16"}
        Numbers to compute with.

    Returns
    -------
    float
        0 in float32, and for images of mean 0, which need nothing.

    Examples
    --------
    >>> from hrtem_dask.segmentation.networks.config import groschner2021_config
    >>> from hrtem_dask.segmentation.networks.precision import center_of_images
    >>> [center_of_images(groschner2021_config(), precision) for precision in ("float32", "bfloat16")]
    [0.0, 0.45]
    """
    return MIDDLE_OF_RANGE if precision == "bfloat16" and config.input_scaling == "min_max" else 0.0
