"""How rods lie: at random, crossed, bundled, aligned, in rafts or in clusters; some on end, some beside others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hrtem_dask.simulation.ranges import Range
from hrtem_dask.simulation.scenes.rods import Rod

__all__ = ["ARRANGEMENTS", "RodPlan", "arrange_rods"]

SAME_PLACE = 0.45
"""Centers nearer than this share of the width, in about one direction, would be one rod to any eye."""
SAME_DIRECTION_RAD = 0.26


@dataclass(frozen=True, kw_only=True)
class RodPlan:
    """Which rods a scene has; lengths in px."""

    size_px: int
    """Side of the field."""
    arrangement: str
    """A name in `ARRANGEMENTS`."""
    length_px: float
    """Median length."""
    aspect: float
    """Median length over width."""
    spread: float
    """Standard deviation of the logarithm of length and width."""
    length_limits_px: Range
    """No lying rod is shorter or longer."""
    aspect_limits: Range
    """No lying rod has an aspect ratio beyond."""
    width_limits_px: Range
    """No rod is thinner or wider."""
    profile: str
    """Cross section."""
    coverage: float
    """Sum of the rods' areas over that of the field."""
    max_rods: int
    """At most so many."""
    director_rad: float = 0.0
    """Direction of aligned rods (rad)."""
    end_on: float = 0.0
    """Share of the rods (or of the bundles) that stand on end."""
    neighbors: float = 0.0
    """Cubes and spheres over rods."""

    def rod(self, rng: np.random.Generator, y: float, x: float, angle: float) -> Rod:
        """Draw a rod.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        y, x : float
            Center (px).
        angle : float
            Direction (rad).

        Returns
        -------
        Rod
            A lying rod.
        """
        aspect = float(np.clip(self.aspect * np.exp(rng.normal(0, self.spread)), *self.aspect_limits))
        length = float(np.clip(self.length_px * np.exp(rng.normal(0, self.spread)), *self.length_limits_px))
        width = float(np.clip(length / aspect, self.width_limits_px[0], min(self.width_limits_px[1], length)))
        return Rod(y, x, length, width, angle % np.pi, self.profile, float(rng.uniform(0.05, 0.8)))


def arrange_rods(rng: np.random.Generator, plan: RodPlan) -> list[Rod]:
    """Place the rods of a scene.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    plan : RodPlan
        Which rods.

    Returns
    -------
    list of Rod
        Later ones lie above earlier ones; neighbors that are no rods among them.
    """
    aim = plan.coverage * plan.size_px**2
    kept: list[Rod] = []
    places = np.zeros((plan.max_rods + 1, 3))
    covered = 0.0
    for _ in range(4 * plan.max_rods):
        group = ARRANGEMENTS[plan.arrangement](rng, plan)
        if plan.end_on and rng.random() < plan.end_on:
            group = [_on_end(rng, rod) for rod in group]
        for rod in group:
            if len(kept) >= plan.max_rods or covered >= aim:
                break
            if not _in_reach(rod, plan.size_px) or _is_taken(rod, places[: len(kept)]):
                continue
            places[len(kept)] = rod.y_px, rod.x_px, rod.angle_rad
            kept.append(rod)
            covered += rod.area_px
        if len(kept) >= plan.max_rods or covered >= aim:
            break
    order = rng.permutation(len(kept))
    kept = [kept[k] for k in order]
    if plan.neighbors:
        kept = _with_neighbors(rng, kept, plan)
    return kept


def _in_reach(rod: Rod, size_px: int) -> bool:
    """Say whether a rod's center lies in the field or a little beyond."""
    beyond = 0.3 * rod.length_px
    return -beyond < rod.y_px < size_px + beyond and -beyond < rod.x_px < size_px + beyond


def _is_taken(rod: Rod, places: np.ndarray) -> bool:
    """Say whether nearly the same rod is there already."""
    near = np.hypot(places[:, 0] - rod.y_px, places[:, 1] - rod.x_px) < SAME_PLACE * rod.width_px
    turn = np.abs((places[:, 2] - rod.angle_rad + np.pi / 2) % np.pi - np.pi / 2)
    return bool((near & (turn < SAME_DIRECTION_RAD)).any())


def _anywhere(rng: np.random.Generator, plan: RodPlan) -> tuple[float, float]:
    """Draw a place in the field or a little beyond it."""
    beyond = 0.2 * plan.length_px
    y, x = rng.uniform(-beyond, plan.size_px + beyond, 2)
    return float(y), float(x)


def _random(rng: np.random.Generator, plan: RodPlan) -> list[Rod]:
    return [plan.rod(rng, *_anywhere(rng, plan), rng.uniform(0, np.pi))]


