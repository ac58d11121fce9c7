"""What there is: every micrograph of the inputs, by their headers only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import fsspec
from distributed import Client
from distributed.scheduler import KilledWorker

from hrtem_dask import loading
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError
from hrtem_dask.settings import Settings
from hrtem_dask.storage.location import Location

__all__ = ["find_inputs", "list_on_workers", "list_sources"]

SOURCES_PER_TASK = 16


def find_inputs(
    inputs: str | Path | Sequence[str | Path], *, leave_out: Location | None = None
) -> list[loading.Source]:
    """Find the files that were named.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    leave_out : Location, optional
        The results folder: what lies in it is no input, even where it stands inside an input folder.

    Returns
    -------
    list of loading.Source
        At least one.

    Raises
    ------
    NothingToAnalyseError
        If there is none.
    """
    sources = loading.find_sources(inputs)
    if leave_out is not None:
        results = _canonical(leave_out.url)
        sources = [s for s in sources if not f"{_canonical(s.url)}/".startswith(f"{results}/")]
    if not sources:
        raise NothingToAnalyseError(f"no file in {inputs!s}: give micrographs, a folder of them, or a glob")
    return sources


def _canonical(url: str) -> str:
    """Return the one spelling of a place: links resolved, no slash at the end."""
    if "://" not in url:
        return os.path.realpath(url)
    fs, path = fsspec.core.url_to_fs(url)
    return os.path.realpath(path) if "file" in fs.protocol else str(fs.unstrip_protocol(path)).rstrip("/")


def list_sources(
    sources: Sequence[loading.Source],
    settings: Settings,
    samples: loading.SampleMetadata | None = None,
    *,
    calibrated_only: bool = True,
) -> list[loading.MicrographRecord]:
    """List the micrographs of some sources, in this process, by their headers only.

    Parameters
    ----------
    sources : sequence of loading.Source
        From `loading.find_sources`.
    settings : Settings
        Of these, `loading`.
    samples : loading.SampleMetadata, optional
        Samples, covariates and pixel sizes by file.
    calibrated_only : bool
        Whether those without a usable pixel size are set aside, unless the settings ask for pixels. Without it,
        every record stays as its file gives it.

    Returns
    -------
    list of loading.MicrographRecord
        One per 2-D image, and one per signal or file that yields none.
    """
    wishes = settings.loading
    return [
        loading.set_aside_uncalibrated(record, pixels=wishes.pixels) if calibrated_only else record
        for source in sources
        for record in loading.list_micrographs(
            source,
            pixel_size_nm=wishes.pixel_size_nm,
            plausible_pixel_size_nm=wishes.plausible_pixel_size_nm,
            metadata=samples,
        )
    ]


def list_on_workers(
    client: Client,
    sources: Sequence[loading.Source],
    settings: Settings,
    samples: loading.SampleMetadata | None = None,
    *,
    calibrated_only: bool = True,
) -> list[loading.MicrographRecord]:
    """Do what `list_sources` does, on the workers.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    sources : sequence of loading.Source
        From `loading.find_sources`.
    settings : Settings
        Of these, `loading`.
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
        If a setting or the metadata file cannot be used.
    """
    arguments = (settings, samples, calibrated_only)
    batches = [tuple(sources[i : i + SOURCES_PER_TASK]) for i in range(0, len(sources), SOURCES_PER_TASK)]
    listed: dict[loading.Source, list[loading.MicrographRecord]] = {}
    suspects: list[tuple[loading.Source, ...]] = []
    for batch, result in stream(client, _by_source, batches, *arguments, key="list"):
        if isinstance(result, HrtemDaskError):
            raise result
        if isinstance(result, BaseException):
            suspects.extend((source,) for source in batch)
        else:
            listed |= result
    for (source,), result in stream(client, _by_source, suspects, *arguments, key="list-alone", limit=1):
        if isinstance(result, HrtemDaskError):
            raise result
        listed |= {source: [_failed(source, result)]} if isinstance(result, BaseException) else result
    return [record for source in sources for record in listed[source]]


def _by_source(
    batch: Sequence[loading.Source], settings: Settings, samples: loading.SampleMetadata | None, calibrated_only: bool
) -> dict[loading.Source, list[loading.MicrographRecord]]:
    """List some sources, on a worker."""
    return {source: list_sources([source], settings, samples, calibrated_only=calibrated_only) for source in batch}


def _failed(source: loading.Source, error: BaseException) -> loading.MicrographRecord:
    """Return the record of a file that could not be listed, though it was tried alone."""
    reason = f"it could not be listed: {type(error).__name__}: {error}"
    if isinstance(error, KilledWorker):
        reason = "the worker that opened it died each time, most likely out of memory"
    return loading.MicrographRecord(
        micrograph_id=loading.micrograph_id(source), source=source, status="failed", reason=reason
    )
