"""The stages composed for one micrograph: image in, labels and rows out. No Dask, no files.

`analyse` is what a batch runs. The lazy notebook API calls the same stages one by one (`segment`, `label`,
`measure`, `classify`), so both give the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import backend, filtering, fourier, particles, tables
from hrtem_dask.analysis.classification import classify
from hrtem_dask.defects import DefectClassifier
from hrtem_dask.errors import CalibrationError
from hrtem_dask.loading.quality import image_quality as quality
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.segmenters import Segmentation, Segmenter
from hrtem_dask.settings import Settings

__all__ = ["Analysis", "analyse", "judge_quality", "label", "measure", "prepare", "segment"]


@dataclass(frozen=True)
class Analysis:
    """What is found on one micrograph."""

    status: str
    """done, empty (no particle) or set_aside."""
    reason: str | None
    """Why it was set aside."""
    labels: np.ndarray
    """Shape (y, x), int32: the particle_id of each pixel, 0 = background."""
    prepared: np.ndarray
    """Shape (y, x), float32 in [0, 1]: the filtered image that everything was measured on."""
    regions: pd.DataFrame
    """Rows of `tables.REGIONS`, without the columns that the caller knows (micrograph_id, sample)."""
    particles: pd.DataFrame
    """Rows of `tables.PARTICLES`, without the columns that the caller knows."""
    micrograph: dict[str, Any]
    """Columns of `tables.MICROGRAPHS` that the analysis fills."""
    execution: dict[str, Any] = field(default_factory=dict)
    """Columns of `tables.EXECUTION` that the analysis fills."""


def prepare(image: np.ndarray, settings: Settings, *, gain: np.ndarray | None = None) -> tuple[Any, int]:
    """Filter one image on the device that the settings name.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.
    settings : Settings
        Of these, `filtering` and `execution.device`.
    gain : numpy.ndarray, optional
        Gain reference, shape (y, x).

    Returns
    -------
    prepared : numpy.ndarray or cupy.ndarray
        Shape (y, x), float32 in [0, 1], on the device.
    n_nonfinite : int
        NaN and infinite pixels that were replaced.

    Raises
    ------
    ValueError
        If no pixel is finite.
    """
    device = backend.resolve_device(settings.execution.device)
    prepared: Any
    prepared, n_nonfinite = filtering.prepare(
        backend.to_device(np.ascontiguousarray(image), device),
        spike_threshold_sd=settings.filtering.spike_threshold_sd,
        spike_scale=settings.filtering.spike_scale,
        flatten=settings.filtering.flatten,
        gain=None if gain is None else backend.to_device(gain, device),
    )
    return prepared, n_nonfinite


def judge_quality(
    image: np.ndarray, settings: Settings, *, pixel_size_nm: PixelSize | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Measure the quality of the raw image and flag what is doubtful.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), as it was in the file.
    settings : Settings
        Of these, `quality`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    metrics : dict
        Columns of `tables.MICROGRAPHS`.
    flags : tuple of str
        Names of doubts.
    """
    metrics = quality.image_quality(image, pixel_size_nm=pixel_size_nm)
    limits = settings.quality
    flags = quality.quality_flags(
        metrics,
        max_anisotropy=limits.max_anisotropy,
        min_sharpness=limits.min_sharpness,
        max_saturated_fraction=limits.max_saturated_fraction,
        max_gradient=limits.max_gradient,
        empty_mass_contrast=limits.empty_mass_contrast,
        empty_peak_snr=limits.empty_peak_snr,
    )
    return metrics, flags


def segment(prepared: Any, segmenter: Segmenter, *, pixel_size_nm: PixelSize | None) -> Segmentation:
    """Tell particle from support.

    Parameters
    ----------
    prepared : numpy.ndarray or cupy.ndarray
        From `prepare`.
    segmenter : Segmenter
        From `segmentation.make_segmenter`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    Segmentation
        Probability and mask.
    """
    return segmenter(prepared, pixel_size_nm=pixel_size_nm)


