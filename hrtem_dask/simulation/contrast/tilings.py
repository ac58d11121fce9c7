"""Places of touching particles: hexagonal layers, cobbles and parallel rods, in patches or all over the field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import QhullError, Voronoi, cKDTree

from hrtem_dask.simulation.contrast.bodies import Body, polygon_plate
from hrtem_dask.simulation.contrast.polygons import moments

__all__ = ["Site", "tiling"]

COBBLES = {"polygon", "hexagon", "faceted", "blob"}
RECTANGLES = {"rod": 0.0, "flat_rod": 0.0, "cube": 1.0, "rounded_cube": 1.0}
FILLED = {"hexagonal": 0.75, "cobbles": 0.95, "rectangles": 0.8}


@dataclass(frozen=True)
class Site:
    """A place for one particle."""

    y_px: float
    """Where."""
    x_px: float
    """The same along x."""
    diameter_px: float
    """Largest equivalent diameter (px)."""
    turn: float | None = None
    """Direction (rad); None for any."""
    radius_px: float | None = None
    """The particle must stay within this radius (px); None where its shape fits by itself."""
    body: Body | None = None
    """The particle itself, where the tiling makes it."""


def tiling(
    rng: np.random.Generator,
    size_px: int,
    *,
    shape: str,
    aspect: float,
    diameter_px: float,
    gap_px: tuple[float, float],
    coverage: float,
    patches: int,
    max_sites: int,
) -> list[Site]:
    """Lay out touching particles.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size_px : int
        Height and width of the field (px).
    shape : str
        Leading shape: it decides between hexagonal layers, cobbles and parallel rectangles.
    aspect : float
        Length of rods over their width.
    diameter_px : float
        Median equivalent diameter (px).
    gap_px : tuple of float
        Smallest and largest gap (px).
    coverage : float
        Share of the field to be covered.
    patches : int
        Number of patches; 0 covers the whole field.
    max_sites : int
        No more places than these; where there would be more, one patch of them is kept.

    Returns
    -------
    list of Site
        Places, some of them beyond the field's border.
    """
    gap = float(rng.uniform(*gap_px))
    kind = "rectangles" if shape in RECTANGLES else "cobbles" if shape in COBBLES else "hexagonal"
    if kind == "rectangles":
        sites = _rectangles(rng, size_px, aspect if RECTANGLES[shape] == 0 else 1.0, diameter_px, gap)
    else:
        points = _lattice(rng, size_px, diameter_px + gap, 0.22 if kind == "cobbles" else rng.uniform(0.0, 0.05))
        sites = _balls(points, diameter_px, gap)
    where = np.array([(s.y_px, s.x_px) for s in sites]).reshape(-1, 2)
    share = min(coverage / FILLED[kind], 1.0)
    kept = _in_patches(rng, where, size_px, share, patches) if patches else rng.random(len(sites)) < share
    chosen = np.flatnonzero(kept)
    if len(chosen) > max_sites:  # what is left is a patch, not a thinned layer
        away = np.hypot(*(where[chosen] - where[rng.choice(chosen)]).T)
        chosen = chosen[np.argsort(away, kind="stable")[:max_sites]]
    if kind == "cobbles":
        return _cobbles(rng, where, chosen, gap)
    return [sites[k] for k in rng.permutation(chosen)]


def _lattice(rng: np.random.Generator, size_px: int, spacing: float, disorder: float) -> np.ndarray:
    """Return the points of a hexagonal lattice, turned, bent a little and disordered."""
    n = int(np.ceil(0.75 * size_px / spacing)) + 2
    row, column = np.meshgrid(np.arange(-n, n + 1) * 1.16, np.arange(-n, n + 1), indexing="ij")
    y = row * 0.75**0.5 / 1.16 * spacing
    x = (column + 0.5 * (np.rint(row / 1.16) % 2)) * spacing
    angle = rng.uniform(0, np.pi)
    points = np.stack(
        [(x * np.sin(angle) + y * np.cos(angle)).ravel(), (x * np.cos(angle) - y * np.sin(angle)).ravel()]
    )
    points += rng.uniform(0, spacing, (2, 1)) + size_px / 2
    points += rng.normal(0, disorder * spacing, points.shape)
    inside = (points > -spacing).all(axis=0) & (points < size_px + spacing).all(axis=0)
    return np.asarray(points[:, inside].T)


def _balls(points: np.ndarray, diameter_px: float, gap: float) -> list[Site]:
    """Return places whose particles reach half of the way to their nearest neighbour."""
    if len(points) < 2:
        return [Site(float(y), float(x), diameter_px) for y, x in points]
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    return [
        Site(float(y), float(x), min(diameter_px, float(d) - gap), radius_px=max((float(d) - gap) / 2, 0.5))
        for (y, x), d in zip(points, nearest, strict=True)
    ]


def _cobbles(rng: np.random.Generator, points: np.ndarray, chosen: np.ndarray, gap: float) -> list[Site]:
    """Return the cells of chosen points as plates with the gap between them."""
    try:
        cells = Voronoi(points)
    except (QhullError, ValueError):  # fewer than four points
        return []
    sites = []
    corner, flat = float(rng.uniform(0.03, 0.2)), float(rng.uniform(0.3, 1.0))
    for (y, x), region in zip(points[chosen], cells.point_region[chosen], strict=True):
        corners = cells.vertices[[v for v in cells.regions[region] if v >= 0]]
        if -1 in cells.regions[region] or len(corners) < 3:
            continue
        away = corners - (y, x)
        away = away[np.argsort(np.arctan2(away[:, 0], away[:, 1]))]
        inner = _shrunk(away, gap / 2 + corner * float(np.hypot(*away.T).min()))
        if inner is None:
            continue
        radius = corner * float(np.hypot(*away.T).min())
        area = moments(inner).area_px
        plate = polygon_plate(inner, thickness_px=flat * area**0.5, corner=radius)
        sites.append(Site(float(y), float(x), plate.equivalent_diameter, body=plate))
    return sites


def _shrunk(corners: np.ndarray, inward: float) -> np.ndarray | None:
    """Move a convex polygon's edges inward; edges that vanish are left out; None where all of it vanishes."""
    edge = np.roll(corners, -1, axis=0) - corners
    length = np.hypot(*edge.T)
    edge, corners, length = edge[length > 1e-3], corners[length > 1e-3], length[length > 1e-3]
    normal = np.stack([-edge[:, 1], edge[:, 0]], axis=1) / length[:, None]
    offset = (normal * corners).sum(axis=1)
    normal *= np.sign(offset)[:, None]
    offset = np.abs(offset) - inward
    while len(offset) >= 3 and offset.min() > 0.5:
        before_n, before_o = np.roll(normal, 1, axis=0), np.roll(offset, 1)
        turn = before_n[:, 0] * normal[:, 1] - before_n[:, 1] * normal[:, 0]
        if np.abs(turn).min() < 1e-3:
            return None
        y = (before_o * normal[:, 1] - offset * before_n[:, 1]) / turn
        x = (offset * before_n[:, 0] - before_o * normal[:, 0]) / turn
        inner = np.stack([y, x], axis=1)
        left = ((np.roll(inner, -1, axis=0) - inner) * edge).sum(axis=1)
        if (left > 0).all():
            return inner
        kept = np.arange(len(left)) != left.argmin()
        normal, offset, edge = normal[kept], offset[kept], edge[kept]
    return None


