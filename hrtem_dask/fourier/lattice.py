"""Lattice reflections of a particle: their number, their spacings, and the angle between them.

A reflection is a local maximum of the Hann-windowed power spectrum that is much larger than the median of its ring. The
power of noise, whether shot noise or amorphous carbon, is exponentially distributed with the mean of its ring. So the
ratio s to the median of the ring gives the probability of a peak in noise: P(power > s · median) = 2^−s at each of the
thousands of frequencies. The median of a ring adapts to the background of a particle, and a reflection in the ring
hardly changes it.

The position of a reflection is the maximum of the continuous Fourier transform, which is the least-squares estimate of
the frequency of a wave in white noise [1]. It is found by evaluating the transform between the samples of the discrete
one.

References
----------
[1] Rife & Boorstyn, IEEE Trans. Inf. Theory 20 (1974) 591: frequency estimation from discrete-time observations.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

from hrtem_dask.backend import Array, to_numpy
from hrtem_dask.fourier.flattening import small_product
from hrtem_dask.fourier.spectrum import frequencies_per_nm, windowed
from hrtem_dask.micrograph import PixelSize

__all__ = [
    "LATTICE_COLUMNS",
    "Reflection",
    "describe_lattice",
    "find_reflections",
    "measure_lattice",
    "stronger_reflections",
]

LATTICE_COLUMNS = (
    "n_reflections", "peak_snr", "spacing_1_nm", "spacing_2_nm", "angle_12_deg", "lattice_orientation_deg",
)  # fmt: skip
MIN_ANGLE_DEG = 12.0
"""Reflections with a smaller angle between them belong to the same set of lattice planes."""
MIN_SEPARATION_BINS = 3.0
"""A maximum nearer than this to a stronger reflection (in steps of the discrete spectrum) is a side lobe of it."""
MIN_SHARE_OF_STRONGEST = 0.02
"""A maximum below this share of the strongest SNR counts as a side lobe; side lobes of faceted particles reach far."""
RING_WIDTH_BINS = 1.5
"""Width of a ring in steps of the coarser frequency axis."""
MAX_REFLECTIONS = 24
_MIN_SIDE_PX = 16
"""Smaller crops have no spectrum worth searching."""


@dataclass(frozen=True)
class Reflection:
    """One Friedel pair of lattice reflections."""

    frequency_y_per_nm: float
    """Component of the wave vector along y, downwards (1/nm)."""
    frequency_x_per_nm: float
    """Component of the wave vector along x (1/nm), not negative."""
    snr: float
    """Ratio of the power to the median power of the ring."""

    @property
    def spacing_nm(self) -> float:
        """Lattice spacing in nm."""
        return float(1 / np.hypot(self.frequency_y_per_nm, self.frequency_x_per_nm))

    @property
    def direction_deg(self) -> float:
        """Direction of the wave vector, counter-clockwise from +x on the screen, 0 to 180 degrees."""
        return float(np.degrees(np.arctan2(-self.frequency_y_per_nm, self.frequency_x_per_nm)) % 180)


def find_reflections(
    crop: Array,
    *,
    pixel_size_nm: PixelSize,
    spacing_range_nm: tuple[float, float],
    min_peak_snr: float,
    min_share_of_strongest: float = MIN_SHARE_OF_STRONGEST,
) -> list[Reflection]:
    """Find the lattice reflections of a crop.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite. It is measured on the CPU, because a GPU does not speed up small crops.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing to search for, in nm. Spacings below two pixels are not resolved.
    min_peak_snr : float
        Smallest ratio of the power to the median power of the ring.
    min_share_of_strongest : float
        Maxima below this share of the strongest SNR are left out as side lobes.

    Returns
    -------
    list of Reflection
        At most 24 reflections, largest SNR first; one of each Friedel pair.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the range of spacings is empty.

    Examples
    --------
    >>> x_nm = 0.03 * np.arange(100)
    >>> fringes = np.tile(np.cos(2 * np.pi * x_nm / 0.2355), (100, 1))
    >>> image = fringes + np.random.default_rng(0).normal(0, 0.5, (100, 100))
    >>> reflections = find_reflections(
    ...     image, pixel_size_nm=(0.03, 0.03), spacing_range_nm=(0.1, 0.42), min_peak_snr=20
    ... )
    >>> [round(r.spacing_nm, 3) for r in reflections]
    [0.235]
    """
    low, high = spacing_range_nm
    if not 0 < low < high:
        raise ValueError(f"need 0 < low < high in spacing_range_nm, got {spacing_range_nm}")
    crop = to_numpy(crop)
    frequency_y, frequency_x = frequencies_per_nm((crop.shape[0], crop.shape[1]), pixel_size_nm)
    if min(crop.shape) < _MIN_SIDE_PX:
        return []
    wave = windowed(crop, window="hann").astype(np.float32)
    spectrum = scipy.fft.rfft2(wave)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    snr = _snr(power, frequency_y, frequency_x, (1 / high, 1 / low))
    peaks = _separated_maxima(snr, max(min_peak_snr, min_share_of_strongest * float(snr.max())))
    if not peaks.size:
        return []
    # the order by SNR is that before refinement; rows beyond the middle are negative frequencies
    rows, columns = np.unravel_index(peaks, snr.shape)
    signed = np.where(rows > crop.shape[0] // 2, rows - crop.shape[0], rows)
    fine_y, fine_x = _refine(wave, signed.astype(float), columns.astype(float))
    sign = np.where(fine_x < 0, -1.0, 1.0)
    y = sign * fine_y / (crop.shape[0] * pixel_size_nm[0])
    x = sign * fine_x / (crop.shape[1] * pixel_size_nm[1])
    return [Reflection(float(a), float(b), float(s)) for a, b, s in zip(y, x, snr.ravel()[peaks], strict=True)]


def stronger_reflections(
    reflections: Sequence[Reflection],
    *,
    min_peak_snr: float,
    min_share_of_strongest: float = MIN_SHARE_OF_STRONGEST,
) -> list[Reflection]:
    """Return the reflections that a search with stricter limits would have found.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections` with limits that are not stricter than these.
    min_peak_snr : float
        Smallest ratio of the power to the median power of the ring.
    min_share_of_strongest : float
        Maxima below this share of the strongest SNR are left out as side lobes.

    Returns
    -------
    list of Reflection
        The first ones, largest SNR first.

    Examples
    --------
    >>> found = [Reflection(0.0, 4.0, 90.0), Reflection(4.0, 0.0, 30.0), Reflection(4.0, 4.0, 9.0)]
    >>> [r.snr for r in stronger_reflections(found, min_peak_snr=20)]
    [90.0, 30.0]
    """
    strongest = max((r.snr for r in reflections), default=0.0)
    least = np.float32(max(min_peak_snr, min_share_of_strongest * strongest))  # the precision of the search
    return [r for r in reflections if r.snr >= least]


def measure_lattice(
    crop: Array,
    *,
    pixel_size_nm: PixelSize | None,
    spacing_range_nm: tuple[float, float] = (0.1, 0.42),
    min_peak_snr: float = 20.0,
) -> dict[str, float | int | None]:
    """Measure the lattice of one particle.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite: the particle with a small margin.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel in nm; None if it is unknown: then nothing is measured.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing to search for, in nm.
    min_peak_snr : float
        Smallest ratio of the power to the median power of the ring.

    Returns
    -------
    dict of str to float, int or None
        The lattice columns of the particle table: ``n_reflections``, ``peak_snr``, ``spacing_1_nm``,
        ``spacing_2_nm``, ``angle_12_deg`` (0 to 90), ``lattice_orientation_deg`` (0 to 180). None where nothing
        was found; all are None without a pixel size.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the range of spacings is empty.

    Examples
    --------
    >>> x_nm = 0.03 * np.arange(100)
    >>> fringes = np.cos(2 * np.pi * x_nm / 0.2355) + np.cos(2 * np.pi * x_nm / 0.2039)[:, None]
    >>> image = fringes + np.random.default_rng(0).normal(0, 0.5, (100, 100))
    >>> lattice = measure_lattice(image, pixel_size_nm=(0.03, 0.03))
    >>> lattice["n_reflections"], round(lattice["angle_12_deg"])
    (2, 90)
    """
    if pixel_size_nm is None:
        return dict.fromkeys(LATTICE_COLUMNS)
    return describe_lattice(
        find_reflections(
            crop, pixel_size_nm=pixel_size_nm, spacing_range_nm=spacing_range_nm, min_peak_snr=min_peak_snr
        )
    )


def describe_lattice(reflections: Sequence[Reflection]) -> dict[str, float | int | None]:
    """Return number, spacings and angle of reflections.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`, largest SNR first.

    Returns
    -------
    dict of str to float, int or None
        As `measure_lattice`.

    Examples
    --------
    >>> describe_lattice([Reflection(0.0, 4.0, 90.0), Reflection(5.0, 0.0, 50.0)])["spacing_2_nm"]
    0.2
    """
    result: dict[str, float | int | None] = dict.fromkeys(LATTICE_COLUMNS)
    result["n_reflections"] = len(reflections)
    if not reflections:
        return result
    first = reflections[0]
    result |= {
        "peak_snr": first.snr,
        "spacing_1_nm": first.spacing_nm,
        "lattice_orientation_deg": first.direction_deg,
    }
    for other in reflections[1:]:
        between = abs(other.direction_deg - first.direction_deg)
        angle = min(between, 180 - between)
        if angle >= MIN_ANGLE_DEG:
            result |= {"spacing_2_nm": other.spacing_nm, "angle_12_deg": angle}
            break
    return result


def _snr(
    power: np.ndarray, frequency_y: np.ndarray, frequency_x: np.ndarray, annulus_per_nm: tuple[float, float]
) -> np.ndarray:
    """Return the ratio of the power to the median of its ring; 0 outside the annulus and near the Nyquist frequency."""
    snr = np.zeros_like(power)
    frequency = np.hypot(frequency_y[:, None], frequency_x)
    below_nyquist = (np.abs(frequency_y) < 0.97 * np.abs(frequency_y).max())[:, None] & (
        frequency_x < 0.97 * frequency_x[-1]
    )
    inside = np.flatnonzero((frequency >= annulus_per_nm[0]) & (frequency <= annulus_per_nm[1]) & below_nyquist)
    values = power.ravel()[inside]
    largest = float(values.max(initial=0))
    if not largest > 0:
        return snr
    # in steps of the coarser axis; rings are narrow to follow the Thon rings of the support
    radius = (frequency.ravel()[inside] - annulus_per_nm[0]) / (RING_WIDTH_BINS * max(frequency_y[1], frequency_x[1]))
    # the larger median of two staggered sets of rings: on a slope, and in a ring of few samples, one median alone is
    # sometimes too small and would turn noise into peaks
    background = np.maximum(
        _ring_medians(values, radius.astype(np.int64), largest),
        _ring_medians(values, (radius + 0.5).astype(np.int64), largest),
    )
    snr.ravel()[inside] = values / np.maximum(background, np.finfo(np.float32).tiny)
    return snr


def _ring_medians(values: np.ndarray, ring: np.ndarray, largest: float) -> np.ndarray:
    """Return the median of the ring of each value."""
    # one sort gives the medians of all rings: the integer part is the ring, the fraction the power
    in_order = np.sort(ring + values * (0.999 / largest))
    starts = np.searchsorted(in_order, np.arange(int(ring.max()) + 2))
    middle = np.minimum((starts[:-1] + starts[1:]) // 2, in_order.size - 1)
    median = (in_order[middle] - np.arange(middle.size)) * (largest / 0.999)
    return np.asarray(median[ring])


def _separated_maxima(snr: np.ndarray, min_peak_snr: float) -> np.ndarray:
    """Return flat indices of the maxima above the threshold, largest SNR first, without the side lobes of others."""
    candidates = np.flatnonzero(snr >= min_peak_snr)
    candidates = candidates[_is_local_maximum(snr, candidates)]
    candidates = candidates[np.argsort(-snr.ravel()[candidates], kind="stable")]
    height = snr.shape[0]
    rows, columns = np.unravel_index(candidates, snr.shape)
    signed = np.where(rows > height // 2, rows - height, rows)
    position = np.stack([signed, columns], axis=1).astype(float)
    kept: list[int] = []
    while candidates.size and len(kept) < MAX_REFLECTIONS:
        kept.append(int(candidates[0]))
        strongest = position[0]
        apart = np.ones(candidates.size, bool)
        for friedel in (strongest, -strongest):
            apart &= np.square(position - friedel).sum(axis=1) > MIN_SEPARATION_BINS**2
        candidates, position = candidates[apart], position[apart]
    return np.array(kept, dtype=np.int64)


def _is_local_maximum(snr: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return which flat indices are not below their eight neighbors, also across the borders of the half plane."""
    height, width = snr.shape
    rows, columns = np.unravel_index(candidates, snr.shape)
    largest = np.zeros(candidates.size, snr.dtype)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            beyond = columns + j < 0  # by Friedel's law this point has the power of the opposite one
            row = np.where(beyond, -(rows + i), rows + i) % height
            column = np.minimum(np.abs(columns + j), width - 1)  # the last column is the Nyquist frequency, with SNR 0
            largest = np.maximum(largest, snr[row, column])
    return np.asarray(snr[rows, columns] >= largest)


