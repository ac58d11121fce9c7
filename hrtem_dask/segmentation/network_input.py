"""The input of a network: the image at the network's pixel size, scaled as a whole, never by tiles or crops."""

from __future__ import annotations

import numpy as np

from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.networks.config import InputScaling
from hrtem_dask.segmentation.rescale import model_shape, resample

__all__ = ["network_input", "resampled_input", "scale_input"]


def network_input(
    image: np.ndarray, *, pixel_size_nm: PixelSize | None, model_pixel_size_nm: float | None, scaling: InputScaling
) -> np.ndarray:
    """Resample an image to the network's pixel size and scale it; training uses the same function.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), as `filtering.prepare` gives it: float32 in [0, 1].
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without a pixel size the image is not resampled.
    model_pixel_size_nm : float or None
        Pixel size (nm) that the network was trained at; without it the image is not resampled.
    scaling : {"min_max", "standard"}
        `UNetConfig.input_scaling`.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Type float32; its shape (y, x) covers the same field at the network's pixel size.

    Raises
    ------
    CalibrationError
        If the image would be enlarged more than eightfold.
    """
    shape = model_shape(
        (int(image.shape[0]), int(image.shape[1])),
        pixel_size_nm=pixel_size_nm,
        model_pixel_size_nm=model_pixel_size_nm,
    )
    return resampled_input(image, shape, scaling)


def resampled_input(image: np.ndarray, shape: tuple[int, int], scaling: InputScaling) -> np.ndarray:
    """Resample an image to a shape and scale it as the network expects.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float32 in [0, 1].
    shape : tuple of int
        Shape (y, x) of the input of the network.
    scaling : {"min_max", "standard"}
        `UNetConfig.input_scaling`.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        The given shape, float32.
    """
    resampled = resample(image, shape, method="bicubic")
    if scaling == "min_max" and resampled is image:
        return image  # the filters have scaled it to [0, 1] already
    return scale_input(resampled, scaling)


def scale_input(image: np.ndarray, scaling: InputScaling) -> np.ndarray:
    """Scale a whole image by its own statistics.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float.
    scaling : {"min_max", "standard"}
        ``"min_max"`` scales to [0, 1] by minimum and maximum. ``"standard"`` scales to zero mean and unit standard
        deviation, which a single outlier hardly changes.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32; zeros for a constant image.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.network_input import scale_input
    >>> scale_input(np.array([[1.0, 3.0]], dtype=np.float32), "standard").tolist()
    [[-1.0, 1.0]]
    """
    if scaling == "min_max":
        offset, spread = float(image.min()), float(image.max()) - float(image.min())
    else:
        offset, spread = float(image.mean(dtype="float64")), float(image.std(dtype="float64"))
    # rounding gives a constant image a standard deviation of about 1e-9
    return ((image - offset) / spread).astype("float32") if spread > 1e-7 else image * 0
