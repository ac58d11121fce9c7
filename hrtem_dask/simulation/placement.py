"""Positions of particles: separate on the film, or touching and overlapping one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.simulation.particles import SimulatedParticle, draw_particle
from hrtem_dask.simulation.ranges import SimulationRanges, draw

__all__ = ["Placed", "place_particles"]

MAX_PLACING_TRIALS = 60
"""Positions tried for one particle."""
MAX_FAILURES = 3
"""Particles without a free position after which the field is full."""
FREE_GAP_NM = 0.5
"""Smallest distance of particles that do not touch."""


@dataclass(frozen=True)
class Placed:
    """A particle and its position."""

    particle: SimulatedParticle
    """Atoms and truth."""
    center_nm: tuple[float, float]
    """Position (y, x) of its center from the upper left corner of the image (nm)."""


def place_particles(
    rng: np.random.Generator, ranges: SimulationRanges, material: str, field_nm: tuple[float, float]
) -> list[Placed]:
    """Draw particles until the drawn coverage is reached.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    ranges : SimulationRanges
        Ranges of size and coverage, and the fraction that touches.
    material : str
        Name of a known crystal.
    field_nm : tuple of float
        Height and width of the image (nm).

    Returns
    -------
    list of Placed
        One particle or more, unless none finds a position. The center of a particle is at most half its equivalent
        radius outside of the image.
    """
    aim = draw(rng, ranges.coverage) * field_nm[0] * field_nm[1]
    median = draw(rng, ranges.median_diameter_nm, logarithmic=True)
    placed: list[Placed] = []
    covered, failures = 0.0, 0
    while (covered < aim or not placed) and failures < MAX_FAILURES:
        diameter = float(np.clip(median * np.exp(rng.normal(0, ranges.diameter_spread)), *ranges.diameter_limits_nm))
        particle = draw_particle(rng, ranges, material, diameter)
        center = _find_position(rng, particle, placed, field_nm, touching=rng.random() < ranges.touching_fraction)
        if center is None:
            failures += 1
            continue
        placed.append(Placed(particle, center))
        covered += np.pi * particle.equivalent_radius_nm**2
    return placed


def _find_position(
    rng: np.random.Generator,
    particle: SimulatedParticle,
    placed: Sequence[Placed],
    field_nm: tuple[float, float],
    *,
    touching: bool,
) -> tuple[float, float] | None:
    """Find a position (y, x) for the center of a particle, free or touching another one; None if there is none."""
    r = particle.equivalent_radius_nm
    for _ in range(MAX_PLACING_TRIALS):
        if touching and placed:
            other = placed[int(rng.integers(len(placed)))]
            distance = (r + other.particle.equivalent_radius_nm) * rng.uniform(0.75, 1.05)
            angle = rng.uniform(0, 2 * np.pi)
            y, x = other.center_nm[0] + distance * np.sin(angle), other.center_nm[1] + distance * np.cos(angle)
            others = [p for p in placed if p is not other]
        else:
            y, x = (rng.uniform(-0.5 * r, n + 0.5 * r) for n in field_nm)
            others = list(placed)
        within = all(-0.5 * r <= c <= n + 0.5 * r for c, n in zip((y, x), field_nm, strict=True))
        reach = particle.radius_nm + FREE_GAP_NM
        if within and all(
            np.hypot(y - p.center_nm[0], x - p.center_nm[1]) > reach + p.particle.radius_nm for p in others
        ):
            return float(y), float(x)
    return None
