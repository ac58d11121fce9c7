"""Lattice and fault of each window of a crystal, and maps of the geometric phase of the whole field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hrtem_dask.backend import Array, to_numpy
from hrtem_dask.crystals.materials import Material
from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier.crystal_fields.windows import Grid, Window, binned
from hrtem_dask.fourier.geometric_phase import geometric_phase
from hrtem_dask.fourier.lattice import (
    MIN_ANGLE_DEG,
    MIN_SHARE_OF_STRONGEST,
    Reflection,
    describe_lattice,
    find_reflections,
)
from hrtem_dask.fourier.on_zone_score import NOISE_SNR
from hrtem_dask.fourier.pattern import between_deg
from hrtem_dask.fourier.phase_step import PhaseStep, phase_step
from hrtem_dask.fourier.zone_axis import measure_zone_axis
from hrtem_dask.micrograph import PixelSize

__all__ = ["FaultKind", "MeasuredWindow", "PhaseMap", "fault_kind", "measure_windows", "phase_maps"]

OVERLAP = 0.5
"""Share of a side that neighboring windows have in common: every plane is well inside of at least one window."""
STEP_SNR = 12.0
"""Smallest SNR of reflections for the phase step, as for particles."""
MIN_GAIN = 0.13
"""Gain of a phase step from which on it is a fault. Perfect windows of a real micrograph of CdTe have at most 0.04."""
MIN_TWIN_ASYMMETRY = 0.57
"""Mean asymmetry of amplitudes from which on a fault is a twin boundary: its reflections end there. In windows with
enough on both sides, it is 0.69 to 0.79 at the twin boundary of the same micrograph and at most 0.55 at its stacking
faults; on simulated fields 0.59 to 0.97, and at most 0.24."""
MIN_SIDE_OF_KIND = 0.28
"""Share of a window on the smaller side of a fault from which on its kind is told. On simulated fields, 1 of 193 kinds
was wrong above it and 17 of 176 below it; on the micrograph, faults near the rim of a window looked like twins."""
FADE_NM = 0.1
"""Length (nm) over which one side of a fault is faded out before spacings are measured on the other side."""
PHASE_SIGMA_PER_NM = 0.35
"""Standard deviation of the mask of the phase maps (1/nm): a resolution of 0.45 nm."""

FaultKind = Literal["stacking_fault", "twin_boundary", "unknown"]


@dataclass(frozen=True)
class MeasuredWindow:
    """What one window shows."""

    window: Window
    """The window, in pixels of the image."""
    lattice: dict[str, float | int | None]
    """Columns of `describe_lattice`; on the larger side of a fault where there is one."""
    zone_axis: dict[str, float | str | None]
    """Columns of `measure_zone_axis`, of the same side."""
    step: PhaseStep | None
    """The plane at which the phases change most, a fault or not; None without two directions of lattice planes."""

    @property
    def fault_kind(self) -> FaultKind | None:
        """Kind of the fault that the window holds; None without one."""
        return fault_kind(self.step)


def measure_windows(
    image: Array,
    *,
    pixel_size_nm: PixelSize,
    spacing_range_nm: tuple[float, float] = (0.1, 0.42),
    min_peak_snr: float = 20.0,
    material: str | Material | None = None,
) -> list[MeasuredWindow]:
    """Measure lattice spacings, zone axis and phase step in windows that cover a crystal.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite. It is measured on the CPU.
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing (nm).
    min_peak_snr : float
        Smallest SNR of a reflection that counts for spacings, as in `measure_lattice`.
    material : str or Material, optional
        Material, for the zone axis.

    Returns
    -------
    list of MeasuredWindow
        Windows of about 5 nm, half overlapping, row after row.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite, or above half of the smallest spacing that is searched for.
    ValueError
        If the range of spacings is empty, or the material is not known.

    Examples
    --------
    A square lattice whose right part is displaced by half a spacing:

    >>> y, x = 0.04 * np.mgrid[:128, :200]
    >>> image = np.cos(2 * np.pi * x / 0.3) + np.cos(2 * np.pi * y / 0.3 + np.pi * (x > 4.0))
    >>> image += np.random.default_rng(0).normal(0, 0.5, image.shape)
    >>> windows = measure_windows(image, pixel_size_nm=(0.04, 0.04))
    >>> sorted({str(w.fault_kind) for w in windows})  # unknown where the fault is near the border of a window
    ['stacking_fault', 'unknown']
    """
    if not all(np.isfinite(size) and size > 0 for size in pixel_size_nm):
        raise CalibrationError(f"a pixel size must be positive and finite, got (y, x) = {pixel_size_nm} nm")
    values, pixel, factor = binned(to_numpy(image), pixel_size_nm)
    measured = []
    for window in Grid.over((values.shape[0], values.shape[1]), pixel, overlap=OVERLAP).windows:
        crop = np.ascontiguousarray(values[window.part])
        reflections = _reflections(crop, pixel, spacing_range_nm)
        step = phase_step(crop, np.ones(crop.shape, bool), _at_least(STEP_SNR, reflections), pixel_size_nm=pixel)
        if fault_kind(step) is not None and step is not None:
            # a jump of phase moves the maxima of inclined reflections, by 2 % and more of a spacing
            crop = _larger_side(crop, step, pixel)
            reflections = _reflections(crop, pixel, spacing_range_nm)
        zone_axis = measure_zone_axis(
            crop, pixel_size_nm=pixel, material=material, spacing_range_nm=spacing_range_nm, reflections=reflections
        )
        lattice = describe_lattice(_at_least(min_peak_snr, reflections))
        measured.append(MeasuredWindow(_unbinned(window, factor), lattice, zone_axis, step))
    return measured


def fault_kind(step: PhaseStep | None) -> FaultKind | None:
    """Judge whether the best plane of a window is a fault.

    Parameters
    ----------
    step : PhaseStep or None
        From `phase_step`.

    Returns
    -------
    str or None
        Kind of the fault, ``"unknown"`` where it is too near to the rim of the window; None without one.
    """
    if step is None or step.gain < MIN_GAIN:
        return None
    if step.smaller_side < MIN_SIDE_OF_KIND:
        return "unknown"
    return "twin_boundary" if step.amplitude_asymmetry >= MIN_TWIN_ASYMMETRY else "stacking_fault"


def _reflections(crop: np.ndarray, pixel: PixelSize, spacing_range_nm: tuple[float, float]) -> list[Reflection]:
    """Search once, with the lowest limits of the three measurements."""
    return find_reflections(
        crop,
        pixel_size_nm=pixel,
        spacing_range_nm=spacing_range_nm,
        min_peak_snr=NOISE_SNR,
        min_share_of_strongest=0,
    )


def _at_least(min_peak_snr: float, reflections: Sequence[Reflection]) -> list[Reflection]:
    """Return the reflections that a search with this limit finds."""
    no_side_lobe = MIN_SHARE_OF_STRONGEST * max((r.snr for r in reflections), default=0.0)
    return [r for r in reflections if r.snr >= max(min_peak_snr, no_side_lobe)]


def _larger_side(crop: np.ndarray, step: PhaseStep, pixel: PixelSize) -> np.ndarray:
    """Fade out the smaller side of a plane; a positive weight does not move the maximum of a wave's transform."""
    angle = np.deg2rad(step.angle_deg)
    y, x = ((np.arange(n) - (n - 1) / 2) * size for n, size in zip(crop.shape, pixel, strict=True))
    beyond = np.add.outer(-np.cos(angle) * y, -np.sin(angle) * x) - step.offset_nm
    weight = 1 / (1 + np.exp(np.clip((beyond if step.offset_nm > 0 else -beyond) / FADE_NM, -30, 30)))
    return np.asarray((crop - np.average(crop, weights=weight)) * weight, np.float32)


