"""One simulated particle: its atoms as the beam sees them, its projected hull, and its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.spatial import ConvexHull

from hrtem_dask.simulation.crystals import (
    Crystal,
    Fault,
    FaultKind,
    build_crystal,
    fault_middle,
    find_crystal,
    lasting_faults,
    layer_index,
)
from hrtem_dask.simulation.orientations import MISORIENTED_DEG, ON_ZONE_DEG, Orientation, draw_orientation
from hrtem_dask.simulation.ranges import SimulationRanges, choose
from hrtem_dask.simulation.shapes import Shape, ShapeName, draw_shape

__all__ = ["ATOM_RADIUS_NM", "SimulatedParticle", "draw_particle", "inside_hull"]

ATOM_RADIUS_NM = 0.1
"""A particle's outline runs this far outside of its outermost atoms' centres."""
FAULT_KINDS: dict[str, float] = {"intrinsic": 0.4, "extrinsic": 0.15, "twin": 0.3, "layer": 0.15}
"""Share of each kind among faults."""
N_FAULTS = {"1": 0.7, "2": 0.22, "3": 0.08}
"""Share of particles with so many fault planes, among faulted ones."""


@dataclass(frozen=True)
class SimulatedParticle:
    """What a particle is made of, its centre at the origin, and what is true of it."""

    positions_nm: np.ndarray
    """Shape (n, 3): x right, y down, z along the beam, the centre of the projected hull at x = y = 0."""
    kinds: np.ndarray
    """Shape (n,): index into `elements`."""
    elements: tuple[str, ...]
    """Chemical symbols."""
    hull: np.ndarray
    """Shape (m, 3): half planes a x + b y + c ≤ 0 of the projected hull (nm), with (a, b) of length 1."""
    radius_nm: float
    """Largest distance of an atom from the centre on the screen (nm)."""
    truth: dict[str, Any]
    """Columns of the truth table that do not depend on where it is put."""

    @property
    def equivalent_radius_nm(self) -> float:
        """Return the radius (nm) of a disk of about the hull's area."""
        return float(self.truth["hull_radius_nm"])


def draw_particle(
    rng: np.random.Generator, ranges: SimulationRanges, material: str, diameter_nm: float
) -> SimulatedParticle:
    """Draw a particle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    ranges : SimulationRanges
        Shapes, and shares of faults and orientations.
    material : str
        Name of a known crystal.
    diameter_nm : float
        About the diameter of the sphere of the same volume (nm).

    Returns
    -------
    SimulatedParticle
        Atoms and truth.
    """
    crystal = find_crystal(material)
    shape = draw_shape(rng, crystal, cast(ShapeName, choose(rng, ranges.shapes)), diameter_nm)
    kind = rng.random()
    misoriented = kind < ranges.misoriented_fraction
    between = not misoriented and kind < ranges.misoriented_fraction + ranges.between_fraction
    faulted = rng.random() < ranges.fault_fraction
    orientation = draw_orientation(rng, crystal, misoriented=misoriented, edge_on=faulted)
    while between and not ON_ZONE_DEG < orientation.tilt_deg <= MISORIENTED_DEG:
        orientation = draw_orientation(rng, crystal, misoriented=False, edge_on=faulted, max_tilt_deg=MISORIENTED_DEG)
    positions, kinds, faults, fault_height = _atoms(rng, crystal, shape, faulted)
    positions = positions + rng.normal(0, crystal.displacement_nm, positions.shape)
    return _projected(crystal, shape, orientation, positions, kinds, faults, fault_height)


def _atoms(
    rng: np.random.Generator, crystal: Crystal, shape: Shape, faulted: bool
) -> tuple[np.ndarray, np.ndarray, list[Fault], float]:
    """Cut a shape out of a crystal; return positions, kinds, faults and the height of the first fault (nm)."""
    origin = (rng.uniform(-0.5, 0.5, 3) * crystal.row_nm).tolist()
    faults: list[Fault] = []
    height = 0.0
    if faulted:
        points, _ = build_crystal(crystal, shape.radius_nm, origin_nm=origin)
        low, high = np.percentile(points[shape.contains(points), 2], [20, 80])
        heights = rng.uniform(low, high, int(choose(rng, N_FAULTS)))
        layers = [layer_index(crystal, shape.radius_nm, h, origin[2]) for h in heights]
        kinds = [cast(FaultKind, choose(rng, FAULT_KINDS)) for _ in layers]
        # faults nearer than the thickest kind of fault would make another one
        chosen = [i for i, layer in enumerate(layers) if all(abs(layer - other) > 6 for other in layers[:i])]
        faults = [Fault(kinds[i], layers[i]) for i in chosen]
    positions, kind = build_crystal(crystal, shape.radius_nm, origin_nm=origin, faults=faults)
    inside = shape.contains(positions)
    faults = lasting_faults(crystal, faults)
    if faults:
        n_half = layer_index(crystal, shape.radius_nm, origin[2], origin[2])
        height = (fault_middle(crystal, faults[0]) - n_half) * crystal.layer_nm + origin[2]
    return positions[inside], kind[inside], faults, height


