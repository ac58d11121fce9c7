"""The filters in their order: from the camera's image to what segmentation takes."""

from __future__ import annotations

from typing import Any

from hrtem_dask.filtering.background import flatten_background
from hrtem_dask.filtering.flat_field import flat_field
from hrtem_dask.filtering.intensity import normalise, replace_nonfinite
from hrtem_dask.filtering.spikes import SpikeScale, replace_spikes

__all__ = ["prepare"]


def prepare(
    image: Any,
    *,
    spike_threshold_sd: float = 5.0,
    spike_scale: SpikeScale = "residual",
    flatten: bool = True,
    gain: Any | None = None,
    dark: Any | None = None,
) -> tuple[Any, int]:
    """Correct the flat field, replace non-finite pixels and X-ray spikes, flatten the background, scale to [0, 1].

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype.
    spike_threshold_sd : float
        See `replace_spikes`; 0 leaves spikes.
    spike_scale : {"residual", "image"}
        See `replace_spikes`; ``"image"`` with ``flatten=False`` is the preparation of Groschner et al. (2021).
    flatten : bool
        Whether uneven illumination is divided out, see `flatten_background`.
    gain, dark : array_like, optional
        See `flat_field`; without a gain reference nothing is divided.

    Returns
    -------
    image : numpy.ndarray or cupy.ndarray
        Same shape, float32 in [0, 1].
    n_replaced : int
        Number of non-finite pixels that were replaced.

    Raises
    ------
    ValueError
        If no pixel is finite, or the references do not fit.
    """
    if gain is not None:
        image = flat_field(image, gain=gain, dark=dark)
    finite, n_replaced = replace_nonfinite(image)
    clean = replace_spikes(finite, threshold_sd=spike_threshold_sd, scale=spike_scale)
    return normalise(flatten_background(clean) if flatten else clean), n_replaced
