"""A micrograph: a 2-D image with coordinates in nm and metadata of how it was taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hrtem_dask.errors import CalibrationError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PixelSize", "make_micrograph", "pixel_size_nm", "require_pixel_size"]

PixelSize = tuple[float, float]
"""Height and width of one pixel, in this order (y, x), in nm."""


class ArrayWithShape(Protocol):
    """An array of any library: NumPy, CuPy or Dask."""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""


def make_micrograph(
    intensity: ArrayWithShape,
    *,
    pixel_size_nm: PixelSize | None,
    pixel_size_source: str = "user",
    name: str = "intensity",
    metadata: Mapping[str, object] | None = None,
) -> xr.DataArray:
    """Wrap an image with its coordinates and metadata.

    Parameters
    ----------
    intensity : array_like
        Shape (y, x), any real dtype; lazy arrays stay lazy.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel in nm; None where it is not known: the coordinates then count pixels,
        and their units are px.
    pixel_size_source : str
        Where the pixel size comes from: ``"file: …"``, ``"user"``, ``"lattice"``.
    name : str
        Name of the array.
    metadata : mapping, optional
        Kept as attributes (voltage, magnification, instrument …).

    Returns
    -------
    xarray.DataArray
        Dimensions (y, x); coordinates ``y`` and ``x`` at pixel centres with ``attrs["units"]`` ``"nm"`` or
        ``"px"``.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the image is not two-dimensional.

    Examples
    --------
    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> micrograph = hd.make_micrograph(np.zeros((2, 3)), pixel_size_nm=(0.5, 0.25))
    >>> micrograph.x.values, micrograph.x.units
    (array([0.  , 0.25, 0.5 ]), 'nm')
    """
    if not hasattr(intensity, "ndim"):
        raise TypeError(
            f"need an image as an array (y, x), got {type(intensity).__name__}: open files with open_micrographs(…)"
        )
    if intensity.ndim != 2:
        raise ValueError(f"a micrograph has 2 dimensions (y, x), got shape {intensity.shape}: pass one frame at a time")
    if pixel_size_nm is not None and not all(np.isfinite(s) and s > 0 for s in pixel_size_nm):
        raise CalibrationError(f"a pixel size must be positive and finite, got (y, x) = {pixel_size_nm} nm")
    units = "px" if pixel_size_nm is None else "nm"
    steps = (1.0, 1.0) if pixel_size_nm is None else pixel_size_nm
    coords = {
        axis: (axis, np.arange(n) * step, {"units": units})
        for axis, n, step in zip(("y", "x"), intensity.shape, steps, strict=True)
    }
    attrs = dict(metadata or {})
    attrs |= {
        "pixel_size_nm": pixel_size_nm,
        "pixel_size_source": "none" if pixel_size_nm is None else pixel_size_source,
    }
    import xarray as xr  # a quarter of a second to import, which workers of a run need not pay

    return xr.DataArray(intensity, dims=("y", "x"), coords=coords, name=name, attrs=attrs)


def pixel_size_nm(micrograph: xr.DataArray) -> PixelSize | None:
    """Return the pixel size of a micrograph.

    Parameters
    ----------
    micrograph : xarray.DataArray
        From `make_micrograph`.

    Returns
    -------
    tuple of float or None
        (y, x) in nm; None where it is not known. It is read from the attribute, since the coordinates of a
        one-pixel axis hold no step.
    """
    size = micrograph.attrs.get("pixel_size_nm")
    return None if size is None else (float(size[0]), float(size[1]))


def require_pixel_size(micrograph: xr.DataArray) -> PixelSize:
    """Return the pixel size of a micrograph that must have one.

    Parameters
    ----------
    micrograph : xarray.DataArray
        From `make_micrograph`.

    Returns
    -------
    tuple of float
        (y, x) in nm.

    Raises
    ------
    CalibrationError
        If the micrograph has no pixel size.
    """
    size = pixel_size_nm(micrograph)
    if size is None:
        raise CalibrationError(
            "the micrograph has no pixel size: give one (pixel_size_nm=…, --pixel-size …), or ask for pixels (--pixels)"
        )
    return size
