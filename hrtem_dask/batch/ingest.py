"""Write the micrographs of files into one Zarr store, a task per micrograph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from distributed import Client

from hrtem_dask import loading
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import failure_reason, stream_with_retry, worker_died
from hrtem_dask.batch.listing import find_inputs, list_on_workers, warn_of_unmatched_rows
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import SettingsError, typed_error_text
from hrtem_dask.settings import Settings
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location

__all__ = ["ingest"]

KEPT = ("sample", "source", "title", "voltage_kv", "magnification", "instrument", "acquired_at", "pixel_size_source")
"""Columns of a record that are kept as metadata of its image in the store."""


def ingest(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    settings: Settings | None = None,
    metadata: str | Path | None = None,
    cluster: Cluster | Client | str | None = None,
) -> pd.DataFrame:
    """Write micrographs into one Zarr store.

    Micrographs without a pixel size are written too, with their axes in pixels, and those with an implausible one as
    they are: a later run decides whether to set them aside.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    out : str or path-like
        The store, or its fsspec URL. A micrograph that it holds already is replaced.
    settings : Settings, optional
        Settings, of which `loading` is used.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    pandas.DataFrame
        One row per 2-D image, and one per signal or file that yields none, with ``status`` (ok, set_aside, failed)
        and ``reason``. A micrograph that failed while it was written is not in the store.

    Raises
    ------
    NothingToAnalyseError
        If there is no file.
    SettingsError
        If `out` is a file, or the table of samples cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n=2)
    >>> table = hd.ingest(folder / "images", folder / "store.zarr", cluster="threads")
    >>> table["status"].tolist()
    ['ok', 'ok']
    >>> (folder / "store.zarr").is_dir()
    True
    """
    settings = settings or Settings()
    store = Location.of(out)
    if store.is_local and Path(store.url).is_file():
        raise SettingsError(f"{store.url} is a file: name a Zarr store, which is a folder and may be a new one (--out)")
    samples = loading.read_metadata(metadata) if metadata is not None else None
    sources = find_inputs(inputs, leave_out=store)
    with connect(cluster, device="cpu", of_settings=settings.cluster) as client:
        warn_of_unmatched_rows(samples, sources)
        records = list_on_workers(client, sources, settings, samples, calibrated_only=False)
        zarr_store.create_store(store)
        failures = dict(_failures(client, [r for r in records if r.status == "ok"], store))
    names = [r.micrograph_id for r in records if r.status == "ok" and r.micrograph_id not in failures]
    zarr_store.write_collection(store, names)
    ended = [
        replace(r, status="failed", reason=failures[r.micrograph_id]) if r.micrograph_id in failures else r
        for r in records
    ]
    return pd.DataFrame([loading.to_row(r) for r in ended])


def _failures(
    client: Client, records: Sequence[loading.MicrographRecord], store: Location
) -> Iterator[tuple[str, str]]:
    """Write micrographs; yield the id of each that could not be written, and why."""
    for record, result in stream_with_retry(client, _write_one, records, store, key="ingest"):
        if isinstance(result, BaseException):
            if worker_died(result):
                zarr_store.remove(store, record.micrograph_id)
            yield record.micrograph_id, failure_reason(result)
        elif result is not None:
            yield record.micrograph_id, result


def _write_one(record: loading.MicrographRecord, store: Location) -> str | None:
    """Write one micrograph; return why it could not be written, or None."""
    row = loading.to_row(record)
    known: dict[str, object] = {name: row[name] for name in KEPT if row[name] is not None}
    known["covariates"] = {name: row[name] for name, _ in record.covariates}
    try:
        image = loading.read_image(record)
    except Exception as error:  # noqa: BLE001 - one bad file does not stop the others
        return typed_error_text(error)
    try:
        zarr_store.write_micrograph(
            store, record.micrograph_id, image, pixel_size_nm=record.pixel_size_nm, metadata=known
        )
    except Exception as error:  # noqa: BLE001 - a full disk, for instance, is reported for each micrograph
        # half an image would look whole, with zeros where nothing was written
        zarr_store.remove(store, record.micrograph_id)
        return typed_error_text(error)
    return None
