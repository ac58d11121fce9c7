"""Fault of a particle: the plane at which the geometric phase of its reflections jumps.

A stacking fault seen edge-on divides a particle by a straight line. On both sides the lattice is perfect, but one side
is displaced by R, so that the phase of each reflection jumps by 2π g·R [1]. In fcc and zinc blende an intrinsic fault
has R = a/6⟨112⟩ [2]: ±2π/3 for the {111} that are inclined to the plane, 0 for the reflection of the plane itself. In
wurtzite, I1 has R = ⅙⟨20-23⟩, I2 ⅓⟨10-10⟩ and E ½[0001] [2]: multiples of π/3 for inclined reflections, 0 for (0002),
the reflection of the plane itself. At a twin boundary the reflections that the two lattices do not share end, a step of
amplitude. So the reflection of the plane itself gives the possible normals, and the inclined reflections show
whether there is a fault.

For each normal n the demodulated image, image × exp(−2πi g·r), is summed over lines parallel to the plane. The result
is a complex profile per reflection; its Fourier transform is the streak through g along n, including its phase. A
profile is fitted with one complex constant, and with two, one on each side of the plane. Both fits include a slope of
phase, which refines g. The gain is the share of power that only the second fit explains. Rounding, thickness and tilt
make profiles uneven too, but not at the same plane in all inclined reflections.

References
----------
[1] Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131: the geometric phase.
[2] Hirth & Lothe, Theory of Dislocations, 2nd ed., Wiley 1982, chapters 10 and 11: the displacements.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hrtem_dask.backend import Array, to_numpy
from hrtem_dask.fourier.fringes import Fringes
from hrtem_dask.fourier.lattice import Reflection
from hrtem_dask.fourier.pattern import without_side_lobes
from hrtem_dask.fourier.plane_fit import DemodulatedParticle, FittedPlane, best_planes, plane_normals
from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.micrograph import PixelSize

__all__ = ["PHASE_STEP_COLUMNS", "PhaseStep", "ReflectionStep", "RowDisplacement", "phase_step", "phase_step_features"]

MAX_REFLECTIONS = 8
"""Number of strongest reflections that are fitted."""
MAX_DISPLACEMENT_NM = 0.5
"""Largest displacement of lattice rows that is tried."""
_TRIALS_NM = np.linspace(-MAX_DISPLACEMENT_NM, MAX_DISPLACEMENT_NM, 201)
_NO_TRIAL = 100
"""The number of no displacement."""


@dataclass(frozen=True)
class ReflectionStep:
    """Change of one reflection at the plane."""

    reflection: Reflection
    """The reflection."""
    is_own: bool
    """Whether it belongs to the plane itself (its wave vector is along the normal)."""
    step_rad: float
    """Jump of its phase on crossing the plane along the normal (90° counter-clockwise of the trace), −π to π."""
    amplitude_asymmetry: float
    """(A₂ − A₁) / (A₂ + A₁) of the amplitudes behind and before the plane, −1 to 1; ±1 if it is on one side only."""
    gain: float
    """Share of its explained power that needs the step, minus the share in noise alone; 0 to 1."""


class RowDisplacement(NamedTuple):
    """Displacement of the lattice rows on one side of a plane along it."""

    displacement_nm: float
    """Displacement along the trace with the smallest misfit (nm)."""
    misfit: float
    """Mean of 1 − cos of the rest of the phase steps, weighted by SNR; 0 to 2, 0 at a fault."""
    gain: float
    """Misfit without displacement minus the misfit with it; 0 to 2, large at a fault."""


@dataclass(frozen=True)
class PhaseStep:
    """The plane at which the lattice of a particle changes most."""

    angle_deg: float
    """Direction of the trace, counter-clockwise from +x on the screen (°), 0 to 180."""
    offset_nm: float
    """Distance from the center of the bounding box of the mask (nm), positive 90° counter-clockwise of the trace."""
    smaller_side: float
    """Share of the particle's pixels on the smaller side of the plane, 0 to 0.5: steps and asymmetries are uncertain
    where it is small."""
    gain: float
    """Gain of all inclined reflections together, weighted by power, 0 to 1: the best single evidence of a fault."""
    snr: float
    """Power that needs the step, relative to the noise, per inclined reflection."""
    own_gain: float
    """Gain of the reflections of the plane itself: near 0 at a fault, larger where the lattice is bent or ends."""
    next_gain: float
    """Gain of the best plane in another direction."""
    streak: float
    """Power along the normal, 1.5 to 8 reciprocal particle sizes away from the inclined reflections, relative to their
    peaks."""
    reflections: tuple[ReflectionStep, ...]
    """The fitted reflections, largest SNR first."""

    @property
    def inclined(self) -> tuple[ReflectionStep, ...]:
        """The reflections that do not belong to the plane itself, and that a fault shifts; at least one."""
        return tuple(r for r in self.reflections if not r.is_own)

    @property
    def step_rad(self) -> float:
        """Mean jump of phase (rad, 0 to π) of the inclined reflections, weighted by SNR."""
        return self._mean([abs(r.step_rad) for r in self.inclined])

    @property
    def amplitude_asymmetry(self) -> float:
        """Mean asymmetry of amplitudes (0 to 1) of the inclined reflections, weighted by SNR."""
        return self._mean([abs(r.amplitude_asymmetry) for r in self.inclined])

    @property
    def row_displacement(self) -> RowDisplacement:
        """Displacement of lattice rows along the trace that explains the phase steps best.

        A displacement R along the trace shifts the phase of a reflection by 2π q R, where q is the component of its
        wave vector along the trace. One number must explain the steps of all inclined reflections.
        """
        trace = math.radians(self.angle_deg)
        cosine, sine = math.cos(trace), math.sin(trace)
        inclined = self.inclined
        along = [r.reflection.frequency_x_per_nm * cosine - r.reflection.frequency_y_per_nm * sine for r in inclined]
        steps = np.array([r.step_rad for r in inclined])
        weight = np.array([r.reflection.snr for r in inclined])
        misfit = (1 - np.cos(steps - 2 * np.pi * np.multiply.outer(_TRIALS_NM, along))) @ (weight / weight.sum())
        best = int(misfit.argmin())
        return RowDisplacement(float(_TRIALS_NM[best]), float(misfit[best]), float(misfit[_NO_TRIAL] - misfit[best]))

    def _mean(self, values: Sequence[float]) -> float:
        """Return the mean of values of the inclined reflections, weighted by SNR."""
        weights = [r.reflection.snr for r in self.inclined]
        return float(sum(map(operator.mul, values, weights)) / sum(weights))


PHASE_STEP_COLUMNS = (
    "phase_step_gain", "phase_step_second_gain", "phase_step_least_gain", "phase_step_snr", "phase_step_own_gain",
    "phase_step_next_gain", "phase_step_rad", "phase_step_amplitude_asymmetry", "phase_step_streak",
    "phase_step_eccentricity", "n_inclined_reflections", "row_displacement_nm", "row_displacement_misfit",
    "row_displacement_gain",
)  # fmt: skip
"""Features of `phase_step_features`; `tables.REGION_FEATURES` describes them."""


def phase_step_features(step: PhaseStep | None, *, diameter_nm: float) -> dict[str, float]:
    """Describe the plane at which the phases of a particle jump.

    Parameters
    ----------
    step : PhaseStep or None
        From `phase_step`.
    diameter_nm : float
        Equivalent diameter of the particle (nm).

    Returns
    -------
    dict of str to float
        Features named in `PHASE_STEP_COLUMNS`; all NaN without a step, that is, if fewer than two directions of lattice
        planes were found.
    """
    if step is None:
        return dict.fromkeys(PHASE_STEP_COLUMNS, np.nan)
    gains = sorted((r.gain for r in step.inclined), reverse=True)
    rows = step.row_displacement
    return {
        "phase_step_gain": step.gain,
        "phase_step_second_gain": gains[1] if len(gains) > 1 else np.nan,
        "phase_step_least_gain": gains[-1],
        "phase_step_snr": step.snr,
        "phase_step_own_gain": step.own_gain,
        "phase_step_next_gain": step.next_gain,
        "phase_step_rad": step.step_rad,
        "phase_step_amplitude_asymmetry": step.amplitude_asymmetry,
        "phase_step_streak": step.streak,
        "phase_step_eccentricity": abs(step.offset_nm) / diameter_nm,
        "n_inclined_reflections": float(len(step.inclined)),
        "row_displacement_nm": abs(rows.displacement_nm),
        "row_displacement_misfit": rows.misfit,
        "row_displacement_gain": rows.gain,
    }


def phase_step(
    crop: Array,
    mask: Array,
    reflections: Sequence[Reflection],
    *,
    pixel_size_nm: PixelSize,
    fringes: Fringes | None = None,
) -> PhaseStep | None:
    """Find the plane at which the phases and amplitudes of a particle's reflections change most.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite. It is measured on the CPU, because a GPU does not speed up small crops.
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True on the particle.
    reflections : sequence of Reflection
        From `find_reflections` in the crop; the strongest eight are fitted, and all are possible normals of planes.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    fringes : Fringes, optional
        The fringes of the mask, where they are known already.

    Returns
    -------
    PhaseStep or None
        The best plane, whether it is a fault or not (see its gain); None if no plane has an inclined reflection.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If mask and crop differ in shape.

    Examples
    --------
    Shift the fringes of a square lattice by half a spacing on the right side:

    >>> x_nm = 0.03 * (np.arange(120) - 59.5)
    >>> row, column = 2 * np.pi * x_nm[:, None] / 0.3, 2 * np.pi * x_nm / 0.3
    >>> crop = np.cos(column) + np.cos(row + np.pi * (x_nm > 0.5))
    >>> reflections = [Reflection(0.0, 1 / 0.3, 100.0), Reflection(1 / 0.3, 0.0, 100.0)]
    >>> step = phase_step(crop, np.ones(crop.shape, bool), reflections, pixel_size_nm=(0.03, 0.03))
    >>> round(step.angle_deg), abs(round(step.offset_nm, 1)), round(step.step_rad, 1)
    (90, 0.5, 3.1)
    """
    crop, mask = to_numpy(crop), to_numpy(mask).astype(bool)
    if crop.shape != mask.shape:
        raise ValueError(f"the mask's shape {mask.shape} is not the crop's {crop.shape}")
    frequencies_per_nm((1, 1), pixel_size_nm)  # raises an error for an impossible pixel size
    if not reflections or not mask.any():
        return None
    area_nm2 = float(mask.sum()) * pixel_size_nm[0] * pixel_size_nm[1]
    fitted = without_side_lobes(reflections, area_nm2, most=MAX_REFLECTIONS)
    particle = DemodulatedParticle.from_fringes(fringes or Fringes.of(crop, mask, pixel_size_nm), fitted)
    plane, next_gain = best_planes(particle, plane_normals(reflections))
    return None if plane is None else _described(particle, plane, next_gain)


def _described(particle: DemodulatedParticle, plane: FittedPlane, next_gain: float) -> PhaseStep:
    """Convert the best plane to a `PhaseStep`."""
    before, behind = np.abs(plane.before), np.abs(plane.behind)
    steps = np.angle(plane.behind * plane.before.conj())
    asymmetry = (behind - before) / np.maximum(behind + before, np.finfo(float).tiny)
    values = zip(particle.reflections, plane.own, steps, asymmetry, plane.gains, strict=True)
    reflections = tuple(ReflectionStep(r, bool(o), float(s), float(a), float(g)) for r, o, s, a, g in values)
    return PhaseStep(
        angle_deg=plane.normal_deg - 90,
        offset_nm=plane.offset_nm,
        smaller_side=plane.smaller_side,
        gain=plane.gain,
        snr=plane.snr,
        own_gain=float(plane.gains[plane.own].max(initial=0.0)),
        next_gain=next_gain,
        streak=plane.streak,
        reflections=reflections,
    )