def _rectangles(rng: np.random.Generator, size_px: int, aspect: float, diameter_px: float, gap: float) -> list[Site]:
    """Return places of parallel rods or cubes in rows."""
    width = diameter_px * (np.pi / 4 / aspect) ** 0.5
    long, wide = aspect * width * 1.12 + gap, width * (1.04 if aspect > 1 else 1.12) + gap
    reach = 0.75 * size_px + long
    angle = rng.uniform(0, np.pi)
    c, s = np.cos(angle), np.sin(angle)
    sites = []
    for v in np.arange(-reach, reach, wide):
        shift = rng.uniform(0, long)
        for u in np.arange(-reach, reach, long) + shift:
            y, x = size_px / 2 + u * s + v * c, size_px / 2 + u * c - v * s
            if -long < min(y, x) and max(y, x) < size_px + long:
                sites.append(Site(float(y), float(x), diameter_px, turn=float(angle)))
    return sites


def _in_patches(rng: np.random.Generator, where: np.ndarray, size_px: int, share: float, patches: int) -> np.ndarray:
    """Say which places lie in round patches that take a share of the field."""
    radius = size_px * (share / (np.pi * patches)) ** 0.5
    centres = rng.uniform(0, size_px, (patches, 2))
    stretch = rng.uniform(0.6, 1.6, patches)
    dy, dx = (where[:, None, k] - centres[:, k] for k in (0, 1))
    return np.asarray((np.hypot(dy * stretch, dx / stretch) < radius).any(axis=1))
