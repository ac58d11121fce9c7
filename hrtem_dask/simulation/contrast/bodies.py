"""Bodies: an outline that is known exactly, the distance from it, and the thickness that the beam passes.

A body is made around the origin at any size; `scaled` brings it to a size in px. Arrays are (y, x), float32.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrtem_dask.simulation.contrast.polygons import (
    Moments,
    convex_distance,
    moments,
    outline_of,
    rounded,
    segment_distance,
)

__all__ = ["Body", "box", "capsule", "ellipsoid", "polygon_plate", "scaled", "star", "superellipsoid", "with_core"]

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(y, x) → values; positions count from the body's origin."""
N_OUTLINE = 240
N_SAMPLES = 40
N_DIRECTIONS = 4096
TINY = np.float32(1e-6)


@dataclass(frozen=True)
class Body:
    """A body seen along the beam."""

    outline: np.ndarray
    """Shape (n, 2): corners (y, x) of its projected outline, dense where it is curved."""
    distance: Field
    """Signed distance from the outline, negative inside."""
    thickness: Field
    """Length of the beam's way in it; of a plate it goes on beyond the outline."""

    known: Moments | None = None
    """Moments of the outline, where they are known already."""

    @functools.cached_property
    def moments(self) -> Moments:
        """Area, centroid and axes of its outline."""
        return self.known or moments(self.outline)

    @functools.cached_property
    def reach(self) -> float:
        """Distance of the outline's furthest point from the origin."""
        return float(np.hypot(*self.outline.T).max())

    @functools.cached_property
    def samples(self) -> np.ndarray:
        """Sample the outline, shape (n, 2), float32; where it has few corners, points of its edges too."""
        points = self.outline
        if len(points) < N_SAMPLES:
            share = np.linspace(0, 1, N_SAMPLES // len(points) + 2)[:-1, None, None]
            points = ((1 - share) * points + share * np.concatenate([points[1:], points[:1]])).reshape(-1, 2)
        else:
            points = points[:: len(points) // N_SAMPLES]
        return points.astype(np.float32)

    @functools.cached_property
    def equivalent_diameter(self) -> float:
        """Diameter of the disk of its area."""
        return 2 * math.sqrt(self.moments.area_px / math.pi)


def scaled(body: Body, diameter_px: float) -> Body:
    """Bring a body to a size.

    Parameters
    ----------
    body : Body
        Of any size.
    diameter_px : float
        Wanted equivalent diameter of its outline (px).

    Returns
    -------
    Body
        The same form.
    """
    k = np.float32(diameter_px / body.equivalent_diameter)
    m, f = body.moments, float(k)
    return Body(
        body.outline * float(k),
        lambda y, x: k * body.distance(y / k, x / k),
        lambda y, x: k * body.thickness(y / k, x / k),
        Moments(
            m.area_px * f * f,
            (m.centroid_px[0] * f, m.centroid_px[1] * f),
            m.major_axis_px * f,
            m.minor_axis_px * f,
        ),
    )


def with_core(body: Body, *, ratio: float, density: float, shift: tuple[float, float] = (0.0, 0.0)) -> Body:
    """Give a body a core of its own form and another density.

    Parameters
    ----------
    body : Body
        The whole.
    ratio : float
        Size of the core over that of the whole, below 1.
    density : float
        Density of the core over that of the shell; 0 is a hollow shell.
    shift : tuple of float
        (y, x) of the core's origin.

    Returns
    -------
    Body
        The same outline; its thickness is weighted by the density, 1 for the shell.
    """

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        cy, cx = (y - np.float32(shift[0])) / np.float32(ratio), (x - np.float32(shift[1])) / np.float32(ratio)
        cover = np.clip(0.5 - 20 * body.distance(cy, cx) / body.equivalent_diameter, 0, 1)
        core = np.float32(ratio) * cover * body.thickness(cy, cx)
        return np.asarray(np.maximum(body.thickness(y, x) + np.float32(density - 1) * core, 0))

    return Body(body.outline, body.distance, thickness)


def ellipsoid(a: float, b: float, c: float, turn: float = 0.0, *, plate: bool = False) -> Body:
    """Make an ellipsoid, or an elliptic plate.

    Parameters
    ----------
    a, b : float
        Half axes in the plane.
    c : float
        Half axis along the beam, or half thickness of the plate.
    turn : float
        Direction of a (rad), from +x towards +y.
    plate : bool
        Of constant thickness.

    Returns
    -------
    Body
        The ellipsoid.
    """

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        u, v = _turned(y, x, turn)
        f = np.maximum(np.hypot(u / a, v / b), np.float32(1e-3))
        return (f - 1) * f / np.maximum(np.hypot(u / (a * a), v / (b * b)), TINY)

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        u, v = _turned(y, x, turn)
        if plate:
            return np.full(u.shape, 2 * c, np.float32)
        return 2 * c * np.sqrt(np.maximum(1 - (u / a) ** 2 - (v / b) ** 2, 0))

    angle = np.arange(N_OUTLINE) * (2 * np.pi / N_OUTLINE)
    # a polygon of the ellipse's own area
    k = math.sqrt(2 * np.pi / N_OUTLINE / math.sin(2 * np.pi / N_OUTLINE))
    return Body(_turned_points(k * b * np.sin(angle), k * a * np.cos(angle), turn), distance, thickness)


def superellipsoid(a: float, b: float, c: float, exponent: float, turn: float = 0.0) -> Body:
    """Make a box whose edges and corners are rounded: |u/a|ⁿ + |v/b|ⁿ + |w/c|ⁿ ≤ 1.

    Parameters
    ----------
    a, b, c : float
        Half edges, c along the beam.
    exponent : float
        From 2 (an ellipsoid) upwards: n.
    turn : float
        Direction of a (rad).

    Returns
    -------
    Body
        The rounded box.
    """
    n = np.float32(exponent)

    def level(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(u / a) ** n + np.abs(v / b) ** n)

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        u, v = _turned(y, x, turn)
        f = np.maximum(level(u, v), np.float32(1e-9)) ** (1 / n)
        slope = np.hypot(np.abs(u / (a * f)) ** (n - 1) / a, np.abs(v / (b * f)) ** (n - 1) / b)
        return np.asarray((f - 1) / np.maximum(slope, TINY))

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.asarray(2 * c * np.maximum(1 - level(*_turned(y, x, turn)), 0) ** (1 / n))

    angle = np.arange(N_OUTLINE) * (2 * np.pi / N_OUTLINE)
    sine, cosine = np.sin(angle), np.cos(angle)
    radius = (np.abs(cosine) ** exponent + np.abs(sine) ** exponent) ** (-1 / exponent)
    return Body(_turned_points(b * radius * sine, a * radius * cosine, turn), distance, thickness)


def capsule(half_length: float, radius: float, turn: float = 0.0) -> Body:
    """Make a rod with half spheres as its ends.

    Parameters
    ----------
    half_length : float
        Half the distance of the two spheres' centres.
    radius : float
        Radius of the rod.
    turn : float
        Its direction (rad).

    Returns
    -------
    Body
        The rod.
    """

    def away(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        u, v = _turned(y, x, turn)
        return np.asarray(np.hypot(np.maximum(np.abs(u) - np.float32(half_length), 0), v))

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return 2 * np.sqrt(np.maximum(np.float32(radius**2) - away(y, x) ** 2, 0))

    angle = np.linspace(-np.pi / 2, np.pi / 2, N_OUTLINE // 2)
    y = radius * np.concatenate([np.sin(angle), -np.sin(angle)])
    x = np.concatenate([half_length + radius * np.cos(angle), -half_length - radius * np.cos(angle)])
    return Body(_turned_points(y, x, turn), lambda y, x: away(y, x) - np.float32(radius), thickness)


def box(half_length: float, radius: float, corner: float, turn: float = 0.0, *, plate: bool = False) -> Body:
    """Make a rod with flat ends seen from the side, or a rectangular plate.

    Parameters
    ----------
    half_length : float
        Half its length.
    radius : float
        Its radius, or half the width of the plate.
    corner : float
        Radius of the rounded corners, below `radius`.
    turn : float
        Its direction (rad).
    plate : bool
        Of constant thickness.

    Returns
    -------
    Body
        The rod or plate.
    """
    long, wide, corner32 = np.float32(half_length - corner), np.float32(radius - corner), np.float32(corner)

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        u, v = _turned(y, x, turn)
        u, v = np.abs(u) - long, np.abs(v) - wide
        beyond = np.hypot(np.maximum(u, 0), np.maximum(v, 0))
        return np.asarray(beyond + np.minimum(np.maximum(u, v), 0) - corner32)

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        u, v = _turned(y, x, turn)
        if plate:
            return np.full(u.shape, 2 * radius, np.float32)
        return 2 * np.sqrt(np.maximum(np.float32(radius**2) - v**2, 0))

    corners = np.array([[-wide, -long], [-wide, long], [wide, long], [wide, -long]], float)
    points = rounded(corners, corner) if corner > 0 else corners
    return Body(_turned_points(points[:, 0], points[:, 1], turn), distance, thickness)


def polygon_plate(corners: np.ndarray, *, thickness_px: float, corner: float = 0.0, bevel: float = 0.0) -> Body:
    """Make a plate on a convex polygon.

    Parameters
    ----------
    corners : numpy.ndarray
        Shape (n, 2): (y, x) in the sense from +x towards +y.
    thickness_px : float
        Its thickness.
    corner : float
        Radius by which the polygon is widened, its corners rounded.
    bevel : float
        Width of the slope at its border; 0 is a sharp step.

    Returns
    -------
    Body
        The plate.
    """
    around = corners if corner <= 0 else rounded(corners, corner)

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        if corner <= 0:
            return convex_distance(corners, y, x)
        return segment_distance(corners, y, x) - np.float32(corner)

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        if bevel <= 0:
            return np.full(np.broadcast_shapes(np.shape(y), np.shape(x)), thickness_px, np.float32)
        return np.float32(thickness_px) * np.clip(-distance(y, x) / np.float32(bevel), 0, 1)

    return Body(around, distance, thickness)


def star(radius: np.ndarray, *, height: float, edge: float) -> Body:
    """Make a body whose outline is any radius over the direction: irregular, concave or rough.

    Parameters
    ----------
    radius : numpy.ndarray
        Shape (4096,): radius in directions from +x towards +y.
    height : float
        Greatest thickness.
    edge : float
        How its thickness falls to the outline: 0 is a plate, 0.5 a sphere, 1 a lens.

    Returns
    -------
    Body
        The body.
    """
    n = len(radius)
    slope = (np.roll(radius, -1) - np.roll(radius, 1)) * (n / (4 * np.pi))
    table = radius.astype(np.float32)
    cosine = (radius / np.hypot(radius, slope)).astype(np.float32)

    def direction(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.rint(np.arctan2(y, x) * np.float32(n / (2 * np.pi))).astype(np.int32) % n)

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        k = direction(y, x)
        return np.asarray((np.hypot(y, x) - table[k]) * cosine[k])

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        if edge <= 0:
            return np.full(np.broadcast_shapes(np.shape(y), np.shape(x)), height, np.float32)
        share = np.hypot(y, x) / table[direction(y, x)]
        return np.asarray(np.float32(height) * np.maximum(1 - share * share, 0) ** np.float32(edge))

    return Body(outline_of(radius[:: n // 512]), distance, thickness)


def _turned(y: np.ndarray, x: np.ndarray, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates along and across a direction."""
    sine, cosine = np.float32(math.sin(turn)), np.float32(math.cos(turn))
    return x * cosine + y * sine, y * cosine - x * sine


def _turned_points(y: np.ndarray, x: np.ndarray, turn: float) -> np.ndarray:
    """Return points (y, x), turned from +x towards +y."""
    sine, cosine = math.sin(turn), math.cos(turn)
    return np.stack([x * sine + y * cosine, x * cosine - y * sine], axis=1)