def _refine(wave: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move peaks, in steps of the discrete spectrum, to the maximum of the continuous Fourier transform's power."""
    for step in (0.4, 0.1):
        power = _power_around(wave, rows, columns, step)
        shift_y, shift_x = _paraboloid_maximum(np.log(np.maximum(power, np.finfo(np.float32).tiny)))
        rows = rows + step * shift_y
        columns = columns + step * shift_x
    return rows, columns


def _power_around(wave: np.ndarray, rows: np.ndarray, columns: np.ndarray, step: float) -> np.ndarray:
    """Evaluate the power spectrum on 5 × 5 fractional frequencies around each peak: (peak, i, j)."""
    phase_y, phase_x = (_phases(n, at, step) for n, at in zip(wave.shape, (rows, columns), strict=True))
    # peak by peak, so that a peak is the same whichever others are refined with it; real parts and imaginary parts side
    # by side, because the wave is real
    columns_of = np.concatenate([phase_x.real, phase_x.imag], axis=1).transpose(0, 2, 1)
    product = np.array([small_product(wave, one) for one in columns_of])  # (peak, y, j)
    along_x = product[..., :5] + 1j * product[..., 5:]
    amplitude = phase_y @ along_x
    return np.asarray(np.square(amplitude.real) + np.square(amplitude.imag))


def _phases(n: int, at: np.ndarray, step: float) -> np.ndarray:
    """Return exp(−2πi f k/n) of n samples k at five frequencies f around each of `at`: (peak, 5, n), complex64."""
    turn = (-2j * np.pi / n) * np.arange(n)
    return np.asarray(np.exp(at[:, None, None] * turn) * _offset_phases(n, step), np.complex64)


@functools.lru_cache(maxsize=256)
def _offset_phases(n: int, step: float) -> np.ndarray:
    """Return the part of `_phases` that is the same for all peaks: (5, n)."""
    return np.asarray(np.exp(step * np.arange(-2, 3)[:, None] * ((-2j * np.pi / n) * np.arange(n))))


_GRID_Y, _GRID_X = (g.ravel().astype(float) for g in np.mgrid[-2:3, -2:3])
_FIT = np.linalg.pinv(np.stack([np.ones(25), _GRID_Y, _GRID_X, _GRID_Y**2, _GRID_Y * _GRID_X, _GRID_X**2], axis=1))


def _paraboloid_maximum(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit paraboloids to (peak, 5, 5) values; return their maxima in steps from the middle, at most 2."""
    # a product for each peak: rounding in one for all would depend on their number
    _, gradient_y, gradient_x, yy, yx, xx = np.matmul(values.reshape(-1, 1, 25), _FIT.T)[:, 0].T
    determinant = 4 * yy * xx - yx**2
    peaked = (determinant > 0) & (yy < 0)
    safe = np.where(peaked, determinant, 1.0)
    y = np.where(peaked, (yx * gradient_x - 2 * xx * gradient_y) / safe, 0.0)
    x = np.where(peaked, (yx * gradient_y - 2 * yy * gradient_x) / safe, 0.0)
    return np.clip(y, -2, 2), np.clip(x, -2, 2)
