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
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

from hrtem_dask.backend import Array, to_numpy
from hrtem_dask.fourier.compiled.peaks import paraboloid_shifts, refinement_phases, separated_maxima, windowed_crop
from hrtem_dask.fourier.compiled.rings import ring_signal_to_noise, squared_modulus
from hrtem_dask.fourier.flattening import MOST_MULTIPLICATIONS, small_product
from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.hann_window import hann
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
        return 1 / math.hypot(self.frequency_y_per_nm, self.frequency_x_per_nm)

    @property
    def direction_deg(self) -> float:
        """Direction of the wave vector, counter-clockwise from +x on the screen, 0 to 180 degrees."""
        return math.degrees(math.atan2(-self.frequency_y_per_nm, self.frequency_x_per_nm)) % 180


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
    values = np.ascontiguousarray(crop, np.float64 if crop.dtype == np.float64 else np.float32)
    wave = windowed_crop(values, *(_window(n) for n in crop.shape))
    snr = _snr(squared_modulus(scipy.fft.rfft2(wave)), frequency_y, frequency_x, (1 / high, 1 / low))
    least = np.float32(max(min_peak_snr, min_share_of_strongest * float(snr.max())))
    # the order by SNR is that before refinement; rows beyond the middle are negative frequencies
    rows, columns = separated_maxima(snr, least, MAX_REFLECTIONS, MIN_SEPARATION_BINS)
    if not rows.size:
        return []
    fine_y, fine_x = _refine(wave, rows.astype(float), columns.astype(float))
    sign = np.where(fine_x < 0, -1.0, 1.0)
    y = sign * fine_y / (crop.shape[0] * pixel_size_nm[0])
    x = sign * fine_x / (crop.shape[1] * pixel_size_nm[1])
    found = zip(y.tolist(), x.tolist(), snr[rows, columns].tolist(), strict=True)
    return [Reflection(*one) for one in found]


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
    step_y, step_x = float(frequency_y[1]), float(frequency_x[1])
    # in steps of the coarser axis; rings are narrow to follow the Thon rings of the support
    width = RING_WIDTH_BINS * max(step_y, step_x)
    return ring_signal_to_noise(np.ascontiguousarray(power, np.float32), step_y, step_x, *annulus_per_nm, width)


@functools.lru_cache(maxsize=256)
def _window(n: int) -> np.ndarray:
    """Return a Hann window without the zeros at both ends."""
    return hann(n + 2)[1:-1].copy()


def _refine(wave: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move peaks, in steps of the discrete spectrum, to the maximum of the continuous Fourier transform's power."""
    turned = np.ascontiguousarray(wave.T)
    for step in (0.4, 0.1):
        phases = refinement_phases(len(turned), columns, step)
        # peak by peak, so that a peak is the same whichever others are refined with it
        if phases[:1].size * turned.shape[1] <= MOST_MULTIPLICATIONS:
            along_x = phases @ turned  # one product after the other, without their overhead
        else:
            along_x = np.array([small_product(one, turned) for one in phases])
        shift_y, shift_x = paraboloid_shifts(along_x, rows, step, _FIT)
        rows, columns = rows + step * shift_y, columns + step * shift_x
    return rows, columns


_GRID_Y, _GRID_X = (g.ravel().astype(float) for g in np.mgrid[-2:3, -2:3])
_FIT = np.linalg.pinv(np.stack([np.ones(25), _GRID_Y, _GRID_X, _GRID_Y**2, _GRID_Y * _GRID_X, _GRID_X**2], axis=1))
