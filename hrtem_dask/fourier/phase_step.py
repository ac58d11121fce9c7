"""Faults of one particle: the plane at which the geometric phase of its reflections jumps.

A stacking fault seen edge-on divides a particle by a straight line. On both sides the lattice is perfect, but one side
is displaced by R, so that each reflection's phase jumps by 2π g·R. In fcc and zinc blende an intrinsic fault has
R = a/6⟨112⟩: ±2π/3 for the {111} that are inclined to the plane, 0 for the plane's own reflection. In wurtzite, I1 has
R = ⅙⟨20-23⟩, I2 ⅓⟨10-10⟩ and E ½[0001]: multiples of π/3 for inclined reflections, 0 for (0002), the plane's own. At a
twin boundary the reflections that are not common to both lattices end: an amplitude step. So the plane's own reflection
says which normal a plane can have, and all others whether something happens there.

For a normal n the demodulated image, image × exp(−2πi g·r), is summed over lines parallel to the plane. That gives a
complex profile per reflection, whose Fourier transform is the streak through g along n, its phase included. A profile
is fitted with one complex constant, and with two, one on either side of the plane, both times a slope of phase (the
refinement of g); what the second fit explains more is the gain. Rounding, thickness and tilt make profiles uneven too,
but not at one plane in all inclined reflections.

References
----------
Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131: the geometric phase.
Hirth & Lothe, Theory of Dislocations, 2nd ed., Wiley 1982, chapters 10 and 11: the displacements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from scipy import ndimage

from hrtem_dask.backend import to_numpy
from hrtem_dask.fourier.lattice import Reflection, find_reflections
from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.micrograph import PixelSize

__all__ = ["PHASE_STEP_COLUMNS", "PhaseStep", "ReflectionStep", "phase_step", "phase_step_features"]

MAX_REFLECTIONS = 8
"""The strongest are fitted."""
SIDE_LOBE_SIZES = 3.5
"""Nearer than so many reciprocal particle sizes to a stronger reflection a maximum is its side lobe, or its streak."""
MAX_SIDE_LOBE_PER_NM = 0.6
"""But two reflections farther apart than this (1/nm) may be of a particle and its twin."""
PARALLEL_DEG = 8.0
"""Reflections within this angle of the normal belong to the plane itself: a fault does not shift them."""
MIN_NORMAL_SEPARATION_DEG = 4.0
MIN_SHARE_OF_SPACING = 0.6
"""Close-packed planes have a spacing near the lattice's largest: normals of others are not tried."""
MIN_SIDE_SHARE = 0.12
"""Each side of the plane has at least this share of the particle."""
MAX_RAMP_TURNS = 1.0
"""A reflection's place is refined by up to so many turns of phase across the particle."""
RAMP_STEP_TURNS = 0.125
BIN_NM = 0.1
BACKGROUND_SIGMA_NM = 0.5
NOISE_RING_PER_NM = 0.3
NOISE_GAIN = 4.0
"""Gain of one reflection, in units of the noise, that the choice among planes and slopes finds in noise alone."""


@dataclass(frozen=True)
class ReflectionStep:
    """What one reflection does at the plane."""

    reflection: Reflection
    """Which one."""
    is_own: bool
    """Whether it belongs to the plane itself (its wave vector is along the normal)."""
    step_rad: float
    """Jump of its phase on crossing the plane along the normal (90° counter-clockwise of the trace), −π to π."""
    amplitude_asymmetry: float
    """(A₂ − A₁) / (A₂ + A₁) of the amplitudes behind and before the plane, −1 to 1; ±1: it is on one side only."""
    gain: float
    """Share of its explained power that needs the step, the share that noise would need taken off; 0 to 1."""


