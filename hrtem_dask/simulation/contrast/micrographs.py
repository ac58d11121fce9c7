"""A whole contrast-regime micrograph: particles on a support, imaged, recorded, saved, with all that is true of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import scipy.fft

from hrtem_dask.simulation.contrast.annotations import annotate
from hrtem_dask.simulation.contrast.arrangement import Placed, Plan, arrange
from hrtem_dask.simulation.contrast.camera import Camera, Saving, compress, expose, save
from hrtem_dask.simulation.contrast.lens import Lens, image_intensity
from hrtem_dask.simulation.contrast.painting import Canvas, Material, depth_rate, paint
from hrtem_dask.simulation.contrast.ranges import ContrastRanges
from hrtem_dask.simulation.contrast.shapes import Habit
from hrtem_dask.simulation.contrast.supports import Film, add_contamination, add_dirt, add_ligands, support
from hrtem_dask.simulation.contrast.truth import ContrastMicrograph, particle_rows
from hrtem_dask.simulation.ranges import choose, draw

__all__ = ["simulate_contrast_micrograph"]

LEAST_MARGIN_PX = 24
LEAST_DETECTABILITY = 11.0
"""Contrast × diameter over the noise of support and dose: below about 5 nobody sees a particle."""
MONOLAYER_COVERAGE = 0.4
THINNEST_ROD_PX = 3.5
DARK_SUPPORT = (0.08, 1.2)
"""In dark-field images: intensity of the support over that of an opaque particle."""


@dataclass(frozen=True)
class _Exposure:
    """The instrument, as drawn."""

    imaging: str
    lens: Lens
    camera: Camera
    saving: Saving
    relief: float
    relief_angle: float


def simulate_contrast_micrograph(ranges: ContrastRanges, *, seed: int, index: int) -> ContrastMicrograph:
    """Simulate one micrograph of a series.

    Parameters
    ----------
    ranges : ContrastRanges
        What is varied, and how far.
    seed : int
        Seed of the series, 0 or more.
    index : int
        Number in the series: together with `seed` and `ranges` it decides everything.

    Returns
    -------
    ContrastMicrograph
        Image, labels and truth.
    """
    rng = np.random.default_rng([seed, index])
    name = f"con-{seed}-{index:06d}"
    size = ranges.size_px
    pixel_size_nm = draw(rng, ranges.pixel_size_nm, logarithmic=True)
    exposure = _draw_exposure(rng, ranges)
    plan = None if rng.random() < ranges.empty_fraction else _draw_plan(rng, ranges)
    canvas = Canvas.empty(size, (scipy.fft.next_fast_len(size + 2 * LEAST_MARGIN_PX + (size % 2)) - size) // 2)
    film, conditions, faults = _draw_film(rng, ranges, canvas)
    placed: list[Placed] = []
    contrasts: list[float] = []
    if plan is not None:
        depth = _visible_depth(rng, ranges, plan, exposure, conditions)
        material, more = _draw_material(
            rng, ranges, depth_rate(arranged := arrange(rng, plan), depth, _middle(arranged))
        )
        placed, contrasts = paint(rng, canvas, arranged, material)
        conditions |= more | _plan_conditions(plan, depth)
        if material.diffraction > 0:
            faults.append("diffraction")
        if rng.random() < ranges.ligand_fraction:
            add_ligands(rng, film, canvas.cover)
            faults.append("ligands")
    counts = expose(rng, canvas.field(_expected(rng, canvas, film, exposure)), exposure.camera)
    values = save(rng, counts, exposure.saving)
    values, annotation, marks = _finish(rng, ranges, values, exposure.saving, pixel_size_nm)
    labels = np.where(annotation, 0, canvas.field(canvas.labels)).astype(np.int32)
    conditions |= _conditions(name, seed, index, values, pixel_size_nm, labels, len(placed), exposure)
    conditions |= {"annotations": marks, "faults": tuple(faults + _faults(exposure, conditions))}
    particles = particle_rows(name, placed, contrasts, values, labels, annotation)
    return ContrastMicrograph(
        micrograph_id=name,
        intensity=values,
        labels=labels,
        annotation=annotation,
        pixel_size_nm=pixel_size_nm,
        particles=particles,
        conditions=conditions,
    )


def _draw_plan(rng: np.random.Generator, ranges: ContrastRanges) -> Plan:
    """Decide which particles there are, and how they lie."""
    arrangement = choose(rng, ranges.arrangements)
    leading, second = choose(rng, ranges.shapes), choose(rng, ranges.shapes)
    shapes = {leading: 1.0} if second == leading or rng.random() < 0.7 else {leading: 0.75, second: 0.25}
    coverage = draw(rng, ranges.coverage, logarithmic=True)
    if arrangement == "monolayer":
        coverage = float(
            rng.uniform(max(min(MONOLAYER_COVERAGE, ranges.coverage[1]), ranges.coverage[0]), ranges.coverage[1])
        )
    median = float(np.clip(draw(rng, ranges.median_diameter_px, logarithmic=True), *ranges.diameter_limits_px))
    widest = max(np.pi / 4 * (median / THINNEST_ROD_PX) ** 2, ranges.aspect[0])
    habit = Habit(
        aspect=min(draw(rng, ranges.aspect, logarithmic=True), widest),
        roundness=float(rng.random()),
        core=float(rng.uniform(0.35, 0.85)),
        core_density=float(np.exp(rng.uniform(np.log(0.4), np.log(8)))),
        roughness=float(rng.uniform(0.02, 0.12)),
        tilt_deg=float(rng.choice([2.0, 12.0, 40.0])),
    )
    return Plan(
        size_px=ranges.size_px,
        arrangement=arrangement,
        shapes=shapes,
        habit=habit,
        coverage=coverage,
        median_diameter_px=median,
        spread=draw(rng, ranges.diameter_spread, logarithmic=True),
        limits_px=ranges.diameter_limits_px,
        gap_px=ranges.gap_px,
        second_ratio=float(rng.uniform(0.3, 0.65)) if rng.random() < ranges.bimodal_fraction else 1.0,
        max_particles=ranges.max_particles,
    )


def _draw_film(
    rng: np.random.Generator, ranges: ContrastRanges, canvas: Canvas
) -> tuple[Film, dict[str, Any], list[str]]:
    """Make the support and what lies on it."""
    kind = choose(rng, ranges.supports)
    contrast = draw(rng, ranges.texture_contrast, logarithmic=True)
    grain = draw(rng, ranges.texture_grain_px, logarithmic=True)
    rows, columns = canvas.labels.shape
    film = support(rng, kind, (rows, columns), contrast=contrast, grain_px=grain)
    faults = []
    if rng.random() < ranges.contaminated_fraction:
        add_contamination(rng, film)
        faults.append("contamination")
    if rng.random() < ranges.dirt_fraction:
        add_dirt(rng, film, 0.35 * ranges.diameter_limits_px[0])
        faults.append("dirt")
    return film, {"support": kind, "texture_contrast": contrast, "texture_grain_px": grain}, faults


def _draw_material(
    rng: np.random.Generator, ranges: ContrastRanges, depth_per_px: float
) -> tuple[Material, dict[str, Any]]:
    """Decide what the particles are made of."""
    leading = choose(rng, ranges.interiors)
    interiors = {leading: 1.0}
    if rng.random() < 0.5:
        interiors = {leading: 0.6, **{n: 0.4 * w for n, w in ranges.interiors.items() if n != leading}}
    diffracting = rng.random() < ranges.diffracting_fraction
    material = Material(
        depth_per_px=depth_per_px,
        phase_per_depth=draw(rng, ranges.phase_per_depth),
        interiors=interiors,
        mottle_px=float(np.exp(rng.uniform(np.log(2.0), np.log(12)))),
        diffraction=draw(rng, ranges.diffraction_spread) if diffracting else 0.0,
    )
    return material, {"interior": leading}


def _draw_exposure(rng: np.random.Generator, ranges: ContrastRanges) -> _Exposure:
    """Set the instrument and how its image is saved."""
    imaging = "bright_field"
    if rng.random() < ranges.bright_fraction:
        imaging = "dark_field" if rng.random() < 0.7 else "inverted_bright_field"
    lens = Lens(
        fresnel_px=0.0 if imaging == "dark_field" else draw(rng, ranges.fresnel_px),
        is_overfocus=bool(rng.random() < ranges.overfocus_fraction),
        uses_propagator=bool(rng.random() < ranges.propagator_fraction),
        astigmatism=draw(rng, ranges.astigmatism),
        astigmatism_angle_deg=float(rng.uniform(0, 180)),
        blur_px=draw(rng, ranges.blur_px, logarithmic=True),
        drift_px=draw(rng, ranges.drift_px) if rng.random() < 0.4 else ranges.drift_px[0],
        drift_angle_deg=float(rng.uniform(0, 180)),
    )
    scanned = imaging == "dark_field" and rng.random() < ranges.scanned_fraction
    camera = Camera(
        electrons_per_px=draw(rng, ranges.electrons_per_px, logarithmic=True),
        gradient=draw(rng, ranges.gradient) if rng.random() < 0.6 else ranges.gradient[0],
        gradient_angle_deg=float(rng.uniform(0, 360)),
        vignette=draw(rng, ranges.vignette) if rng.random() < 0.5 else ranges.vignette[0],
        readout_noise=draw(rng, ranges.readout_noise),
        mtf_px=draw(rng, ranges.mtf_px),
        n_spikes=round(draw(rng, ranges.n_spikes)) if rng.random() < 0.5 else round(ranges.n_spikes[0]),
        streaks=float(np.exp(rng.uniform(np.log(0.005), np.log(0.08)))) if scanned else 0.0,
    )
    relief = float(rng.choice([-1, 1]) * rng.uniform(0.4, 1.6)) if rng.random() < ranges.relief_fraction else 0.0
    saving = _draw_saving(rng, ranges, imaging)
    return _Exposure(imaging, lens, camera, saving, relief, float(rng.uniform(0, 2 * np.pi)))


def _draw_saving(rng: np.random.Generator, ranges: ContrastRanges, imaging: str) -> Saving:
    """Decide how the image is saved."""
    is_8_bit = bool(rng.random() < ranges.eight_bit_fraction)
    has_jpeg, sharpened = rng.random() < ranges.jpeg_fraction, rng.random() < ranges.sharpened_fraction
    saturated, quality, gamma = rng.random() < ranges.saturated_fraction, rng.uniform(*ranges.jpeg_quality), 1.0
    if rng.random() < 0.5:
        gamma = draw(rng, ranges.gamma, logarithmic=True)
    return Saving(
        is_8_bit=is_8_bit,
        gamma=gamma if is_8_bit else 1.0,
        clipped=float(rng.uniform(0.005, 0.06)) if saturated and is_8_bit else 0.0,
        sharpening=float(rng.uniform(0.4, 1.8)) if sharpened and is_8_bit else 0.0,
        sharpening_px=float(rng.uniform(1, 4)),
        jpeg_quality=round(quality) if has_jpeg and is_8_bit else 0,
        is_inverted=imaging == "inverted_bright_field",
    )


def _visible_depth(
    rng: np.random.Generator, ranges: ContrastRanges, plan: Plan, exposure: _Exposure, conditions: dict[str, Any]
) -> float:
    """Draw the particles' optical depth, deep enough that they can be seen at all."""
    depth = draw(rng, ranges.optical_depth, logarithmic=True)
    texture = 0.0 if conditions["support"] == "vacuum" else float(conditions["texture_contrast"])
    grain = max(float(conditions["texture_grain_px"]), 1.0)
    streaks = exposure.camera.streaks * 4
    noise = np.sqrt(
        1 / exposure.camera.electrons_per_px + (texture * grain) ** 2 + exposure.camera.readout_noise**2 + streaks**2
    )
    least = LEAST_DETECTABILITY * noise / plan.median_diameter_px
    if exposure.imaging == "dark_field":
        least *= 1.5
    return float(np.clip(max(depth, least), ranges.optical_depth[0], ranges.optical_depth[1]))


