"""The five features of a region that the random forest of Groschner et al. (2021) classifies.

They are ring integrals of the Fourier magnitude, and the mean and the standard deviation of the crop, in pixels and raw
intensities, as in the code of the paper. That code makes a full mask for each ring. Here each Fourier coefficient is
binned once by its radius, and each radius contributes to the rings with the same weights: the results agree to 1e-12,
about a hundred times faster.

In the notebook of the paper the columns ``fft_int_std`` and ``fft_int_mean`` are exchanged; here the names are correct.

References
----------
Groschner et al., Microsc. Microanal. 27 (2021) 549, and the code published with it.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.special import erf

from hrtem_dask.backend import Array, array_namespace, fft, to_numpy
from hrtem_dask.fourier.compiled.rings import sums_over_rings

__all__ = ["GROSCHNER2021_COLUMNS", "groschner2021_features", "ring_integrals"]

GROSCHNER2021_COLUMNS = (
    "groschner2021_fft_mean", "groschner2021_fft_std", "groschner2021_fft_center_of_mass", "groschner2021_image_mean",
    "groschner2021_image_std",
)  # fmt: skip
"""Names of the five features."""
MAX_RINGS = 100
"""The paper keeps the first hundred ring integrals."""
RING_STEP_PX = np.sqrt(2)
RING_WIDTH_PX = 10.0
FLANK_PX = 4.0
"""The weight of a ring rises over 4 px as an error function, is constant for 10 px, and falls over 4 px."""
REACH = 4.0
"""This far (px) from its flanks a weight is 0 or constant in double precision."""


def groschner2021_features(crop: Array) -> dict[str, float]:
    """Measure the paper's five features on a crop.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype. The features depend on the scale of the intensities: the paper took crops
        saved as 8-bit images.

    Returns
    -------
    dict of str to float
        ``groschner2021_fft_mean``, ``groschner2021_fft_std``, ``groschner2021_fft_center_of_mass`` (number of the
        ring; NaN for a black crop), ``groschner2021_image_mean``, ``groschner2021_image_std``.

    Raises
    ------
    ValueError
        If the crop has no pixel.

    Examples
    --------
    >>> features = groschner2021_features(np.full((32, 32), 7.0))
    >>> features["groschner2021_image_mean"], features["groschner2021_image_std"]
    (7.0, 0.0)
    """
    values = array_namespace(crop).asarray(crop, dtype=np.float64)
    rings = to_numpy(ring_integrals(crop))
    total = rings.sum()
    return {
        "groschner2021_fft_mean": float(rings.mean()),
        "groschner2021_fft_std": float(rings.std()),
        "groschner2021_fft_center_of_mass": float(rings @ np.arange(rings.size) / total) if total else float("nan"),
        "groschner2021_image_mean": float(values.mean()),
        "groschner2021_image_std": float(values.std()),
    }


def ring_integrals(crop: Array) -> Array:
    """Sum the magnitude of the Fourier transform over rings with soft flanks.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype. As in the paper, only the top left square of a crop that is not square is used.
        It is transformed in float32 where it is float32, in half of the time, and in float64 else; sums over rings
        differ by up to 3·10⁻⁷.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (min(y, x, 100),), float64. Ring i begins at radius i√2 px.

    Raises
    ------
    ValueError
        If the crop has no pixel.

    Examples
    --------
    >>> image = np.cos(2 * np.pi * 20 * np.arange(64) / 64) * np.ones((64, 1))
    >>> rings = ring_integrals(image)  # ring 7 extends from radius 9.9 to 27.9 px
    >>> rings.shape, int(rings.argmax())
    ((64,), 7)
    """
    xp = array_namespace(crop)
    size = min(crop.shape)
    if size == 0:
        raise ValueError(f"a crop needs at least one pixel, got shape {crop.shape}")
    square = xp.asarray(crop, dtype=xp.float32 if crop.dtype == np.float32 else xp.float64)[:size, :size]
    mean = square.mean(dtype=xp.float64).astype(square.dtype)  # without it, float32 keeps three more digits
    spectrum = fft(square).rfft2(square - mean).ravel()
    spectrum[0] += mean * (size * size)
    if xp is np:
        return sums_over_rings(spectrum, *_ring_table(size), min(size, MAX_RINGS))
    magnitude = xp.abs(spectrum)
    index, mirrored, ring, weight = (xp.asarray(table) for table in _ring_table(size))
    n_radii, n_rings = ring.shape[0], min(size, MAX_RINGS)
    at_radius = xp.bincount(index, magnitude, minlength=n_radii + 1)
    at_radius += xp.bincount(mirrored, magnitude, minlength=n_radii + 1)
    shared = at_radius[:n_radii, None] * weight
    return xp.bincount(ring.ravel(), shared.ravel(), minlength=n_rings + 1)[:n_rings]


@functools.lru_cache(maxsize=64)  # of up to 1.3 MB each
def _ring_table(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the radius of each coefficient, and the rings and weights that each radius contributes to.

    `index` and `mirrored` are the radius of each coefficient of the half plane and of its Friedel mate, whose radius
    differs for odd sizes: the rings of the paper are centered at size/2, half a pixel beside zero frequency. The
    number after the last one marks coefficients and rings that do not count.
    """
    frequency = np.fft.fftfreq(size, 1 / size).round().astype(np.int64)
    row, column = frequency[:, None], np.arange(size // 2 + 1)
    odd = size % 2
    # four times the squared radius is a whole number
    squared = (2 * row - odd) ** 2 + (2 * column - odd) ** 2
    squared_mate = (2 * -row - odd) ** 2 + (2 * -column - odd) ** 2
    own_mate = (column == 0) | ((column == size // 2) & (odd == 0))  # the half plane contains their mates
    present = np.zeros(int(max(squared.max(), squared_mate.max())) + 1, bool)
    present[squared] = True
    present[squared_mate] = True
    number = np.cumsum(present) - 1
    radius = np.sqrt(np.flatnonzero(present)) / 2
    n_rings = min(size, MAX_RINGS)
    # without the radii beyond the last ring, a table of a large crop would take some hundred MB
    n_radii = int(np.searchsorted(radius, (n_rings - 1) * RING_STEP_PX + RING_WIDTH_PX + 2 * FLANK_PX + REACH))
    radius = radius[:n_radii]
    index = np.minimum(number[squared], n_radii).astype(np.int32)
    mirrored = np.where(own_mate, n_radii, np.minimum(number[squared_mate], n_radii)).astype(np.int32)

    # six flank units away an error function is 0 or 1 in double precision, so only a few rings include a radius
    first = np.ceil((radius - RING_WIDTH_PX - 2 * FLANK_PX - REACH) / RING_STEP_PX).astype(np.int64)
    n_near = int((RING_WIDTH_PX + 2 * FLANK_PX + 2 * REACH) / RING_STEP_PX) + 2
    ring = first[:, None] + np.arange(n_near)
    inside = radius[:, None] - ring * RING_STEP_PX
    weight = _flank(inside) - _flank(inside - FLANK_PX - RING_WIDTH_PX)
    ring = np.where((ring >= 0) & (ring < n_rings), ring, n_rings).astype(np.uint8)
    return index.ravel(), np.broadcast_to(mirrored, squared.shape).ravel(), ring, weight


def _flank(distance: np.ndarray) -> np.ndarray:
    """Return the weight at a distance from the start of a rising flank."""
    rise: np.ndarray = (1 + erf((distance - FLANK_PX / 2) / FLANK_PX * 4)) / 2
    return rise