@dataclass(frozen=True)
class PhaseStep:
    """The plane at which the lattice of a particle changes most."""

    angle_deg: float
    """Direction of its trace, counter-clockwise from +x on the screen, 0 to 180."""
    offset_nm: float
    """Distance from the centre of the mask's bounding box, positive 90° counter-clockwise of the trace."""
    gain: float
    """As each reflection's, for all inclined ones together by their power, 0 to 1: the best single sign of a fault."""
    snr: float
    """Power that needs the step over the noise's, per inclined reflection."""
    own_gain: float
    """The same plane's gain in its own reflections: near 0 at a fault, larger where the lattice is bent or ends."""
    next_gain: float
    """Gain of the best plane in another direction."""
    streak: float
    """Power along the normal through the inclined reflections, 1.5 to 8 reciprocal particle sizes away from them, over
    their peaks."""
    reflections: tuple[ReflectionStep, ...]
    """Those that were fitted, by falling SNR."""

    @property
    def step_rad(self) -> float:
        """Jump of phase (rad, 0 to π), the mean over inclined reflections weighted by their SNR."""
        inclined = [r for r in self.reflections if not r.is_own]
        return float(np.average([abs(r.step_rad) for r in inclined], weights=[r.reflection.snr for r in inclined]))

    @property
    def amplitude_asymmetry(self) -> float:
        """Asymmetry of amplitudes (0 to 1), the mean over inclined reflections weighted by their SNR."""
        inclined = [r for r in self.reflections if not r.is_own]
        return float(
            np.average([abs(r.amplitude_asymmetry) for r in inclined], weights=[r.reflection.snr for r in inclined])
        )


PHASE_STEP_COLUMNS: dict[str, str] = {
    "phase_step_gain": "share of the inclined reflections' power that needs a step at one plane, 0 to 1",
    "phase_step_snr": "power that needs the step over the noise's, per inclined reflection",
    "phase_step_own_gain": "the same plane's gain in its own reflections, 0 to 1: near 0 at a fault",
    "phase_step_next_gain": "gain of the best plane in another direction, 0 to 1",
    "phase_step_rad": "jump of phase on the plane (rad), 0 to π; 2π/3 at an intrinsic fault",
    "phase_step_amplitude_asymmetry": "asymmetry of amplitudes on both sides, 0 to 1; 1 at a twin boundary",
    "phase_step_streak": "power of the streak along the plane's normal over that of the reflections",
    "phase_step_angle_deg": "direction of the plane's trace, counter-clockwise from +x on the screen, 0 to 180 (°)",
    "phase_step_offset_nm": "distance of the plane from the particle's centre, positive 90° ccw. of the trace (nm)",
}
"""Features of `phase_step_features` and what they mean."""


def phase_step_features(
    crop: Any,
    mask: Any,
    *,
    pixel_size_nm: PixelSize,
    spacing_range_nm: tuple[float, float] = (0.1, 0.42),
    min_peak_snr: float = 12.0,
) -> dict[str, float | None]:
    """Measure the features that tell a faulted particle from a perfect one.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite: the particle with little around it. Measured on the host.
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True on the particle.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing looked for, in nm.
    min_peak_snr : float
        Smallest power of a reflection over the median power of its ring. Lower than where reflections are counted: a
        weak one that shows the plane's normal helps, and one that is noise hardly weighs.

    Returns
    -------
    dict of str to float or None
        The names of `PHASE_STEP_COLUMNS`; all None where fewer than two directions of lattice planes are seen, which is
        where nothing can be said.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the range of spacings is empty, or mask and crop differ in shape.
    """
    reflections = find_reflections(
        crop, pixel_size_nm=pixel_size_nm, spacing_range_nm=spacing_range_nm, min_peak_snr=min_peak_snr
    )
    step = phase_step(crop, mask, reflections, pixel_size_nm=pixel_size_nm)
    if step is None:
        return dict.fromkeys(PHASE_STEP_COLUMNS)
    return {
        "phase_step_gain": step.gain,
        "phase_step_snr": step.snr,
        "phase_step_own_gain": step.own_gain,
        "phase_step_next_gain": step.next_gain,
        "phase_step_rad": step.step_rad,
        "phase_step_amplitude_asymmetry": step.amplitude_asymmetry,
        "phase_step_streak": step.streak,
        "phase_step_angle_deg": step.angle_deg,
        "phase_step_offset_nm": step.offset_nm,
    }


