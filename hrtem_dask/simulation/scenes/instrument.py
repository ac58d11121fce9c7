"""What a scene goes through on its way to a file: lens, exposure, coarse noise, saving, marks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hrtem_dask.simulation.contrast.annotations import annotate
from hrtem_dask.simulation.contrast.camera import Camera, Saving, compress, expose, save
from hrtem_dask.simulation.contrast.lens import Lens
from hrtem_dask.simulation.contrast.supports import Film, add_contamination, add_dirt, support
from hrtem_dask.simulation.contrast.textures import grains
from hrtem_dask.simulation.ranges import choose, draw
from hrtem_dask.simulation.scenes.ranges import RodRanges, SceneRanges, VesicleRanges

__all__ = ["Exposure", "draw_exposure", "draw_film", "record"]

MOST_ELECTRONS = 4000.0
FEWEST_ELECTRONS = 2.0


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """The instrument of a scene, as drawn."""

    lens: Lens
    """Blur, drift, defocus."""
    camera: Camera
    """Illumination and dose; the dose is set by `record`."""
    saving: Saving
    """How the image is saved."""
    coarse_px: float
    """Grain size of correlated noise (px), 0 for none."""


def draw_exposure(rng: np.random.Generator, ranges: SceneRanges, *, imaging: str) -> Exposure:
    """Set the instrument.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    ranges : SceneRanges
        What is varied.
    imaging : str
        Kind of image: haadf, bright_field or sem.

    Returns
    -------
    Exposure
        The instrument.
    """
    is_transmitted, is_8_bit = imaging == "bright_field", bool(rng.random() < ranges.eight_bit_fraction)
    lens = Lens(
        fresnel_px=draw(rng, ranges.fresnel_px) if is_transmitted else 0.0,
        is_overfocus=bool(rng.random() < 0.3),
        blur_px=draw(rng, ranges.blur_px, logarithmic=True),
        drift_px=draw(rng, ranges.drift_px) if rng.random() < 0.3 else ranges.drift_px[0],
        drift_angle_deg=float(rng.uniform(0, 180)),
    )
    camera = Camera(
        gradient=draw(rng, ranges.gradient) if rng.random() < 0.5 else ranges.gradient[0],
        gradient_angle_deg=float(rng.uniform(0, 360)),
        vignette=draw(rng, ranges.vignette) if is_transmitted and rng.random() < 0.4 else ranges.vignette[0],
        mtf_px=float(rng.uniform(0, 0.9)),
        n_spikes=int(rng.integers(0, 6)) if rng.random() < 0.2 else 0,
        streaks=float(np.exp(rng.uniform(np.log(0.005), np.log(0.06))))
        if not is_transmitted and rng.random() < 0.4
        else 0.0,
    )
    saving = Saving(
        is_8_bit=is_8_bit,
        gamma=float(np.exp(rng.uniform(np.log(0.6), np.log(1.6)))) if is_8_bit and rng.random() < 0.5 else 1.0,
        clipped=float(rng.uniform(0.005, 0.04)) if is_8_bit and rng.random() < 0.15 else 0.0,
        sharpening=float(rng.uniform(0.4, 1.5)) if is_8_bit and rng.random() < 0.12 else 0.0,
        jpeg_quality=int(rng.integers(30, 95)) if is_8_bit and rng.random() < ranges.jpeg_fraction else 0,
    )
    coarse = draw(rng, ranges.coarse_noise_px) if rng.random() < ranges.coarse_noise_fraction else 0.0
    return Exposure(lens=lens, camera=camera, saving=saving, coarse_px=coarse)


def draw_film(
    rng: np.random.Generator, ranges: RodRanges | VesicleRanges, shape: tuple[int, int], *, largest_contrast: float
) -> tuple[Film, str]:
    """Make the support and what lies on it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    ranges : RodRanges or VesicleRanges
        What is varied.
    shape : tuple of int
        Shape (y, x) of the canvas.
    largest_contrast : float
        The texture has at most this contrast, so that the instances stand out from it.

    Returns
    -------
    film : Film
        Its depth and phase.
    kind : str
        Name of the support.
    """
    kind = choose(rng, ranges.supports)
    contrast = min(draw(rng, ranges.texture_contrast, logarithmic=True), largest_contrast)
    film = support(rng, kind, shape, contrast=contrast, grain_px=draw(rng, ranges.texture_grain_px, logarithmic=True))
    if rng.random() < ranges.contaminated_fraction:
        add_contamination(rng, film)
    if rng.random() < ranges.dirt_fraction:
        add_dirt(rng, film, float(rng.uniform(2, 5)))
    return film, kind


def record(
    rng: np.random.Generator,
    expected: np.ndarray,
    exposure: Exposure,
    *,
    noise: float,
    background: float,
    annotated_fraction: float,
    pixel_size_nm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Expose, save and mark an image.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    expected : numpy.ndarray of float32
        Shape (y, x): mean intensity.
    exposure : Exposure
        The instrument.
    noise : float
        Standard deviation of a background pixel over its mean; the dose follows from it.
    background : float
        Intensity of the background.
    annotated_fraction : float
        Probability of burnt-in marks.
    pixel_size_nm : float
        Pixel size (nm), which decides the length of a scale bar.

    Returns
    -------
    image : numpy.ndarray of uint16
        Shape (y, x).
    annotation : numpy.ndarray of bool
        Shape (y, x): burnt-in marks.
    """
    share = rng.uniform(0.4, 0.9) if exposure.coarse_px > 0 else 0.0
    fine = noise * np.sqrt(1 - share)
    mean = max(float(expected.mean()), 1e-6)
    electrons = float(np.clip(mean / max(background, 1e-3) / fine**2, FEWEST_ELECTRONS, MOST_ELECTRONS))
    counts = expose(rng, expected, replace(exposure.camera, electrons_per_px=electrons))
    if share > 0:
        level = np.float32(float(counts.mean()) * background / mean * noise * np.sqrt(share) / exposure.coarse_px**0.7)
        shape = (counts.shape[0], counts.shape[1])
        counts = np.maximum(counts + level * grains(rng, shape, exposure.coarse_px), 0)
    values = save(rng, counts, exposure.saving)
    annotation = np.zeros(values.shape, bool)
    if rng.random() < annotated_fraction:
        white = 255.0 if exposure.saving.is_8_bit else max(float(values.max()), 1.0)
        values, annotation, _ = annotate(rng, values, pixel_size_nm=pixel_size_nm, white=white)
    if exposure.saving.jpeg_quality > 0:
        values = compress(values, exposure.saving.jpeg_quality)
    return np.clip(values, 0, 65535).astype(np.uint16), annotation
