"""List every micrograph of the inputs, by their headers only."""

from __future__ import annotations

import dataclasses
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distributed import Client

from hrtem_dask import loading
from hrtem_dask.addresses import file_system
from hrtem_dask.batch.cluster.stream import failure_reason, stream_with_retry, worker_died
from hrtem_dask.batch.label_images import without_label_images
from hrtem_dask.batch.own_files import without_own_results
from hrtem_dask.batch.stores import StoreWatch
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError
from hrtem_dask.loading.detectors import one_per_channels, one_per_scan
from hrtem_dask.loading.records import set_aside_small
from hrtem_dask.settings import Settings
from hrtem_dask.storage.location import Location

__all__ = ["find_inputs", "list_on_workers", "list_sources", "warn_of_unmatched_rows"]

SOURCES_PER_TASK = 16
"""Headers are read in a few milliseconds: several files share a task."""

logger = logging.getLogger(__name__)


def find_inputs(
    inputs: str | Path | Sequence[str | Path], *, leave_out: Location | None = None
) -> list[loading.Source]:
    """Find the files that were named.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    leave_out : Location, optional
        The results folder: files in it are no input, even where it lies inside an input folder.

    Returns
    -------
    list of loading.Source
        At least one. Documents, tables and programs that lie beside micrographs are left out, and one log message
        counts them; one that was named itself stays, with the reason. Label images of other sources are set aside.

    Raises
    ------
    NothingToAnalyseError
        If there is none.
    """
    sources = loading.find_sources(inputs)
    if leave_out is not None:
        results = _canonical(leave_out.url)
        outside = [s for s in sources if not f"{_canonical(s.url)}/".startswith(f"{results}/")]
        if not outside:
            raise NothingToAnalyseError(
                f"all {len(sources)} files of {_named(inputs)} lie in the results folder {leave_out.url}, whose files "
                "are no inputs: name another results folder (--out), such as a new one inside"
            )
        sources = outside
    sources = without_label_images(without_own_results(sources))
    if not sources:
        raise NothingToAnalyseError(f"no file in {_named(inputs)}: give micrographs, a folder of them, or a glob")
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    named = {_canonical(os.fspath(one)) for one in given}
    kinds = {s: loading.other_kind(s) for s in sources}
    others = {s: kind for s, kind in kinds.items() if kind is not None and _canonical(s.url) not in named}
    if not others:
        return sources
    counts = ", ".join(f"{n} {kind}" for kind, n in Counter(others.values()).most_common())
    which = (
        "1 file beside the micrographs is of another kind and gets"
        if len(others) == 1
        else (f"{len(others)} files beside the micrographs are of other kinds and get")
    )
    left = [s for s in sources if s not in others]
    if not left:
        raise NothingToAnalyseError(
            f"no micrograph in {_named(inputs)}, only files of other kinds ({counts}): give a folder of micrographs"
        )
    logger.info("%s no row (%s)", which, counts)
    return left


def _named(inputs: str | Path | Sequence[str | Path]) -> str:
    """Return the inputs as a message names them."""
    return str(inputs) if isinstance(inputs, str | os.PathLike) else ", ".join(str(one) for one in inputs)


def _canonical(url: str) -> str:
    """Return one spelling for every path or URL of a folder: links resolved, no slash at the end."""
    if "://" not in url:
        return os.path.realpath(url)
    fs, path = file_system(url)
    return os.path.realpath(path) if "file" in fs.protocol else str(fs.unstrip_protocol(path)).rstrip("/")


def list_sources(
    sources: Sequence[loading.Source],
    settings: Settings,
    samples: loading.SampleMetadata | None = None,
    *,
    calibrated_only: bool = True,
) -> list[loading.MicrographRecord]:
    """List the micrographs of some files, in this process, by their headers only.

    Parameters
    ----------
    sources : sequence of loading.Source
        From `loading.find_sources`.
    settings : Settings
        Settings, of which `loading` is used.
    samples : loading.SampleMetadata, optional
        Samples, covariates and pixel sizes by file.
    calibrated_only : bool
        Whether micrographs without a usable pixel size are set aside, unless the settings ask for lengths in pixels.
        If False, every record stays as its file gives it.

    Returns
    -------
    list of loading.MicrographRecord
        One per 2-D image, and one per signal or file that yields none.
    """
    options = settings.loading
    listed: list[loading.MicrographRecord] = []
    for source in sources:
        of_file = loading.list_micrographs(
            source,
            pixel_size_nm=options.pixel_size_nm,
            plausible_pixel_size_nm=options.plausible_pixel_size_nm,
            metadata=samples,
        )
        if calibrated_only:
            of_file = [loading.set_aside_uncalibrated(set_aside_small(r), pixels=options.pixels) for r in of_file]
            of_file = one_per_scan(of_file) if options.duplicates == "set_aside" else of_file
        listed += of_file
    return _complete(listed, settings, calibrated_only=calibrated_only)


