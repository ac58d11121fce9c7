"""Particles on a canvas: what they take from the beam, which phase they give it, and which pixels they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.simulation.contrast.arrangement import Placed
from hrtem_dask.simulation.contrast.bodies import Body
from hrtem_dask.simulation.contrast.interiors import interior
from hrtem_dask.simulation.contrast.textures import grains
from hrtem_dask.simulation.ranges import choose

__all__ = ["Canvas", "Material", "depth_rate", "paint"]

LARGEST_DEPTH = 6.0
GENTLE_DIFFRACTION = 0.12


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the particles of one micrograph are made of."""

    depth_per_px: float
    """Optical depth per px of thickness."""
    phase_per_depth: float = 0.5
    """Phase (rad) per optical depth."""
    interiors: Mapping[str, float]
    """Kind of interior → weight."""
    mottle_px: float = 4.0
    """Grain size of mottled and porous interiors (px)."""
    diffraction: float = 0.0
    """Standard deviation of the logarithm of a particle's factor on its optical depth."""


@dataclass
class Canvas:
    """The field with a margin, so that what is cut by the border is right."""

    transmission: np.ndarray
    """Shape (y, x), float32: share of the electrons that the particles let through."""
    phase: np.ndarray
    """Shape (y, x), float32: their phase (rad)."""
    cover: np.ndarray
    """Shape (y, x), float32: share of each pixel that is particle."""
    labels: np.ndarray
    """Shape (y, x), int32: the uppermost particle of each pixel."""
    margin_px: int
    """Width of the margin on every side (px)."""

    @classmethod
    def empty(cls, size_px: int, margin_px: int) -> Canvas:
        """Make a canvas without particles.

        Parameters
        ----------
        size_px : int
            Height and width of the field (px).
        margin_px : int
            Margin on every side (px).

        Returns
        -------
        Canvas
            Ready to paint on.
        """
        shape = (size_px + 2 * margin_px,) * 2
        zeros = np.zeros(shape, np.float32)
        return cls(np.ones(shape, np.float32), zeros, zeros.copy(), np.zeros(shape, np.int32), margin_px)

    def field(self, image: np.ndarray) -> np.ndarray:
        """Cut the margin off.

        Parameters
        ----------
        image : numpy.ndarray
            Shape (y, x) of the canvas.

        Returns
        -------
        numpy.ndarray
            Shape (y, x) of the field.
        """
        m = self.margin_px
        return image[m : image.shape[0] - m, m : image.shape[1] - m]


def depth_rate(placed: Sequence[Placed], optical_depth: float, median_diameter_px: float) -> float:
    """Return the optical depth per px that gives particles of median size a mean optical depth.

    Parameters
    ----------
    placed : sequence of Placed
        The particles; the first few are looked at.
    optical_depth : float
        What is wanted.
    median_diameter_px : float
        Median size (px).

    Returns
    -------
    float
        Optical depth per px of thickness.
    """
    shares = [_mean_thickness(p.body) / p.body.equivalent_diameter for p in placed[:4]]
    return optical_depth / (max(float(np.median(shares)), 0.02) * median_diameter_px) if shares else 0.0


def paint(
    rng: np.random.Generator, canvas: Canvas, placed: Sequence[Placed], material: Material
) -> tuple[list[Placed], list[float]]:
    """Paint particles, each over those before it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    canvas : Canvas
        Changed in place.
    placed : sequence of Placed
        The particles; those without a pixel in the field are left out.
    material : Material
        What they are made of.

    Returns
    -------
    kept : list of Placed
        The particles in the field: the k-th has the label k + 1.
    contrasts : list of float
        Mean share of the electrons that each takes away.
    """
    shape = canvas.labels.shape
    mottle = grains(rng, (shape[0], shape[1]), material.mottle_px)
    kept: list[Placed] = []
    contrasts: list[float] = []
    for particle in placed:
        window = _window(particle, canvas)
        if window is None:
            continue
        rows, columns = window
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(particle.y_px + canvas.margin_px)
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(
            particle.x_px + canvas.margin_px
        )
        distance = particle.body.distance(y, x)
        inside = distance < 0
        if not _in_field(inside, rows, columns, canvas).any():
            continue
        cover = np.clip(np.float32(0.5) - distance, 0, 1)
        depth = _depth(rng, particle.body, y, x, material, _elsewhere(rng, mottle, inside.shape))
        taken = cover * (1 - np.exp(-depth))
        canvas.transmission[rows, columns] *= 1 - taken
        canvas.phase[rows, columns] += np.float32(material.phase_per_depth) * cover * depth
        np.maximum(canvas.cover[rows, columns], cover, out=canvas.cover[rows, columns])
        kept.append(particle)
        contrasts.append(float(taken[inside].mean()))
        canvas.labels[rows, columns][inside] = len(kept)
    return kept, contrasts


def _depth(
    rng: np.random.Generator, body: Body, y: np.ndarray, x: np.ndarray, material: Material, mottle: np.ndarray
) -> np.ndarray:
    """Return a particle's optical depth at each place."""
    size = np.float32(body.equivalent_diameter)
    thickness = body.thickness(y, x)
    spread = material.diffraction if material.diffraction > 0 else GENTLE_DIFFRACTION * rng.random()
    depth = np.float32(material.depth_per_px * np.exp(np.clip(rng.normal(0, spread), -1.2, 1.2))) * thickness
    kind = choose(rng, material.interiors)
    if kind != "plain":
        depth = depth * interior(rng, kind, y / size, x / size, thickness / size, mottle)
    return np.asarray(np.minimum(depth, np.float32(LARGEST_DEPTH)))


def _window(particle: Placed, canvas: Canvas) -> tuple[slice, slice] | None:
    """Return the part of the canvas around a particle, one pixel more than its outline; None beyond it."""
    origin = np.array([particle.y_px, particle.x_px]) + canvas.margin_px
    low, high = particle.body.outline.min(axis=0) + origin - 1, particle.body.outline.max(axis=0) + origin + 2
    start = np.maximum(np.floor(low).astype(int), 0)
    stop = np.minimum(np.ceil(high).astype(int), canvas.labels.shape)
    if (stop <= start).any():
        return None
    return slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1]))


def _in_field(inside: np.ndarray, rows: slice, columns: slice, canvas: Canvas) -> np.ndarray:
    """Return the part of a window that lies in the field."""
    m, n = canvas.margin_px, canvas.labels.shape[0] - canvas.margin_px
    return inside[
        max(m - rows.start, 0) : max(n - rows.start, 0), max(m - columns.start, 0) : max(n - columns.start, 0)
    ]


def _elsewhere(rng: np.random.Generator, noise: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a random piece of a noise field."""
    y0, x0 = (int(rng.integers(0, n - k + 1)) for n, k in zip(noise.shape, shape, strict=True))
    return noise[y0 : y0 + shape[0], x0 : x0 + shape[1]]


def _mean_thickness(body: Body) -> float:
    """Return a body's mean thickness, seen at a coarse grid."""
    grid = np.linspace(-1, 1, 24, dtype=np.float32) * np.float32(body.reach)
    y, x = grid[:, None], grid[None, :]
    inside = body.distance(y, x) < 0
    return float(body.thickness(y, x)[inside].mean()) if inside.any() else 0.0
