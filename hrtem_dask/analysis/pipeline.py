"""The stages composed for one micrograph: image in, labels and rows out. No Dask, no files.

`analyse` is what a batch runs. The lazy notebook API runs its two halves, `segment_micrograph` and `analyse_segmented`,
as two tasks, so both give the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hrtem_dask import backend, filtering, tables
from hrtem_dask.analysis.classification import classify
from hrtem_dask.analysis.crystal_fields import crystal_rows, is_one_crystal
from hrtem_dask.analysis.doubtful_sizes import without_doubtful_sizes
from hrtem_dask.analysis.finer_scale import with_mask, without_fused_outlines
from hrtem_dask.analysis.lattice_check import check_lattice
from hrtem_dask.analysis.lattices import measure_lattices, particle_reflections
from hrtem_dask.analysis.mask_columns import about_outlines, about_segmentation, coverage
from hrtem_dask.analysis.outcomes import Analysis, Labelled, Segmented
from hrtem_dask.analysis.region_features import shows_lattice
from hrtem_dask.analysis.stages import (
    judge_quality,
    label,
    label_instances,
    prepare,
    refusal,
    segment,
    visible_field,
)
from hrtem_dask.analysis.verdict import evidence, judge_micrograph
from hrtem_dask.defects import DefectClassifier
from hrtem_dask.errors import CalibrationError
from hrtem_dask.loading.content import judge_content
from hrtem_dask.loading.quality import image_hash
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.find import Particles
from hrtem_dask.segmentation import ScalableSegmenter, Segmenter
from hrtem_dask.settings import Settings

__all__ = ["Analysis", "Segmented", "analyse", "analyse_segmented", "segment_micrograph"]


def analyse(
    image: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    settings: Settings,
    segmenter: Segmenter,
    classifier: DefectClassifier | None = None,
    gain: np.ndarray | None = None,
    corrected: np.ndarray | None = None,
    voltage_kv: float | None = None,
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
        Shape (y, x): labels corrected by hand. They replace the segmenter's. The segmenter's probability is still
        measured; the predicted quality of its mask is left out.
    voltage_kv : float, optional
        Acceleration voltage (kV), where it is known; see `classify`.

    Returns
    -------
    Analysis
        Labels, tables and what the micrograph's row needs.

    Raises
    ------
    HrtemDaskError, ValueError
        If the image cannot be analysed; the message states why. A pixel size that the segmenter cannot work with sets
        the micrograph aside instead.

    Examples
    --------
    >>> from hrtem_dask.segmentation import make_segmenter
    >>> from hrtem_dask.settings import Settings
    >>> from hrtem_dask.simulation import SceneContrast, simulate_scene
    >>> scene = simulate_scene(
    ...     seed=1,
    ...     shape=(96, 128),
    ...     pixel_size_nm=0.05,
    ...     n_particles=2,
    ...     diameter_nm=(1, 1.5),
    ...     contrast=SceneContrast(darkness=0.6),
    ... )
    >>> settings = Settings().updated({"segmentation": {"method": "otsu"}, "execution": {"device": "cpu"}})
    >>> segmenter = make_segmenter(settings.segmentation, settings.execution)
    >>> found = analyse(scene.image, pixel_size_nm=(0.05, 0.05), settings=settings, segmenter=segmenter)
    >>> found.status, len(found.particles), found.labels.shape
    ('done', 2, (96, 128))
    """
    segmented = segment_micrograph(
        image, pixel_size_nm=pixel_size_nm, settings=settings, segmenter=segmenter, gain=gain
    )
    return analyse_segmented(
        segmented,
        pixel_size_nm=pixel_size_nm,
        settings=settings,
        classifier=classifier,
        corrected=corrected,
        voltage_kv=voltage_kv,
    )


