"""One simulated particle: its atoms in the frame of the microscope, its projected hull, and its truth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.spatial import ConvexHull

from hrtem_dask.simulation.atoms import build_crystal, layer_index
from hrtem_dask.simulation.crystals import Crystal, find_crystal
from hrtem_dask.simulation.orientations import MISORIENTED_DEG, ON_ZONE_DEG, Orientation, draw_orientation
from hrtem_dask.simulation.ranges import SimulationRanges, choose
from hrtem_dask.simulation.shapes import Shape, ShapeName, draw_shape
from hrtem_dask.simulation.stacking import Fault, FaultKind, fault_middle, lasting_faults
from hrtem_dask.simulation.truth import Values

__all__ = ["ATOM_RADIUS_NM", "SimulatedParticle", "draw_particle", "inside_hull"]

ATOM_RADIUS_NM = 0.1
"""Distance of the outline of a particle from the centers of its outermost atoms."""
FAULT_KINDS: dict[str, float] = {"intrinsic": 0.4, "extrinsic": 0.15, "twin": 0.3, "layer": 0.15}
"""Probability of each kind of fault."""
N_FAULTS = {"1": 0.7, "2": 0.22, "3": 0.08}
"""Probability of each number of fault planes in a faulted particle."""


@dataclass(frozen=True)
class SimulatedParticle:
    """Atoms, outline and truth of a particle, with its center at the origin."""

    positions_nm: np.ndarray
    """Shape (n, 3): x right, y down, z along the beam (nm); the center of the projected hull is at x = y = 0."""
    kinds: np.ndarray
    """Shape (n,), int: index into `elements`."""
    elements: tuple[str, ...]
    """Chemical symbols."""
    hull: np.ndarray
    """Shape (m, 3): half planes a x + b y + c ≤ 0 of the projected hull (nm), with (a, b) of length 1."""
    radius_nm: float
    """Largest distance of an atom from the center on the screen (nm)."""
    truth: Values
    """Columns of the truth table that do not depend on the position of the particle."""

    @property
    def equivalent_radius_nm(self) -> float:
        """The radius (nm) of the disk with the area of the projected hull of the atom centers."""
        return float(cast(float, self.truth["hull_radius_nm"]))


def draw_particle(
    rng: np.random.Generator, ranges: SimulationRanges, material: str, diameter_nm: float
) -> SimulatedParticle:
    """Draw a particle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    ranges : SimulationRanges
        Ranges of shapes, faults and orientations.
    material : str
        Name of a known crystal.
    diameter_nm : float
        Approximate diameter of the sphere of the same volume (nm).

    Returns
    -------
    SimulatedParticle
        Atoms and truth.
    """
    crystal = find_crystal(material)
    shape = draw_shape(rng, crystal, cast(ShapeName, choose(rng, ranges.shapes)), diameter_nm)
    draw_of_kind = rng.random()
    misoriented = draw_of_kind < ranges.misoriented_fraction
    between = not misoriented and draw_of_kind < ranges.misoriented_fraction + ranges.between_fraction
    faulted = rng.random() < ranges.fault_fraction
    orientation = draw_orientation(rng, crystal, misoriented=misoriented, edge_on=faulted)
    while between and not ON_ZONE_DEG < orientation.tilt_deg <= MISORIENTED_DEG:
        orientation = draw_orientation(rng, crystal, misoriented=False, edge_on=faulted, max_tilt_deg=MISORIENTED_DEG)
    body = _cut_out(rng, crystal, shape, faulted)
    displaced = body.positions_nm + rng.normal(0, crystal.displacement_nm, body.positions_nm.shape)
    return _projected(dataclasses.replace(body, positions_nm=displaced), shape, orientation)


@dataclass(frozen=True)
class _Body:
    """A shape cut out of a crystal, in the crystal's frame."""

    crystal: Crystal
    positions_nm: np.ndarray  # (n, 3)
    kinds: np.ndarray  # (n,)
    faults: list[Fault]
    fault_height_nm: float  # of the first fault along the stacking normal