def label(
    image: np.ndarray,
    segmentation: Segmentation,
    settings: Settings,
    *,
    pixel_size_nm: PixelSize | None,
    corrected: np.ndarray | None = None,
) -> particles.Particles:
    """Find regions and particles in a mask, and measure their size and shape.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), as it was in the file: intensities are given in its own counts.
    segmentation : Segmentation
        From `segment`.
    settings : Settings
        Of these, `particles`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    corrected : numpy.ndarray of int, optional
        Shape (y, x): labels corrected by hand, which are measured instead of what the mask holds.

    Returns
    -------
    particles.Particles
        Labels, region table, particle table.
    """
    rules = settings.particles
    finite = filtering.replace_nonfinite(image)[0]
    if corrected is not None:
        return particles.measure_labels(
            corrected,
            finite,
            pixel_size_nm=pixel_size_nm,
            probability=segmentation.probability,
            bridge_gap_nm=rules.bridge_gap_nm,
            min_area_px=rules.min_area_px,
            min_area_nm2=rules.min_area_nm2,
            max_region_area_nm2=rules.max_region_area_nm2,
        )
    return particles.find_particles(
        segmentation.mask,
        finite,
        pixel_size_nm=pixel_size_nm,
        probability=segmentation.probability,
        opening_radius_px=rules.opening_radius_px,
        closing_radius_px=rules.closing_radius_px,
        fill_holes=rules.fill_holes,
        bridge_gap_nm=rules.bridge_gap_nm,
        min_area_px=rules.min_area_px,
        min_area_nm2=rules.min_area_nm2,
        max_region_area_nm2=rules.max_region_area_nm2,
        split_touching=rules.split_touching,
        split_min_confidence=rules.split_min_confidence,
    )


def measure(
    prepared: Any, found: particles.Particles, settings: Settings, *, pixel_size_nm: PixelSize | None
) -> pd.DataFrame:
    """Add each particle's power-spectrum features to its row.

    Parameters
    ----------
    prepared : numpy.ndarray or cupy.ndarray
        From `prepare`.
    found : particles.Particles
        From `label`.
    settings : Settings
        Of these, `fourier`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without one the lattice columns stay null.

    Returns
    -------
    pandas.DataFrame
        Rows of `tables.PARTICLES`.
    """
    table = found.particles
    image = backend.to_numpy(prepared)
    rows = []
    for _, crop in particles.particle_crops(image, table):
        row: dict[str, Any] = dict(fourier.groschner2021_features(crop))
        row |= fourier.measure_lattice(
            crop,
            pixel_size_nm=pixel_size_nm,
            spacing_range_nm=settings.fourier.spacing_range_nm,
            min_peak_snr=settings.fourier.min_peak_snr,
        )
        row |= fourier.measure_zone_axis(
            crop,
            pixel_size_nm=pixel_size_nm,
            material=settings.fourier.material,
            spacing_range_nm=settings.fourier.spacing_range_nm,
        )
        rows.append(row)
    if not rows:
        return table
    features = pd.DataFrame(rows, index=table.index)
    return tables.conform(table.drop(columns=features.columns).join(features), tables.PARTICLES)


