"""Fit of `phase_step`: profiles of demodulated reflections along a normal, with one constant and with two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hrtem_dask.fourier.compiled.demodulation import block_waves, line_sums
from hrtem_dask.fourier.compiled.plane_profiles import amplitudes, best_position, streak_powers, two_constants
from hrtem_dask.fourier.fringes import Fringes
from hrtem_dask.fourier.lattice import Reflection
from hrtem_dask.fourier.pattern import between_deg

__all__ = ["DemodulatedParticle", "FittedPlane", "best_planes", "plane_normals"]

PARALLEL_DEG = 8.0
"""Reflections within this angle of the normal belong to the plane itself: a fault does not shift them."""
MIN_NORMAL_SEPARATION_DEG = 4.0
"""Smallest angle between normals that are tried."""
MIN_SHARE_OF_SPACING = 0.6
"""Smallest spacing of planes that are tried, as a share of the largest one: close-packed planes are near 1."""
MIN_SIDE_SHARE = 0.12
"""Smallest share of the particle on each side of the plane."""
MAX_RAMP_TURNS = 1.0
"""Largest refinement of the position of a reflection, in turns of phase across the particle."""
RAMP_STEP_TURNS = 0.125
"""Step of the refinement."""
BLOCK_NM = 0.06
"""Pixels smaller than half of this (nm) are summed in blocks of at most this side after they are demodulated, since the
waves change slowly."""
BIN_NM = 0.1
"""Smallest width of the bins of a profile."""
_TURNS = np.arange(-MAX_RAMP_TURNS, MAX_RAMP_TURNS + 0.01, RAMP_STEP_TURNS)
_DISTANCES = np.arange(-8, 8.01, 0.5)
NOISE_GAIN = 4.0
"""Gain of one reflection in noise alone, in units of the noise, by the choice of the best plane and slope."""


@dataclass(frozen=True)
class DemodulatedParticle:
    """A particle's pixels, in small blocks, demodulated by each reflection."""

    y_nm: np.ndarray
    """Shape (block,): distance from the center of the bounding box, downwards (nm)."""
    x_nm: np.ndarray
    """Shape (block,): distance from the center of the bounding box, to the right (nm)."""
    n_pixels: np.ndarray
    """Shape (block,), float64: pixels of the particle in each block, at least one."""
    waves: np.ndarray
    """Shape (block, reflection), complex128: sums of the image times exp(−2πi g·r)."""
    noise: np.ndarray
    """Shape (reflection,): noise power per pixel at the frequency of the reflection."""
    reflections: Sequence[Reflection]
    """The reflections."""
    bin_nm: float
    """Width of the bins of a profile (nm)."""

    @classmethod
    def from_fringes(cls, fringes: Fringes, reflections: Sequence[Reflection]) -> DemodulatedParticle:
        """Demodulate the pixels of a particle by each reflection.

        Parameters
        ----------
        fringes : Fringes
            The fringes of the particle.
        reflections : sequence of Reflection
            The reflections.

        Returns
        -------
        DemodulatedParticle
            Positions and complex waves of the blocks, and the noise.
        """
        pixel = fringes.pixel_size_nm
        block = max(1, int(BLOCK_NM / pixel[0])), max(1, int(BLOCK_NM / pixel[1]))
        g = [(r.frequency_y_per_nm, r.frequency_x_per_nm) for r in reflections]
        y, x, n_pixels, waves = block_waves(fringes.flat, fringes.mask, block, pixel, np.array(g))
        noise = fringes.noise_power(np.array([math.hypot(*one) for one in g]))
        return cls(y, x, n_pixels, waves, noise, reflections, max(BIN_NM, 1.5 * max(pixel)))


@dataclass(frozen=True)
class FittedPlane:
    """The best plane along one normal."""

    normal_deg: float
    """Direction of the normal (°), 90 to 270, so that the trace, 90° less, is 0 to 180."""
    offset_nm: float
    """Distance of the plane from the center of the bounding box, along the normal (nm)."""
    smaller_side: float
    """Share of the particle's pixels on the smaller side of the plane, 0 to 0.5."""
    gain: float
    """Gain of all inclined reflections together, 0 to 1."""
    snr: float
    """Power that needs the step, relative to the noise, per inclined reflection."""
    own: np.ndarray
    """Shape (reflection,), bool: whether the reflection belongs to the plane itself."""
    gains: np.ndarray
    """Shape (reflection,): gain of each reflection, 0 to 1."""
    before: np.ndarray
    """Shape (reflection,), complex: amplitude on the side of smaller offsets."""
    behind: np.ndarray
    """Shape (reflection,), complex: amplitude on the side of larger offsets."""
    streak: float
    """Power along the normal away from the peaks, relative to the peaks."""


def plane_normals(reflections: Sequence[Reflection]) -> list[float]:
    """Return the normals of possible planes, those of strong reflections first.

    They are the directions of the reflections, and of the sums and differences of two of the three strongest, because
    the reflection of the plane itself may be weak.

    Parameters
    ----------
    reflections : sequence of Reflection
        Reflections, largest SNR first.

    Returns
    -------
    list of float
        Directions of normals (°), 90 to 270.
    """
    vectors = [(r.frequency_y_per_nm, r.frequency_x_per_nm) for r in reflections]
    pairs = [
        (a[0] + sign * b[0], a[1] + sign * b[1])
        for i, a in enumerate(vectors[:3])
        for b in vectors[:i]
        for sign in (-1, 1)
    ]
    longest = MIN_SHARE_OF_SPACING**-1 * min(math.hypot(*v) for v in vectors)
    normals: list[float] = []
    for y, x in [*vectors, *pairs]:
        direction = math.degrees(math.atan2(-y, x)) % 180
        new = all(between_deg(direction, other) > MIN_NORMAL_SEPARATION_DEG for other in normals)
        if new and math.hypot(y, x) <= longest:
            normals.append(direction)
    return [n if n >= 90 else n + 180 for n in normals]


