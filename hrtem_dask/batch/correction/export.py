"""Results for other programs: labels to correct by hand, and the tables."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from distributed import Client

from hrtem_dask import loading, tables
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, SettingsError
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.corrections import labels_hash
from hrtem_dask.storage.exchange import coco, label_files, table_files
from hrtem_dask.storage.exchange.corrected_files import ANNOTATIONS, MANIFEST, STORE
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import Results, find_record, open_results, pixel_size_of

__all__ = ["FORMATS", "ExportSummary", "choose", "export"]

FORMATS = ("coco", "labels", "tiff", "zarr", "geojson", "csv", "xlsx")
_TABLE_FORMATS = {"csv": table_files.write_csv, "xlsx": table_files.write_workbook}


@dataclass(frozen=True)
class ExportSummary:
    """What was exported."""

    out: str
    """The folder."""
    n_micrographs: int
    """Micrographs whose labels were written."""
    failed: dict[str, str]
    """`micrograph_id` → why it was not."""


@dataclass(frozen=True)
class _Item:
    """One micrograph to export."""

    row: pd.Series
    particles: pd.DataFrame
    regions: pd.DataFrame


def export(
    results: str | Path,
    out: str | Path,
    *,
    formats: str | Sequence[str],
    only: str | None = None,
    doubtful: int | None = None,
    images: bool = True,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ExportSummary:
    """Write labels and tables of a run for other programs.

    Parameters
    ----------
    results : str or path-like
        The results folder.
    out : str or path-like
        Folder to write to, without an earlier export. ``export.json`` in it says what was written.
    formats : str or sequence of str
        Of ``coco``, ``labels`` (PNG of 16 bits), ``tiff`` (with scale, for Fiji), ``zarr`` (OME-NGFF with label image,
        for napari), ``geojson``, ``csv`` and ``xlsx`` (tables).
    only : str, optional
        Pattern of a `micrograph_id`, a file or its path; others are left out, of tables too.
    doubtful : int, optional
        Only so many, the most doubtful first; see `choose`.
    images : bool
        Whether the micrographs are written beside their labels.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        Workers on this machine.
    client : distributed.Client, optional
        A connected client, used and left open.
    say : callable
        Takes lines for the user.

    Returns
    -------
    ExportSummary
        What could not be exported is named with its reason.

    Raises
    ------
    NothingToAnalyseError
        If nothing matches.
    SettingsError
        If a format is unknown, or the folder holds an export already.
    HrtemDaskError
        If a workbook is wished and openpyxl is not installed.
    """
    wished = [formats] if isinstance(formats, str) else list(dict.fromkeys(formats))
    opened, target = open_results(results), Location.of(out)
    _check(wished, target)
    chosen = choose(opened.micrographs, only=only, doubtful=doubtful)
    for name in wished:
        if name in _TABLE_FORMATS:
            _TABLE_FORMATS[name](target, _tables(opened, chosen, all_rows=only is None and doubtful is None))
    pictured = [name for name in wished if name not in _TABLE_FORMATS]
    done: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    if pictured:
        if not len(chosen):
            raise NothingToAnalyseError(
                f"no micrograph{f' of the name {only!r}' if only else ''} with labels in {opened.folder.url}: see the "
                "column status of its table micrographs"
            )
        if client is not None:
            done, failed = _export(client, opened, chosen, target, pictured, images)
        else:
            with connect(scheduler, workers=workers, device="cpu") as own:
                done, failed = _export(own, opened, chosen, target, pictured, images)
    for name, reason in failed.items():
        say(f"{name}: {reason}")
    manifest = {"results": opened.folder.url, "formats": wished, "micrographs": done, "failed": failed}
    target.write_json(MANIFEST, manifest)
    return ExportSummary(target.url, len(done), failed)


def choose(micrographs: pd.DataFrame, *, only: str | None = None, doubtful: int | None = None) -> pd.DataFrame:
    """Choose micrographs that have labels.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    only : str, optional
        Pattern (``*``, ``?``) of a `micrograph_id`, a file's name or its path.
    doubtful : int, optional
        Only so many: first those not corrected yet, of these the ones whose predicted Dice is lowest, where it is not
        known the ones with the most flags of quality and calibration.

    Returns
    -------
    pandas.DataFrame
        Their rows; the most doubtful first where these are wished.
    """
    rows = micrographs[micrographs["status"].isin(["done", "empty"])]
    if only is not None:
        names = zip(rows["micrograph_id"], rows["source"], strict=True)
        spelt = [(str(name), str(source), Path(str(source).split("::")[-1]).name) for name, source in names]
        rows = rows[[any(fnmatch.fnmatchcase(one, only) for one in three) for three in spelt]]
    if doubtful is not None:
        flags = rows[["quality_flags", "calibration_flags"]].fillna("").astype(object)
        counts = flags.map(lambda text: len([flag for flag in text.split(",") if flag])).sum(axis=1)
        keys = pd.DataFrame(
            {
                "corrected": rows["corrected"].fillna(False).astype(bool),
                "dice": rows["predicted_dice"].astype("Float64").astype(float),
                "flags": -counts,
                "name": rows["micrograph_id"].astype(object),
            }
        )
        rows = rows.loc[keys.sort_values(["corrected", "dice", "flags", "name"], na_position="last").index[:doubtful]]
    return rows


def _check(wished: Sequence[str], target: Location) -> None:
    """Refuse what cannot work before anything is written."""
    unknown = [name for name in wished if name not in FORMATS]
    if unknown or not wished:
        raise SettingsError(f"formats must be of {', '.join(FORMATS)}, got {', '.join(unknown) or 'none'}")
    if "xlsx" in wished:
        table_files.require_openpyxl()
    if target.exists(MANIFEST):
        raise SettingsError(f"{target.url} holds an export already, maybe with corrections in it: give another folder")


def _tables(opened: Results, chosen: pd.DataFrame, *, all_rows: bool) -> dict[str, pd.DataFrame]:
    """Return the tables, of the chosen micrographs or whole."""
    read = {name: opened.table(name) for name in tables.SCHEMAS}
    ids = set(chosen["micrograph_id"])
    return {name: table if all_rows else table[table["micrograph_id"].isin(ids)] for name, table in read.items()}


def _export(
    client: Client, opened: Results, chosen: pd.DataFrame, target: Location, formats: Sequence[str], images: bool
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Write micrographs on a connected client; return what the manifest says of them, and what failed."""
    if "zarr" in formats:
        zarr_store.create_store(Location.of(target.path(STORE)))
    of = {name: dict(tuple(opened.table(name).groupby("micrograph_id"))) for name in ("particles", "regions")}
    empty = {name: tables.empty(tables.SCHEMAS[name]) for name in of}
    items = [
        _Item(row, *(of[name].get(row["micrograph_id"], empty[name]) for name in ("particles", "regions")))
        for _, row in chosen.iterrows()
    ]
    written: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for item, result in stream(client, _export_one, items, opened.folder, target, tuple(formats), images, key="export"):
        name = str(item.row["micrograph_id"])
        if isinstance(result, BaseException):
            failed[name] = str(result) if isinstance(result, HrtemDaskError) else f"{type(result).__name__}: {result}"
        else:
            written[name] = result
    in_order = [written[name] for name in chosen["micrograph_id"] if name in written]
    described = [one.pop("coco") for one in in_order if "coco" in one]
    if "coco" in formats:
        annotations = (a for _, of_image in described for a in of_image)
        target.write_json(ANNOTATIONS, coco.make_coco((image for image, _ in described), annotations))
    return in_order, failed