def _unbinned(window: Window, factor: tuple[int, int]) -> Window:
    """Return a window of the binned image in pixels of the image."""
    y, x = factor
    (y0, x0, y1, x1), (first_y, first_x, last_y, last_x) = window.box, window.core
    return Window((y0 * y, x0 * x, y1 * y, x1 * x), (first_y * y, first_x * x, last_y * y, last_x * x))


@dataclass(frozen=True)
class PhaseMap:
    """Geometric phase of one set of lattice planes over a field."""

    reflection: Reflection
    """The reflection of the planes."""
    amplitude: np.ndarray
    """Shape (y, x): strength of the fringes, in the unit of the image; small beyond a twin boundary."""
    phase_rad: np.ndarray
    """Shape (y, x): phase (rad), −π to π; it jumps at a stacking fault."""


def phase_maps(
    image: Array, *, pixel_size_nm: PixelSize, spacing_range_nm: tuple[float, float] = (0.1, 0.42)
) -> list[PhaseMap]:
    """Map the geometric phase of the two strongest sets of lattice planes.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite.
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing (nm).

    Returns
    -------
    list of PhaseMap
        Two maps with the resolution 0.45 nm, strongest planes first; fewer if fewer sets of planes are found.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the range of spacings is empty.

    Examples
    --------
    >>> x = 0.04 * np.arange(128)
    >>> image = np.cos(2 * np.pi * x / 0.3) + np.cos(2 * np.pi * x / 0.25)[:, np.newaxis]
    >>> image += np.random.default_rng(0).normal(scale=0.3, size=image.shape)
    >>> sorted(round(m.reflection.spacing_nm, 2) for m in phase_maps(image, pixel_size_nm=(0.04, 0.04)))
    [0.25, 0.3]
    """
    values = to_numpy(image).astype(np.float32)
    found = find_reflections(values, pixel_size_nm=pixel_size_nm, spacing_range_nm=spacing_range_nm, min_peak_snr=20.0)
    return [_phase_map(values, r, pixel_size_nm) for r in _two_directions(found)]


def _phase_map(values: np.ndarray, reflection: Reflection, pixel_size_nm: PixelSize) -> PhaseMap:
    """Map the phase of one reflection."""
    g = (reflection.frequency_y_per_nm, reflection.frequency_x_per_nm)
    amplitude, phase = geometric_phase(
        values, reflection_per_nm=g, pixel_size_nm=pixel_size_nm, sigma_per_nm=PHASE_SIGMA_PER_NM
    )
    return PhaseMap(reflection, amplitude, phase)


def _two_directions(found: Sequence[Reflection]) -> list[Reflection]:
    """Return the strongest reflection, and the strongest in another direction."""
    others = [r for r in found[1:] if between_deg(r.direction_deg, found[0].direction_deg) >= MIN_ANGLE_DEG]
    return [*found[:1], *others[:1]]