def phase_step(
    crop: Any, mask: Any, reflections: Sequence[Reflection], *, pixel_size_nm: PixelSize
) -> PhaseStep | None:
    """Find the plane at which the phases and amplitudes of a particle's reflections change most.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite. Measured on the host: a crop is too small to gain on a GPU.
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True on the particle.
    reflections : sequence of Reflection
        What `find_reflections` finds in the crop; the strongest eight are fitted, all may be normals of planes.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.

    Returns
    -------
    PhaseStep or None
        The best plane, whether it is a fault or not (see its gain); None where no plane has an inclined reflection.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If mask and crop differ in shape.
    """
    crop, mask = to_numpy(crop), to_numpy(mask).astype(bool)
    if crop.shape != mask.shape:
        raise ValueError(f"the mask's shape {mask.shape} is not the crop's {crop.shape}")
    frequencies_per_nm((1, 1), pixel_size_nm)  # refuses an impossible pixel size
    if not reflections or not mask.any():
        return None
    fitted = _without_side_lobes(reflections, float(mask.sum()) * pixel_size_nm[0] * pixel_size_nm[1])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    particle = _Particle.of(crop[box], mask[box], fitted, pixel_size_nm)
    planes = [p for p in (_best_plane(particle, normal) for normal in _normals(reflections)) if p is not None]
    if not planes:
        return None
    planes.sort(key=lambda p: -p.gain)
    return _described(particle, planes[0], planes[1].gain if len(planes) > 1 else 0.0)


@dataclass(frozen=True)
class _Particle:
    """A particle's pixels, demodulated by each reflection."""

    y_nm: np.ndarray  # (pixel,) from the centre of the bounding box
    x_nm: np.ndarray
    waves: np.ndarray  # (reflection, pixel) complex64
    noise: np.ndarray  # (reflection, 1) noise power per pixel at the reflection's frequency
    reflections: Sequence[Reflection]
    bin_nm: float

    @classmethod
    def of(cls, crop: np.ndarray, mask: np.ndarray, reflections: Sequence[Reflection], pixel: PixelSize) -> _Particle:
        flat = _flattened(crop.astype(np.float32), mask, pixel)
        i, j = np.nonzero(mask)
        y = (i - (mask.shape[0] - 1) / 2) * pixel[0]
        x = (j - (mask.shape[1] - 1) / 2) * pixel[1]
        g = np.array([[r.frequency_y_per_nm, r.frequency_x_per_nm] for r in reflections])
        waves = flat[mask] * np.exp(-2j * np.pi * (g[:, :1] * y + g[:, 1:] * x)).astype(np.complex64)
        noise = _noise_power(flat, int(mask.sum()), np.hypot(*g.T), pixel)
        return cls(y, x, waves, noise[:, None], reflections, max(BIN_NM, 1.5 * max(pixel)))


@dataclass(frozen=True)
class _Plane:
    """The best plane along one normal."""

    normal_deg: float  # 90 to 270, so that the trace, 90° less, is 0 to 180
    offset_nm: float
    gain: float
    snr: float
    own: np.ndarray  # (reflection,) bool
    gains: np.ndarray  # (reflection,)
    before: np.ndarray  # (reflection,) complex amplitude on the side of negative offsets
    behind: np.ndarray
    streak: float


def _flattened(values: np.ndarray, mask: np.ndarray, pixel: PixelSize) -> np.ndarray:
    """Subtract the local mean inside of the mask; 0 outside, so that the outline's own contrast has no fringes."""
    sigma = [BACKGROUND_SIGMA_NM / size for size in pixel]
    inside = mask.astype(np.float32)
    values = (values - values[mask].mean()) * inside
    weight = ndimage.gaussian_filter(inside, sigma, mode="constant")
    mean = ndimage.gaussian_filter(values, sigma, mode="constant") / np.maximum(weight, 1e-3)
    return np.asarray((values - mean) * inside)


