"""Fit of the pattern of a zone axis to the reflections found, behind `zone_axis`.

Each zone axis predicts a lattice of reflections (`zone_patterns`). For each axis the best rotation of its pattern is
searched, and the patterns are compared by the logarithm of the likelihood of the reflections found:

- *Explained.* A reflection is drawn from the pattern, with an error of position by the size of the particle and the
  strain of the lattice, or it comes from something else (a twin, a neighbor, the streak of a fault) with a uniform
  distribution over the plane [1]. A dense pattern spreads its probability over many positions, so it does not win by
  explaining everything.
- *Missing.* The lens transfers reflections of equal frequency and strength equally, so if one of them is found, its
  symmetric mates must be found, too. If none is found, the lens may have a zero there [2], and this costs less.

The weight of a reflection is the probability that it is not noise, which grows with the logarithm of its SNR up to 1.
The hypothesis that no pattern fits and positions are random has the likelihood 1; a confident result needs a larger
one.

References
----------
[1] Fraley & Raftery, J. Am. Stat. Assoc. 97 (2002) 611: mixture with a uniform component for what does not belong.
[2] Williams & Carter, Transmission Electron Microscopy, 2nd ed., Springer 2009, chapter 28: contrast transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.crystals.zone_patterns import ZonePattern
from hrtem_dask.fourier.lattice import Reflection
from hrtem_dask.fourier.on_zone_score import evidence, position_errors_per_nm

__all__ = ["FoundReflections", "PatternFit", "best_rotation"]

FOREIGN_SHARE = 0.15
"""Expected share of reflections that do not belong to the lattice."""
MISSING_MATE = 1.5
"""Cost of a missing symmetric mate of a reflection with evidence 1 (in the logarithm of the likelihood)."""
MISSING_RING = 1.0
"""Cost of missing all rings of the pattern; a single ring costs its share of the strength of the pattern."""
GATE = 3.0
"""A reflection farther than this many errors of position from all positions of a pattern does not belong to it."""
_PLANE_PER_NM2 = 100.0
"""Area of the half disk of radius 8 1/nm, over which foreign reflections are distributed (1/nm²)."""
_FLOOR = 0.02
"""Weight added to each position of a pattern, for dynamical diffraction and other errors of kinematic strengths."""
_SEEDS = 6
"""Number of strongest reflections from which the rotations to try are derived."""
_ROTATION_STEP_DEG = 0.35
"""Rotations nearer to each other than this are tried once."""


@dataclass(frozen=True)
class FoundReflections:
    """The reflections found, as arrays."""

    position: np.ndarray
    """Shape (peak, 2): right and up (1/nm)."""
    weight: np.ndarray
    """Shape (peak,): evidence, 0 to 1."""
    error: np.ndarray
    """Shape (peak,): standard deviation of each component of the position (1/nm)."""

    @classmethod
    def from_reflections(cls, reflections: Sequence[Reflection], size_nm: float) -> FoundReflections:
        """Return the arrays of a list of reflections.

        Parameters
        ----------
        reflections : sequence of Reflection
            From `find_reflections`.
        size_nm : float
            Size of the crop (nm).

        Returns
        -------
        FoundReflections
            Positions, evidence and errors.
        """
        position = np.array([(r.frequency_x_per_nm, -r.frequency_y_per_nm) for r in reflections]).reshape(-1, 2)
        snr = np.array([r.snr for r in reflections])
        return cls(position, evidence(snr), position_errors_per_nm(position, size_nm))


@dataclass(frozen=True)
class PatternFit:
    """A pattern at its best rotation."""

    pattern: ZonePattern
    """The pattern."""
    positions: np.ndarray
    """Shape (position, 2): the pattern, mirrored or not, without rotation (1/nm)."""
    rotation: float
    """Counter-clockwise rotation (rad)."""
    score: float
    """Logarithm of the likelihood."""
    nearest: np.ndarray
    """Shape (peak,), int: index of the nearest position."""
    explained: np.ndarray
    """Shape (peak,), bool: whether the peak belongs to the pattern."""


def best_rotation(pattern: ZonePattern, found: FoundReflections, *, prior: float = 0.0) -> PatternFit | None:
    """Fit a pattern, and its mirror image if that differs.

    Parameters
    ----------
    pattern : ZonePattern
        Pattern of a zone axis.
    found : FoundReflections
        Reflections found.
    prior : float
        Logarithm of the prior probability, added to the score.

    Returns
    -------
    PatternFit or None
        The rotation with the largest score; None if no reflection agrees in frequency.
    """
    best: PatternFit | None = None
    for mirror in (1,) if pattern.has_mirror else (1, -1):
        positions = pattern.frequency_per_nm * np.array([1, mirror])
        rotations = _rotations(pattern, positions, found)
        if not rotations.size:
            continue
        distance = _distances(positions, rotations, found)
        scores = _scores(pattern, distance, found) + prior
        k = int(scores.argmax())
        if best is None or scores[k] > best.score:
            nearest, explained = distance[k].argmin(axis=1), distance[k].min(axis=1) < GATE**2
            best = PatternFit(pattern, positions, rotations[k], float(scores[k]), nearest, explained)
    return best


def _rotations(pattern: ZonePattern, positions: np.ndarray, found: FoundReflections) -> np.ndarray:
    """Return the rotations (radians) that bring an allowed reflection to a strong one found at its frequency."""
    frequency, known = np.hypot(*found.position[:_SEEDS].T), np.hypot(*positions.T)
    near = np.abs(frequency[:, None] - known) < GATE * found.error[:_SEEDS, None]
    i, j = np.nonzero(near & (pattern.weight > 0))
    turn = np.arctan2(found.position[i, 1], found.position[i, 0]) - np.arctan2(positions[j, 1], positions[j, 0])
    step = np.radians(_ROTATION_STEP_DEG)
    return np.asarray(np.unique(np.round(turn % np.pi / step)) * step)


def _distances(positions: np.ndarray, rotations: np.ndarray, found: FoundReflections) -> np.ndarray:
    """Return squared distances of peaks from positions or their mates, in errors: (rotation, peak, position)."""
    rotated = np.exp(1j * rotations)[:, None, None] * (positions @ [1, 1j])
    peaks = (found.position @ [1, 1j])[:, None]
    squared = np.square(np.minimum(np.abs(peaks - rotated), np.abs(peaks + rotated)))
    return np.asarray(squared / np.square(found.error)[:, None])


def _scores(pattern: ZonePattern, distance: np.ndarray, found: FoundReflections) -> np.ndarray:
    """Return the logarithm of the likelihood of each rotation."""
    prior = (pattern.weight + _FLOOR) / (pattern.weight + _FLOOR).sum()
    density = np.exp(-0.5 * distance) @ prior / (2 * np.pi * np.square(found.error))
    ratio = FOREIGN_SHARE + (1 - FOREIGN_SHARE) * density * _PLANE_PER_NM2
    explained = np.log1p(found.weight * (ratio - 1)).sum(axis=1)
    # a position is seen if a peak is near; within one error it is seen completely
    near = np.exp(-0.5 * np.maximum(distance - 1, 0)) * (distance < GATE**2)
    seen = (near * found.weight[:, None]).max(axis=1)  # (rotation, position)
    loss = np.zeros(len(distance))
    for ring in np.unique(pattern.ring[pattern.ring >= 0]):
        members = pattern.ring == ring
        brightest = seen[:, members].max(axis=1)
        if not pattern.streak[members].any():
            loss += MISSING_MATE * (brightest[:, None] - seen[:, members]).sum(axis=1)
        loss += MISSING_RING * pattern.weight[members].sum() * (1 - brightest)
    return np.asarray(explained - loss)