def _middle(placed: list[Placed]) -> float:
    """Return the median equivalent diameter."""
    return float(np.median([p.body.equivalent_diameter for p in placed])) if placed else 1.0


def _expected(rng: np.random.Generator, canvas: Canvas, film: Film, exposure: _Exposure) -> np.ndarray:
    """Image particles and support; no noise."""
    if exposure.imaging == "dark_field":
        floor = np.float32(np.exp(rng.uniform(*np.log(DARK_SUPPORT))))
        opaque = floor * np.exp(np.clip(film.depth, -2, 2)) + (1 - canvas.transmission)
        expected = image_intensity(np.asarray(opaque, np.float32), canvas.phase, exposure.lens)
    else:
        behind = canvas.transmission * np.exp(-np.clip(film.depth, -1, 4))
        expected = image_intensity(behind, canvas.phase + film.phase, exposure.lens)
    if exposure.relief != 0:
        soft = cv2.GaussianBlur(canvas.transmission, (0, 0), exposure.lens.blur_px + 0.5)
        slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125) * np.float32(np.cos(exposure.relief_angle))
        slope += cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125) * np.float32(np.sin(exposure.relief_angle))
        expected = np.maximum(expected * (1 + np.float32(exposure.relief) * slope), 0)
    return expected


def _finish(
    rng: np.random.Generator, ranges: ContrastRanges, values: np.ndarray, saving: Saving, pixel_size_nm: float
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Burn marks in, and compress."""
    annotation = np.zeros(values.shape, bool)
    marks: tuple[str, ...] = ()
    if rng.random() < ranges.annotated_fraction:
        white = 255.0 if saving.is_8_bit else max(float(values.max()), 1.0)
        values, annotation, marks = annotate(rng, values, pixel_size_nm=pixel_size_nm, white=white)
    if saving.jpeg_quality > 0:
        values = compress(values, saving.jpeg_quality)
    return values.astype(np.float32), annotation, marks


def _conditions(
    name: str,
    seed: int,
    index: int,
    values: np.ndarray,
    pixel_size_nm: float,
    labels: np.ndarray,
    n_particles: int,
    exposure: _Exposure,
) -> dict[str, Any]:
    """Return what is known of every micrograph."""
    lens, camera, saving = asdict(exposure.lens), asdict(exposure.camera), asdict(exposure.saving)
    return {
        "micrograph_id": name,
        "seed": seed,
        "index": index,
        "regime": "contrast",
        "polarity": "dark" if exposure.imaging == "bright_field" else "bright",
        "imaging": exposure.imaging,
        "height_px": values.shape[0],
        "width_px": values.shape[1],
        "pixel_size_nm": pixel_size_nm,
        "n_particles": n_particles,
        "coverage": float((labels > 0).mean()),
        **{k: lens[k] for k in ("fresnel_px", "is_overfocus", "blur_px", "drift_px")},
        **{k: camera[k] for k in ("electrons_per_px", "gradient", "vignette")},
        **{k: saving[k] for k in ("is_8_bit", "gamma", "jpeg_quality")},
    }


def _plan_conditions(plan: Plan, depth: float) -> dict[str, Any]:
    """Return what is known of the particles."""
    return {
        "shape": max(plan.shapes, key=lambda n: plan.shapes[n]),
        "arrangement": plan.arrangement,
        "median_diameter_px": plan.median_diameter_px,
        "diameter_spread": plan.spread,
        "optical_depth": depth,
    }


def _faults(exposure: _Exposure, conditions: dict[str, Any]) -> list[str]:
    """Name what makes the image hard."""
    lens, camera, saving = exposure.lens, exposure.camera, exposure.saving
    planted = {
        "low dose": camera.electrons_per_px < 20,
        "uneven light": camera.gradient > 0.25 or camera.vignette > 0.25,
        "spikes": camera.n_spikes > 0,
        "streaks": camera.streaks > 0,
        "drift": lens.drift_px > 1,
        "far from focus": lens.fresnel_px > 2.5,
        "astigmatism": lens.astigmatism > 0.25 and lens.fresnel_px > 1.5,
        "saturation": saving.clipped > 0,
        "sharpening": saving.sharpening > 0,
        "jpeg": 0 < saving.jpeg_quality < 60,
        "relief": exposure.relief != 0,
        "strong texture": conditions["texture_contrast"] > 0.06 and conditions["support"] != "vacuum",
    }
    return [name for name, is_so in planted.items() if is_so]
