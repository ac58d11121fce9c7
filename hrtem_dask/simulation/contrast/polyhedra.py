"""Faceted bodies: convex polyhedra in any orientation, their projected outline and thickness."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import ConvexHull

from hrtem_dask.simulation.contrast.bodies import Body
from hrtem_dask.simulation.contrast.polygons import convex_distance

__all__ = ["CUBE", "OCTAHEDRON", "polyhedron", "prism", "random_corners", "tilted", "truncated_octahedron"]

CUBE = np.array([[z, y, x] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], float)
OCTAHEDRON = np.concatenate([np.eye(3), -np.eye(3)])
STEEP = 0.04
"""A face whose normal is nearer to the plane than this stands along the beam."""


def truncated_octahedron(cut: float) -> np.ndarray:
    """Return the corners of an octahedron with its tips cut off.

    Parameters
    ----------
    cut : float
        Share of each edge that is cut off at either end, 0 to 0.5.

    Returns
    -------
    numpy.ndarray
        Shape (24, 3): (z, y, x).
    """
    corners = [
        (1 - cut) * tip + cut * other for tip in OCTAHEDRON for other in OCTAHEDRON if abs(float(tip @ other)) < 0.5
    ]
    return np.array(corners)


def prism(n_sides: int, height: float) -> np.ndarray:
    """Return the corners of a regular prism that stands along the beam.

    Parameters
    ----------
    n_sides : int
        Sides of its base.
    height : float
        Its height over the radius of its base.

    Returns
    -------
    numpy.ndarray
        Shape (2 n_sides, 3): (z, y, x).
    """
    angle = np.arange(n_sides) * (2 * np.pi / n_sides)
    base = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return np.array([[z, *point] for z in (-height / 2, height / 2) for point in base])


def random_corners(rng: np.random.Generator, n: int, *, flatness: float = 1.0) -> np.ndarray:
    """Draw the corners of an irregular polyhedron.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n : int
        Points on a sphere that it spans.
    flatness : float
        Its extent along the beam over that across.

    Returns
    -------
    numpy.ndarray
        Shape (n, 3): (z, y, x).
    """
    points = rng.standard_normal((n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    # four points keep it from being cut open
    points[:4] = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / math.sqrt(3)
    return np.asarray(points * [flatness, 1, 1])


def tilted(rng: np.random.Generator, corners: np.ndarray, max_tilt_deg: float) -> np.ndarray:
    """Turn corners about the beam by any angle, after a tilt about an axis in the plane.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    corners : numpy.ndarray
        Shape (n, 3): (z, y, x).
    max_tilt_deg : float
        Largest tilt (°); it is uniform from 0.

    Returns
    -------
    numpy.ndarray
        Shape (n, 3).
    """
    tilt, first, last = math.radians(rng.uniform(0, max_tilt_deg)), *rng.uniform(0, 2 * np.pi, 2)
    tilting = np.array([[math.cos(tilt), -math.sin(tilt), 0], [math.sin(tilt), math.cos(tilt), 0], [0, 0, 1]])
    return np.asarray(corners @ _about_beam(first).T @ tilting.T @ _about_beam(last).T)


def polyhedron(corners: np.ndarray) -> Body:
    """Make a convex polyhedron.

    Parameters
    ----------
    corners : numpy.ndarray
        Shape (n, 3): (z, y, x), z along the beam.

    Returns
    -------
    Body
        Its convex hull.
    """
    corners = corners - (corners.max(axis=0) + corners.min(axis=0)) / 2
    faces = np.unique(np.round(ConvexHull(corners).equations, 9), axis=0)
    flat = corners[:, 1:]
    outline = flat[ConvexHull(flat[:, ::-1]).vertices]
    planes = [tuple(np.float32(v) for v in face) for face in faces if abs(face[0]) > STEEP]

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        shape = np.broadcast_shapes(np.shape(y), np.shape(x))
        upper, lower = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)
        for nz, ny, nx, offset in planes:
            z = y * (-ny / nz) + (x * (-nx / nz) - offset / nz)
            if nz > 0:
                np.minimum(upper, z, out=upper)
            else:
                np.maximum(lower, z, out=lower)
        return np.asarray(np.maximum(upper - lower, 0))

    return Body(outline, lambda y, x: convex_distance(outline, y, x), thickness)


def _about_beam(angle: float) -> np.ndarray:
    """Return the rotation of (z, y, x) about z."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
