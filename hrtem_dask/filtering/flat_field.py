"""Flat-field correction: remove the uneven gain of a camera."""

from __future__ import annotations

import numpy as np

from hrtem_dask.backend import array_namespace
from hrtem_dask.filtering.intensity import as_float32

__all__ = ["flat_field"]


def flat_field(image: np.ndarray, *, gain: np.ndarray, dark: np.ndarray | None = None) -> np.ndarray:
    """Divide an image by the camera's gain reference, after subtracting its dark reference.

    The result is ``(image − dark) / (gain − dark) × mean(gain − dark)``, so that the mean intensity is preserved.

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype.
    gain : array_like
        Shape (y, x): image of the even beam without a specimen.
    dark : array_like, optional
        Shape (y, x): image without a beam.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32. A pixel whose gain is zero, negative or not finite has no known sensitivity: it
        becomes NaN, which `replace_nonfinite` counts and replaces.

    Raises
    ------
    ValueError
        If the references have another shape than the image, or no pixel of the gain reference is above the dark.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.filtering import flat_field
    >>> gain = np.array([[1.0, 1.0], [2.0, 2.0]])
    >>> flat_field(10 * gain, gain=gain).tolist()  # an even specimen seen by an uneven camera
    [[15.0, 15.0], [15.0, 15.0]]
    """
    xp = array_namespace(image)
    values, gain = as_float32(image), as_float32(xp.asarray(gain))
    references = [("gain", gain)]
    if dark is not None:
        dark = as_float32(xp.asarray(dark))
        references.append(("dark", dark))
    for name, reference in references:
        if reference.shape != values.shape:
            raise ValueError(
                f"the {name} reference has shape {reference.shape}, the image {values.shape}: "
                "give a reference taken with the same camera and binning"
            )
    if dark is not None:
        values, gain = values - dark, gain - dark
    usable = xp.isfinite(gain) & (gain > 0)
    if not bool(usable.any()):
        raise ValueError("no pixel of the gain reference lies above the dark: the references may be swapped")
    mean = xp.float32(float(gain[usable].mean(dtype=xp.float64)))  # CuPy's float32 takes no array
    corrected: np.ndarray = xp.where(usable, values / xp.where(usable, gain, xp.float32(1)) * mean, xp.float32(xp.nan))
    return corrected
