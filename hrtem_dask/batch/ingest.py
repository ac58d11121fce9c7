"""Files into one Zarr store, a task per micrograph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from distributed import Client
from distributed.scheduler import KilledWorker

from hrtem_dask import loading
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.batch.listing import find_inputs, list_on_workers
from hrtem_dask.settings import Settings
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location

__all__ = ["ingest"]

KEPT = ("sample", "source", "title", "voltage_kv", "magnification", "instrument", "acquired_at", "pixel_size_source")


def ingest(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    settings: Settings | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    metadata: str | Path | None = None,
    client: Client | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Write micrographs into one Zarr store.

    Micrographs without a pixel size are written too, their axes in pixels, and those with an implausible one as they
    are: what to do with them is for the run to judge.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    out : str or path-like
        The store, or its fsspec URL. A micrograph that it holds already is replaced.
    settings : Settings, optional
        Of these, `loading`.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        Workers on this machine.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates.
    client : distributed.Client, optional
        A connected client, used and left open.
    say : callable
        Takes lines for the user.

    Returns
    -------
    pandas.DataFrame
        One row per 2-D image, and one per signal or file that yields none, with ``status`` (ok, set_aside, failed)
        and ``reason``. What failed while it was written is not in the store.

    Raises
    ------
    NothingToAnalyseError
        If there is no file.
    """
    settings = settings or Settings()
    sources = find_inputs(inputs, leave_out=Location.of(out))
    if client is None:
        with connect(scheduler, workers=workers, device="cpu") as own:
            return _ingest(own, sources, Location.of(out), settings, metadata, say)
    return _ingest(client, sources, Location.of(out), settings, metadata, say)


def _ingest(
    client: Client,
    sources: Sequence[loading.Source],
    place: Location,
    settings: Settings,
    metadata: str | Path | None,
    say: Callable[[str], None],
) -> pd.DataFrame:
    """Write on a connected client."""
    samples = loading.read_metadata(metadata) if metadata is not None else None
    for complaint in samples.unmatched_rows(sources) if samples is not None else ():
        say(complaint)
    records = list_on_workers(client, sources, settings, samples, calibrated_only=False)
    zarr_store.create_store(place)
    failures = dict(_failures(client, [r for r in records if r.status == "ok"], place))
    ended = [
        replace(r, status="failed", reason=failures[r.micrograph_id]) if r.micrograph_id in failures else r
        for r in records
    ]
    return pd.DataFrame([loading.to_row(r) for r in ended])


def _failures(
    client: Client, records: Sequence[loading.MicrographRecord], place: Location
) -> Iterator[tuple[str, str]]:
    """Write micrographs; yield the id of each that could not be written, and why.

    A worker that dies takes all of its tasks with it: they are tried again one by one, with nothing else in flight.
    """
    suspects: list[loading.MicrographRecord] = []
    for record, result in stream(client, _write_one, records, place, key="ingest"):
        if isinstance(result, KilledWorker):
            suspects.append(record)
        elif result is not None:
            yield record.micrograph_id, str(result)
    for record, result in stream(client, _write_one, suspects, place, key="ingest-alone", limit=1):
        if isinstance(result, KilledWorker):
            zarr_store.remove(place, record.micrograph_id)
            yield record.micrograph_id, "its worker died each time it was tried alone, most likely out of memory"
        elif result is not None:
            yield record.micrograph_id, str(result)


def _write_one(record: loading.MicrographRecord, place: Location) -> str | None:
    """Write one micrograph; return why it could not be."""
    row = loading.to_row(record)
    known: dict[str, Any] = {name: row[name] for name in KEPT if row[name] is not None}
    known["covariates"] = {name: row[name] for name, _ in record.covariates}
    try:
        image = loading.read_image(record)
    except Exception as error:  # noqa: BLE001 - one bad file does not stop the others
        return f"{type(error).__name__}: {error}"
    try:
        zarr_store.write_micrograph(
            place, record.micrograph_id, image, pixel_size_nm=record.pixel_size_nm, metadata=known
        )
    except Exception as error:  # noqa: BLE001 - such as a full disk, of which the others shall hear too
        # half of it would look whole, with zeros where nothing was written
        zarr_store.remove(place, record.micrograph_id)
        return f"{type(error).__name__}: {error}"
    return None