def _export_one(item: _Item, place: Location, target: Location, formats: Sequence[str], images: bool) -> dict[str, Any]:
    """Write one micrograph, on a worker; return what the manifest says of it."""
    row, name, size = item.row, str(item.row["micrograph_id"]), pixel_size_of(item.row)
    labels = zarr_store.read_labels(Location.of(place.path("labels.zarr")), name)
    image = _image(row) if images else None
    said: dict[str, Any] = {
        "micrograph_id": name, "source": row["source"], "source_hash": row["source_hash"],
        "settings_hash": row["settings_hash"], "labels_hash": labels_hash(labels), "files": {},
    }  # fmt: skip

    def put(kind: str, file: str, content: bytes) -> None:
        target.write_bytes(file, content)
        said["files"][kind] = file

    if image is not None and {"coco", "labels"} & set(formats):
        put("picture", f"images/{name}.png", label_files.picture_bytes(image))
    if image is not None and "tiff" in formats:
        put("image", f"images/{name}.tif", label_files.tiff_bytes(image, pixel_size_nm=size))
    if "labels" in formats:
        put("labels", f"labels/{name}.png", label_files.png_bytes(labels))
    if "tiff" in formats:
        put("tiff", f"labels/{name}.tif", label_files.tiff_bytes(labels, pixel_size_nm=size, labels=True))
    if "geojson" in formats:
        outlines = label_files.make_geojson(labels, item.particles)
        put("geojson", f"geojson/{name}.geojson", json.dumps(outlines).encode())
    if "zarr" in formats:
        label_files.write_ngff(Location.of(target.path(STORE)), name, image, labels, pixel_size_nm=size)
        said["files"]["zarr"] = f"{STORE}/{name}"
    if "coco" in formats:
        described = {
            "micrograph_id": name, "file_name": f"images/{name}.png", "height": labels.shape[0],
            "width": labels.shape[1], "pixel_size_nm": size, "sample": _text(row["sample"]), "source": row["source"],
        }  # fmt: skip
        said["coco"] = described, coco.make_annotations(name, labels, item.particles, item.regions)
        said["files"]["coco"] = ANNOTATIONS
    return said


def _image(row: pd.Series) -> Any:
    """Read the image of a row, or say how to do without."""
    try:
        return loading.read_image(find_record(row))
    except (HrtemDaskError, OSError, ValueError) as error:
        raise HrtemDaskError(f"{error} (or export without images: --no-images)") from error


def _text(value: Any) -> str | None:
    """Return a text, or None for a null."""
    return None if pd.isna(value) else str(value)