def _noise_power(flat: np.ndarray, n_pixels: int, frequencies: np.ndarray, pixel: PixelSize) -> np.ndarray:
    """Return the power per pixel of what is no reflection, at the frequencies: that of noise, carbon's included."""
    power = np.abs(scipy.fft.rfft2(flat)) ** 2 / n_pixels
    axes = frequencies_per_nm((flat.shape[0], flat.shape[1]), pixel)
    radius = np.hypot(axes[0][:, None], axes[1])
    width = max(NOISE_RING_PER_NM, float(axes[1][1]) if axes[1].size > 1 else 0.0)
    # noise is exponentially distributed, and its median is ln 2 of its mean; reflections hardly move it
    rings = [power[np.abs(radius - f) <= width] for f in frequencies]
    floor = max(float(power.max()) * 1e-9, float(np.finfo(np.float32).tiny))
    return np.array([max(float(np.median(ring)) / np.log(2) if ring.size else 0.0, floor) for ring in rings])


def _normals(reflections: Sequence[Reflection]) -> list[float]:
    """Return the directions (°, 90 to 270) that planes can have, strong reflections first.

    Those of reflections, and of the sums and differences of two of the three strongest: the plane's own reflection may
    be weak.
    """
    vectors = [(r.frequency_y_per_nm, r.frequency_x_per_nm) for r in reflections]
    first = [np.array(v) for v in vectors[:3]]
    pairs = [a + sign * b for i, a in enumerate(first) for b in first[:i] for sign in (-1, 1)]
    longest = MIN_SHARE_OF_SPACING**-1 * min(np.hypot(*v) for v in vectors)
    normals: list[float] = []
    for y, x in [*vectors, *pairs]:
        direction = float(np.degrees(np.arctan2(-y, x)) % 180)
        new = all(_between_deg(direction, other) > MIN_NORMAL_SEPARATION_DEG for other in normals)
        if new and np.hypot(y, x) <= longest:
            normals.append(direction)
    return [n if n >= 90 else n + 180 for n in normals]


def _without_side_lobes(reflections: Sequence[Reflection], area_nm2: float) -> list[Reflection]:
    """Return the strongest reflections, without those so near to a stronger one that they are part of it."""
    near = min(SIDE_LOBE_SIZES / float(np.sqrt(area_nm2)), MAX_SIDE_LOBE_PER_NM)
    kept: list[Reflection] = []
    for r in sorted(reflections, key=lambda r: -r.snr):
        y, x = r.frequency_y_per_nm, r.frequency_x_per_nm
        distances = [
            np.hypot(y - sign * k.frequency_y_per_nm, x - sign * k.frequency_x_per_nm) for k in kept for sign in (1, -1)
        ]
        if min(distances, default=np.inf) > near:
            kept.append(r)
    return kept[:MAX_REFLECTIONS]


def _between_deg(a: float, b: float) -> float:
    """Return the angle between two lines (°)."""
    return abs((a - b + 90) % 180 - 90)


