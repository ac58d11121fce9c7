"""Resample an image to the pixel size that a network was trained at; measurements stay in native pixels.

torch resamples, with anti-aliasing and aligned at pixel edges, so that CPU and GPU give the same result.
"""

from __future__ import annotations

import numpy as np
import torch

from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.tensors import as_array, as_tensor

__all__ = ["MAX_ENLARGEMENT", "model_shape", "resample"]

SAME_WITHIN = 0.01
"""Pixel sizes that agree within this relative difference count as equal: nothing is resampled."""
MAX_ENLARGEMENT = 8.0
"""Largest factor by which an image is enlarged: coarser images do not resolve the features of the network."""


def model_shape(
    shape: tuple[int, int], *, pixel_size_nm: PixelSize | None, model_pixel_size_nm: float | None
) -> tuple[int, int]:
    """Return the shape of an image at the network's pixel size.

    Parameters
    ----------
    shape : tuple of int
        Shape (y, x) of the image.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    model_pixel_size_nm : float or None
        Pixel size (nm) of the network's training images, square.

    Returns
    -------
    tuple of int
        The same shape where either pixel size is unknown or they agree within 1 %.

    Raises
    ------
    CalibrationError
        If the image would be enlarged more than eightfold.
    """
    if pixel_size_nm is None or model_pixel_size_nm is None:
        return shape
    zoom = [native / model_pixel_size_nm for native in pixel_size_nm]
    if all(abs(z - 1) <= SAME_WITHIN for z in zoom):
        return shape
    if max(zoom) > MAX_ENLARGEMENT:
        raise CalibrationError(
            f"the network was trained at {model_pixel_size_nm:g} nm per pixel, the micrograph has (y, x) = "
            f"{pixel_size_nm} nm: it would be enlarged {max(zoom):.3g} times, need at most {MAX_ENLARGEMENT:g}. "
            "Check the pixel size, or choose a network for this magnification"
        )
    height, width = (max(1, round(n * z)) for n, z in zip(shape, zoom, strict=True))
    return height, width


def resample(image: np.ndarray, shape: tuple[int, int], *, method: str) -> np.ndarray:
    """Resample an image or a probability with anti-aliasing onto another grid over the same field.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x).
    shape : tuple of int
        New shape (y, x).
    method : {"bicubic", "bilinear"}
        Bicubic preserves lattice fringes; bilinear stays between minimum and maximum, as a probability must.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Type float32; the same object where the image has that shape already.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.rescale import resample
    >>> resample(np.ones((8, 8), dtype=np.float32), (4, 6), method="bilinear").shape
    (4, 6)
    """
    if tuple(image.shape) == tuple(shape):
        return image
    resampled = torch.nn.functional.interpolate(
        as_tensor(image)[None, None], size=tuple(shape), mode=method, antialias=True, align_corners=False
    )
    return as_array(resampled[0, 0], like=image)
