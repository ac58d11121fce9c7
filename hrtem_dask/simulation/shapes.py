"""Outer shapes of particles: which points of a crystal belong to the particle."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from hrtem_dask.simulation.crystals import Crystal

__all__ = ["SHAPES", "Shape", "ShapeName", "draw_shape"]

ShapeName = Literal["sphere", "ellipsoid", "truncated_octahedron", "rod", "faceted"]
SHAPES: tuple[ShapeName, ...] = get_args(ShapeName)
_CUBE_NORMALS = np.sqrt([[1 / 2, 1 / 6, 1 / 3], [1 / 2, 1 / 6, 1 / 3], [0, 2 / 3, 1 / 3]]) * [
    [1, 1, 1],
    [-1, 1, 1],
    [1, -1, 1],
]
"""Rows: the axes of the cube in the crystal's frame."""


class Shape:  # numpydoc ignore=PR02
    """Convex body: an ellipsoid cut by planes.

    Parameters
    ----------
    name : str
        Name of the shape in tables.
    axes_nm : numpy.ndarray
        Shape (3,): half axes of the ellipsoid (nm).
    turn : numpy.ndarray
        Shape (3, 3): rotation from the crystal's frame to that of the ellipsoid.
    normals : numpy.ndarray
        Shape (n, 3): unit normals of the planes, in the crystal's frame.
    distances_nm : numpy.ndarray
        Shape (n,): distances of the planes from the center (nm).
    """

    def __init__(
        self, name: ShapeName, axes_nm: np.ndarray, turn: np.ndarray, normals: np.ndarray, distances_nm: np.ndarray
    ) -> None:
        self.name = name
        self._axes, self._turn, self._normals, self._distances = axes_nm, turn, normals, distances_nm

    @property
    def radius_nm(self) -> float:
        """The radius (nm) of a ball about the center that contains the body."""
        return float(self._axes.max())

    def contains(self, points_nm: np.ndarray) -> np.ndarray:
        """Find the points that are inside.

        Parameters
        ----------
        points_nm : numpy.ndarray
            Shape (n, 3), in the crystal's frame (nm).

        Returns
        -------
        numpy.ndarray
            Shape (n,), bool.
        """
        inside = np.square(points_nm @ self._turn.T / self._axes).sum(1) <= 1
        if len(self._normals):
            inside &= (points_nm @ self._normals.T <= self._distances).all(1)
        return np.asarray(inside)


def draw_shape(rng: np.random.Generator, crystal: Crystal, name: ShapeName, diameter_nm: float) -> Shape:
    """Draw a shape of approximately the given size.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    crystal : Crystal
        Facets and rods are aligned with the frame of this crystal.
    name : str
        One of `SHAPES`.
    diameter_nm : float
        Approximate diameter of the sphere of the same volume (nm).

    Returns
    -------
    Shape
        The body.
    """
    r = diameter_nm / 2
    no_planes = np.zeros((0, 3)), np.zeros(0)
    if name == "sphere":
        return Shape(name, np.full(3, r), np.eye(3), *no_planes)
    if name == "ellipsoid":
        axes = np.exp(rng.uniform(-0.3, 0.3, 3))
        return Shape(name, r * axes / np.cbrt(axes.prod()), _rotation(rng), *no_planes)
    if name == "rod":
        aspect = rng.uniform(1.5, 3.5)
        across = r * np.cbrt(2 / (3 * aspect - 1))  # volume of a cylinder with round caps
        normals, distances = _prism(across * 1.0)
        half = across * aspect
        long = np.array([[0, 0, 1.0], [0, 0, -1.0]])
        return Shape(
            name,
            np.array([across * 1.1, across * 1.1, half * 1.25]),
            np.eye(3),
            np.concatenate([normals, long]),
            np.concatenate([distances, [half, half]]),
        )
    if name == "truncated_octahedron":
        normals, distances = _octahedron(crystal, r)
        return Shape(name, np.full(3, 1.35 * r), np.eye(3), normals, distances)
    n = int(rng.integers(3, 9))
    normals = rng.standard_normal((n, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Shape(name, np.full(3, 1.12 * r), np.eye(3), normals, r * rng.uniform(0.65, 1.05, n))


def _rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw an orthogonal matrix from the uniform (Haar) distribution."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return np.asarray(q * np.sign(np.diag(r)))


def _prism(radius_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return normals and distances of the six sides of a hexagonal prism about the stacking normal."""
    turns = np.deg2rad(60 * np.arange(6) + 30)
    return np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1), np.full(6, radius_nm)


def _octahedron(crystal: Crystal, radius_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return normals and distances of {111} and {100} of a cubic crystal, or of a hexagonal prism."""
    if not crystal.is_cubic:
        sides, distances = _prism(0.9 * radius_nm)
        ends = np.array([[0, 0, 1.0], [0, 0, -1.0]])
        return np.concatenate([sides, ends]), np.concatenate([distances, [radius_nm, radius_nm]])
    cube = np.concatenate([_CUBE_NORMALS, -_CUBE_NORMALS])
    signs = np.array(np.meshgrid([1, -1], [1, -1], [1, -1])).reshape(3, -1).T
    octahedron = signs @ _CUBE_NORMALS / np.sqrt(3)
    # regular truncated octahedron: {100} at 2/√3 times the distance of {111}; 0.9 gives about the sphere's volume
    return np.concatenate([octahedron, cube]), radius_nm * 0.9 * np.concatenate(
        [np.ones(8), np.full(6, 2 / np.sqrt(3))]
    )
