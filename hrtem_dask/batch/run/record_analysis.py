"""One record taken through everything: read, analysed, and turned into rows, whatever happens to it."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import analysis, loading, tables
from hrtem_dask.defects import make_classifier
from hrtem_dask.errors import ModelError, UnreadableMicrographError
from hrtem_dask.provenance import code_version
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.storage.corrections import Correction

__all__ = ["Analysed", "ModelHashes", "analyse_record", "gain_hash", "gain_reference"]


@dataclass(frozen=True)
class ModelHashes:
    """Content of the models that a run began with: workers must have the same."""

    segmentation: str | None = None
    """Of the U-Net; None for methods without one."""
    defects: str | None = None
    """Of the forest; None where nothing is classified."""


@dataclass
class Analysed:
    """What became of one micrograph: its rows, whatever happened to it."""

    row: dict[str, Any]
    """Its row of `tables.MICROGRAPHS`."""
    regions: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.REGIONS))
    """Rows of its regions."""
    particles: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.PARTICLES))
    """Rows of its particles."""
    execution: dict[str, Any] = field(default_factory=dict)
    """Columns of `tables.EXECUTION`."""
    found: analysis.Analysis | None = None
    """Labels and prepared image; None where it failed."""
    stat: tuple[int, int] = (0, 0)
    """Size and date of its file before it was read."""


def analyse_record(
    record: loading.MicrographRecord,
    settings: Settings,
    models: ModelHashes | None = None,
    correction: Correction | None = None,
) -> Analysed:
    """Read and analyse one micrograph; whatever goes wrong becomes its row.

    Parameters
    ----------
    record : loading.MicrographRecord
        From the listing.
    settings : Settings
        All settings.
    models : ModelHashes, optional
        Content that the models must have; None asks for nothing.
    correction : Correction, optional
        Labels corrected by hand, which are measured in place of what the segmenter finds.

    Returns
    -------
    Analysed
        Rows with status done, empty, set_aside or failed.
    """
    began = time.perf_counter()
    row = {
        **loading.to_row(record),
        "settings_hash": settings.science_hash(),
        "model_hash": models.segmentation if models else None,
        "defect_model_hash": models.defects if models else None,
        "code_version": code_version(),
    }
    analysed = Analysed(row, stat=loading.source_stat(record.source))
    try:
        row["source_hash"] = loading.source_hash(record.source)
        image = loading.read_image(record)
        if loading.source_stat(record.source) != analysed.stat:
            raise UnreadableMicrographError("the file changed while it was read: run again when it is complete")
        analysed.execution["seconds_read"] = time.perf_counter() - began
        _analyse_image(analysed, image, record, settings, models, correction)
    except Exception as error:  # noqa: BLE001 - whatever a file or an image provokes, the batch goes on and says so
        row |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    return analysed


def _analyse_image(
    analysed: Analysed,
    image: np.ndarray,
    record: loading.MicrographRecord,
    settings: Settings,
    models: ModelHashes | None,
    correction: Correction | None,
) -> None:
    """Take an image through every stage and fill in its rows."""
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    classifier = make_classifier(settings.defects)
    if models is not None:
        _require_same(settings.segmentation.model_file, segmenter.model_hash, models.segmentation)
        told = None if classifier is None else classifier.model_hash
        _require_same(settings.defects.model_file, told, models.defects)
    found = analysis.analyse(
        image,
        pixel_size_nm=record.pixel_size_nm,
        settings=settings,
        segmenter=segmenter,
        classifier=classifier,
        gain=gain_reference(settings.filtering.flat_field),
        corrected=None if correction is None else correction.read(),
    )
    flags = [*record.calibration_flags, found.micrograph.get("calibration_flags")]
    reasons = "; ".join(filter(None, [found.reason, record.reason]))
    analysed.row |= found.micrograph | {"calibration_flags": ",".join(filter(None, flags)) or None}
    analysed.row |= {"status": found.status, "reason": reasons or None}
    named = {"micrograph_id": record.micrograph_id, "sample": record.sample}
    analysed.regions = tables.conform(found.regions.assign(**named), tables.REGIONS)
    analysed.particles = tables.conform(found.particles.assign(**named), tables.PARTICLES)
    analysed.execution |= found.execution
    analysed.found = found


def _require_same(file: str | None, here: str | None, begun: str | None) -> None:
    """Refuse a model that is not the run's."""
    if here != begun:
        raise ModelError(
            f"{file} on this worker has the hash {here}, the run began with {begun}: put the same file everywhere"
        )


def gain_reference(path: str | None) -> np.ndarray | None:
    """Read the gain reference, once per worker and content.

    Parameters
    ----------
    path : str or None
        Its file, which holds exactly one image; None for no reference.

    Returns
    -------
    numpy.ndarray or None
        Shape (y, x).

    Raises
    ------
    HrtemDaskError
        If the file cannot be read, holds no image, or several.
    """
    return None if path is None else _gain(path, gain_hash(path))


def gain_hash(path: str | None) -> str | None:
    """Return the content hash of the gain reference.

    Parameters
    ----------
    path : str or None
        Its file.

    Returns
    -------
    str or None
        The hash; None for no reference.

    Raises
    ------
    NothingToAnalyseError
        If it is not there.
    """
    return None if path is None else loading.source_hash(loading.find_sources(path)[0])


@functools.lru_cache(maxsize=2)
def _gain(path: str, content: str) -> np.ndarray:  # noqa: ARG001 - the content is the key of the cache
    return loading.read_single_image(path)
