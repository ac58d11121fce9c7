"""The wave of the whole field: its grid of samples, the thickness of the film, and the exit waves of the particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage

from hrtem_dask.simulation.atoms import Atoms
from hrtem_dask.simulation.imaging.multislice import exit_wave, resample_wave
from hrtem_dask.simulation.particles import SimulatedParticle
from hrtem_dask.simulation.placement import Placed
from hrtem_dask.simulation.ranges import SimulationRanges, draw

__all__ = ["Grid", "carbon_thickness", "field_wave"]

MAX_SAMPLING_NM = 0.031
"""Largest sampling distance of the wave of the field; its Nyquist frequency is 1/(2 × 0.031 nm) = 16 per nm."""
PARTICLE_SAMPLING_NM = {"heavy": 0.0125, "light": 0.02}
"""Sampling distance in the box of a particle: columns of heavy atoms along the beam need the finer one."""
HEAVY = frozenset({"Au", "Pt", "Ag", "Pd", "Pb"})
"""Elements that need the finer sampling."""
BOX_MARGIN_NM = 0.7
"""Space around a particle in its box."""
FIELD_MARGIN_NM = 1.5
"""The field is larger than the image by this much on each side, because its wave is periodic."""


@dataclass(frozen=True)
class Grid:
    """The grid of samples of the field, and the position of the image in it."""

    shape_px: tuple[int, int]
    """Shape of the image (y, x) in px."""
    pixel_size_nm: float
    """Pixel size (nm)."""
    subpixels: int
    """Samples along each side of a pixel."""
    margin_px: int
    """Pixels of the field on each side of the image; more on the lower and right side."""
    size_px: int
    """Side of the square field, in px."""

    @property
    def sampling_nm(self) -> float:
        """Distance between samples (nm)."""
        return self.pixel_size_nm / self.subpixels

    @property
    def size(self) -> int:
        """Side of the square field, in samples."""
        return self.size_px * self.subpixels

    @property
    def limit_per_nm(self) -> float:
        """Nyquist frequency of the samples (1/nm)."""
        return 1 / (2 * self.sampling_nm)

    @classmethod
    def for_image(cls, shape_px: tuple[int, int], pixel_size_nm: float) -> Grid:
        """Choose a sampling, and a size for which the Fourier transform is fast.

        Parameters
        ----------
        shape_px : tuple of int
            Shape of the image (y, x) in px.
        pixel_size_nm : float
            Pixel size (nm).

        Returns
        -------
        Grid
            At most 0.031 nm between samples, and at least 1.5 nm around the image.
        """
        subpixels = int(np.ceil(pixel_size_nm / MAX_SAMPLING_NM))
        margin = int(np.ceil(FIELD_MARGIN_NM / pixel_size_nm))
        size = max(shape_px) + 2 * margin
        while scipy.fft.next_fast_len(size * subpixels) != size * subpixels:
            size += 1
        return cls(shape_px, pixel_size_nm, subpixels, margin, size)

    def sample(self, position_nm: float) -> float:
        """Convert a position to sample coordinates.

        Parameters
        ----------
        position_nm : float
            Distance from the upper or left edge of the image (nm).

        Returns
        -------
        float
            In samples of the field. The center of a pixel falls on the sample that `camera.expected_image` uses for
            that pixel.
        """
        pixels = position_nm / self.pixel_size_nm - 0.5 + self.margin_px
        return pixels * self.subpixels + self.subpixels // 2

    def image(self, values: np.ndarray) -> np.ndarray:
        """Cut the image out of the pixels of the field.

        Parameters
        ----------
        values : numpy.ndarray
            Shape (size_px, size_px).

        Returns
        -------
        numpy.ndarray
            Shape of the image; a view.
        """
        start = self.margin_px
        return values[start : start + self.shape_px[0], start : start + self.shape_px[1]]


def carbon_thickness(rng: np.random.Generator, ranges: SimulationRanges, grid: Grid) -> np.ndarray:
    """Draw the thickness of the film over the field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    ranges : SimulationRanges
        Ranges of mean, variation and edges.
    grid : Grid
        Grid of the field.

    Returns
    -------
    numpy.ndarray
        Shape (size, size), float32: thickness (nm). It varies on scales of several nm and sometimes has a step.
    """
    mean, spread = draw(rng, ranges.carbon_thickness_nm), draw(rng, ranges.carbon_variation)
    scale_nm = rng.uniform(1.5, 8.0)
    coarse = max(8, int(np.ceil(grid.size_px * grid.pixel_size_nm / scale_nm * 3)))
    field = scipy.ndimage.gaussian_filter(rng.standard_normal((coarse, coarse)), 1.5, mode="wrap")
    size = grid.size
    smooth = scipy.ndimage.zoom(field / field.std(), size / coarse, order=1, mode="grid-wrap", grid_mode=True)
    thickness = np.clip(mean * (1 + spread * smooth), 0.2 * mean, 2.5 * mean)
    if rng.random() < ranges.edge_fraction:
        angle, position = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
        y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, size),) * 2, indexing="ij")
        beyond = x * np.cos(angle) + y * np.sin(angle) + 0.03 * smooth > position
        thickness = np.where(beyond, thickness * rng.uniform(0, 2.5), thickness)
    return np.asarray(thickness, np.float32)


def field_wave(placed: Sequence[Placed], grid: Grid, *, voltage_kv: float, absorption: float) -> np.ndarray:
    """Multiply the exit waves of all particles into one field.

    Parameters
    ----------
    placed : sequence of Placed
        Particles and their positions.
    grid : Grid
        Grid of the field.
    voltage_kv : float
        Acceleration voltage (kV).
    absorption : float
        Ratio of the absorptive to the elastic potential.

    Returns
    -------
    numpy.ndarray
        Shape (size, size), complex64: 1 where there is no particle.
    """
    n = grid.size
    wave = np.ones((n, n), np.complex64)
    for one in placed:
        exact = [grid.sample(c) for c in one.center_nm]
        # the box lies on samples of the field; the particle is shifted inside it by the rest
        y, x = ((c - round(c)) * grid.sampling_nm for c in exact)
        box = _particle_wave(one.particle, grid.sampling_nm, voltage_kv, absorption, shift_nm=(x, y))
        start = [round(c) - len(box) // 2 for c in exact]
        target = tuple(slice(max(s, 0), min(s + len(box), n)) for s in start)
        source = tuple(slice(t.start - s, t.stop - s) for t, s in zip(target, start, strict=True))
        wave[target] *= box[source]
    return wave


def _particle_wave(
    particle: SimulatedParticle,
    sampling_nm: float,
    voltage_kv: float,
    absorption: float,
    *,
    shift_nm: tuple[float, float],
) -> np.ndarray:
    """Return the exit wave of a particle in a square box of field samples, shifted by (x, y) from the middle sample."""
    finest_nm = PARTICLE_SAMPLING_NM["heavy" if HEAVY & set(particle.elements) else "light"]
    box_px = int(np.ceil(2 * (particle.radius_nm + BOX_MARGIN_NM) / sampling_nm))
    box_nm = box_px * sampling_nm
    size = scipy.fft.next_fast_len(int(np.ceil(box_nm / finest_nm)))
    middle = box_px // 2 * sampling_nm
    shift = np.array([middle + shift_nm[0], middle + shift_nm[1], 0])
    wave = exit_wave(
        Atoms(particle.positions_nm + shift, particle.kinds, particle.elements),
        size_px=size,
        sampling_nm=box_nm / size,
        voltage_kv=voltage_kv,
        limit_per_nm=1 / (3 * finest_nm),
        absorption=absorption,
    )
    return resample_wave(wave, box_px)
