"""Scenes of nanorods that lie over one another, in HAADF-STEM, in bright field and by secondary electrons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft

from hrtem_dask.simulation.contrast.lens import image_intensity
from hrtem_dask.simulation.contrast.supports import Film
from hrtem_dask.simulation.ranges import choose, draw
from hrtem_dask.simulation.scenes.arrangement import RodPlan, arrange_rods
from hrtem_dask.simulation.scenes.instrument import Exposure, draw_exposure, draw_film, record
from hrtem_dask.simulation.scenes.ranges import RodRanges
from hrtem_dask.simulation.scenes.rod_painting import RodLook, paint_rods
from hrtem_dask.simulation.scenes.scene import DetectionScene, make_instances

__all__ = ["ROD_CLASSES", "simulate_rod_scene"]

ROD_CLASSES = ("rod", "end_on_rod")
"""A lying rod, whose length is seen; and one that stands on end, of which the cross section is seen."""
MARGIN_PX = 24
HEAPS = ("crossed", "clusters")
LEAST_DETECTABILITY = 12.0
"""Contrast over the noise of a pixel × √area: less than half of it shows that something is there, but not what."""
LEAST_ASPECT_BESIDE_CUBES = 1.7
LEAST_ASPECT_OF_HEAPS = 2.0


def simulate_rod_scene(ranges: RodRanges, *, seed: int, index: int) -> DetectionScene:
    """Simulate one scene of nanorods.

    Parameters
    ----------
    ranges : RodRanges
        What is varied, and how far.
    seed : int
        Seed of the series, 0 or more.
    index : int
        Number in the series: together with `seed` and `ranges` it decides everything.

    Returns
    -------
    DetectionScene
        Image and truth; classes `ROD_CLASSES`.

    Examples
    --------
    >>> scene = simulate_rod_scene(RodRanges(size_px=128), seed=0, index=3)
    >>> scene.image.shape, scene.instances.rotated_boxes.shape[1]
    ((128, 128), 5)
    """
    rng = np.random.default_rng([seed, index])
    size = ranges.size_px
    imaging = choose(rng, ranges.imaging)
    exposure = draw_exposure(rng, ranges, imaging=imaging)
    plan = _draw_plan(rng, ranges, imaging)
    rods = [] if rng.random() < ranges.empty_fraction else arrange_rods(rng, plan)
    side = scipy.fft.next_fast_len(size + 2 * MARGIN_PX + (size % 2))
    side += (side - size) % 2
    ground = _draw_ground(rng, ranges, (side, side), imaging)
    canvas = ground.signal.copy() if imaging == "sem" else np.zeros((side, side), np.float32)
    objects = paint_rods(rng, canvas, rods, _draw_look(rng, ranges, plan, imaging), size_px=size)
    margin = (side - size) // 2
    expected = _image(rng, canvas, ground, exposure, imaging)[margin : margin + size, margin : margin + size]
    grain = max(exposure.coarse_px, 1.0)
    area = plan.length_px**2 / plan.aspect
    ratio = max(draw(rng, ranges.contrast_to_noise, logarithmic=True), LEAST_DETECTABILITY * grain**0.3 / np.sqrt(area))
    pixel_size_nm = draw(rng, ranges.pixel_size_nm, logarithmic=True)
    image, annotation = record(
        rng,
        expected,
        exposure,
        noise=ground.contrast / ratio,
        background=ground.background,
        annotated_fraction=ranges.annotated_fraction,
        pixel_size_nm=pixel_size_nm,
    )
    instances, full_sizes, is_cut = make_instances(objects, annotation)
    conditions: dict[str, Any] = {
        "seed": seed,
        "index": index,
        "regime": "rods",
        "polarity": "dark" if imaging == "bright_field" else "bright",
        "imaging": imaging,
        "arrangement": plan.arrangement,
        "profile": plan.profile,
        "support": ground.kind,
        "length_px": plan.length_px,
        "aspect": plan.aspect,
        "coverage": plan.coverage,
        "contrast_to_noise": float(ratio),
        "noise": float(ground.contrast / ratio),
        "coarse_noise_px": exposure.coarse_px,
        "blur_px": exposure.lens.blur_px,
        "has_neighbors": plan.neighbors > 0,
    }
    return DetectionScene(
        micrograph_id=f"rod-{seed}-{index:06d}",
        image=image,
        instances=instances,
        class_names=ROD_CLASSES,
        full_sizes_px=full_sizes,
        is_cut=is_cut,
        annotation=annotation,
        pixel_size_nm=pixel_size_nm,
        conditions=conditions,
    )


def _draw_plan(rng: np.random.Generator, ranges: RodRanges, imaging: str) -> RodPlan:
    """Decide which rods there are, and how they lie."""
    has_neighbors = rng.random() < ranges.neighbor_fraction
    arrangement = choose(rng, ranges.arrangements)
    # squat bodies beside cubes, or over one another, are told apart by nobody
    least = LEAST_ASPECT_OF_HEAPS if arrangement in HEAPS else LEAST_ASPECT_BESIDE_CUBES if has_neighbors else 1.0
    lowest = min(max(ranges.aspect[0], least), ranges.aspect[1])
    length = draw(rng, ranges.length_px, logarithmic=True)
    # a rod has a width that can be seen, and is not wider than stated
    limits = (max(lowest, length / ranges.width_px[1]), min(ranges.aspect[1], length / ranges.width_px[0]))
    aspect = draw(rng, (min(limits), max(limits)), logarithmic=True)
    coverage = draw(rng, ranges.coverage, logarithmic=True)
    if imaging == "sem":
        coverage = min(coverage, 0.6)
    return RodPlan(
        size_px=ranges.size_px,
        arrangement=arrangement,
        length_px=length,
        aspect=aspect,
        spread=float(rng.uniform(0.03, 0.25)),
        length_limits_px=ranges.length_px,
        aspect_limits=(lowest, ranges.aspect[1]),
        width_limits_px=ranges.width_px,
        profile=choose(rng, ranges.profiles),
        coverage=coverage,
        max_rods=ranges.max_rods,
        director_rad=float(rng.uniform(0, np.pi)),
        end_on=float(rng.uniform(0.1, 0.5)) if rng.random() < ranges.end_on_fraction else 0.0,
        neighbors=float(rng.uniform(0.05, 0.5)) if has_neighbors else 0.0,
    )


def _draw_look(rng: np.random.Generator, ranges: RodRanges, plan: RodPlan, imaging: str) -> RodLook:
    """Decide what the rods look like."""
    interiors = {"plain": 1.0}
    spread = float(rng.uniform(0.02, 0.15))
    if imaging == "bright_field" and rng.random() < ranges.diffracting_fraction:
        interiors = {"plain": 0.25, "bend": 0.35, "twin": 0.15, "grains": 0.15, "fringes": 0.1}
        spread = float(rng.uniform(0.15, 0.55))
    elif rng.random() < 0.3:
        interiors = {"plain": 0.4, "mottled": 0.4, "porous": 0.2}
    has_rim = rng.random() < (0.8 if imaging == "sem" else 0.25)
    return RodLook(
        imaging=imaging,
        width_px=plan.length_px / plan.aspect,
        interiors=interiors,
        spread=spread,
        rim=float(rng.uniform(0.2, 1.0)) if has_rim else 0.0,
        rim_px=float(rng.uniform(1.0, 2.5)),
        shadow=float(rng.uniform(0.1, 0.6)) if imaging == "sem" and rng.random() < 0.6 else 0.0,
    )


@dataclass(frozen=True)
class _Ground:
    """What the rods lie on, and how strongly they stand out from it."""

    film: Film
    kind: str
    signal: np.ndarray
    """Signal of the support (haadf, sem), over that of a rod of median width."""
    background: float
    """Median intensity of the support."""
    depth: float
    """Optical depth of a rod of median width (bright_field)."""
    contrast: float
    """Difference of a rod from the background, over the background."""


def _draw_ground(rng: np.random.Generator, ranges: RodRanges, shape: tuple[int, int], imaging: str) -> _Ground:
    """Make the support."""
    if imaging == "bright_field":
        depth = float(np.exp(rng.uniform(np.log(0.12), np.log(2.2))))
        film, kind = draw_film(rng, ranges, shape, largest_contrast=0.35 * min(depth, 1.0))
        background = float(np.exp(-np.median(film.depth)))
        return _Ground(film, kind, np.zeros(shape, np.float32), background, depth, 1 - float(np.exp(-depth)))
    floor = float(np.exp(rng.uniform(np.log(0.06), np.log(0.9 if imaging == "haadf" else 0.45))))
    film, kind = draw_film(rng, ranges, shape, largest_contrast=0.3 / floor)
    # nets and thick parts of a film scatter more
    signal = np.float32(floor) * np.exp(np.clip(2 * film.depth, -2, 1.5))
    contrast = (1 if imaging == "haadf" else 0.6 - floor) / floor
    return _Ground(film, kind, np.asarray(signal, np.float32), floor, 0.0, contrast)


def _image(
    rng: np.random.Generator, canvas: np.ndarray, ground: _Ground, exposure: Exposure, imaging: str
) -> np.ndarray:
    """Image rods and support; no noise."""
    if imaging == "bright_field":
        whole = np.minimum(np.float32(ground.depth) * canvas, 6)
        transmission = np.exp(-whole - np.clip(ground.film.depth, -1, 4))
        phase = np.float32(rng.uniform(0.2, 1.4)) * whole + ground.film.phase
        return image_intensity(transmission, phase, exposure.lens)
    if imaging == "haadf":
        # thick stacks scatter so often that their signal saturates
        most = np.float32(np.exp(rng.uniform(np.log(3), np.log(30))))
        canvas = ground.signal + most * (1 - np.exp(-canvas / most))
    return image_intensity(canvas, np.zeros_like(canvas), exposure.lens)
