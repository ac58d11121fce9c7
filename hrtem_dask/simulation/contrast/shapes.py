"""Shapes by name: each makes bodies of one habit, at any size, turned at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hrtem_dask.simulation.contrast.bodies import (
    N_DIRECTIONS,
    Body,
    box,
    capsule,
    ellipsoid,
    polygon_plate,
    scaled,
    star,
    superellipsoid,
    with_core,
)
from hrtem_dask.simulation.contrast.polyhedra import (
    CUBE,
    polyhedron,
    prism,
    random_corners,
    tilted,
    truncated_octahedron,
)

__all__ = ["SHAPES", "Habit", "make_body"]


@dataclass(frozen=True)
class Habit:
    """What the particles of one micrograph have in common."""

    aspect: float = 2.5
    """Length of rods over their width."""
    roundness: float = 0.5
    """0: sharp edges, 1: rounded ones."""
    core: float = 0.65
    """Size of a core or hollow over the whole."""
    core_density: float = 3.0
    """Density of a core over that of the shell."""
    roughness: float = 0.06
    """Standard deviation of an irregular outline over its radius."""
    tilt_deg: float = 10.0
    """Faceted particles are tilted by at most this (°)."""


def make_body(rng: np.random.Generator, shape: str, habit: Habit, diameter_px: float, turn: float) -> Body:
    """Make a body of a named shape.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness: two bodies of one habit are alike, not the same.
    shape : str
        A name in `SHAPES`.
    habit : Habit
        What the micrograph's particles have in common.
    diameter_px : float
        Equivalent diameter of the projected outline (px).
    turn : float
        Direction of its long axis (rad), where it has one.

    Returns
    -------
    Body
        The body, in px.
    """
    return scaled(SHAPES[shape](rng, habit, turn), diameter_px)


def _sphere(_rng: np.random.Generator, _habit: Habit, _turn: float) -> Body:
    return ellipsoid(1, 1, 1)


def _ellipsoid(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    aspect = 1.05 + 0.12 * habit.aspect * rng.uniform(0.5, 1.5)
    return ellipsoid(aspect, 1, rng.uniform(0.8, 1.1), turn)


def _rod(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    return capsule(_aspect(rng, habit) - 1, 1, turn)


def _flat_rod(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    return box(_aspect(rng, habit), 1, 0.1 + 0.5 * habit.roundness, turn)


def _cube(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    if habit.roundness > 0.3:
        return polygon_plate(_turned(_square(1.0), turn), thickness_px=2.0, corner=0.4 * habit.roundness)
    return polyhedron(tilted(rng, CUBE * [1, rng.uniform(0.9, 1.1), 1], habit.tilt_deg))


def _rounded_cube(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    a, b = 1.0, rng.uniform(0.85, 1)
    return superellipsoid(a, b, rng.uniform(0.85, 1), 7 - 4 * habit.roundness + rng.uniform(0, 1), turn)


def _triangle(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    corners = _turned(_ring(rng, 3, 0.06), turn)
    return polygon_plate(corners, thickness_px=0.5, corner=0.02 + 0.3 * habit.roundness, bevel=0.2 * rng.random())


def _hexagon(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    if habit.roundness < 0.4:
        return polyhedron(tilted(rng, prism(6, 1.2), habit.tilt_deg))
    return polygon_plate(_turned(_ring(rng, 6, 0.04), turn), thickness_px=0.6, corner=0.1 * habit.roundness)


def _disk(rng: np.random.Generator, _habit: Habit, turn: float) -> Body:
    return ellipsoid(1, rng.uniform(0.85, 1), 0.3, turn, plate=True)


def _polygon(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    corners = _turned(_ring(rng, int(rng.integers(4, 9)), 0.25), turn)
    return polygon_plate(corners, thickness_px=1.0, corner=0.15 * habit.roundness, bevel=rng.uniform(0, 0.4))


def _blob(rng: np.random.Generator, habit: Habit, _turn: float) -> Body:
    radius = _wavy(rng, first=2, last=6, amplitude=0.1 + 1.5 * habit.roughness)
    return star(radius, height=1.2, edge=float(rng.choice([0.25, 0.5, 0.8])))


def _rough(rng: np.random.Generator, habit: Habit, _turn: float) -> Body:
    large = _wavy(rng, first=2, last=4, amplitude=0.05)
    return star(large * _wavy(rng, first=8, last=30, amplitude=0.5 * habit.roughness), height=2, edge=0.5)


def _core_shell(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    whole = ellipsoid(rng.uniform(1, 1.15), 1, 1, turn)
    if habit.roundness < 0.25:
        whole = superellipsoid(1, 1, 1, 5, turn)
    shift = rng.normal(0, 0.15, 2) * (1 - habit.core)
    core = float(np.clip(habit.core * rng.uniform(0.92, 1.06), 0.2, 0.9))
    return with_core(whole, ratio=core, density=habit.core_density, shift=tuple(shift))


def _hollow(rng: np.random.Generator, habit: Habit, turn: float) -> Body:
    whole = ellipsoid(rng.uniform(1, 1.1), 1, 1, turn)
    if habit.roundness < 0.25:
        whole = superellipsoid(1, 1, 1, 6, turn)
    shift = rng.normal(0, 0.1, 2) * (1 - habit.core)
    return with_core(whole, ratio=float(np.clip(habit.core + 0.1, 0.4, 0.92)), density=0.0, shift=tuple(shift))


def _octahedron(rng: np.random.Generator, habit: Habit, _turn: float) -> Body:
    return polyhedron(tilted(rng, truncated_octahedron(0.02 + 0.3 * habit.roundness), 90))


def _faceted(rng: np.random.Generator, _habit: Habit, _turn: float) -> Body:
    return polyhedron(tilted(rng, random_corners(rng, int(rng.integers(10, 24)), flatness=rng.uniform(0.5, 1)), 180))


SHAPES: Mapping[str, Callable[[np.random.Generator, Habit, float], Body]] = {
    "sphere": _sphere,
    "ellipsoid": _ellipsoid,
    "rod": _rod,
    "flat_rod": _flat_rod,
    "cube": _cube,
    "rounded_cube": _rounded_cube,
    "triangle": _triangle,
    "hexagon": _hexagon,
    "disk": _disk,
    "polygon": _polygon,
    "blob": _blob,
    "rough": _rough,
    "core_shell": _core_shell,
    "hollow": _hollow,
    "octahedron": _octahedron,
    "faceted": _faceted,
}
"""Shape → what makes a body of any size."""


def _aspect(rng: np.random.Generator, habit: Habit) -> float:
    """Draw a rod's length over its width."""
    return float(np.clip(habit.aspect * np.exp(rng.normal(0, 0.1)), 1.2, 8.0))


