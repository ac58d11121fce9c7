"""All features of a region for its classification, from one search for reflections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrtem_dask.backend import Array, to_numpy
from hrtem_dask.fourier.bragg_maps import BRAGG_COLUMNS, bragg_features
from hrtem_dask.fourier.contrast import CONTRAST_COLUMNS, contrast_features
from hrtem_dask.fourier.fringes import Fringes
from hrtem_dask.fourier.lattice import Reflection, find_reflections, stronger_reflections
from hrtem_dask.fourier.pattern import PATTERN_COLUMNS, pattern_features, without_side_lobes
from hrtem_dask.fourier.phase_step import PHASE_STEP_COLUMNS, PhaseStep, phase_step, phase_step_features
from hrtem_dask.micrograph import PixelSize

__all__ = ["MARGIN_NM", "MIN_PEAK_SNR", "REGION_COLUMNS", "SPACING_RANGE_NM", "region_features"]

MARGIN_NM = 0.6
"""Margin of a crop around its particle or region (nm). A Hann window over the bounding box alone would leave out much
of the particle; with the margin more reflections are found, and more zone axes are right."""
MIN_PEAK_SNR = 12.0
"""Lower than for counting reflections: a weak one may give the normal of a plane, and noise has little weight."""
SPACING_RANGE_NM = (0.1, 0.42)
"""Lattice spacings that the features look at, if nothing else is stated."""
MAX_MAPPED = 6
"""Number of strongest reflections that are mapped."""
REGION_COLUMNS = ("n_reflections", *CONTRAST_COLUMNS, *PATTERN_COLUMNS, *BRAGG_COLUMNS, *PHASE_STEP_COLUMNS)
"""Names of the features; `tables.REGION_FEATURES` describes them."""


def region_features(
    crop: Array,
    mask: Array,
    *,
    pixel_size_nm: PixelSize,
    spacing_range_nm: tuple[float, float] = SPACING_RANGE_NM,
    reflections: Sequence[Reflection] | None = None,
) -> tuple[dict[str, float], PhaseStep | None]:
    """Measure the features by which regions are classified.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite: the region with `MARGIN_NM` around it. It is measured on the CPU, because
        a GPU does not speed up small crops.
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True on the region.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing to search for, in nm.
    reflections : sequence of Reflection, optional
        Reflections of the crop, where they are known already, from `find_reflections` with limits
        that are not stricter than an SNR of 12.

    Returns
    -------
    features : dict of str to float
        Features named in `REGION_COLUMNS`; NaN where there is nothing to measure.
    step : PhaseStep or None
        The plane at which the phases of the region change most, whether a fault or not; None if there is none.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the range of spacings is empty, the mask is empty, or mask and crop differ in shape.

    Examples
    --------
    >>> from hrtem_dask.simulation import simulate_scene
    >>> scene = simulate_scene(seed=1, shape=(256, 256), n_particles=1, diameter_nm=(4.0, 4.0))
    >>> features, step = region_features(scene.image, scene.labels == 1, pixel_size_nm=scene.pixel_size_nm)
    >>> tuple(features) == REGION_COLUMNS, features["n_reflections"] >= 2, step.gain < 0.1
    (True, True, True)
    """
    crop, mask = to_numpy(crop).astype(np.float32), to_numpy(mask).astype(bool)
    if crop.shape != mask.shape or not mask.any():
        given = f"shape {mask.shape} with {mask.sum()} pixels"
        raise ValueError(f"the mask needs the crop's shape {crop.shape} and at least one pixel, got {given}")
    if reflections is None:
        reflections = find_reflections(
            crop, pixel_size_nm=pixel_size_nm, spacing_range_nm=spacing_range_nm, min_peak_snr=MIN_PEAK_SNR
        )
    else:
        reflections = stronger_reflections(reflections, min_peak_snr=MIN_PEAK_SNR)
    fringes = Fringes.of(crop, mask, pixel_size_nm)
    step = phase_step(crop, mask, reflections, pixel_size_nm=pixel_size_nm, fringes=fringes)
    area_nm2 = float(mask.sum()) * pixel_size_nm[0] * pixel_size_nm[1]
    diameter_nm = 2 * float(np.sqrt(area_nm2 / np.pi))
    mapped = without_side_lobes(reflections, area_nm2, most=MAX_MAPPED)
    return {
        "n_reflections": float(len(reflections)),
        **contrast_features(crop, mask, pixel_size_nm=pixel_size_nm),
        **pattern_features(reflections, diameter_nm=diameter_nm),
        **bragg_features(fringes, mapped),
        **phase_step_features(step, diameter_nm=diameter_nm),
    }, step
