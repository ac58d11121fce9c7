"""Resample an image to the pixel size that a network was trained at; measurements stay in native pixels.

Images are resampled with anti-aliasing and aligned at pixel edges, as by ``torch.nn.functional.interpolate``: on a CPU
by sparse matrices, one per axis, on a GPU by PyTorch. Both give the same result but for rounding.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from scipy import sparse

from hrtem_dask import backend
from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize

__all__ = ["MAX_ENLARGEMENT", "model_shape", "resample"]

SAME_WITHIN = 0.01
"""Pixel sizes that agree within this relative difference count as equal: nothing is resampled."""
MAX_ENLARGEMENT = 8.0
"""Largest factor by which an image is enlarged: coarser images do not resolve the features of the network."""
ROWS_AT_ONCE = 64
"""Rows that are turned to columns at once."""


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
    if backend.array_namespace(image) is not np:
        return _resampled_by_torch(image, shape, method)
    height, width = shape
    resampled = np.ascontiguousarray(image, dtype=np.float32)
    if len(resampled) != height:
        resampled = _weights_of_pixels(len(resampled), height, method) @ resampled
    return resampled if resampled.shape[1] == width else _resampled_along_rows(resampled, width, method)


def _resampled_along_rows(image: np.ndarray, width: int, method: str) -> np.ndarray:
    """Resample the second axis: rows are turned to columns and back, some at a time, which stay in the cache."""
    weights, resampled = _weights_of_pixels(image.shape[1], width, method), np.empty((len(image), width), np.float32)
    for first in range(0, len(image), ROWS_AT_ONCE):
        turned = cv2.transpose(image[first : first + ROWS_AT_ONCE])  # by NumPy it takes ten times as long
        resampled[first : first + ROWS_AT_ONCE] = cv2.transpose(weights @ turned)
    return resampled


def _resampled_by_torch(image: np.ndarray, shape: tuple[int, int], method: str) -> np.ndarray:
    """Resample an image on a GPU."""
    import torch  # a CPU does without

    from hrtem_dask.segmentation.tensors import as_array, as_tensor

    resampled = torch.nn.functional.interpolate(
        as_tensor(image)[None, None], size=tuple(shape), mode=method, antialias=True, align_corners=False
    )
    return as_array(resampled[0, 0], like=image)


@functools.lru_cache(maxsize=16)
def _weights_of_pixels(n: int, n_new: int, method: str) -> sparse.csr_array:
    """Return the matrix (n_new, n), float32, that resamples one axis.

    Each row holds the kernel around the center of a new pixel, stretched to the size of the new pixel where that is
    larger, and normalized at the ends of the axis. The cubic kernel is that of Keys (1981) with a = −1/2.
    """
    step = n / n_new
    stretch = max(step, 1.0)
    reach = stretch * (2 if method == "bicubic" else 1)
    centers = (np.arange(n_new) + 0.5) * step
    first = np.maximum((centers - reach + 0.5).astype(np.int64), 0)
    stop = np.minimum((centers + reach + 0.5).astype(np.int64), n)
    pixels = first[:, None] + np.arange(int((stop - first).max()))
    weights = _kernel(np.abs(pixels + 0.5 - centers[:, None]) / stretch, method)
    weights[pixels >= stop[:, None]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    ends = np.arange(0, pixels.size + 1, pixels.shape[1], dtype=np.int32)
    columns = np.minimum(pixels, n - 1).ravel().astype(np.int32)
    return sparse.csr_array((weights.ravel().astype(np.float32), columns, ends), shape=(n_new, n))


def _kernel(distance: np.ndarray, method: str) -> np.ndarray:
    """Return the value of the kernel at a distance in pixels."""
    if method == "bilinear":
        return np.asarray(np.maximum(1 - distance, 0))
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
