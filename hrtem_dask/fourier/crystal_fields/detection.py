"""Whether one crystal fills a field, so that there is no support and no outline to measure.

The field is covered by windows. One crystal fills it if nearly every window shows two directions of lattice planes,
over nearly all of its area, and if one set of planes is the same in nearly all windows. A twin has one set of planes in
common with its parent; particles that touch one another do not. Windows with support show no lattice, or only on a part
of their area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.backend import Array, to_numpy
from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier.bragg_maps import CRYSTALLINE_SNR, bragg_maps
from hrtem_dask.fourier.crystal_fields.windows import WINDOW_NM, Grid, binned
from hrtem_dask.fourier.fringes import Fringes
from hrtem_dask.fourier.lattice import MIN_ANGLE_DEG, Reflection, find_reflections
from hrtem_dask.fourier.pattern import between_deg, without_side_lobes
from hrtem_dask.micrograph import PixelSize

__all__ = ["CrystalCover", "crystal_cover"]

MAX_PIXEL_NM = 0.1
"""Where pixels are larger, no lattice is resolved."""
MIN_FIELD_NM = 1.6 * WINDOW_NM
"""Smallest side of a field (nm): a crop of one particle may be smaller than that."""
MIN_PEAK_SNR = 20.0
"""Noise alone reaches this SNR once in a million frequencies."""
MAX_REFLECTIONS = 6
"""Number of strongest reflections that are mapped."""
MIN_WINDOW_COVER = 0.75
"""Smallest share of a window's area with a reflection above the noise."""
MIN_SHARE_OF_WINDOWS = 0.95
"""Smallest share of windows that show the lattice; of fewer than twenty windows, all must."""
MIN_SHARE_IN_COMMON = 0.7
"""Smallest share of windows that have one set of planes in common."""
SAME_PLANES = 0.03
"""Largest change of a wave vector from one window to another, relative to its length: 3 % strain, or 1.7° rotation.
In addition it may change by the width of a reflection."""


@dataclass(frozen=True)
class CrystalCover:
    """How far one crystal fills a field."""

    is_one_crystal: bool
    """Whether it fills the field."""
    n_windows: int
    """Windows that were looked at: the search ends as soon as too many show no lattice."""
    n_crystalline: int
    """Windows of these that show a lattice over nearly all of their area."""
    share_in_common: float
    """Share of windows that have one set of lattice planes in common; 0 where the search ended before."""


def crystal_cover(
    image: Array, *, pixel_size_nm: PixelSize | None, spacing_range_nm: tuple[float, float] = (0.1, 0.42)
) -> CrystalCover:
    """Judge whether one crystal fills a field.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite. It is measured on the CPU.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm). Without it, and where it is above 0.1 nm, no lattice can be told, and no field
        is called one crystal; nor is a field with a side below 8 nm, which a particle may fill.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing (nm).

    Returns
    -------
    CrystalCover
        The judgment, and what it is based on.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the range of spacings is empty.

    Examples
    --------
    >>> y, x = 0.04 * np.mgrid[:256, :256]
    >>> fringes = np.cos(2 * np.pi * x / 0.3) + np.cos(2 * np.pi * y / 0.25)
    >>> noise = np.random.default_rng(0).normal(0, 1, (256, 256))
    >>> pixel_size_nm = (0.04, 0.04)
    >>> crystal_cover(fringes + noise, pixel_size_nm=pixel_size_nm).is_one_crystal
    True
    >>> crystal_cover(noise, pixel_size_nm=pixel_size_nm).is_one_crystal
    False
    """
    nothing = CrystalCover(False, 0, 0, 0.0)
    if pixel_size_nm is not None and not all(np.isfinite(size) and size > 0 for size in pixel_size_nm):
        raise CalibrationError(
            f"a pixel size must be positive and finite, got {pixel_size_nm} nm: check the calibration"
        )
    if pixel_size_nm is None or max(pixel_size_nm) > MAX_PIXEL_NM:
        return nothing
    sides_nm = [n * size for n, size in zip(image.shape, pixel_size_nm, strict=True)]
    if min(sides_nm) < MIN_FIELD_NM:
        return nothing
    values, pixel, _ = binned(to_numpy(image), pixel_size_nm)
    windows = Grid.over((values.shape[0], values.shape[1]), pixel, overlap=0.0).windows
    allowed = int((1 - MIN_SHARE_OF_WINDOWS) * len(windows))
    found: list[list[Reflection]] = []
    # in a random order that is always the same, so that a support on one side ends the search early
    order = np.random.default_rng(0).permutation(len(windows))
    for n, i in enumerate(order, 1):
        crop = np.ascontiguousarray(values[windows[i].part])
        reflections = _lattice_of_window(crop, pixel, spacing_range_nm)
        if reflections:
            found.append(reflections)
        if n - len(found) > allowed:
            return CrystalCover(False, n, len(found), 0.0)
    window = windows[0].part
    width_per_nm = max(1 / ((s.stop - s.start) * size) for s, size in zip(window, pixel, strict=True))
    share = _share_in_common(found, len(windows), width_per_nm)
    return CrystalCover(bool(share >= MIN_SHARE_IN_COMMON), len(windows), len(found), float(share))


def _lattice_of_window(crop: np.ndarray, pixel: PixelSize, spacing_range_nm: tuple[float, float]) -> list[Reflection]:
    """Return the reflections of a window; none where it does not show two sets of planes nearly everywhere."""
    reflections = find_reflections(
        crop, pixel_size_nm=pixel, spacing_range_nm=spacing_range_nm, min_peak_snr=MIN_PEAK_SNR
    )
    strongest = without_side_lobes(reflections, crop.size * pixel[0] * pixel[1], most=MAX_REFLECTIONS)
    if not any(between_deg(r.direction_deg, strongest[0].direction_deg) >= MIN_ANGLE_DEG for r in strongest[1:]):
        return []
    maps = bragg_maps(Fringes.of(crop, np.ones(crop.shape, bool), pixel), strongest)
    return reflections if (maps.max(0) > CRYSTALLINE_SNR).mean() >= MIN_WINDOW_COVER else []


def _share_in_common(found: Sequence[Sequence[Reflection]], n_windows: int, width_per_nm: float) -> float:
    """Return the largest share of windows that contain one reflection of the window in the middle of the list."""
    vectors = [np.array([[r.frequency_y_per_nm, r.frequency_x_per_nm] for r in window]) for window in found]
    best = 0.0
    # a reflection that most windows have is found in at least one of any few of them
    for candidate in np.concatenate(vectors[:5]):
        limit = width_per_nm + SAME_PLANES * float(np.hypot(*candidate))
        hits = [
            min(np.linalg.norm(v - candidate, axis=1).min(), np.linalg.norm(v + candidate, axis=1).min()) < limit
            for v in vectors
        ]
        best = max(best, sum(hits) / n_windows)
    return best
