"""Where particles lie: apart, in clusters, over each other, in rafts or as a monolayer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hrtem_dask.simulation.contrast.bodies import Body
from hrtem_dask.simulation.contrast.shapes import Habit, make_body
from hrtem_dask.simulation.contrast.tilings import Site, tiling

__all__ = ["ARRANGEMENTS", "Placed", "Plan", "arrange", "clearance"]

N_TRIALS = 12
HIDING = 0.38
"""Overlapping particles' centres are further apart than this share of the sum of their diameters."""


@dataclass(frozen=True)
class Placed:
    """A particle in its place."""

    shape: str
    """A name in `SHAPES`."""
    body: Body
    """Its form, in px."""
    y_px: float
    """Where its origin lies; pixel centres are whole numbers."""
    x_px: float
    """The same along x."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be placed in one micrograph."""

    size_px: int
    """Height and width of the field (px)."""
    arrangement: str
    """A name in `ARRANGEMENTS`."""
    shapes: Mapping[str, float]
    """Shape → weight."""
    habit: Habit
    """What the particles have in common."""
    coverage: float
    """Share of the field to be covered."""
    median_diameter_px: float
    """Median equivalent diameter (px)."""
    spread: float
    """Standard deviation of its logarithm."""
    limits_px: tuple[float, float]
    """No diameter is smaller or larger (px)."""
    gap_px: tuple[float, float] = (0.0, 3.0)
    """Gap between touching particles (px)."""
    second_ratio: float = 1.0
    """Size of a second population over that of the first; 1 for none."""
    max_particles: int = 500
    """No more than these."""

    def diameter(self, rng: np.random.Generator) -> float:
        """Draw an equivalent diameter.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        float
            Diameter (px), within the limits.
        """
        ratio = self.second_ratio if self.second_ratio != 1 and rng.random() < 0.5 else 1.0
        return float(np.clip(self.median_diameter_px * ratio * np.exp(rng.normal(0, self.spread)), *self.limits_px))

    def particle(
        self, rng: np.random.Generator, *, diameter_px: float | None = None, turn: float | None = None
    ) -> Placed:
        """Draw a particle, placed at the origin.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        diameter_px : float, optional
            Equivalent diameter (px); drawn where absent.
        turn : float, optional
            Direction (rad); drawn where absent.

        Returns
        -------
        Placed
            The particle.
        """
        names = list(self.shapes)
        shape = names[int(rng.choice(len(names), p=np.array(list(self.shapes.values())) / sum(self.shapes.values())))]
        diameter_px = self.diameter(rng) if diameter_px is None else diameter_px
        turn = float(rng.uniform(0, 2 * np.pi)) if turn is None else turn
        return Placed(shape, make_body(rng, shape, self.habit, diameter_px, turn), 0.0, 0.0)


def arrange(rng: np.random.Generator, plan: Plan) -> list[Placed]:
    """Place the particles of a micrograph.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    plan : Plan
        What is to be placed.

    Returns
    -------
    list of Placed
        From the lowest to the uppermost.
    """
    return ARRANGEMENTS[plan.arrangement](rng, plan)


def clearance(one: Placed, other: Placed) -> float:
    """Return about how far two particles' outlines lie apart.

    Parameters
    ----------
    one, other : Placed
        The particles.

    Returns
    -------
    float
        Distance (px); negative where they overlap.
    """
    dy, dx = other.y_px - one.y_px, other.x_px - one.x_px
    free = float(np.hypot(dy, dx)) - one.body.reach - other.body.reach
    if free > 3:
        return free
    mine, others = one.body.samples, other.body.samples
    return float(
        min(
            other.body.distance(mine[:, 0] - np.float32(dy), mine[:, 1] - np.float32(dx)).min(),
            one.body.distance(others[:, 0] + np.float32(dy), others[:, 1] + np.float32(dx)).min(),
        )
    )


