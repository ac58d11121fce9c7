"""Orientations of a crystal to the beam: along a low-index zone axis or misoriented, with faults edge-on or not.

All directions are in the crystal's frame of the module `crystals` (x close-packed row, z stacking normal).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hrtem_dask.simulation.crystals import Crystal

__all__ = ["MISORIENTED_DEG", "ON_ZONE_DEG", "Orientation", "draw_orientation", "edge_on_axis", "nearest_zone_axis"]

ON_ZONE_DEG = 3.5
"""Up to this angle from a low-index zone axis a crystal is on zone."""
MISORIENTED_DEG = 5.5
"""Beyond this angle from every low-index zone axis a crystal is misoriented; between the two it is not scored."""
_CUBIC_FRAME = np.array([[1, -1, 0], [1, 1, -2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])
"""Rows: x, y, z of the crystal's frame in the axes of the cube."""


@dataclass(frozen=True)
class Orientation:
    """Rotation from the crystal's frame to that of the microscope (x right, y down, z along the beam)."""

    matrix: np.ndarray
    """Shape (3, 3): microscope = matrix @ crystal."""
    zone_axis: str
    """Nearest low-index zone axis."""
    tilt_deg: float
    """Angle between the beam and that zone axis (°)."""
    lattice_orientation_deg: float
    """Direction of the projected stacking normal (0 to 180°); of the row if the normal is along the beam."""
    fault_visible: bool
    """Whether planes normal to the stacking direction are seen edge-on along a close-packed row, within 3.5°."""

    @property
    def kind(self) -> Literal["on_zone", "between", "misoriented"]:
        """Class of the orientation."""
        if self.tilt_deg <= ON_ZONE_DEG:
            return "on_zone"
        return "misoriented" if self.tilt_deg > MISORIENTED_DEG else "between"


def _cubic_axes() -> dict[str, np.ndarray]:
    """Return the variants of every low-index axis of a cubic crystal, unit vectors (n, 3)."""
    axes = {}
    for indices in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2)):
        variants = {
            tuple(s * i for s, i in zip(signs, order, strict=True))
            for order in itertools.permutations(indices)
            for signs in itertools.product((1, -1), repeat=3)
        }
        vectors = np.array(sorted(variants)) @ _CUBIC_FRAME.T
        axes[f"[{''.join(map(str, indices))}]"] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return axes


def _hexagonal_axes(crystal: Crystal) -> dict[str, np.ndarray]:
    """Return the variants of every low-index axis of a hexagonal crystal, unit vectors (n, 3)."""
    turns = np.deg2rad(60 * np.arange(6))
    rows = np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)  # <11-20>: length 3a along a close-packed row
    between = np.stack([np.cos(turns + np.pi / 6), np.sin(turns + np.pi / 6), 0 * turns], 1)  # <10-10>: a√3
    up = np.array([0, 0, 1.0])
    a, c = crystal.row_nm, 2 * crystal.layer_nm
    families = {
        "[0001]": up[None],
        "[11-20]": rows,
        "[10-10]": between,
        "[11-23]": np.concatenate([3 * a * rows + 3 * c * up, 3 * a * rows - 3 * c * up]),
        "[10-11]": np.concatenate([np.sqrt(3) * a * between + c * up, np.sqrt(3) * a * between - c * up]),
    }
    both = {name: np.concatenate([v, -v]) for name, v in families.items()}
    return {name: v / np.linalg.norm(v, axis=1, keepdims=True) for name, v in both.items()}


def zone_axes(crystal: Crystal) -> dict[str, np.ndarray]:
    """Return the low-index zone axes of a crystal.

    Parameters
    ----------
    crystal : Crystal
        Cubic or hexagonal.

    Returns
    -------
    dict
        Name, such as ``"[110]"`` → unit vectors of its variants, shape (n, 3), in the crystal's frame.
    """
    return _cubic_axes() if crystal.is_cubic else _hexagonal_axes(crystal)


