"""Analytic scenes: lattice fringes in particle outlines on granular carbon, with exact truth.

An honest toy, not multislice: fringes are plane waves in the weak-phase approximation, carbon is a random field in the
pass band of a contrast transfer function. It is good for demonstrations and for tests of sizes, spacings and angles,
whose truth it knows exactly; it says nothing of how well a network does on real micrographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.fft

from hrtem_dask.micrograph import PixelSize

__all__ = ["Scene", "simulate_scene"]

GOLD_110_SPACINGS_NM = (0.23546, 0.23546, 0.20391)
GOLD_110_ANGLES_DEG = (0.0, 70.529, 125.264)
"""Au on [110]: {111} twice, 70.5° apart, and {200} between their supplements; a = 0.40782 nm."""
MAX_PLACING_TRIALS = 200


@dataclass(frozen=True)
class Scene:
    """A simulated micrograph and its truth."""

    image: np.ndarray
    """Shape (y, x), uint16: counts."""
    labels: np.ndarray
    """Shape (y, x), int32: the particle of each pixel, 0 = background."""
    truth: pd.DataFrame
    """One row per particle: particle_id, centre_y_nm, centre_x_nm, equivalent_diameter_nm, lattice_orientation_deg."""
    pixel_size_nm: PixelSize
    """(y, x) in nm."""


def simulate_scene(
    *,
    seed: int | Sequence[int],
    shape: tuple[int, int] = (512, 512),
    pixel_size_nm: float = 0.03,
    n_particles: int = 8,
    diameter_nm: tuple[float, float] = (2.0, 4.0),
    spacings_nm: Sequence[float] = GOLD_110_SPACINGS_NM,
    angles_deg: Sequence[float] = GOLD_110_ANGLES_DEG,
    darkness: float = 0.06,
    fringe_contrast: float = 0.10,
    carbon_contrast: float = 0.04,
    dose_per_px: float = 900.0,
    n_spikes: int = 4,
) -> Scene:
    """Simulate one micrograph.

    Parameters
    ----------
    seed : int or sequence of int
        For `numpy.random.default_rng`; (seed, i) for the i-th of a series, so that it does not depend on workers.
    shape : tuple of int
        (y, x) in px.
    pixel_size_nm : float
        Height and width of a pixel (nm).
    n_particles : int
        Particles wished for; fewer where no free place is found. None may touch another or the border.
    diameter_nm : tuple of float
        Range of the equivalent diameter (nm), uniform.
    spacings_nm, angles_deg : sequence of float
        Spacing (nm) and direction (°) of each plane wave of the lattice, relative to its orientation.
    darkness : float
        Mean loss of intensity at a particle's thickest place, as a share of the background.
    fringe_contrast : float
        Amplitude of the fringes there, as a share of the background.
    carbon_contrast : float
        Standard deviation of the carbon's granularity, as a share of the background.
    dose_per_px : float
        Mean electrons per pixel (Poisson).
    n_spikes : int
        X-ray spikes.

    Returns
    -------
    Scene
        Image and truth.
    """
    rng = np.random.default_rng(seed)
    contrast = carbon_contrast * _carbon(rng, shape, pixel_size_nm)
    labels = np.zeros(shape, np.int32)
    rows: list[dict[str, float]] = []
    for _ in range(n_particles):
        diameter = rng.uniform(*diameter_nm)
        placed = _place(rng, labels, diameter / pixel_size_nm)
        if placed is None:
            break
        window, inside, thickness, (cy, cx) = placed
        particle_id = len(rows) + 1
        orientation = rng.uniform(0, 180)
        labels[window][inside] = particle_id
        fringes = _fringes(rng, window, pixel_size_nm, spacings_nm, [a + orientation for a in angles_deg])
        contrast[window] += thickness * (fringe_contrast * fringes - darkness)
        rows.append(
            {
                "particle_id": particle_id,
                "centre_y_nm": cy * pixel_size_nm,
                "centre_x_nm": cx * pixel_size_nm,
                "equivalent_diameter_nm": 2 * np.sqrt(inside.sum() / np.pi) * pixel_size_nm,
                "lattice_orientation_deg": orientation,
            }
        )
    counts = rng.poisson(dose_per_px * np.clip(1 + contrast, 0.05, None)).astype(np.float64)
    counts.ravel()[rng.integers(0, counts.size, n_spikes)] += 20 * dose_per_px
    image = np.clip(counts, 0, np.iinfo(np.uint16).max).astype(np.uint16)
    columns = ["particle_id", "centre_y_nm", "centre_x_nm", "equivalent_diameter_nm", "lattice_orientation_deg"]
    return Scene(image, labels, pd.DataFrame(rows, columns=columns), (pixel_size_nm, pixel_size_nm))


def _carbon(rng: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> np.ndarray:
    """Return white noise in the pass band of a microscope at 300 kV and 50 nm underfocus, standard deviation 1."""
    wavelength_nm, defocus_nm, limit_per_nm = 0.00197, 50.0, 6.0
    fy = scipy.fft.fftfreq(shape[0], pixel_size_nm)[:, None]
    fx = scipy.fft.rfftfreq(shape[1], pixel_size_nm)[None, :]
    squared = fy**2 + fx**2
    transfer = np.sin(np.pi * wavelength_nm * defocus_nm * squared) * np.exp(-squared / limit_per_nm**2)
    field = scipy.fft.irfft2(scipy.fft.rfft2(rng.standard_normal(shape)) * transfer, s=shape)
    return np.asarray(field / max(field.std(), np.finfo(float).tiny))


def _place(
    rng: np.random.Generator, labels: np.ndarray, diameter_px: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, tuple[float, float]] | None:
    """Find a free place for an ellipse or a truncated polygon; return window, outline, thickness and centre."""
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
    rng: np.random.Generator, window: Sequence[slice], centre: tuple[float, float], diameter_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an ellipse, or an ellipse cut by facets, of about that diameter; thickness falls off like a sphere's."""
    y, x = np.mgrid[window[0], window[1]].astype(float)
    y, x = y - centre[0], x - centre[1]
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
    spacings_nm: Sequence[float],
    angles_deg: Sequence[float],
) -> np.ndarray:
    """Add up the lattice's plane waves; angles count counter-clockwise from +x on the screen, where y points down."""
    y, x = np.mgrid[window[0], window[1]].astype(float) * pixel_size_nm
    total = np.zeros(y.shape)
    for spacing, angle in zip(spacings_nm, np.deg2rad(angles_deg), strict=True):
        phase = 2 * np.pi / spacing * (x * np.cos(angle) - y * np.sin(angle)) + rng.uniform(0, 2 * np.pi)
        total += np.cos(phase)
    return total / len(spacings_nm)
