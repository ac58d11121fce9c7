"""Fit of `phase_step`: profiles of demodulated reflections along a normal, with one constant and with two."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array

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
    """Shape (reflection, block), complex64: sums of the image times exp(−2πi g·r)."""
    noise: np.ndarray
    """Shape (reflection, 1): noise power per pixel at the frequency of the reflection."""
    reflections: Sequence[Reflection]
    """The reflections."""
    bin_nm: float
    """Width of the bins of a profile (nm)."""

    @functools.cached_property
    def components(self) -> np.ndarray:
        """Shape (block, 2 × reflection), float64: real and imaginary parts of the waves, summed along every normal."""
        return np.ascontiguousarray(np.concatenate([self.waves.real, self.waves.imag]).T, dtype=np.float64)

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
        step = max(1, int(BLOCK_NM / pixel[0])), max(1, int(BLOCK_NM / pixel[1]))
        padding = [(0, -n % block) for n, block in zip(fringes.mask.shape, step, strict=True)]
        flat, inside = np.pad(fringes.flat, padding), np.pad(fringes.mask, padding)
        center = [(n - 1) / 2 for n in fringes.mask.shape]
        y, x = ((np.arange(n) - middle) * size for n, middle, size in zip(flat.shape, center, pixel, strict=True))
        g = np.array([[r.frequency_y_per_nm, r.frequency_x_per_nm] for r in reflections])
        # the wave is a product of one factor per row and one per column: an exponential of each pixel is slow
        along_y, along_x = (
            np.exp(-2j * np.pi * g[:, k : k + 1] * at).astype(np.complex64) for k, at in enumerate((y, x))
        )
        waves = np.stack(
            [
                _sums(_sums(flat * across, step[1], axis=1) * down[:, None], step[0], axis=0)
                for down, across in zip(along_y, along_x, strict=True)
            ]
        )
        count = _sums(_sums(inside.astype(float), step[1], axis=1), step[0], axis=0)
        i, j = np.nonzero(count)
        y, x = (_sums(at, block, axis=0) / block for at, block in zip((y, x), step, strict=True))
        noise = fringes.noise_power(np.hypot(*g.T))
        bin_nm = max(BIN_NM, 1.5 * max(pixel))
        return cls(y[i], x[j], count[i, j], waves[:, i, j], noise[:, None], reflections, bin_nm)


def _sums(values: np.ndarray, n: int, *, axis: int) -> np.ndarray:
    """Return the sums of each n values along an axis, whose length is a multiple of n."""
    every = [values[(slice(None),) * axis + (slice(k, None, n),)] for k in range(n)]
    return np.asarray(functools.reduce(np.add, every))


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
    strongest = [np.array(v) for v in vectors[:3]]
    pairs = [a + sign * b for i, a in enumerate(strongest) for b in strongest[:i] for sign in (-1, 1)]
    longest = MIN_SHARE_OF_SPACING**-1 * min(np.hypot(*v) for v in vectors)
    normals: list[float] = []
    for y, x in [*vectors, *pairs]:
        direction = float(np.degrees(np.arctan2(-y, x)) % 180)
        new = all(between_deg(direction, other) > MIN_NORMAL_SEPARATION_DEG for other in normals)
        if new and np.hypot(y, x) <= longest:
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
    """Shape (reflection, bin), complex128: sums of the waves."""


def _profiles(particle: DemodulatedParticle, normals_deg: Sequence[float]) -> list[_Profile]:
    """Sum the waves over lines perpendicular to each normal."""
    angles = np.deg2rad(np.asarray(normals_deg))[:, None]
    along = np.cos(angles) * particle.x_nm - np.sin(angles) * particle.y_nm
    start = along.min(axis=1, keepdims=True)
    number = ((along - start) / particle.bin_nm).astype(np.int32)
    bounds = np.append(0, np.cumsum(number.max(axis=1) + 1)).astype(np.int32)
    number += bounds[:-1, None]
    pixels = np.broadcast_to(particle.n_pixels, number.shape)
    count = np.bincount(number.ravel(), weights=pixels.ravel(), minlength=bounds[-1])
    # one sparse product for all adds the same numbers in the same order as a `numpy.bincount` for each wave
    columns = np.arange(0, number.size + 1, len(number), dtype=np.int32)
    entries = (np.ones(number.size), np.ascontiguousarray(number.T).reshape(-1), columns)
    real, imaginary = np.split((csc_array(entries, shape=(count.size, number.shape[1])) @ particle.components).T, 2)
    found = []
    for k, (first, last) in enumerate(itertools.pairwise(bounds.tolist())):
        filled = first + np.flatnonzero(count[first:last])
        position = start[k, 0] + (filled - first + 0.5) * particle.bin_nm
        waves = real[:, filled] + 1j * imaginary[:, filled]
        found.append(_Profile(float(normals_deg[k]), position, count[filled], waves))
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


@dataclass(frozen=True)
class _Fit:
    """The best position of a plane along one normal; what only the best of all planes needs is computed last."""

    normal_deg: float
    own: np.ndarray
    position: np.ndarray
    count: np.ndarray
    profile: np.ndarray
    at: int
    gain: float
    extra: np.ndarray
    explained: np.ndarray
    turns: np.ndarray

    def plane(self, particle: DemodulatedParticle) -> FittedPlane:
        """Describe the plane."""
        size = float(self.position[-1] - self.position[0])
        before, behind = _amplitudes(self.position, self.count, self.profile, self.at, self.turns / size)
        inclined = ~self.own
        share = float(self.count[: self.at + 1].sum() / self.count.sum())
        return FittedPlane(
            normal_deg=self.normal_deg,
            offset_nm=float(self.position[self.at] + self.position[self.at + 1]) / 2,
            smaller_side=min(share, 1 - share),
            gain=self.gain,
            snr=float(self.extra[inclined].mean()),
            own=self.own,
            gains=_gain(self.extra, self.explained, 1),
            before=before,
            behind=behind,
            streak=_streak(self.position, self.profile[inclined], particle.noise[inclined] * self.count.sum(), size),
        )


def _best_position(particle: DemodulatedParticle, profile: _Profile, own: np.ndarray) -> _Fit | None:
    """Fit a profile with one constant and with two, for every position of the plane.

    `own` says which reflections belong to the plane itself. None if no position leaves enough of the particle on both
    sides.
    """
    normal_deg, position, count, waves = profile
    cumulated = np.cumsum(count)
    before, behind = cumulated[:-1], cumulated[-1] - cumulated[:-1]
    allowed = np.minimum(before, behind) >= MIN_SIDE_SHARE * cumulated[-1]
    if not allowed.any():
        return None
    size = float(position[-1] - position[0])
    turns = np.arange(-MAX_RAMP_TURNS, MAX_RAMP_TURNS + 0.01, RAMP_STEP_TURNS)
    real, imaginary = _ramped_sums(waves, (2 * np.pi / size) * turns[:, None] * position)
    whole = (real[..., -1] ** 2 + imaginary[..., -1] ** 2).max(1)[:, None] / cumulated[-1]
    first = real[..., :-1] ** 2 + imaginary[..., :-1] ** 2
    second = (real[..., -1:] - real[..., :-1]) ** 2 + (imaginary[..., -1:] - imaginary[..., :-1]) ** 2
    parts = first / before + second / behind
    best_slope = parts.argmax(1)[:, None]
    explained = np.take_along_axis(parts, best_slope, 1)[:, 0] / particle.noise  # (reflection, plane)
    extra = explained - whole / particle.noise
    joint = _gain(extra[~own].sum(0), explained[~own].sum(0), int((~own).sum()))
    at = int(np.argmax(np.where(allowed, joint, -1)))
    return _Fit(
        normal_deg=normal_deg,
        own=own,
        position=position,
        count=count,
        profile=waves,
        at=at,
        gain=float(joint[at]),
        extra=extra[:, at],
        explained=explained[:, at],
        turns=turns[best_slope[:, 0, at]],
    )


def _ramped_sums(profile: np.ndarray, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return real and imaginary parts of the sums up to each bin of profile × exp(−i phase).

    Complex products take four times as long. Shapes: profile (reflection, bin), phase (slope, bin), sums (reflection,
    slope, bin).
    """
    cosine, sine = np.cos(phase), np.sin(phase)
    a, b = profile.real.copy()[:, None], profile.imag.copy()[:, None]
    return np.cumsum(a * cosine + b * sine, axis=-1), np.cumsum(b * cosine - a * sine, axis=-1)


