"""The outer shape of a particle: which points of a crystal belong to it."""

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
"""The cube's axes in the crystal's frame (rows)."""


class Shape:  # numpydoc ignore=PR02
    """Ellipsoid cut by planes: convex.

    Parameters
    ----------
    name : str
        What tables call it.
    axes_nm : numpy.ndarray
        Shape (3,): half axes of the ellipsoid (nm).
    turn : numpy.ndarray
        Shape (3, 3): from the crystal's frame to the ellipsoid's.
    normals : numpy.ndarray
        Shape (n, 3): unit normals of the planes, in the crystal's frame.
    distances_nm : numpy.ndarray
        Shape (n,): distances of the planes from the centre (nm).
    """

    def __init__(
        self, name: ShapeName, axes_nm: np.ndarray, turn: np.ndarray, normals: np.ndarray, distances_nm: np.ndarray
    ) -> None:
        self.name = name
        self._axes, self._turn, self._normals, self._distances = axes_nm, turn, normals, distances_nm

    @property
    def radius_nm(self) -> float:
        """Return the radius (nm) of a ball that holds the body."""
        return float(self._axes.max())

    def contains(self, points_nm: np.ndarray) -> np.ndarray:
        """Say which points are inside.

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
    """Draw a shape of about a diameter.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    crystal : Crystal
        Facets and rods follow its frame.
    name : str
        One of `SHAPES`.
    diameter_nm : float
        Diameter of the sphere of about the same volume (nm).

    Returns
    -------
    Shape
        The body.
    """
    r = diameter_nm / 2
    none = np.zeros((0, 3)), np.zeros(0)
    if name == "sphere":
        return Shape(name, np.full(3, r), np.eye(3), *none)
    if name == "ellipsoid":
        axes = np.exp(rng.uniform(-0.3, 0.3, 3))
        return Shape(name, r * axes / np.cbrt(axes.prod()), _rotation(rng), *none)
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
    """Draw an orthogonal matrix, uniformly."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return np.asarray(q * np.sign(np.diag(r)))


def _prism(radius_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the six sides of a hexagonal prism about the stacking normal."""
    turns = np.deg2rad(60 * np.arange(6) + 30)
    return np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1), np.full(6, radius_nm)


def _octahedron(crystal: Crystal, radius_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return {111} and {100} planes of a cubic crystal, or a hexagonal one's truncated prism."""
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
