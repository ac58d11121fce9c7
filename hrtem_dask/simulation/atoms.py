"""Atoms of a crystal, built layer by layer from the stacking sequence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.simulation.crystals import Crystal
from hrtem_dask.simulation.stacking import Fault, stacking

__all__ = ["Atoms", "build_crystal", "layer_index"]


@dataclass(frozen=True)
class Atoms:
    """Atoms as the beam passes them."""

    positions_nm: np.ndarray
    """Shape (n, 3): x, y, and z along the beam (nm)."""
    kinds: np.ndarray
    """Shape (n,), int: index into `elements`."""
    elements: tuple[str, ...]
    """Chemical symbols."""


def build_crystal(
    crystal: Crystal, radius_nm: float, *, origin_nm: Sequence[float] = (0.0, 0.0, 0.0), faults: Sequence[Fault] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Fill a ball with atoms.

    Parameters
    ----------
    crystal : Crystal
        The crystal.
    radius_nm : float
        Radius of the ball (nm) about (0, 0, 0).
    origin_nm : sequence of float
        Position (x, y, z) of the origin of the lattice (nm).
    faults : sequence of Fault
        Faults. Layers are numbered from the lowest; `layer_index` returns the number of the layer at a height.

    Returns
    -------
    positions_nm : numpy.ndarray
        Shape (n, 3), float64: x, y, z in the crystal's frame (nm).
    kinds : numpy.ndarray
        Shape (n,), int: index into ``crystal.elements``.

    Examples
    --------
    >>> from hrtem_dask.simulation.crystals import find_crystal
    >>> positions_nm, kinds = build_crystal(find_crystal("Au"), 1.0)
    >>> positions_nm.shape, set(kinds.tolist())
    ((249, 3), {0})
    """
    reach = radius_nm + 2 * crystal.row_nm
    n_layers = 2 * int(np.ceil(reach / crystal.layer_nm)) + 1
    layer_positions = stacking(crystal, n_layers + 1, faults)
    net = _triangular_net(crystal.row_nm, reach)
    shift = crystal.row_nm / np.sqrt(3)
    elements = crystal.elements
    atoms, kinds = [], []
    for layer, (position, next_position) in enumerate(itertools.pairwise(layer_positions)):
        for element, height, at_layer_position in crystal.basis:
            z = (layer - n_layers // 2 + height) * crystal.layer_nm + origin_nm[2]
            # of the positions 0, 1, 2 the third one has the negative sum of the other two, modulo 3
            site = position if at_layer_position else -(position + next_position) % 3
            x, y = net[:, 0] + origin_nm[0], net[:, 1] + shift * site + origin_nm[1]
            inside = x**2 + y**2 + z**2 <= radius_nm**2
            atoms.append(np.stack([x[inside], y[inside], np.full(inside.sum(), z)], 1))
            kinds.append(np.full(inside.sum(), elements.index(element)))
    return np.concatenate(atoms), np.concatenate(kinds)


def _triangular_net(row_nm: float, reach_nm: float) -> np.ndarray:
    """Return the points (n, 2) of one layer up to a little beyond a distance from the origin."""
    across = row_nm * np.sqrt(3) / 2
    n = int(np.ceil(reach_nm / across)) + 2
    j, i = np.mgrid[-n : n + 1, -n : n + 1]
    net = np.stack([((i + 0.5 * (j % 2)) * row_nm).ravel(), (j * across).ravel()], 1)
    return np.asarray(net[np.hypot(net[:, 0], net[:, 1]) <= reach_nm + row_nm])


def layer_index(crystal: Crystal, radius_nm: float, height_nm: float, origin_z_nm: float = 0.0) -> int:
    """Return the number of the layer at a height in `build_crystal`.

    Parameters
    ----------
    crystal : Crystal
        The crystal.
    radius_nm : float
        Radius of the ball (nm).
    height_nm : float
        Height (nm) above the center of the ball.
    origin_z_nm : float
        Height of the origin of the lattice (nm).

    Returns
    -------
    int
        Number of the nearest layer.
    """
    n_layers = 2 * int(np.ceil((radius_nm + 2 * crystal.row_nm) / crystal.layer_nm)) + 1
    return round((height_nm - origin_z_nm) / crystal.layer_nm) + n_layers // 2
