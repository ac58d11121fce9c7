"""What there is: every micrograph of the inputs, by their headers only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distributed import Client
from distributed.scheduler import KilledWorker

from hrtem_dask import loading
from hrtem_dask.batch.stream import stream
from hrtem_dask.errors import NothingToAnalyseError
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
        sources = [s for s in sources if s.url != leave_out.url and not s.url.startswith(f"{leave_out.url}/")]
    if not sources:
        raise NothingToAnalyseError(f"no file in {inputs!s}: give micrographs, a folder of them, or a glob")
    return sources


def list_sources(
    sources: Sequence[loading.Source], settings: Settings, samples: loading.SampleMetadata | None = None
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

    Returns
    -------
    list of loading.MicrographRecord
        One per 2-D image, and one per signal or file that yields none; those without a usable pixel size are set
        aside.
    """
    wishes = settings.loading
    return [
        loading.set_aside_uncalibrated(record, pixels=wishes.pixels)
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

    Returns
    -------
    list of loading.MicrographRecord
        In the order of the sources, whatever the order in which workers finish.
    """
    batches = [tuple(sources[i : i + SOURCES_PER_TASK]) for i in range(0, len(sources), SOURCES_PER_TASK)]
    listed: dict[loading.Source, list[loading.MicrographRecord]] = {}
    suspects: list[tuple[loading.Source, ...]] = []
    for batch, result in stream(client, _by_source, batches, settings, samples, key="list"):
        if not isinstance(result, BaseException):
            listed |= result
        elif isinstance(result, KilledWorker):
            suspects.extend((source,) for source in batch)
        else:
            raise result
    for (source,), result in stream(client, _by_source, suspects, settings, samples, key="list-alone", limit=1):
        listed |= {source: [_killer(source)]} if isinstance(result, BaseException) else result
    return [record for source in sources for record in listed[source]]


def _by_source(
    batch: Sequence[loading.Source], settings: Settings, samples: loading.SampleMetadata | None
) -> dict[loading.Source, list[loading.MicrographRecord]]:
    """List some sources, on a worker."""
    return {source: list_sources([source], settings, samples) for source in batch}


def _killer(source: loading.Source) -> loading.MicrographRecord:
    """Return the record of a file that cannot be opened without killing the worker."""
    return loading.MicrographRecord(
        micrograph_id=loading.micrograph_id(source),
        source=source,
        status="failed",
        reason="the worker that opened it died each time, most likely out of memory",
    )