def _square(half: float) -> np.ndarray:
    return np.array([[-half, -half], [-half, half], [half, half], [half, -half]])


def _ring(rng: np.random.Generator, n: int, disorder: float) -> np.ndarray:
    """Return n corners on a circle, their directions disordered: a convex polygon."""
    angle = (np.arange(n) + rng.uniform(-disorder, disorder, n)) * (2 * np.pi / n)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _turned(points: np.ndarray, turn: float) -> np.ndarray:
    """Turn points (y, x) from +x towards +y."""
    c, s = np.cos(turn), np.sin(turn)
    return np.asarray(points @ np.array([[c, -s], [s, c]]))


def _wavy(rng: np.random.Generator, *, first: int, last: int, amplitude: float) -> np.ndarray:
    """Draw a radius near 1 from harmonics of the direction."""
    angle = np.arange(N_DIRECTIONS) * (2 * np.pi / N_DIRECTIONS)
    order = np.arange(first, last + 1)
    weight = rng.standard_normal(len(order)) / np.sqrt(order / first)
    wave = (weight[:, None] * np.cos(order[:, None] * angle + rng.uniform(0, 2 * np.pi, (len(order), 1)))).sum(axis=0)
    return np.asarray(np.maximum(1 + amplitude * wave / max(float(np.sqrt((weight**2).sum() / 2)), 1e-9), 0.35))