def segment_micrograph(
    image: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    settings: Settings,
    segmenter: Segmenter | None,
    gain: np.ndarray | None = None,
    always: bool = False,
) -> Segmented:
    """Take one micrograph from the raw image to the mask: judge its quality, filter it and segment it.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype; not modified.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    settings : Settings
        All stages' settings.
    segmenter : Segmenter or None
        From `segmentation.make_segmenter`; None only judges and filters, because the labels are known.
    gain : numpy.ndarray, optional
        Gain reference that the image is divided by.
    always : bool
        Whether a micrograph that is set aside for its quality is segmented nevertheless, to be looked at.

    Returns
    -------
    Segmented
        Prepared image, probability and mask.

    Raises
    ------
    HrtemDaskError, ValueError
        As `analyse`.
    """
    clock = _Clock()
    original = image
    visible = visible_field(image, settings)
    image, marks, outside = visible.image, visible.marks, visible.outside
    metrics, flags = judge_quality(image, settings, pixel_size_nm=pixel_size_nm, outside=outside)
    if image is not original or outside is not None:  # not the image that was judged
        metrics["image_hash"] = image_hash(original)
    content = judge_content(original)
    flags = (*flags, content.flag) if content.flag else flags
    on_device, n_nonfinite = prepare(image, settings, gain=gain)
    if outside is not None and original.dtype.kind == "f":
        n_nonfinite += int(np.count_nonzero(~np.isfinite(original[outside])))
    field_px = filtering.field_sides(outside, (image.shape[0], image.shape[1]))
    prepared = backend.to_numpy(on_device)  # once: a GPU's image is measured on the host
    clock.lap("seconds_filter")
    refused = refusal(flags, content, settings)
    known = Segmented(
        image=image,
        prepared=prepared,
        segmentation=None,
        set_aside=refused,
        remark=None if content.is_certain and refused else content.reason or None,
        micrograph={
            **metrics,
            "n_nonfinite": n_nonfinite,
            "quality_flags": ",".join(flags) or None,
            "particles_are": "bright" if settings.segmentation.particles_are == "bright" else "dark",
            "marked_fraction": 0.0 if marks is None else float(marks.mean()),
            "field_height_px": field_px[0],
            "field_width_px": field_px[1],
        },
        marks=marks,
        outside=outside,
        seconds=clock.laps,
    )
    if segmenter is None or (refused and not always):
        return known
    try:
        segmentation = segment(on_device, segmenter, pixel_size_nm=pixel_size_nm)
    except CalibrationError as error:  # the segmenter cannot work with this pixel size: what is known is kept
        return replace(known, set_aside=known.set_aside or str(error))
    segmented = with_mask(known, segmentation, segmenter, pixel_size_nm=pixel_size_nm)
    if segmentation.scale_scores and isinstance(segmenter, ScalableSegmenter):
        for look_again in (without_fused_outlines, without_doubtful_sizes):
            segmented = look_again(segmented, segmenter, settings, image=on_device, pixel_size_nm=pixel_size_nm)
    clock.lap("seconds_segment")
    return replace(segmented, seconds=clock.laps)


def analyse_segmented(
    segmented: Segmented,
    *,
    pixel_size_nm: PixelSize | None,
    settings: Settings,
    classifier: DefectClassifier | None = None,
    corrected: np.ndarray | None = None,
    labelled: Labelled | None = None,
    voltage_kv: float | None = None,
) -> Analysis:
    """Take one micrograph from the mask to its rows: find particles, measure and classify them.

    A field without a particle that counts, which one crystal fills, is measured in windows and has no particles.

    Parameters
    ----------
    segmented : Segmented
        From `segment_micrograph`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    settings : Settings
        All stages' settings.
    classifier : DefectClassifier, optional
        From `defects.make_classifier`; None classifies nothing.
    corrected : numpy.ndarray of int, optional
        Shape (y, x): labels corrected by hand, which replace the segmenter's.
    labelled : Labelled, optional
        What an earlier run has found on this micrograph, from `analysis.stored_labels.restore_labelled`; by default
        particles are looked for in the mask.
    voltage_kv : float, optional
        Acceleration voltage (kV), where it is known; see `classify`.

    Returns
    -------
    Analysis
        Labels, tables and what the micrograph's row needs.
    """
    row = {**segmented.micrograph, "corrected": corrected is not None}
    if segmented.set_aside is not None or (segmented.segmentation is None and labelled is None):
        return _nothing_found(segmented, row)
    clock, prepared = _Clock(), segmented.prepared
    if labelled is None:
        labelled = _labelled(segmented, settings, corrected, pixel_size_nm=pixel_size_nm)
    found = labelled.found
    clock.lap("seconds_particles")
    row |= labelled.micrograph
    execution = {**segmented.seconds, **labelled.execution}
    # a particle that counts means that there is something around it, such as a crystalline support
    may_be_crystal = corrected is None and not found.particle_rows.flags("counted").any()
    if may_be_crystal and pixel_size_nm is not None and is_one_crystal(prepared, settings, pixel_size_nm=pixel_size_nm):
        return _one_crystal(segmented, row, execution, clock, settings, pixel_size_nm)
    reflections = particle_reflections(prepared, found, settings, pixel_size_nm=pixel_size_nm)
    found = measure_lattices(prepared, found, settings, reflections, pixel_size_nm=pixel_size_nm)
    clock.lap("seconds_fourier")
    found = classify(
        prepared,
        found,
        settings,
        classifier,
        pixel_size_nm=pixel_size_nm,
        voltage_kv=voltage_kv,
        reflections=reflections,
    )
    could_be_classified = classifier is not None and shows_lattice(pixel_size_nm) and len(found.region_rows) > 0
    if could_be_classified and not settings.defects.holds_at(voltage_kv):
        row["quality_flags"] = f"{row.get('quality_flags') or ''},voltage".lstrip(",")
    rows = found.particle_rows
    clock.lap("seconds_defects")
    row |= {
        "n_regions": len(found.region_rows),
        "n_particles": len(rows),
        "n_counted": int(rows.flags("counted").sum()),
        "n_too_small": found.n_too_small,
        "n_uncertain": found.n_uncertain,
        "coverage": coverage(found.labels, segmented.marks, segmented.outside),
        "field_kind": "particles" if len(rows) else None,
        **evidence(rows, network_scale=labelled.network_scale),
        **_lattice_check(found, settings, row.get("calibration_flags"), prepared, pixel_size_nm),
    }
    row |= judge_micrograph(row, is_calibrated=labelled.is_calibrated, is_unproven=labelled.is_unproven)
    return Analysis(
        status="done" if len(rows) else "empty",
        reason=segmented.remark,
        labels=found.labels,
        prepared=prepared,
        region_rows=found.region_rows,
        particle_rows=rows,
        micrograph=row,
        execution={**execution, **clock.laps},
        instance_runs=labelled.instance_runs,
    )