def analyse(
    image: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    settings: Settings,
    segmenter: Segmenter,
    classifier: DefectClassifier | None = None,
    gain: np.ndarray | None = None,
    corrected: np.ndarray | None = None,
) -> Analysis:
    """Take one micrograph through every stage.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype; not modified.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; None analyses in pixels and leaves ``*_nm`` columns null.
    settings : Settings
        All stages' settings.
    segmenter : Segmenter
        From `segmentation.make_segmenter`.
    classifier : DefectClassifier, optional
        From `defects.make_classifier`; None classifies nothing.
    gain : numpy.ndarray, optional
        Gain reference that the image is divided by.
    corrected : numpy.ndarray of int, optional
        Shape (y, x): labels corrected by hand. They take the place of what the segmenter finds, whose probability is
        measured all the same; its guess of its own mask's quality is left out.

    Returns
    -------
    Analysis
        Labels, tables and what the micrograph's row needs.

    Raises
    ------
    HrtemDaskError, ValueError
        If the image cannot be analysed; the message says why. A pixel size that the segmenter cannot do with sets
        the micrograph aside instead.
    """
    clock = _Clock()
    metrics, flags = judge_quality(image, settings, pixel_size_nm=pixel_size_nm)
    prepared, n_nonfinite = prepare(image, settings, gain=gain)
    clock.lap("seconds_filter")
    row: dict[str, Any] = {**metrics, "n_nonfinite": n_nonfinite, "quality_flags": ",".join(flags) or None}
    row["corrected"] = corrected is not None
    set_aside = [flag for flag in flags if flag in settings.quality.set_aside]
    if set_aside:
        reason = f"quality: {', '.join(set_aside)} (settings quality.set_aside)"
        return _nothing_found(backend.to_numpy(prepared), row, reason, clock.laps)

    try:
        segmentation = segment(prepared, segmenter, pixel_size_nm=pixel_size_nm)
    except CalibrationError as error:  # the segmenter cannot do with this pixel size: what is known so far is kept
        return _nothing_found(backend.to_numpy(prepared), row, str(error), clock.laps)
    clock.lap("seconds_segment")
    found = label(image, segmentation, settings, pixel_size_nm=pixel_size_nm, corrected=corrected)
    clock.lap("seconds_particles")
    found = replace(found, particles=measure(prepared, found, settings, pixel_size_nm=pixel_size_nm))
    clock.lap("seconds_fourier")
    found = classify(backend.to_numpy(prepared), found, settings, classifier, pixel_size_nm=pixel_size_nm)
    table = found.particles
    clock.lap("seconds_defects")
    row |= {
        "n_regions": len(found.regions),
        "n_particles": len(table),
        "n_counted": int(table["counted"].sum()),
        "coverage": float(np.count_nonzero(found.labels) / found.labels.size),
        "seam_score": segmentation.seam_score,
        **(_predicted_quality(segmenter, segmentation, metrics, pixel_size_nm) if corrected is None else {}),
        **_lattice_check(table, settings),
    }
    return Analysis(
        status="done" if len(table) else "empty",
        reason=None,
        labels=found.labels,
        prepared=backend.to_numpy(prepared),
        regions=found.regions,
        particles=table,
        micrograph=row,
        execution={
            **clock.laps,
            "device": segmentation.device,
            "engine": segmentation.engine,
            "out_of_memory_steps": ", ".join(segmentation.out_of_memory_steps) or None,
        },
    )


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _nothing_found(prepared: np.ndarray, row: dict[str, Any], reason: str, laps: dict[str, float]) -> Analysis:
    """Return the analysis of a micrograph that was looked at and set aside."""
    return Analysis(
        status="set_aside",
        reason=reason,
        labels=np.zeros(prepared.shape, np.int32),
        prepared=prepared,
        regions=tables.empty(tables.REGIONS),
        particles=tables.empty(tables.PARTICLES),
        micrograph=row,
        execution=dict(laps),
    )


def _predicted_quality(
    segmenter: Segmenter, segmentation: Segmentation, metrics: Mapping[str, Any], pixel_size_nm: PixelSize | None
) -> dict[str, Any]:
    """Guess how good the mask is, where the segmenter can."""
    terms = segmentation.quality_terms
    if segmenter.dice_model is None or terms is None:
        return {}
    properties = {**metrics, "pixel_size_nm": None if pixel_size_nm is None else float(np.mean(pixel_size_nm))}
    return {
        "mask_agreement": terms.get("mask_agreement"),
        "predicted_dice": segmenter.dice_model.predict(terms, properties),
    }


def _lattice_check(table: pd.DataFrame, settings: Settings) -> dict[str, Any]:
    """Cross-check the pixel size by the spacings of the stated material."""
    if settings.fourier.material is None or not len(table):
        return {}
    spacings = table["spacing_1_nm"].to_numpy(dtype=float, na_value=np.nan)
    scale = fourier.lattice_scale_ratio(spacings, settings.fourier.material)
    if scale.ratio is None:
        return {}
    off = abs(scale.ratio - 1) > settings.fourier.calibration_tolerance
    return {"lattice_scale_ratio": scale.ratio, "calibration_flags": "off_lattice" if off else None}
