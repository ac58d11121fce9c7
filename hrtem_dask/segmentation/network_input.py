"""What a network sees of an image: its pixel size, and its scaling over the whole image, never over a tile or crop."""

from __future__ import annotations

from typing import Any

from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.rescale import model_shape, resample
from hrtem_dask.segmentation.unet import InputScaling

__all__ = ["network_input", "scale_input"]


def network_input(
    image: Any, *, pixel_size_nm: PixelSize | None, model_pixel_size_nm: float | None, scaling: InputScaling
) -> Any:
    """Resample an image to the network's pixel size and scale it as the network expects; training does the same.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), as `filtering.prepare` gives it: float32 in [0, 1].
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without one it is not resampled.
    model_pixel_size_nm : float or None
        Pixel size (nm) that the network was trained at; None resamples nothing.
    scaling : {"min_max", "standard"}
        `UNetConfig.input_scaling`.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Type float32; its shape (y, x) is that at the network's pixel size.

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
    seen = resample(image, shape, method="bicubic")
    if scaling == "min_max" and seen is image:
        return seen  # it is in [0, 1] already
    return scale_input(seen, scaling)


def scale_input(image: Any, scaling: InputScaling) -> Any:
    """Scale a whole image.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float.
    scaling : {"min_max", "standard"}
        To [0, 1] by minimum and maximum; or to zero mean and unit standard deviation, which a single outlier
        hardly moves.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32; zeros for a constant image.
    """
    if scaling == "min_max":
        offset, spread = float(image.min()), float(image.max()) - float(image.min())
    else:
        offset, spread = float(image.mean(dtype="float64")), float(image.std(dtype="float64"))
    # a constant image has, by rounding, a standard deviation of some 1e-9
    return ((image - offset) / spread).astype("float32") if spread > 1e-7 else image * 0