def _projected(
    crystal: Crystal,
    shape: Shape,
    orientation: Orientation,
    positions: np.ndarray,
    kinds: np.ndarray,
    faults: list[Fault],
    fault_height_nm: float,
) -> SimulatedParticle:
    """Turn atoms to the beam, and say what is true of them."""
    seen = positions @ orientation.matrix.T
    hull = ConvexHull(seen[:, :2])
    corners = seen[hull.vertices, :2]
    centre = (corners.min(0) + corners.max(0)) / 2
    seen[:, :2] -= centre
    planes = hull.equations.copy()
    planes[:, 2] += planes[:, :2] @ centre - ATOM_RADIUS_NM
    normal = orientation.matrix[:, 2]
    trace, offset = _fault_trace(normal, fault_height_nm, centre)
    truth = {
        "material": crystal.name,
        "structure": crystal.structure,
        "shape": shape.name,
        "n_atoms": len(positions),
        "zone_axis": orientation.zone_axis,
        "tilt_deg": orientation.tilt_deg,
        "orientation": orientation.kind,
        "lattice_orientation_deg": orientation.lattice_orientation_deg,
        "fault": faults[0].kind if faults else "none",
        "n_faults": len(faults),
        "fault_visible": bool(faults) and orientation.fault_visible,
        "fault_trace_deg": trace if faults else None,
        "fault_offset_nm": offset if faults else None,
        "hull_radius_nm": float(np.sqrt(hull.volume / np.pi)),
    }
    elements = tuple(sorted({element for element, _, _ in crystal.basis}))
    return SimulatedParticle(seen, kinds, elements, planes, float(np.hypot(*seen[:, :2].T).max()), truth)


def _fault_trace(normal: np.ndarray, height_nm: float, centre_nm: np.ndarray) -> tuple[float, float]:
    """Return the direction of a plane's trace on the screen (°), and its distance from the centre (nm)."""
    across = np.rad2deg(np.arctan2(-normal[1], normal[0]))
    trace = (across + 90) % 180
    offset = (height_nm - normal[:2] @ centre_nm) / max(float(np.hypot(normal[0], normal[1])), 1e-9)
    # counted positive in the direction 90° counter-clockwise of the trace, which is the normal's or its opposite
    same = np.cos(np.deg2rad(trace + 90 - across)) > 0
    return float(trace), float(offset if same else -offset)


def inside_hull(
    particle: SimulatedParticle, centre_nm: tuple[float, float], shape: tuple[int, int], pixel_size_nm: float
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Say which pixels' centres are inside a particle's projected hull.

    Parameters
    ----------
    particle : SimulatedParticle
        The particle.
    centre_nm : tuple of float
        Where its centre is put (y, x), from the image's upper left corner (nm).
    shape : tuple of int
        (y, x) of the image in px.
    pixel_size_nm : float
        Pixel size (nm).

    Returns
    -------
    window : tuple of slice
        The part of the image about it.
    inside : numpy.ndarray
        Bool, the window's shape.
    """
    reach = particle.radius_nm + 2 * ATOM_RADIUS_NM
    window = tuple(
        slice(max(int((c - reach) / pixel_size_nm), 0), min(max(int((c + reach) / pixel_size_nm) + 2, 0), n))
        for c, n in zip(centre_nm, shape, strict=True)
    )
    y, x = (
        (np.arange(w.start, max(w.stop, w.start)) + 0.5) * pixel_size_nm - c
        for w, c in zip(window, centre_nm, strict=True)
    )
    inside = np.ones((len(y), len(x)), bool)
    for a, b, c in particle.hull:
        inside &= np.add.outer(b * y, a * x) + c <= 0
    return (window[0], window[1]), inside