def _amplitudes(
    position: np.ndarray, count: np.ndarray, profile: np.ndarray, at: int, slope_per_nm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the complex amplitudes before and behind a plane.

    Slopes are refined first, because their errors would appear as steps.
    """
    reach = RAMP_STEP_TURNS / float(position[-1] - position[0])
    turns = -2j * np.pi * (position - position[at])
    found = profile * np.exp(slope_per_nm[:, None] * turns)
    ramped = found[:, None] * np.exp(np.linspace(-reach, reach, 17)[:, None] * turns)
    first, second = ramped[..., : at + 1].sum(-1), ramped[..., at + 1 :].sum(-1)
    n_first, n_second = count[: at + 1].sum(), count[at + 1 :].sum()
    best = (_power(first) / n_first + _power(second) / n_second).argmax(1)[:, None]
    return (
        np.take_along_axis(first, best, 1)[:, 0] / n_first,
        np.take_along_axis(second, best, 1)[:, 0] / n_second,
    )


def _power(amplitude: np.ndarray) -> np.ndarray:
    """Return squared magnitudes, without the square root of `numpy.abs`."""
    return np.asarray(np.square(amplitude.real) + np.square(amplitude.imag))


def _gain(extra: np.ndarray, explained: np.ndarray, n: int) -> np.ndarray:
    """Return the share of power that needs the step, minus the share in `n` reflections of noise alone."""
    return np.asarray(np.maximum(extra - NOISE_GAIN * n, 0) / (explained + NOISE_GAIN * n))


def _streak(position: np.ndarray, profile: np.ndarray, noise: np.ndarray, size: float) -> float:
    """Return the power along the normal, 1.5/size to 8/size from the peaks and without noise, relative to the peaks."""
    distance = np.arange(-8, 8.01, 0.5)
    transform = np.exp((-2j * np.pi / size) * distance[:, None] * position)
    power = _power(profile @ transform.T) / noise
    far = np.abs(distance) >= 1.5
    excess = np.maximum(power[:, far].mean(1) - 1, 0).sum()
    peaks = float(power[:, ~far].max(1).sum())
    return float(excess) / peaks if peaks > 0 else 0.0
