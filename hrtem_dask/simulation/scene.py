"""Analytic scenes: lattice fringes in particle outlines on granular carbon, with exact truth.

This is a simple model, not multislice: fringes are plane waves in the weak-phase approximation, carbon is a random
field in the pass band of a contrast transfer function. It serves for demonstrations and for tests of sizes, spacings
and angles, whose truth is known exactly. It does not predict how well a network works on real micrographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.fft

from hrtem_dask.micrograph import PixelSize

__all__ = ["GOLD_110_PLANES", "Scene", "SceneContrast", "simulate_scene"]

LatticePlanes = tuple[float, float]
"""Spacing (nm) and direction of the wave vector (°) of a family of lattice planes."""
GOLD_110_PLANES: tuple[LatticePlanes, ...] = ((0.23546, 0.0), (0.23546, 70.529), (0.20391, 125.264))
"""Au along [110]: two {111}, 70.5° apart, and {200}, which bisects the obtuse angle; rounded spacings."""
MAX_PLACING_TRIALS = 200


@dataclass(frozen=True)
class SceneContrast:
    """Contrast of a scene, as shares of the background intensity."""

    darkness: float = 0.06
    """Mean loss of intensity at the thickest part of a particle."""
    fringes: float = 0.10
    """Amplitude of the lattice fringes there."""
    carbon: float = 0.04
    """Standard deviation of the granularity of the carbon."""


@dataclass(frozen=True)
class Scene:
    """A simulated micrograph and its truth."""

    image: np.ndarray
    """Shape (y, x), uint16: counts."""
    labels: np.ndarray
    """Shape (y, x), int32: number of the particle in each pixel, 0 is background."""
    truth: pd.DataFrame
    """One row per particle: particle_id, centre_y_nm, centre_x_nm, equivalent_diameter_nm, lattice_orientation_deg."""
    pixel_size_nm: PixelSize
    """Height and width of a pixel in nm."""


def simulate_scene(
    *,
    seed: int | Sequence[int],
    shape: tuple[int, int] = (512, 512),
    pixel_size_nm: float = 0.03,
    n_particles: int = 8,
    diameter_nm: tuple[float, float] = (2.0, 4.0),
    planes: Sequence[LatticePlanes] = GOLD_110_PLANES,
    contrast: SceneContrast = SceneContrast(),
    dose_per_px: float = 900.0,
    n_spikes: int = 4,
) -> Scene:
    """Simulate one analytic scene.

    Parameters
    ----------
    seed : int or sequence of int
        Seed of `numpy.random.default_rng`. For a series, (seed, i) makes scene i independent of all others.
    shape : tuple of int
        Shape (y, x) in px.
    pixel_size_nm : float
        Height and width of a pixel (nm).
    n_particles : int
        Number of particles; fewer if no free position is found. No particle touches another one or the border.
    diameter_nm : tuple of float
        Smallest and largest equivalent diameter (nm), drawn uniformly.
    planes : sequence of tuple of float
        Spacing (nm) and direction (°) of each family of lattice planes, relative to the orientation of the lattice.
    contrast : SceneContrast
        Contrast of particles, fringes and carbon.
    dose_per_px : float
        Mean number of electrons per pixel, 1 count each; the noise is Poisson noise.
    n_spikes : int
        Number of X-ray spikes.

    Returns
    -------
    Scene
        Image and truth.

    Examples
    --------
    >>> scene = simulate_scene(seed=1, shape=(256, 256), n_particles=1)
    >>> scene.image.dtype, scene.labels.max().item(), len(scene.truth)
    (dtype('uint16'), 1, 1)
    """
    rng = np.random.default_rng(seed)
    relative = contrast.carbon * _carbon(rng, shape, pixel_size_nm)
    labels = np.zeros(shape, np.int32)
    rows: list[dict[str, float]] = []
    for _ in range(n_particles):
        diameter = rng.uniform(*diameter_nm)
        free = _find_outline(rng, labels, diameter / pixel_size_nm)
        if free is None:
            break
        window, inside, thickness, (cy, cx) = free
        particle_id = len(rows) + 1
        orientation = rng.uniform(0, 180)
        labels[window][inside] = particle_id
        fringes = _fringes(rng, window, pixel_size_nm, [(spacing, a + orientation) for spacing, a in planes])
        relative[window] += thickness * (contrast.fringes * fringes - contrast.darkness)
        rows.append(
            {
                "particle_id": particle_id,
                "centre_y_nm": cy * pixel_size_nm,
                "centre_x_nm": cx * pixel_size_nm,
                "equivalent_diameter_nm": 2 * np.sqrt(inside.sum() / np.pi) * pixel_size_nm,
                "lattice_orientation_deg": orientation,
            }
        )
    counts = rng.poisson(dose_per_px * np.clip(1 + relative, 0.05, None)).astype(np.float64)
    counts.ravel()[rng.integers(0, counts.size, n_spikes)] += 20 * dose_per_px
    image = np.clip(counts, 0, np.iinfo(np.uint16).max).astype(np.uint16)
    columns = ["particle_id", "centre_y_nm", "centre_x_nm", "equivalent_diameter_nm", "lattice_orientation_deg"]
    return Scene(image, labels, pd.DataFrame(rows, columns=columns), (pixel_size_nm, pixel_size_nm))


def _carbon(rng: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> np.ndarray:
    """Return noise in the pass band of a microscope at 300 kV and 50 nm underfocus, with standard deviation 1."""
    wavelength_nm, defocus_nm, limit_per_nm = 0.00197, 50.0, 6.0
    fy = scipy.fft.fftfreq(shape[0], pixel_size_nm)[:, None]
    fx = scipy.fft.rfftfreq(shape[1], pixel_size_nm)[None, :]
    squared = fy**2 + fx**2
    transfer = np.sin(np.pi * wavelength_nm * defocus_nm * squared) * np.exp(-squared / limit_per_nm**2)
    field = scipy.fft.irfft2(scipy.fft.rfft2(rng.standard_normal(shape)) * transfer, s=shape)
    return np.asarray(field / max(field.std(), np.finfo(float).tiny))


def _find_outline(
    rng: np.random.Generator, labels: np.ndarray, diameter_px: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, tuple[float, float]] | None:
    """Find a free position for an outline; return window, outline, thickness and center (y, x)."""
    half = int(np.ceil(diameter_px * 0.75)) + 2
    if min(labels.shape) <= 2 * half + 2:
        return None
    for _ in range(MAX_PLACING_TRIALS):
        cy, cx = (rng.uniform(half + 1, n - half - 1) for n in labels.shape)
        window = tuple(slice(int(c) - half, int(c) + half + 1) for c in (cy, cx))
        inside, thickness = _outline(rng, window, (cy, cx), diameter_px)
        if not labels[window].any():
            return (window[0], window[1]), inside, thickness, (cy, cx)
    return None


def _outline(
    rng: np.random.Generator, window: Sequence[slice], center: tuple[float, float], diameter_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an ellipse, or an ellipse cut by facets; return its mask and its thickness, which falls like a sphere's."""
    y, x = np.mgrid[window[0], window[1]].astype(float)
    y, x = y - center[0], x - center[1]
    turn, aspect = rng.uniform(0, np.pi), rng.uniform(1, 1.35)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    radius = np.hypot(along / np.sqrt(aspect), across * np.sqrt(aspect)) / (diameter_px / 2)
    inside = radius <= 1
    for direction in rng.uniform(0, 2 * np.pi, rng.integers(0, 4)):
        inside &= (x * np.cos(direction) + y * np.sin(direction)) <= 0.8 * diameter_px / 2
    return inside, np.where(inside, np.sqrt(np.clip(1 - radius**2, 0, None)) * 0.7 + 0.3, 0)


def _fringes(
    rng: np.random.Generator,
    window: Sequence[slice],
    pixel_size_nm: float,
    planes: Sequence[LatticePlanes],
) -> np.ndarray:
    """Return the mean of plane waves; angles count counter-clockwise from +x on the screen, where y points down."""
    y, x = np.mgrid[window[0], window[1]].astype(float) * pixel_size_nm
    total = np.zeros(y.shape)
    for spacing, angle_deg in planes:
        angle = np.deg2rad(angle_deg)
        phase = 2 * np.pi / spacing * (x * np.cos(angle) - y * np.sin(angle)) + rng.uniform(0, 2 * np.pi)
        total += np.cos(phase)
    return total / len(planes)