def _cut_out(rng: np.random.Generator, crystal: Crystal, shape: Shape, faulted: bool) -> _Body:
    """Cut a shape out of a perfect or faulted crystal."""
    origin = (rng.uniform(-0.5, 0.5, 3) * crystal.row_nm).tolist()
    faults: list[Fault] = []
    height = 0.0
    if faulted:
        points, _ = build_crystal(crystal, shape.radius_nm, origin_nm=origin)
        low, high = np.percentile(points[shape.contains(points), 2], [20, 80])
        heights = rng.uniform(low, high, int(choose(rng, N_FAULTS)))
        layers = [layer_index(crystal, shape.radius_nm, h, origin[2]) for h in heights]
        kinds = [cast(FaultKind, choose(rng, FAULT_KINDS)) for _ in layers]
        # faults nearer to each other than the thickest kind of fault would form another kind
        chosen = [i for i, layer in enumerate(layers) if all(abs(layer - other) > 6 for other in layers[:i])]
        faults = [Fault(kinds[i], layers[i]) for i in chosen]
    positions, kind = build_crystal(crystal, shape.radius_nm, origin_nm=origin, faults=faults)
    inside = shape.contains(positions)
    faults = lasting_faults(crystal, faults)
    if faults:
        n_half = layer_index(crystal, shape.radius_nm, origin[2], origin[2])
        height = (fault_middle(crystal, faults[0]) - n_half) * crystal.layer_nm + origin[2]
    return _Body(crystal, positions[inside], kind[inside], faults, height)


def _projected(body: _Body, shape: Shape, orientation: Orientation) -> SimulatedParticle:
    """Rotate the atoms into the frame of the microscope, and record the truth about them."""
    crystal, faults = body.crystal, body.faults
    seen = body.positions_nm @ orientation.matrix.T
    hull = ConvexHull(seen[:, :2])
    corners = seen[hull.vertices, :2]
    center = (corners.min(0) + corners.max(0)) / 2
    seen[:, :2] -= center
    planes = hull.equations.copy()
    planes[:, 2] += planes[:, :2] @ center - ATOM_RADIUS_NM
    normal = orientation.matrix[:, 2]
    trace, offset = _fault_trace(normal, body.fault_height_nm, center)
    truth: Values = {
        "material": crystal.name,
        "structure": crystal.structure,
        "shape": shape.name,
        "n_atoms": len(body.positions_nm),
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
    radius_nm = float(np.hypot(*seen[:, :2].T).max())
    return SimulatedParticle(seen, body.kinds, crystal.elements, planes, radius_nm, truth)


def _fault_trace(normal: np.ndarray, height_nm: float, center_nm: np.ndarray) -> tuple[float, float]:
    """Return the direction of the trace of a plane on the screen (°), and its distance from the center (nm)."""
    across = np.rad2deg(np.arctan2(-normal[1], normal[0]))
    trace = (across + 90) % 180
    offset = (height_nm - normal[:2] @ center_nm) / max(float(np.hypot(normal[0], normal[1])), 1e-9)
    # positive is 90° counter-clockwise of the trace: the direction of the normal or its opposite
    same = np.cos(np.deg2rad(trace + 90 - across)) > 0
    return float(trace), float(offset if same else -offset)


def inside_hull(
    particle: SimulatedParticle, center_nm: tuple[float, float], shape: tuple[int, int], pixel_size_nm: float
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Find the pixels whose centers are inside the projected hull of a particle.

    Parameters
    ----------
    particle : SimulatedParticle
        The particle.
    center_nm : tuple of float
        Position (y, x) of its center, from the upper left corner of the image (nm).
    shape : tuple of int
        Shape (y, x) of the image in px.
    pixel_size_nm : float
        Pixel size (nm).

    Returns
    -------
    window : tuple of slice
        Part of the image around the particle.
    inside : numpy.ndarray
        Shape of the window, bool.
    """
    reach = particle.radius_nm + 2 * ATOM_RADIUS_NM
    window = tuple(
        slice(max(int((c - reach) / pixel_size_nm), 0), min(max(int((c + reach) / pixel_size_nm) + 2, 0), n))
        for c, n in zip(center_nm, shape, strict=True)
    )
    y, x = (
        (np.arange(w.start, max(w.stop, w.start)) + 0.5) * pixel_size_nm - c
        for w, c in zip(window, center_nm, strict=True)
    )
    inside = np.ones((len(y), len(x)), bool)
    for a, b, c in particle.hull:
        inside &= np.add.outer(b * y, a * x) + c <= 0
    return (window[0], window[1]), inside
