"""Scenes of vesicles and holes in bright-field TEM, after Zhong et al., Microsc. Microanal. (2021)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from hrtem_dask.simulation.contrast.lens import image_intensity
from hrtem_dask.simulation.contrast.supports import Film
from hrtem_dask.simulation.contrast.textures import grains
from hrtem_dask.simulation.ranges import Range, draw
from hrtem_dask.simulation.scenes.instrument import draw_exposure, draw_film, record
from hrtem_dask.simulation.scenes.ranges import VesicleRanges
from hrtem_dask.simulation.scenes.scene import DetectionScene, make_instances
from hrtem_dask.simulation.scenes.vesicles import VESICLE_CLASSES, Vesicle, VesicleLook, paint_vesicles, place_apart

__all__ = ["simulate_vesicle_scene"]

MARGIN_PX = 24
LEAST_DETECTABILITY = 12.0
"""Contrast over the noise of a pixel × √area of the faintest kind of object."""


def simulate_vesicle_scene(ranges: VesicleRanges, *, seed: int, index: int) -> DetectionScene:
    """Simulate one scene of vesicles.

    Parameters
    ----------
    ranges : VesicleRanges
        What is varied, and how far. Numbers of objects are those of a field of 512 px.
    seed : int
        Seed of the series, 0 or more.
    index : int
        Number in the series: together with `seed` and `ranges` it decides everything.

    Returns
    -------
    DetectionScene
        Image and truth; classes `VESICLE_CLASSES`.

    Examples
    --------
    >>> scene = simulate_vesicle_scene(VesicleRanges(size_px=128), seed=0, index=0)
    >>> scene.image.shape, scene.class_names
    ((128, 128), ('large_vesicle', 'small_vesicle', 'hole'))
    """
    rng = np.random.default_rng([seed, index])
    size = ranges.size_px
    exposure = draw_exposure(rng, ranges, imaging="bright_field")
    look = _draw_look(rng, ranges)
    side = scipy.fft.next_fast_len(size + 2 * MARGIN_PX + (size % 2))
    side += (side - size) % 2
    film, kind = draw_film(rng, ranges, (side, side), largest_contrast=0.3 * min(look.small, look.hole, look.membrane))
    _even_out(film, float(rng.uniform(0.3, 1.6)) * (look.membrane + look.interior))
    # the ice or stain around the vesicles is uneven at their own scale
    film.depth += np.float32(rng.uniform(0, 0.6) * look.membrane) * grains(rng, (side, side), rng.uniform(15, 90))
    placed = [] if rng.random() < ranges.empty_fraction else _place(rng, ranges)
    objects = paint_vesicles(rng, film.depth, placed, look, size_px=size)
    phase = film.phase + np.float32(rng.uniform(0.2, 1.5)) * film.depth
    intensity = image_intensity(np.exp(-np.clip(film.depth, -2, 4)), phase, exposure.lens)
    margin = (side - size) // 2
    background = float(np.exp(-np.median(film.depth)))
    noise = _noise(rng, ranges, look, max(exposure.coarse_px, 1.0))
    pixel_size_nm = draw(rng, ranges.pixel_size_nm, logarithmic=True)
    image, annotation = record(
        rng,
        intensity[margin : margin + size, margin : margin + size],
        exposure,
        noise=noise,
        background=background,
        annotated_fraction=ranges.annotated_fraction,
        pixel_size_nm=pixel_size_nm,
    )
    instances, full_sizes, is_cut = make_instances(objects, annotation)
    conditions: dict[str, Any] = {
        "seed": seed,
        "index": index,
        "regime": "vesicles",
        "polarity": "mixed",
        "imaging": "bright_field",
        "support": kind,
        "membrane_contrast": look.membrane,
        "interior_contrast": look.interior,
        "noise": noise,
        "coarse_noise_px": exposure.coarse_px,
        "blur_px": exposure.lens.blur_px,
    }
    return DetectionScene(
        micrograph_id=f"ves-{seed}-{index:06d}",
        image=image,
        instances=instances,
        class_names=VESICLE_CLASSES,
        full_sizes_px=full_sizes,
        is_cut=is_cut,
        annotation=annotation,
        pixel_size_nm=pixel_size_nm,
        conditions=conditions,
    )


def _draw_look(rng: np.random.Generator, ranges: VesicleRanges) -> VesicleLook:
    """Decide how strong the contrasts are."""
    return VesicleLook(
        interior=draw(rng, ranges.interior_contrast),
        membrane=draw(rng, ranges.membrane_contrast, logarithmic=True),
        membrane_px=float(rng.uniform(1.5, 5.0)),
        bilayer=bool(rng.random() < 0.2),
        small=draw(rng, ranges.small_contrast, logarithmic=True),
        small_ring=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.3 else 0.0,
        hole=draw(rng, ranges.hole_contrast, logarithmic=True),
    )


def _even_out(film: Film, largest: float) -> None:
    """Weaken a film whose thickness varies so much that no vesicle would be seen."""
    weaker = np.float32(min(1.0, largest / max(float(film.depth.std()), 1e-6)))
    film.depth *= weaker
    film.phase *= weaker


def _noise(rng: np.random.Generator, ranges: VesicleRanges, look: VesicleLook, grain_px: float) -> float:
    """Draw the noise of a pixel over the background, so low that the faintest kind of object can be seen."""
    noise = 1 / np.sqrt(draw(rng, ranges.electrons_per_px, logarithmic=True))
    area = np.pi / 4 * min(ranges.small_diameter_px[0], ranges.hole_diameter_px[0]) ** 2
    ring = 2.5 * ranges.large_diameter_px[0] * look.membrane_px
    faintest = min(min(look.small, look.hole) * np.sqrt(area), look.membrane * np.sqrt(ring))
    return float(min(noise, faintest / LEAST_DETECTABILITY / grain_px**0.3))


def _place(rng: np.random.Generator, ranges: VesicleRanges) -> list[Vesicle]:
    """Place large vesicles, then small ones and holes, which may also lie on large ones."""
    share = (ranges.size_px / 512) ** 2
    median = draw(rng, ranges.large_diameter_px, logarithmic=True)
    large_px = np.clip(
        median * np.exp(rng.normal(0, 0.3, _number(rng, ranges.n_large, share))), *ranges.large_diameter_px
    )
    waviness, overlap = float(rng.uniform(0.01, 0.09)), float(rng.choice([0.0, 0.1, 0.35]))
    large = place_apart(
        rng, "large_vesicle", sorted(large_px, reverse=True), size_px=ranges.size_px, waviness=waviness, overlap=overlap
    )
    small = place_apart(
        rng,
        "small_vesicle",
        _diameters(rng, ranges.small_diameter_px, _number(rng, ranges.n_small, share)),
        size_px=ranges.size_px,
        waviness=0.06,
        overlap=0.1,
    )
    holes = place_apart(
        rng,
        "hole",
        _diameters(rng, ranges.hole_diameter_px, _number(rng, ranges.n_holes, share)),
        size_px=ranges.size_px,
        waviness=0.03,
        overlap=0.0,
        others=small,
    )
    return large + small + holes


def _number(rng: np.random.Generator, limits: Range, share: float) -> int:
    """Draw a number of objects for a share of the usual field."""
    return max(round(float(rng.uniform(*limits)) * share), 1 if limits[0] > 0 else 0)


def _diameters(rng: np.random.Generator, limits: Range, n: int) -> list[float]:
    """Draw diameters around a median of the scene (px)."""
    median = draw(rng, limits, logarithmic=True)
    return [float(d) for d in np.clip(median * np.exp(rng.normal(0, 0.2, n)), *limits)]
