"""Files into one Zarr store, a task per micrograph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from distributed import Client

from hrtem_dask import loading
from hrtem_dask.batch.cluster import connect
from hrtem_dask.batch.listing import find_inputs, list_on_workers
from hrtem_dask.batch.stream import stream
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

    Micrographs without a pixel size are written too, their axes in pixels.

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
        and ``reason``.

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
    in_pixels_too = settings.updated({"loading": {"pixels": True}})
    records = list_on_workers(client, sources, in_pixels_too, samples)
    zarr_store.create_store(place)
    wanted = [r for r in records if r.status == "ok"]
    failures = {r.micrograph_id: str(why) for r, why in stream(client, _write_one, wanted, place) if why is not None}
    ended = [
        replace(r, status="failed", reason=failures[r.micrograph_id]) if r.micrograph_id in failures else r
        for r in records
    ]
    return pd.DataFrame([loading.to_row(r) for r in ended])


def _write_one(record: loading.MicrographRecord, place: Location) -> str | None:
    """Write one micrograph; return why it could not be."""
    try:
        known: dict[str, Any] = {k: v for k, v in loading.to_row(record).items() if k in KEPT and v is not None}
        zarr_store.write_micrograph(
            place,
            record.micrograph_id,
            loading.read_image(record),
            pixel_size_nm=record.pixel_size_nm,
            metadata=known,
        )
    except Exception as error:  # noqa: BLE001 - one bad file does not stop the others
        return f"{type(error).__name__}: {error}"
    return None