def nearest_zone_axis(crystal: Crystal, beam: np.ndarray) -> tuple[str, float]:
    """Return the low-index zone axis nearest to a beam direction.

    Parameters
    ----------
    crystal : Crystal
        Cubic or hexagonal.
    beam : numpy.ndarray
        Shape (3,): direction in the crystal's frame, any length.

    Returns
    -------
    name : str
        Such as ``"[110]"``.
    angle_deg : float
        Angle to its nearest variant (°).
    """
    unit = beam / np.linalg.norm(beam)
    cosines = {name: float((vectors @ unit).max()) for name, vectors in zone_axes(crystal).items()}
    name = max(cosines, key=lambda n: cosines[n])
    return name, float(np.rad2deg(np.arccos(min(cosines[name], 1))))


def edge_on_axis(crystal: Crystal) -> str:
    """Return the zone axis along which faults are seen edge-on.

    Parameters
    ----------
    crystal : Crystal
        Cubic or hexagonal.

    Returns
    -------
    str
        ``"[110]"`` or ``"[11-20]"``.
    """
    return "[110]" if crystal.is_cubic else "[11-20]"


def draw_orientation(
    rng: np.random.Generator, crystal: Crystal, *, misoriented: bool, edge_on: bool, max_tilt_deg: float = ON_ZONE_DEG
) -> Orientation:
    """Draw an orientation at random.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    crystal : Crystal
        Cubic or hexagonal.
    misoriented : bool
        Draw a direction more than 5.5° from every low-index zone axis.
    edge_on : bool
        If not misoriented: True draws a direction along the close-packed row of the crystal's frame, so that faults
        are edge-on; False one along any low-index axis, in half of the cases the close-packed row.
    max_tilt_deg : float
        Largest tilt from the axis (°).

    Returns
    -------
    Orientation
        The rotation and its properties.
    """
    axes = zone_axes(crystal)
    if misoriented:
        beam = rng.standard_normal(3)
        while nearest_zone_axis(crystal, beam)[1] <= MISORIENTED_DEG:
            beam = rng.standard_normal(3)
    else:
        if edge_on or rng.random() < 0.5:
            axis = np.array([1.0, 0, 0])
        else:
            low = ("[100]", "[111]", "[112]") if crystal.is_cubic else ("[0001]", "[10-10]")
            variants = axes[low[rng.integers(len(low))]]
            axis = variants[rng.integers(len(variants))]
        beam = _tilted(axis, np.deg2rad(max_tilt_deg * np.sqrt(rng.random())), rng.uniform(0, 2 * np.pi))
    return _orientation(crystal, beam / np.linalg.norm(beam), rng.uniform(0, 2 * np.pi))


def _tilted(axis: np.ndarray, tilt: float, azimuth: float) -> np.ndarray:
    """Tilt a unit vector by `tilt` (rad) towards `azimuth` (rad)."""
    first, second = _perpendicular(axis)
    return np.asarray(np.cos(tilt) * axis + np.sin(tilt) * (np.cos(azimuth) * first + np.sin(azimuth) * second))


def _perpendicular(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors that form a right-handed frame with a unit vector."""
    helper = np.eye(3)[np.argmin(np.abs(axis))]
    first = np.cross(axis, helper)
    first /= np.linalg.norm(first)
    return first, np.cross(axis, first)


def _orientation(crystal: Crystal, beam: np.ndarray, turn: float) -> Orientation:
    """Return the orientation for a beam along a unit vector, with the image rotated by `turn` (rad)."""
    first, second = _perpendicular(beam)
    matrix = np.stack(
        [np.cos(turn) * first + np.sin(turn) * second, -np.sin(turn) * first + np.cos(turn) * second, beam]
    )
    normal, row = matrix[:, 2], matrix[:, 0]
    shown = normal if np.hypot(normal[0], normal[1]) > 0.1 else row
    name, tilt = nearest_zone_axis(crystal, beam)
    along_row = np.rad2deg(np.arccos(min(float(np.abs(_row_directions() @ beam).max()), 1)))
    return Orientation(
        matrix,
        name,
        tilt,
        # y points down on the screen; angles count counter-clockwise as seen
        float(np.rad2deg(np.arctan2(-shown[1], shown[0])) % 180),
        bool(along_row <= ON_ZONE_DEG),
    )


def _row_directions() -> np.ndarray:
    """Return the three close-packed directions in a layer."""
    turns = np.deg2rad([0, 60, 120])
    return np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)