def _lattice_check(
    found: Particles, settings: Settings, flags: object, prepared: np.ndarray, pixel_size_nm: PixelSize | None
) -> dict[str, object]:
    """Check the pixel size by the lattice, where a material is stated: only then a table is made."""
    if settings.fourier.material is None:
        return {}
    return check_lattice(found.particles, settings, flags, image=prepared, pixel_size_nm=pixel_size_nm)


def _labelled(
    segmented: Segmented, settings: Settings, corrected: np.ndarray | None, *, pixel_size_nm: PixelSize | None
) -> Labelled:
    """Find the particles in the mask, or measure those that were corrected by hand, or that a detector found."""
    assert segmented.segmentation is not None
    # once: labels are made of it, and the certainty of outlines
    probability = backend.to_numpy(segmented.segmentation.probability)
    segmentation = replace(segmented.segmentation, probability=probability)
    hidden = {"marks": segmented.marks, "outside": segmented.outside}
    if segmentation.instances is not None and corrected is None:
        detected = label_instances(
            segmented.image, segmentation.instances, settings, pixel_size_nm=pixel_size_nm, **hidden
        )
        found, runs = detected.particles, detected.runs
    else:
        runs = tables.empty(tables.INSTANCE_RUNS)
        found = label(
            segmented.image, segmentation, settings, pixel_size_nm=pixel_size_nm, corrected=corrected, **hidden
        )
    outlines = {} if corrected is not None else about_outlines(segmented, segmentation, found.labels)
    return Labelled(
        found=found,
        micrograph={**about_segmentation(segmentation), **outlines},
        network_scale=segmentation.scale,
        is_calibrated=segmented.is_calibrated,
        is_unproven=segmentation.instances is not None and settings.segmentation.model is None,  # a bundled detector
        instance_runs=runs,
        execution={
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
        """Note the time since the previous lap."""
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _one_crystal(
    segmented: Segmented,
    row: Mapping[str, object],
    execution: Mapping[str, object],
    clock: _Clock,
    settings: Settings,
    pixel_size_nm: PixelSize,
) -> Analysis:
    """Return the analysis of a field that one crystal fills: windows and fault traces instead of particles."""
    crystal = crystal_rows(segmented.prepared, settings, pixel_size_nm=pixel_size_nm)
    clock.lap("seconds_fourier")
    counts = dict.fromkeys(("n_regions", "n_particles", "n_counted", "n_too_small", "n_uncertain"), 0)
    return Analysis(
        status="done",
        reason="; ".join(filter(None, [crystal.summary, segmented.remark])),
        labels=np.zeros(segmented.prepared.shape, np.int32),
        prepared=segmented.prepared,
        region_rows=tables.Rows(tables.REGIONS, 0),
        particle_rows=tables.Rows(tables.PARTICLES, 0),
        micrograph={
            **row,
            **counts,
            "field_kind": "one_crystal",
            **check_lattice(crystal.windows, settings, row.get("calibration_flags")),
        },
        execution={**execution, **clock.laps},
        windows=crystal.windows,
        fault_traces=crystal.fault_traces,
    )


def _nothing_found(segmented: Segmented, row: Mapping[str, object]) -> Analysis:
    """Return the analysis of a micrograph that is set aside."""
    return Analysis(
        status="set_aside",
        reason=segmented.set_aside,
        labels=np.zeros(segmented.prepared.shape, np.int32),
        prepared=segmented.prepared,
        region_rows=tables.Rows(tables.REGIONS, 0),
        particle_rows=tables.Rows(tables.PARTICLES, 0),
        micrograph=row,
        execution=dict(segmented.seconds),
    )
