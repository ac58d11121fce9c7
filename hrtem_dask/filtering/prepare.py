"""All filters in their order: from the camera's image to the input of the segmentation."""

from __future__ import annotations

import numpy as np

from hrtem_dask.backend import array_namespace
from hrtem_dask.filtering.background import flatten_background
from hrtem_dask.filtering.flat_field import flat_field
from hrtem_dask.filtering.intensity import normalize, replace_nonfinite
from hrtem_dask.filtering.spikes import SpikeScale, replace_spikes

__all__ = ["prepare"]


def prepare(
    image: np.ndarray,
    *,
    spike_threshold_sd: float = 8.0,
    spike_scale: SpikeScale = "residual",
    flatten: bool = True,
    gain: np.ndarray | None = None,
    dark: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
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
        Shape (y, x): references of the camera, see `flat_field`. Without a gain reference the flat field is not
        corrected.

    Returns
    -------
    image : numpy.ndarray or cupy.ndarray
        Same shape, float32 in [0, 1].
    n_replaced : int
        Number of non-finite pixels that were replaced.

    Raises
    ------
    ValueError
        If no pixel is finite, or a reference has another shape than the image.

    Examples
    --------
    An X-ray spike no longer compresses the range of the image:

    >>> import numpy as np
    >>> from hrtem_dask.filtering import prepare
    >>> image = np.random.default_rng(0).normal(100.0, 5.0, (64, 64))
    >>> image[10, 10], image[20, 20] = 5000.0, np.nan
    >>> prepared, n_replaced = prepare(image)
    >>> prepared.dtype.name, float(prepared.min()), float(prepared.max()), n_replaced
    ('float32', 0.0, 1.0, 1)
    >>> bool(prepared[10, 10] < 0.9)
    True
    """
    if gain is not None:
        image = flat_field(image, gain=gain, dark=dark)
    n_replaced = 0
    if array_namespace(image).asarray(image).dtype.kind == "f":  # integers are finite
        image, n_replaced = replace_nonfinite(image)
    clean = replace_spikes(image, threshold_sd=spike_threshold_sd, scale=spike_scale)
    flat = flatten_background(clean) if flatten else clean
    return normalize(flat, out=flat), n_replaced