def _profiles(particle: _Particle, normal_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum over lines normal to a direction: place (bin,) in nm, pixels (bin,), profile (reflection, bin)."""
    angle = np.deg2rad(normal_deg)
    along = np.cos(angle) * particle.x_nm - np.sin(angle) * particle.y_nm
    start = float(along.min())
    number = ((along - start) / particle.bin_nm).astype(np.int64)
    count = np.bincount(number)
    sums = [np.bincount(number, w.real) + 1j * np.bincount(number, w.imag) for w in particle.waves]
    filled = count > 0
    place = start + (np.arange(count.size) + 0.5) * particle.bin_nm
    return place[filled], count[filled].astype(float), np.array(sums)[:, filled]


def _best_plane(particle: _Particle, normal_deg: float) -> _Plane | None:
    """Fit profiles with one constant and with two, for every place of the plane."""
    directions = [r.direction_deg for r in particle.reflections]
    own = np.array([_between_deg(d, normal_deg) < PARALLEL_DEG for d in directions])
    if own.all():
        return None
    place, count, profile = _profiles(particle, normal_deg)
    cumulated = np.cumsum(count)
    before, behind = cumulated[:-1], cumulated[-1] - cumulated[:-1]
    allowed = np.minimum(before, behind) >= MIN_SIDE_SHARE * cumulated[-1]
    if not allowed.any():
        return None
    size = float(place[-1] - place[0])
    turns = np.arange(-MAX_RAMP_TURNS, MAX_RAMP_TURNS + 0.01, RAMP_STEP_TURNS)
    ramped = profile[:, None] * np.exp((-2j * np.pi / size) * turns[:, None] * place)  # (reflection, slope, bin)
    sums = np.cumsum(ramped, axis=-1)
    whole = (np.abs(sums[..., -1]) ** 2).max(1)[:, None] / cumulated[-1]
    first, second = sums[..., :-1], sums[..., -1:] - sums[..., :-1]
    parts = np.abs(first) ** 2 / before + np.abs(second) ** 2 / behind
    best_slope = parts.argmax(1)[:, None]
    explained = np.take_along_axis(parts, best_slope, 1)[:, 0] / particle.noise  # (reflection, plane)
    extra = explained - whole / particle.noise
    joint = _gain(extra[~own].sum(0), explained[~own].sum(0), int((~own).sum()))
    at = int(np.argmax(np.where(allowed, joint, -1)))
    amplitudes = _amplitudes(place, count, profile, at, turns[best_slope[:, 0, at]] / size)
    return _Plane(
        normal_deg=normal_deg,
        offset_nm=float(place[at] + place[at + 1]) / 2,
        gain=float(joint[at]),
        snr=float(extra[~own, at].mean()),
        own=own,
        gains=_gain(extra[:, at], explained[:, at], 1),
        before=amplitudes[0],
        behind=amplitudes[1],
        streak=_streak(place, profile[~own], particle.noise[~own] * cumulated[-1], size),
    )


def _amplitudes(
    place: np.ndarray, count: np.ndarray, profile: np.ndarray, at: int, slope_per_nm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the complex amplitudes before and behind a plane; slopes are refined, whose errors would be steps."""
    reach = RAMP_STEP_TURNS / float(place[-1] - place[0])
    slopes = slope_per_nm[:, None] + np.linspace(-reach, reach, 17)
    ramped = profile[:, None] * np.exp(-2j * np.pi * slopes[..., None] * (place - place[at]))
    first, second = ramped[..., : at + 1].sum(-1), ramped[..., at + 1 :].sum(-1)
    n_first, n_second = count[: at + 1].sum(), count[at + 1 :].sum()
    best = (np.abs(first) ** 2 / n_first + np.abs(second) ** 2 / n_second).argmax(1)[:, None]
    return (
        np.take_along_axis(first, best, 1)[:, 0] / n_first,
        np.take_along_axis(second, best, 1)[:, 0] / n_second,
    )


def _gain(extra: np.ndarray, explained: np.ndarray, n: int) -> np.ndarray:
    """Return the share of power that needs the step, less what `n` reflections of noise would give."""
    return np.asarray(np.maximum(extra - NOISE_GAIN * n, 0) / (explained + NOISE_GAIN * n))


def _streak(place: np.ndarray, profile: np.ndarray, noise: np.ndarray, size: float) -> float:
    """Return the power along the normal over the peaks', without the noise's; 1.5 to 8 / size away from them."""
    distance = np.arange(-8, 8.01, 0.5)
    transform = np.exp((-2j * np.pi / size) * distance[:, None] * place)
    power = np.abs(profile @ transform.T) ** 2 / noise
    far = np.abs(distance) >= 1.5
    excess = np.maximum(power[:, far].mean(1) - 1, 0).sum()
    return float(excess / power[:, ~far].max(1).sum())


def _described(particle: _Particle, plane: _Plane, next_gain: float) -> PhaseStep:
    """Put the best plane into words."""
    before, behind = np.abs(plane.before), np.abs(plane.behind)
    steps = np.angle(plane.behind * plane.before.conj())
    asymmetry = (behind - before) / np.maximum(behind + before, np.finfo(float).tiny)
    values = zip(particle.reflections, plane.own, steps, asymmetry, plane.gains, strict=True)
    reflections = tuple(ReflectionStep(r, bool(o), float(s), float(a), float(g)) for r, o, s, a, g in values)
    return PhaseStep(
        angle_deg=plane.normal_deg - 90,
        offset_nm=plane.offset_nm,
        gain=plane.gain,
        snr=plane.snr,
        own_gain=float(plane.gains[plane.own].max(initial=0.0)),
        next_gain=next_gain,
        streak=plane.streak,
        reflections=reflections,
    )