class _Crowd:
    """The particles placed so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.placed: list[Placed] = []
        self.area = 0.0
        self._rows = np.zeros((plan.max_particles + 1, 4))

    def is_full(self) -> bool:
        wanted = self.plan.coverage * self.plan.size_px**2
        return self.area >= wanted or len(self.placed) >= self.plan.max_particles

    def add(self, particle: Placed) -> None:
        body = particle.body
        self._rows[len(self.placed)] = particle.y_px, particle.x_px, body.reach, body.equivalent_diameter
        self.placed.append(particle)
        inside = 0 <= particle.y_px < self.plan.size_px and 0 <= particle.x_px < self.plan.size_px
        self.area += body.moments.area_px * (1.0 if inside else 0.4)

    def has_room(self, particle: Placed, gap: float) -> bool:
        y, x, reach, _ = self._rows[: len(self.placed)].T
        away = np.hypot(y - particle.y_px, x - particle.x_px) - reach
        near = np.flatnonzero(away < particle.body.reach + gap)
        return all(clearance(particle, self.placed[k]) >= gap for k in near)

    def hides_none(self, particle: Placed) -> bool:
        """Say whether no particle would lie behind another one."""
        y, x, _, diameter = self._rows[: len(self.placed)].T
        away = np.hypot(y - particle.y_px, x - particle.x_px)
        return bool((away > HIDING * (diameter + particle.body.equivalent_diameter)).all())


def _isolated(rng: np.random.Generator, plan: Plan) -> list[Placed]:
    crowd = _Crowd(plan)
    gap = float(rng.uniform(3, 10))
    failures = 0
    while not crowd.is_full() and failures < N_TRIALS:
        particle = plan.particle(rng)
        for _ in range(N_TRIALS):
            particle = _moved(particle, *_anywhere(rng, plan, particle))
            if crowd.has_room(particle, gap):
                crowd.add(particle)
                break
        else:
            failures += 1
    return crowd.placed


def _overlapping(rng: np.random.Generator, plan: Plan) -> list[Placed]:
    crowd = _Crowd(plan)
    failures = 0
    while not crowd.is_full() and failures < 5 * N_TRIALS:
        particle = plan.particle(rng)
        particle = _moved(particle, *_anywhere(rng, plan, particle))
        if crowd.hides_none(particle):
            crowd.add(particle)
        else:
            failures += 1
    return crowd.placed


def _agglomerates(rng: np.random.Generator, plan: Plan) -> list[Placed]:
    crowd = _Crowd(plan)
    overlap = float(rng.choice([0.0, 0.0, 0.15]))
    failures = 0
    while not crowd.is_full() and failures < N_TRIALS:
        first = plan.particle(rng)
        first = _moved(first, *_anywhere(rng, plan, first))
        if not crowd.has_room(first, 4.0):
            failures += 1
            continue
        crowd.add(first)
        cluster = [first]
        for _ in range(int(rng.geometric(0.16))):
            if crowd.is_full():
                break
            joined = _attached(rng, plan, crowd, cluster, overlap)
            if joined is not None:
                crowd.add(joined)
                cluster.append(joined)
    return crowd.placed


def _attached(
    rng: np.random.Generator, plan: Plan, crowd: _Crowd, cluster: list[Placed], overlap: float
) -> Placed | None:
    """Put a particle against one of a cluster; None where no place was found."""
    particle = plan.particle(rng)
    for _ in range(4):
        partner = cluster[int(rng.integers(len(cluster)))]
        angle = rng.uniform(0, 2 * np.pi)
        gap = float(rng.uniform(*plan.gap_px))
        if overlap and rng.random() < 0.5:
            gap = -overlap * min(particle.body.equivalent_diameter, partner.body.equivalent_diameter)
        near, far = 0.0, partner.body.reach + particle.body.reach + max(gap, 0) + 1
        for _ in range(7):
            middle = (near + far) / 2
            if clearance(_beside(particle, partner, angle, middle), partner) < gap:
                near = middle
            else:
                far = middle
        joined = _beside(particle, partner, angle, far)
        if crowd.has_room(joined, min(gap, plan.gap_px[0]) - 1e-3):
            return joined
    return None


def _tiled(rng: np.random.Generator, plan: Plan) -> list[Placed]:
    """Fill patches (rafts) or the whole field (a monolayer) with touching particles."""
    sites = tiling(
        rng,
        plan.size_px,
        shape=max(plan.shapes, key=lambda name: plan.shapes[name]),
        aspect=plan.habit.aspect,
        diameter_px=plan.median_diameter_px,
        gap_px=plan.gap_px,
        coverage=plan.coverage,
        patches=0 if plan.arrangement == "monolayer" else int(rng.integers(1, 5)),
        max_sites=plan.max_particles,
    )
    return [p for site in sites if (p := _in_site(rng, plan, site)) is not None]


def _in_site(rng: np.random.Generator, plan: Plan, site: Site) -> Placed | None:
    """Make the particle of a place in a tiling."""
    low, high = plan.limits_px
    if site.body is not None:
        fits = low <= site.body.equivalent_diameter <= high
        return Placed("polygon", site.body, site.y_px, site.x_px) if fits else None
    drawn_px = float(np.clip(site.diameter_px * np.exp(-abs(rng.normal(0, min(plan.spread, 0.25)))), low, high))
    particle = plan.particle(rng, diameter_px=min(drawn_px, high), turn=site.turn)
    if site.radius_px is not None and particle.body.reach > site.radius_px:
        shrunk = particle.body.equivalent_diameter * site.radius_px / particle.body.reach
        if shrunk < low:
            return None
        particle = plan.particle(rng, diameter_px=0.97 * shrunk, turn=site.turn)
    return _moved(particle, site.y_px, site.x_px) if low <= particle.body.equivalent_diameter * 1.0001 else None


ARRANGEMENTS: Mapping[str, Callable[[np.random.Generator, Plan], list[Placed]]] = {
    "isolated": _isolated,
    "overlapping": _overlapping,
    "agglomerates": _agglomerates,
    "rafts": _tiled,
    "monolayer": _tiled,
}
"""Arrangement → what places the particles."""


def _anywhere(rng: np.random.Generator, plan: Plan, particle: Placed) -> tuple[float, float]:
    """Draw a place in the field or partly beyond it."""
    beyond = 0.3 * particle.body.reach
    y, x = rng.uniform(-beyond, plan.size_px - 1 + beyond, 2)
    return float(y), float(x)


def _moved(particle: Placed, y: float, x: float) -> Placed:
    return replace(particle, y_px=y, x_px=x)


def _beside(particle: Placed, partner: Placed, angle: float, away: float) -> Placed:
    return _moved(particle, partner.y_px + away * float(np.sin(angle)), partner.x_px + away * float(np.cos(angle)))