def _crossed(rng: np.random.Generator, plan: RodPlan) -> list[Rod]:
    """Two to four rods over one another, near one point."""
    y, x = _anywhere(rng, plan)
    angle, n = rng.uniform(0, np.pi), int(rng.integers(2, 5))
    turns = np.cumsum(rng.uniform(0.35, np.pi / 2, n))
    made = []
    for turn in turns:
        rod = plan.rod(rng, y, x, angle + turn)
        shift = rng.uniform(-0.45, 0.45) * rod.length_px
        made.append(_moved(rod, y + shift * np.sin(rod.angle_rad), x + shift * np.cos(rod.angle_rad)))
    return made


def _bundled(rng: np.random.Generator, plan: RodPlan) -> list[Rod]:
    """Rods side by side, touching or partly over one another."""
    y, x = _anywhere(rng, plan)
    angle, pitch, loose = rng.uniform(0, np.pi), rng.uniform(0.8, 1.15), rng.choice([0.01, 0.04, 0.12])
    made: list[Rod] = []
    away = 0.0
    for _ in range(int(rng.integers(2, 9))):
        rod = plan.rod(rng, y, x, angle + rng.normal(0, loose))
        away += pitch * rod.width_px / 2
        along = rng.normal(0, 0.12) * rod.length_px
        made.append(
            _moved(
                rod,
                y + away * np.cos(angle) + along * np.sin(angle),
                x - away * np.sin(angle) + along * np.cos(angle),
            )
        )
        away += pitch * rod.width_px / 2
    return made


def _aligned(rng: np.random.Generator, plan: RodPlan) -> list[Rod]:
    """All rods of the scene in about one direction."""
    return [plan.rod(rng, *_anywhere(rng, plan), plan.director_rad + rng.normal(0, 0.12))]


def _raft(rng: np.random.Generator, plan: RodPlan) -> list[Rod]:
    """Rows of rods side by side and end to end."""
    y, x = _anywhere(rng, plan)
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.15)
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(3, 12))
    s, c = np.sin(angle), np.cos(angle)
    step_u, step_v = pitch * plan.length_px * 1.05, pitch * plan.length_px / plan.aspect
    made = []
    for i in range(rows):
        for j in range(columns):
            if rng.random() < 0.08:
                continue
            u = (i - rows / 2) * step_u + rng.normal(0, 0.04) * plan.length_px
            v = (j - columns / 2 + 0.5 * (i % 2)) * step_v
            made.append(plan.rod(rng, y + u * s + v * c, x + u * c - v * s, angle + rng.normal(0, 0.03)))
    return made


def _clusters(rng: np.random.Generator, plan: RodPlan) -> list[Rod]:
    """Heap rods around one point."""
    y, x = _anywhere(rng, plan)
    n, wide = int(rng.integers(3, 13)), rng.uniform(0.4, 1.1) * plan.length_px
    return [plan.rod(rng, y + rng.normal(0, wide), x + rng.normal(0, wide), rng.uniform(0, np.pi)) for _ in range(n)]


ARRANGEMENTS: Mapping[str, Callable[[np.random.Generator, RodPlan], list[Rod]]] = {
    "random": _random,
    "crossed": _crossed,
    "bundled": _bundled,
    "aligned": _aligned,
    "raft": _raft,
    "clusters": _clusters,
}
"""Arrangement → what places the next group of rods."""


def _moved(rod: Rod, y: float, x: float) -> Rod:
    return replace(rod, y_px=float(y), x_px=float(x))


def _on_end(rng: np.random.Generator, rod: Rod) -> Rod:
    """Stand a rod on end: its cross section is seen, and the beam passes its length."""
    tilted = rod.width_px * rng.uniform(1.0, 1.08)
    return replace(
        rod,
        length_px=float(tilted),
        thickness=min(rod.length_px / rod.width_px, 4.0),
        kind="end_on_rod",
        profile="prism" if rod.profile == "prism" else "flat",
        roundness=0.6 if rod.profile == "prism" else 1.0,
    )


def _with_neighbors(rng: np.random.Generator, rods: list[Rod], plan: RodPlan) -> list[Rod]:
    """Put cubes and spheres among the rods."""
    mixed = list(rods)
    width = plan.length_px / plan.aspect
    for _ in range(min(int(np.ceil(plan.neighbors * max(len(rods), 8))), 60)):
        y, x = _anywhere(rng, plan)
        side = float(np.clip(width * rng.uniform(0.8, 2.2), *plan.width_limits_px))
        kind, profile, roundness = ("sphere", "round", 1.0) if rng.random() < 0.5 else ("cube", "flat", 0.25)
        body = Rod(y, x, side, side, rng.uniform(0, np.pi), profile, roundness, 1.0 if kind == "sphere" else 1.6, kind)
        mixed.insert(int(rng.integers(0, len(mixed) + 1)), body)
    return mixed