def list_on_workers(
    client: Client,
    sources: Sequence[loading.Source],
    settings: Settings,
    samples: loading.SampleMetadata | None = None,
    *,
    calibrated_only: bool = True,
) -> list[loading.MicrographRecord]:
    """List the micrographs of some files on the workers, as `list_sources` does in this process.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    sources : sequence of loading.Source
        From `loading.find_sources`.
    settings : Settings
        Settings, of which `loading` is used.
    samples : loading.SampleMetadata, optional
        Samples, covariates and pixel sizes by file.
    calibrated_only : bool
        As for `list_sources`.

    Returns
    -------
    list of loading.MicrographRecord
        In the order of the sources, whatever the order in which workers finish. A source on which the listing
        itself fails, or kills its worker, is one failed record.

    Raises
    ------
    HrtemDaskError
        If a setting or the table of samples cannot be used.
    StoreError
        If the store of the files cannot be reached.
    """
    arguments = (settings, samples, calibrated_only)
    batches = [tuple(sources[i : i + SOURCES_PER_TASK]) for i in range(0, len(sources), SOURCES_PER_TASK)]
    listed: dict[loading.Source, list[loading.MicrographRecord]] = {}
    results = stream_with_retry(
        client, _by_source, batches, *arguments,
        key="list", split=lambda batch: ((source,) for source in batch), retry=_may_be_one_file,
    )  # fmt: skip
    watch = StoreWatch()
    for batch, result in results:
        if isinstance(result, HrtemDaskError):
            raise result
        found = {batch[0]: [_failed(batch[0], result)]} if isinstance(result, BaseException) else result
        for source, of_source in found.items():
            watch.see(source.url, of_source[0].reason if of_source else None)
        listed |= found
    records = [record for source in sources for record in listed[source]]
    return _complete(records, settings, calibrated_only=calibrated_only)


def _complete(
    records: Sequence[loading.MicrographRecord], settings: Settings, *, calibrated_only: bool
) -> list[loading.MicrographRecord]:
    """Give all records ids of their own, and keep one channel of each field, whichever files they lie in."""
    named = _with_unique_ids(records)
    return one_per_channels(named) if calibrated_only and settings.loading.duplicates == "set_aside" else named


def _with_unique_ids(records: Sequence[loading.MicrographRecord]) -> list[loading.MicrographRecord]:
    """Give micrographs of one id ids of their own.

    Two file names that differ only by their Unicode form, as after a synchronization with a Mac, have one id, and so do
    two equal paths on different file systems. The name in composed form, or else the first, keeps the id.
    """
    counts = Counter(record.micrograph_id for record in records)
    keeps: dict[str, loading.MicrographRecord] = {}
    for record in (r for r in records if counts[r.micrograph_id] > 1):
        kept = keeps.setdefault(record.micrograph_id, record)
        if not _is_composed(kept.source.relative) and _is_composed(record.source.relative):
            keeps[record.micrograph_id] = record
    return [
        dataclasses.replace(
            record,
            micrograph_id=loading.micrograph_id(record.source, record.signal, record.frame, path=record.source.path),
        )
        if keeps.get(record.micrograph_id, record) is not record
        else record
        for record in records
    ]


def _is_composed(path: str) -> bool:
    """Return whether a path is in the Unicode form that most systems write."""
    return unicodedata.is_normalized("NFC", path)


def warn_of_unmatched_rows(samples: loading.SampleMetadata | None, sources: Sequence[loading.Source]) -> None:
    """Log a warning for each row of the table of samples that matches no file.

    Parameters
    ----------
    samples : loading.SampleMetadata or None
        Samples and covariates by file; None for no table.
    sources : sequence of loading.Source
        Every file of the input.
    """
    for line in samples.unmatched_rows(sources) if samples is not None else ():
        logger.warning("%s", line)


def _may_be_one_file(error: BaseException) -> bool:
    """Return whether one file may be the cause, so that the files of a task are listed again one by one."""
    return not isinstance(error, HrtemDaskError)


def _by_source(
    batch: Sequence[loading.Source], settings: Settings, samples: loading.SampleMetadata | None, calibrated_only: bool
) -> dict[loading.Source, list[loading.MicrographRecord]]:
    """List the micrographs of some files, on a worker."""
    return {source: list_sources([source], settings, samples, calibrated_only=calibrated_only) for source in batch}


def _failed(source: loading.Source, error: BaseException) -> loading.MicrographRecord:
    """Return the record of a file that could not be listed, though it was tried alone."""
    reason = failure_reason(error) if worker_died(error) else f"it could not be listed: {failure_reason(error)}"
    return loading.MicrographRecord(
        micrograph_id=loading.micrograph_id(source), source=source, status="failed", reason=reason
    )
