"""Annotated micrographs of users as training data for detectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hrtem_dask import filtering, loading
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.storage.annotations import AnnotatedImage, read_annotations
from hrtem_dask.training.detection.samples import Sample

__all__ = ["read_annotated"]


def read_annotated(places: Sequence[str | Path], *, class_names: Sequence[str] | None = None) -> list[Sample]:
    """Read micrographs with their annotated instances.

    Parameters
    ----------
    places : sequence of str or path-like
        Annotation files or folders, in any format of `storage.annotations`, each with its images beside it.
    class_names : sequence of str, optional
        Names of numbered classes, where the files do not state them.

    Returns
    -------
    list of Sample
        One per image: filtered as a run does it, and normalized. Boxes that the file states too imprecisely are
        ignored in training.

    Raises
    ------
    NothingToAnalyseError
        If there is no annotated image, or an image is missing or of another size than its annotations.
    AnnotationError
        If an annotation file is damaged.
    """
    found = [one for place in places for one in read_annotations(place, class_names=class_names)]
    if not found:
        raise NothingToAnalyseError(f"no annotated image in {', '.join(map(str, places))}")
    return [_read(one) for one in found]


def _read(annotated: AnnotatedImage) -> Sample:
    """Read one micrograph."""
    if annotated.image_path is None:
        raise NothingToAnalyseError(
            f"{annotated.name}: its image was not found: put it beside its annotations, or into a folder images there"
        )
    image = loading.read_single_image(str(annotated.image_path))
    instances = annotated.instances
    if image.shape != instances.shape:
        raise NothingToAnalyseError(
            f"{annotated.image_path}: has {image.shape[0]} × {image.shape[1]} px, its annotations are for "
            f"{instances.shape[0]} × {instances.shape[1]} px: give the image that was annotated"
        )
    image = filtering.replace_outside(image, filtering.find_outside(image))
    prepared, _ = filtering.prepare(np.ascontiguousarray(image))
    if annotated.doubtful.any():
        instances = instances.with_ignored(instances.ignored | annotated.doubtful)
    return Sample(standardize(prepared), instances)
