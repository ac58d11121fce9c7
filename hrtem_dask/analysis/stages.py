"""The stages of one micrograph, each called with what the settings state. No Dask, no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrtem_dask import backend, filtering, particles
from hrtem_dask.backend import Array
from hrtem_dask.detection.instances import Instances
from hrtem_dask.loading import quality
from hrtem_dask.loading.content import Content
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation import Segmentation, Segmenter
from hrtem_dask.settings import Settings

__all__ = [
    "VisibleField",
    "judge_quality",
    "label",
    "label_instances",
    "prepare",
    "refusal",
    "segment",
    "visible_field",
]


@dataclass(frozen=True)
class VisibleField:
    """The field of view of one micrograph, before it is judged or filtered."""

    image: np.ndarray
    """Shape (y, x), dtype of the file: marks are replaced by their surroundings, and what is no image by the median.
    The same object as the image of the file where there is neither."""
    marks: np.ndarray | None
    """Shape (y, x), bool: True on burnt-in marks; None where there is none, or none is looked for."""
    outside: np.ndarray | None
    """Shape (y, x), bool: True on pixels that are no image, see `filtering.find_outside`; None where there is none."""


def visible_field(image: np.ndarray, settings: Settings) -> VisibleField:
    """Find what is no image of the specimen, and replace it.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, as it was in the file; not modified.
    settings : Settings
        Of these, `filtering.find_marks`.

    Returns
    -------
    VisibleField
        The image without marks and borders, and where they were.
    """
    outside = filtering.find_outside(image)
    image = filtering.replace_outside(image, outside)
    marks = filtering.find_marks(image) if settings.filtering.find_marks else None
    if marks is None or not marks.any():
        return VisibleField(image, None, outside)
    return VisibleField(filtering.replace_marks(image, marks), marks if outside is None else marks & ~outside, outside)


def prepare(image: np.ndarray, settings: Settings, *, gain: np.ndarray | None = None) -> tuple[Array, int]:
    """Filter one image on the device that the settings name.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, from `visible_field`.
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
    prepared: Array
    prepared, n_nonfinite = filtering.prepare(
        backend.to_device(np.ascontiguousarray(image), device),
        spike_threshold_sd=settings.filtering.spike_threshold_sd,
        spike_scale=settings.filtering.spike_scale,
        flatten=settings.filtering.flatten,
        gain=None if gain is None else backend.to_device(gain, device),
    )
    return prepared, n_nonfinite


def judge_quality(
    image: np.ndarray,
    settings: Settings,
    *,
    pixel_size_nm: PixelSize | None,
    outside: np.ndarray | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Measure the quality of the raw image and flag doubts.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), as it was in the file.
    settings : Settings
        Of these, `quality`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    outside : numpy.ndarray of bool, optional
        Shape (y, x): pixels that are no image; the rectangle around what is left is judged.

    Returns
    -------
    metrics : dict
        Columns of `tables.MICROGRAPHS`.
    flags : tuple of str
        Names of doubts.
    """
    if outside is not None:
        rows, columns = (np.flatnonzero(~outside.all(axis=axis)) for axis in (1, 0))
        image = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    metrics = quality.quality_metrics(image, pixel_size_nm=pixel_size_nm)
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


def refusal(flags: Sequence[str], content: Content, settings: Settings) -> str | None:
    """Return why a micrograph is set aside after it was judged.

    Parameters
    ----------
    flags : sequence of str
        Names of doubts, from `judge_quality`, and the flag of `content`.
    content : Content
        What the image shows, from `loading.content.judge_content`.
    settings : Settings
        Of these, `quality`.

    Returns
    -------
    str or None
        The reason; None where it is analyzed.
    """
    if content.is_certain and settings.quality.no_micrographs == "set_aside":
        return f"{content.reason} (settings quality.no_micrographs)"
    refused = [flag for flag in flags if flag in settings.quality.set_aside]
    return f"quality: {', '.join(refused)} (settings quality.set_aside)" if refused else None


def segment(prepared: Array, segmenter: Segmenter, *, pixel_size_nm: PixelSize | None) -> Segmentation:
    """Separate the particles from the support.

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
    marks: np.ndarray | None = None,
    outside: np.ndarray | None = None,
) -> particles.Particles:
    """Find regions and particles in a mask, and measure their size and shape.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), from `visible_field`: intensities are reported in its own counts.
    segmentation : Segmentation
        From `segment`.
    settings : Settings
        Of these, `particles`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    corrected : numpy.ndarray of int, optional
        Shape (y, x): labels corrected by hand, which are measured instead of the mask.
    marks : numpy.ndarray of bool, optional
        Shape (y, x), from `visible_field`.
    outside : numpy.ndarray of bool, optional
        Shape (y, x), from `visible_field`.

    Returns
    -------
    particles.Particles
        Labels, region table, particle table.
    """
    rules = settings.particle_rules
    finite = _finite(image)
    if corrected is not None:
        return particles.measure_labels(
            corrected,
            finite,
            rules,
            pixel_size_nm=pixel_size_nm,
            probability=segmentation.probability,
            marks=marks,
            outside=outside,
        )
    return particles.find_particles(
        segmentation.mask,
        finite,
        rules,
        pixel_size_nm=pixel_size_nm,
        probability=segmentation.probability,
        marks=marks,
        outside=outside,
    )


def _finite(image: np.ndarray) -> np.ndarray:
    """Replace pixels without a finite number; integers are finite as they are."""
    return filtering.replace_nonfinite(image)[0] if image.dtype.kind == "f" else image


def label_instances(
    image: np.ndarray,
    instances: Instances,
    settings: Settings,
    *,
    pixel_size_nm: PixelSize | None,
    marks: np.ndarray | None = None,
    outside: np.ndarray | None = None,
) -> particles.MeasuredInstances:
    """Measure size and shape of what a detector found.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), from `visible_field`.
    instances : Instances
        From `segment`.
    settings : Settings
        Of these, `particles`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    marks : numpy.ndarray of bool, optional
        Shape (y, x), from `visible_field`.
    outside : numpy.ndarray of bool, optional
        Shape (y, x), from `visible_field`.

    Returns
    -------
    particles.MeasuredInstances
        Labels, tables, and the whole mask of each instance.
    """
    return particles.measure_instances(
        instances,
        _finite(image),
        settings.particles,
        pixel_size_nm=pixel_size_nm,
        marks=marks,
        outside=outside,
    )
