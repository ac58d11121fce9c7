"""Read and analyze one micrograph, and turn the outcome into rows, errors included."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import analysis, backend, loading, tables
from hrtem_dask.analysis.segmenters import make_segmenter
from hrtem_dask.analysis.stored_labels import restore_labelled
from hrtem_dask.batch.run.gain import gain_reference
from hrtem_dask.batch.run.stored_analysis import StoredAnalysis
from hrtem_dask.defects import make_classifier
from hrtem_dask.errors import ModelError, UnreadableMicrographError, typed_error_text
from hrtem_dask.loading.similarity import make_fingerprint
from hrtem_dask.provenance import code_version
from hrtem_dask.settings import Settings
from hrtem_dask.storage.corrections import Correction

__all__ = [
    "Analysed",
    "ModelHashes",
    "ReadRecord",
    "SegmentedRecord",
    "analyse_record",
    "analyse_segmented_record",
    "read_record",
    "segment_record",
    "settings_of",
]


@dataclass(frozen=True)
class ModelHashes:
    """Content hashes of the models of a run: every worker must have the same models."""

    segmentation: str | None = None
    """Hash of the U-Net; None for methods without one."""
    defects: str | None = None
    """Hash of the forest; None where nothing is classified."""


@dataclass
class Analysed:
    """Rows of one micrograph, whether its analysis succeeded or failed."""

    row: dict[str, Any]
    """Its row of `tables.MICROGRAPHS`."""
    region_rows: tables.Rows = field(default_factory=lambda: tables.Rows(tables.REGIONS, 0))
    """Rows of its regions."""
    particle_rows: tables.Rows = field(default_factory=lambda: tables.Rows(tables.PARTICLES, 0))
    """Rows of its particles."""
    windows: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.WINDOWS))
    """Rows of its windows, where one crystal fills it."""
    fault_traces: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.FAULT_TRACES))
    """Rows of the faults of that crystal."""
    instance_runs: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.INSTANCE_RUNS))
    """Runs of the masks of instances, where a detector found them."""
    execution: dict[str, Any] = field(default_factory=dict)
    """Columns of `tables.EXECUTION`, such as durations."""
    found: analysis.Analysis | None = None
    """Labels and prepared image; None if the analysis failed."""
    stat: tuple[int, int] = (0, 0)
    """Size (bytes) and time of change (ns) of its file before it was read."""
    out_of_memory: bool = False
    """Whether it failed because memory ran out."""
    fingerprint: str = ""
    """Fingerprint of its image, by which copies are found; empty where it could not be read."""

    @property
    def regions(self) -> pd.DataFrame:
        """`region_rows` as a table."""
        return self.region_rows.table()

    @property
    def particles(self) -> pd.DataFrame:
        """`particle_rows` as a table."""
        return self.particle_rows.table()

    def without_rows(self) -> None:
        """Forget what was found, because it could not be kept."""
        self.region_rows, self.particle_rows = tables.Rows(tables.REGIONS, 0), tables.Rows(tables.PARTICLES, 0)
        self.windows, self.fault_traces, self.instance_runs = map(
            tables.empty, (tables.WINDOWS, tables.FAULT_TRACES, tables.INSTANCE_RUNS)
        )


def analyse_record(
    record: loading.MicrographRecord,
    settings: Settings,
    models: ModelHashes | None = None,
    correction: Correction | None = None,
    stored: Callable[[], StoredAnalysis | None] | None = None,
) -> Analysed:
    """Read and analyze one micrograph; an error becomes the reason in its row.

    Parameters
    ----------
    record : loading.MicrographRecord
        Record of the listing.
    settings : Settings
        All settings.
    models : ModelHashes, optional
        Hashes that the models must have; by default they are not checked.
    correction : Correction, optional
        Labels corrected by hand, which are measured in place of those of the segmenter.
    stored : callable, optional
        Reads what an earlier run has found with settings that are equal but for later stages. If it returns None, or
        the file is another one, the micrograph is segmented.

    Returns
    -------
    Analysed
        Rows with status done, empty, set_aside or failed.
    """
    read = read_record(record)
    known = None if stored is None else stored()
    own = settings_of(record, settings)
    if known is not None and known.source_hash == read.source_hash:
        labelled = restore_labelled(known.labels, known.row, known.regions, known.particles, own)
        if labelled is not None:
            prepared = segment_record(read, settings, models, with_segmenter=False)
            return analyse_segmented_record(prepared, settings, models, correction, labelled)
    return analyse_segmented_record(segment_record(read, settings, models), settings, models, correction)


@dataclass(frozen=True)
class ReadRecord:
    """One micrograph after it was read, or why it could not be read."""

    record: loading.MicrographRecord
    """What the listing found."""
    stat: tuple[int, int]
    """Size and date of its file before it was read."""
    seconds: float
    """Time it took to read (s)."""
    source_hash: str | None = None
    """Hash of its file."""
    image: np.ndarray | None = None
    """Shape (y, x), as it is in the file; None where it could not be read."""
    error: Exception | None = None
    """Why it could not be read."""


@dataclass(frozen=True)
class SegmentedRecord:
    """One micrograph after it was segmented, or why it could not be segmented."""

    read: ReadRecord
    """The micrograph."""
    segmented: analysis.Segmented | None = None
    """Prepared image, probability and mask; None where it failed."""
    error: Exception | None = None
    """Why it failed."""


def read_record(record: loading.MicrographRecord) -> ReadRecord:
    """Read one micrograph; an error is kept for its row.

    Parameters
    ----------
    record : loading.MicrographRecord
        From the listing.

    Returns
    -------
    ReadRecord
        Its image, or the error.
    """
    began = time.perf_counter()
    stat = loading.source_stat(record.source)
    content = None
    try:
        content = loading.source_hash(record.source)
        image = loading.read_image(record)
        if loading.source_stat(record.source) != stat:
            raise UnreadableMicrographError("the file changed while it was read: run again when it is complete")
    except Exception as error:  # noqa: BLE001 - whatever a file provokes, the batch goes on and reports it
        return ReadRecord(record, stat, time.perf_counter() - began, content, error=error)
    return ReadRecord(record, stat, time.perf_counter() - began, content, image)


def segment_record(
    read: ReadRecord,
    settings: Settings,
    models: ModelHashes | None = None,
    *,
    always: bool = False,
    with_segmenter: bool = True,
) -> SegmentedRecord:
    """Segment one micrograph; an error is kept for its row.

    Parameters
    ----------
    read : ReadRecord
        From `read_record`.
    settings : Settings
        All settings.
    models : ModelHashes, optional
        Content that the models must have; None accepts any.
    always : bool
        Whether a micrograph that is set aside for its quality is segmented nevertheless, to be looked at.
    with_segmenter : bool
        Whether it is segmented at all; else it is only judged and filtered.

    Returns
    -------
    SegmentedRecord
        Prepared image, probability and mask, or the error.
    """
    if read.image is None:
        return SegmentedRecord(read, error=read.error)
    settings = settings_of(read.record, settings)
    try:
        segmented = _segmented(read.record, read.image, settings, models, always=always, with_segmenter=with_segmenter)
        return SegmentedRecord(read, segmented)
    except Exception as error:  # noqa: BLE001 - whatever an image provokes, the batch goes on and reports it
        if not backend.is_out_of_memory(error) or backend.resolve_device(settings.execution.device) == "cpu":
            return SegmentedRecord(read, error=error)
    # outside the except block, so that the error no longer holds the memory of what failed
    backend.free_memory()
    settings = _on_cpu(settings)
    try:
        segmented = _segmented(read.record, read.image, settings, models, always=always, with_segmenter=with_segmenter)
    except Exception as error:  # noqa: BLE001 - the same
        return SegmentedRecord(read, error=error)
    return SegmentedRecord(read, _with_step(segmented, "micrograph on cpu"))


def _segmented(
    record: loading.MicrographRecord,
    image: np.ndarray,
    settings: Settings,
    models: ModelHashes | None,
    *,
    always: bool,
    with_segmenter: bool,
) -> analysis.Segmented:
    """Segment a micrograph on the device of the settings."""
    segmenter = make_segmenter(settings) if with_segmenter else None
    if models is not None and segmenter is not None:
        _require_same(settings.segmentation.model_file, segmenter.model_hash, models.segmentation)
    return analysis.segment_micrograph(
        image,
        pixel_size_nm=record.pixel_size_nm,
        settings=settings,
        segmenter=segmenter,
        gain=gain_reference(settings.filtering.flat_field),
        always=always,
    )


def _with_step(segmented: analysis.Segmented, step: str) -> analysis.Segmented:
    """Return what was found after a step that was taken because memory ran out."""
    found = segmented.segmentation
    if found is None:
        return segmented
    return replace(segmented, segmentation=replace(found, out_of_memory_steps=(step, *found.out_of_memory_steps)))


@functools.lru_cache(maxsize=4)
def _on_cpu(settings: Settings) -> Settings:
    """Return the settings without a GPU, made once for all micrographs of a run."""
    return settings.updated({"execution": {"device": "cpu"}})


def analyse_segmented_record(
    segmented: SegmentedRecord,
    settings: Settings,
    models: ModelHashes | None = None,
    correction: Correction | None = None,
    labelled: analysis.Labelled | None = None,
) -> Analysed:
    """Find, measure and classify the particles of one micrograph; an error becomes its row.

    Parameters
    ----------
    segmented : SegmentedRecord
        From `segment_record`.
    settings : Settings
        All settings.
    models : ModelHashes, optional
        Content that the models must have; None accepts any.
    correction : Correction, optional
        Labels corrected by hand, which are measured in place of what the segmenter finds.
    labelled : analysis.Labelled, optional
        What an earlier run has found; by default particles are looked for in the mask.

    Returns
    -------
    Analysed
        Rows with status done, empty, set_aside or failed.
    """
    read = segmented.read
    row: dict[str, Any] = {
        **loading.to_row(read.record),
        "settings_hash": settings.science_hash(),
        "model_hash": models.segmentation if models else None,
        "defect_model_hash": models.defects if models else None,
        "code_version": code_version(),
    }
    if read.source_hash is not None:
        row["source_hash"] = read.source_hash
    analysed = Analysed(row, stat=read.stat)
    if read.image is not None:
        analysed.execution["seconds_read"] = read.seconds
        known = segmented.segmented.micrograph.get("image_hash") if segmented.segmented is not None else None
        analysed.fingerprint = make_fingerprint(read.image, content_hash=None if known is None else str(known)).encode()
    try:
        if segmented.segmented is None:
            raise segmented.error or UnreadableMicrographError("the micrograph was not segmented")
        own = settings_of(read.record, settings)
        _fill(analysed, segmented.segmented, read.record, own, models, correction, labelled)
    except Exception as error:  # noqa: BLE001 - whatever an image provokes, the batch goes on and reports it
        row |= {"status": "failed", "reason": typed_error_text(error)}
        analysed.out_of_memory = backend.is_out_of_memory(error)
    return analysed


def _fill(
    analysed: Analysed,
    segmented: analysis.Segmented,
    record: loading.MicrographRecord,
    settings: Settings,
    models: ModelHashes | None,
    correction: Correction | None,
    labelled: analysis.Labelled | None,
) -> None:
    """Fill in the rows of a micrograph."""
    classifier = make_classifier(settings.defects)
    if models is not None:
        content = None if classifier is None else classifier.model_hash
        _require_same(settings.defects.model_file, content, models.defects)
    found = analysis.analyse_segmented(
        segmented,
        pixel_size_nm=record.pixel_size_nm,
        settings=settings,
        classifier=classifier,
        corrected=None if correction is None else correction.read(),
        labelled=labelled,
        voltage_kv=record.voltage_kv,
    )
    flags = [*record.calibration_flags, found.micrograph.get("calibration_flags")]
    reasons = "; ".join(filter(None, [found.reason, record.reason]))
    analysed.row |= {**found.micrograph, "calibration_flags": ",".join(map(str, filter(None, flags))) or None}
    analysed.row |= {"status": found.status, "reason": reasons or None}
    analysed.region_rows = _named_rows(found.region_rows, record)
    analysed.particle_rows = _named_rows(found.particle_rows, record)
    analysed.windows = _named(found.windows, record, tables.WINDOWS)
    analysed.fault_traces = _named(found.fault_traces, record, tables.FAULT_TRACES)
    analysed.instance_runs = _named(found.instance_runs, record, tables.INSTANCE_RUNS)
    analysed.execution |= found.execution
    analysed.found = found


def _named_rows(rows: tables.Rows, record: loading.MicrographRecord) -> tables.Rows:
    """Fill in the micrograph and the sample that rows belong to."""
    names = {"micrograph_id": record.micrograph_id, "sample": record.sample}
    return rows.filled({name: np.full(len(rows), text, dtype=object) for name, text in names.items()})


def _named(table: pd.DataFrame, record: loading.MicrographRecord, schema: tables.Schema) -> pd.DataFrame:
    """Fill in the micrograph and the sample that rows belong to."""
    if not len(table):
        return table
    names = {"micrograph_id": [record.micrograph_id] * len(table), "sample": [record.sample] * len(table)}
    return tables.exchanged(table, names, schema)


def settings_of(record: loading.MicrographRecord, settings: Settings) -> Settings:
    """Return the settings for one micrograph.

    Parameters
    ----------
    record : loading.MicrographRecord
        Record of the listing.
    settings : Settings
        Settings of the run.

    Returns
    -------
    Settings
        With ``segmentation.particles_are`` decided: where it is ``"auto"``, bright if the file states a dark-field
        detector, else dark.
    """
    if settings.segmentation.particles_are != "auto":
        return settings
    return _with_polarity(settings, loading.stated_polarity(record) or "dark")


@functools.lru_cache(maxsize=4)
def _with_polarity(settings: Settings, polarity: str) -> Settings:
    """Return the settings with a decided polarity, made once for all micrographs of a run."""
    return settings.updated({"segmentation": {"particles_are": polarity}})


def _require_same(file: str | None, here: str | None, expected: str | None) -> None:
    """Refuse a model that differs from the model of the run."""
    if here != expected:
        raise ModelError(
            f"{file} on this worker has the hash {here}, the run began with {expected}: "
            "copy the same file to every worker"
        )
