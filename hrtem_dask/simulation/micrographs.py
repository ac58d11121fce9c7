"""A whole simulated micrograph: particles on carbon, imaged and recorded, with its truth.

The method combines multislice with a phase object. Each particle is computed by multislice in its own small box. The
exit wave propagates to the middle of the carbon film, where the phase of the film is applied; defocus counts from that
plane. Two simplifications: all particles have the same height, and the film acts in one plane.
"""

from __future__ import annotations

import numpy as np

from hrtem_dask.simulation.imaging.camera import Camera, expected_image, record
from hrtem_dask.simulation.imaging.carbon import carbon_phase
from hrtem_dask.simulation.imaging.field import Grid, carbon_thickness, field_wave
from hrtem_dask.simulation.imaging.optics import Optics, image_intensity, propagate
from hrtem_dask.simulation.labelling import Conditions, with_truth
from hrtem_dask.simulation.placement import place_particles
from hrtem_dask.simulation.ranges import SimulationRanges, choose, draw
from hrtem_dask.simulation.truth import SimulatedMicrograph, Values

__all__ = ["simulate_micrograph"]


def simulate_micrograph(ranges: SimulationRanges, *, seed: int, index: int) -> SimulatedMicrograph:
    """Simulate one micrograph of a series.

    Parameters
    ----------
    ranges : SimulationRanges
        Ranges that the conditions are drawn from.
    seed : int
        Seed of the series, 0 or more.
    index : int
        Number in the series, 0 or more. The result depends on `ranges`, `seed` and `index` alone.

    Returns
    -------
    SimulatedMicrograph
        Image, labels and truth.

    Examples
    --------
    An empty field without a carbon film, which takes little time:

    >>> ranges = SimulationRanges(size_px=64, empty_fraction=1.0, carbon_thickness_nm=(0.0, 0.0))
    >>> micrograph = simulate_micrograph(ranges, seed=1, index=0)
    >>> micrograph.micrograph_id, micrograph.image.shape, len(micrograph.particles)
    ('sim-1-000000', (64, 64), 0)
    """
    rng = np.random.default_rng([seed, index])
    grid = Grid.for_image((ranges.size_px, ranges.size_px), draw(rng, ranges.pixel_size_nm))
    material = None if rng.random() < ranges.empty_fraction else choose(rng, ranges.materials)
    optics, camera = _draw_optics(rng, ranges), _draw_camera(rng, ranges, grid.pixel_size_nm)
    side_nm = ranges.size_px * grid.pixel_size_nm
    placed = [] if material is None else place_particles(rng, ranges, material, (side_nm, side_nm))
    thickness = carbon_thickness(rng, ranges, grid)
    carbon = carbon_phase(
        rng,
        (grid.size, grid.size),
        sampling_nm=grid.sampling_nm,
        thickness_nm=thickness,
        voltage_kv=optics.voltage_kv,
        limit_per_nm=grid.limit_per_nm,
    )
    absorption = draw(rng, ranges.absorption)
    film = np.exp((1j - absorption) * carbon).astype(np.complex64)
    wave = field_wave(placed, grid, voltage_kv=optics.voltage_kv, absorption=absorption)
    # the phase of the film acts in its middle plane; particles lie on its upper face
    to_middle = float(thickness.mean()) / 2
    wave = propagate(wave, to_middle, voltage_kv=optics.voltage_kv, sampling_nm=grid.sampling_nm)
    expected = _expected(wave * film, optics, camera, grid, n_foci=5)
    image = record(rng, grid.image(expected) / expected.mean(), camera)
    conditions = Conditions(
        optics=optics,
        camera=camera,
        carbon_thickness_nm=float(thickness.mean()),
        carbon_contrast=_carbon_contrast(film, optics, camera, grid),
    )
    bare = grid.image(_with_background(_expected(wave, optics, camera, grid, n_foci=3), camera)) if placed else None
    name = f"sim-{seed}-{index:06d}"
    row: Values = {"micrograph_id": name, "seed": seed, "index": index, "material": material}
    return with_truth(image, placed, bare, conditions, row)


def _draw_optics(rng: np.random.Generator, ranges: SimulationRanges) -> Optics:
    """Draw the settings of the lens."""
    sign = -1 if rng.random() < ranges.overfocus_fraction else 1
    corrected = rng.random() < 0.5
    return Optics(
        voltage_kv=ranges.voltage_kv,
        defocus_nm=sign * draw(rng, ranges.defocus_nm),
        cs_mm=float(np.clip(rng.normal(0, 0.01), -0.02, 0.02)) if corrected else max(draw(rng, ranges.cs_mm), 0.0),
        astigmatism_nm=draw(rng, ranges.astigmatism_nm),
        astigmatism_angle_deg=rng.uniform(0, 180),
        coma_nm=draw(rng, ranges.coma_nm),
        coma_angle_deg=rng.uniform(0, 360),
        focal_spread_nm=draw(rng, ranges.focal_spread_nm),
        aperture_per_nm=draw(rng, ranges.aperture_per_nm),
    )


def _draw_camera(rng: np.random.Generator, ranges: SimulationRanges, pixel_size_nm: float) -> Camera:
    """Draw the settings of the camera."""
    return Camera(
        pixel_size_nm=pixel_size_nm,
        dose_per_nm2=draw(rng, ranges.dose_per_nm2, logarithmic=True),
        vibration_nm=draw(rng, ranges.vibration_nm),
        drift_nm=draw(rng, ranges.drift_nm),
        drift_angle_deg=rng.uniform(0, 180),
        mtf_at_nyquist=draw(rng, ranges.mtf_at_nyquist),
        background=draw(rng, ranges.background),
        gradient=draw(rng, ranges.gradient),
        gradient_angle_deg=rng.uniform(0, 360),
        n_spikes=round(draw(rng, ranges.n_spikes)),
    )


def _expected(wave: np.ndarray, optics: Optics, camera: Camera, grid: Grid, *, n_foci: int) -> np.ndarray:
    """Return the noise-free image of a wave in pixels."""
    intensity = image_intensity(wave, optics, sampling_nm=grid.sampling_nm, n_foci=n_foci)
    return expected_image(intensity, camera, subpixels=grid.subpixels)


def _with_background(expected: np.ndarray, camera: Camera) -> np.ndarray:
    """Add the electrons that carry no contrast to a noise-free image."""
    return (1 - camera.background) * expected + camera.background


def _carbon_contrast(film: np.ndarray, optics: Optics, camera: Camera, grid: Grid) -> float:
    """Return the standard deviation of the noise-free image of the film over its mean."""
    n = min(grid.size, 512 * grid.subpixels)
    expected = _expected(film[:n, :n], optics, camera, grid, n_foci=3)
    inner = expected[grid.margin_px : -grid.margin_px, grid.margin_px : -grid.margin_px]
    return float((1 - camera.background) * inner.std() / inner.mean())