class _Profile(NamedTuple):
    """Sums over lines perpendicular to a normal; bins without a pixel are left out."""

    normal_deg: float
    """The normal (°)."""
    position: np.ndarray
    """Shape (bin,): position along the normal (nm)."""
    n_pixels: np.ndarray
    """Shape (bin,), float64: number of pixels."""
    waves: np.ndarray
    """Shape (bin, reflection), complex128: sums of the waves."""


def _profiles(particle: DemodulatedParticle, normals_deg: Sequence[float]) -> list[_Profile]:
    """Sum the waves over lines perpendicular to each normal."""
    starts, n_bins, counts, sums = line_sums(
        particle.x_nm, particle.y_nm, particle.n_pixels, particle.waves, np.radians(normals_deg), particle.bin_nm
    )
    found = []
    for k, (start, n) in enumerate(zip(starts.tolist(), n_bins.tolist(), strict=True)):
        filled = np.flatnonzero(counts[k, :n])
        position = start + (filled + 0.5) * particle.bin_nm
        found.append(_Profile(normals_deg[k], position, counts[k].take(filled), sums[k].take(filled, axis=0)))
    return found


def best_planes(particle: DemodulatedParticle, normals_deg: Sequence[float]) -> tuple[FittedPlane | None, float]:
    """Fit profiles along several normals, and describe the plane with the largest gain.

    Parameters
    ----------
    particle : DemodulatedParticle
        Pixels of the particle.
    normals_deg : sequence of float
        Directions of the planes' normals, counter-clockwise from +x on the screen (°).

    Returns
    -------
    plane : FittedPlane or None
        The best plane; None if there is none along any normal.
    next_gain : float
        Gain of the best plane along another normal; 0 without one.
    """
    directions = [r.direction_deg for r in particle.reflections]
    own = {n: np.array([between_deg(d, n) < PARALLEL_DEG for d in directions]) for n in normals_deg}
    inclined = [n for n in normals_deg if not own[n].all()]  # of others no reflection shows a fault
    profiles = _profiles(particle, inclined) if inclined else []
    fits = [fit for fit in (_best_position(particle, p, own[p.normal_deg]) for p in profiles) if fit is not None]
    if not fits:
        return None, 0.0
    fits.sort(key=lambda fit: -fit.gain)
    return fits[0].plane(particle), fits[1].gain if len(fits) > 1 else 0.0


class _Fit(NamedTuple):
    """The best position of a plane along one normal; what only the best of all planes needs is computed last."""

    profile: _Profile
    own: np.ndarray
    at: int
    gain: float

    def plane(self, particle: DemodulatedParticle) -> FittedPlane:
        """Describe the plane."""
        (normal_deg, position, count, waves), at, inclined = self.profile, self.at, ~self.own
        noise = particle.noise
        each = [two_constants(position, count, wave, _TURNS) for wave in np.ascontiguousarray(waves.T)]
        explained = np.array([power[at] for _, power, _ in each]) / noise
        extra = explained - np.array([whole for whole, _, _ in each]) / noise
        size = float(position[-1] - position[0])
        slopes = np.array([_TURNS[slope[at]] for _, _, slope in each]) / size
        before, behind = amplitudes(position, count, waves, at, slopes, RAMP_STEP_TURNS / size)
        share = float(count[: at + 1].sum() / count.sum())
        return FittedPlane(
            normal_deg=normal_deg,
            offset_nm=float(position[at] + position[at + 1]) / 2,
            smaller_side=min(share, 1 - share),
            gain=self.gain,
            snr=float(extra[inclined].mean()),
            own=self.own,
            gains=_gain(extra, explained, 1),
            before=before,
            behind=behind,
            streak=_streak(position, waves.T[inclined], noise[inclined] * count.sum(), size),
        )


def _best_position(particle: DemodulatedParticle, profile: _Profile, own: np.ndarray) -> _Fit | None:
    """Fit a profile with one constant and with two, for every position of the plane.

    `own` says which reflections belong to the plane itself. None if no position leaves enough of the particle on both
    sides.
    """
    _, position, count, waves = profile
    at, gain = best_position(position, count, waves, _TURNS, particle.noise, ~own, MIN_SIDE_SHARE, NOISE_GAIN)
    return _Fit(profile, own, at, gain) if at >= 0 else None


def _gain(extra: np.ndarray, explained: np.ndarray, n: int) -> np.ndarray:
    """Return the share of power that needs the step, minus the share in `n` reflections of noise alone."""
    return np.asarray(np.maximum(extra - NOISE_GAIN * n, 0) / (explained + NOISE_GAIN * n))


def _streak(position: np.ndarray, waves: np.ndarray, noise: np.ndarray, size: float) -> float:
    """Return the power along the normal, 1.5/size to 8/size from the peaks and without noise, relative to the peaks."""
    power = np.array([streak_powers(position, wave, _DISTANCES / size) for wave in waves]) / noise[:, None]
    far = np.abs(_DISTANCES) >= 1.5
    excess = np.maximum(power[:, far].mean(1) - 1, 0).sum()
    peaks = float(power[:, ~far].max(1).sum())
    return float(excess) / peaks if peaks > 0 else 0.0
