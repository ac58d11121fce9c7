"""Export results for other programs: labels to correct by hand, and the tables."""

from __future__ import annotations

import fnmatch
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client

from hrtem_dask import loading, tables
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import failure_reason, stream
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, SettingsError
from hrtem_dask.population.verdicts import doubtful_micrographs
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.corrections import labels_hash
from hrtem_dask.storage.exchange import coco, label_files, table_files
from hrtem_dask.storage.exchange.corrected_files import ANNOTATIONS, MANIFEST, STORE
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.results import Results, find_record, open_results, pixel_size_of

__all__ = ["FORMATS", "ExportSummary", "choose_micrographs", "export"]

FORMATS = ("coco", "labels", "tiff", "zarr", "geojson", "csv", "xlsx")
_TABLE_FORMATS = {"csv": table_files.write_csv, "xlsx": table_files.write_workbook}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportSummary:
    """How an export ended."""

    out: str
    """The folder that was written."""
    n_micrographs: int
    """Number of micrographs whose labels were written."""
    failed: dict[str, str]
    """Reason of each micrograph that failed, by micrograph_id."""
    tables: dict[str, int]
    """Number of rows of each table that was written, by its name."""


@dataclass(frozen=True)
class _Micrograph:
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
    cluster: Cluster | Client | str | None = None,
) -> ExportSummary:
    """Write labels and tables of a run for other programs.

    Parameters
    ----------
    results : str or path-like
        The results folder.
    out : str or path-like
        Folder to write to, without an earlier export. ``export.json`` in it lists what was written.
    formats : str or sequence of str
        One or more of ``coco``, ``labels`` (PNG of 16 bits), ``tiff`` (with scale, for Fiji), ``zarr`` (OME-NGFF with
        label image, for napari), ``geojson``, ``csv`` and ``xlsx`` (tables).
    only : str, optional
        Pattern of a `micrograph_id`, a file or its path. Other micrographs are left out, also in tables.
    doubtful : int, optional
        Number of micrographs to export, the most doubtful first; see `choose_micrographs`.
    images : bool
        Whether the micrographs are written beside their labels.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    ExportSummary
        The micrographs that could not be exported have a reason each, which is also logged as a warning.

    Raises
    ------
    NothingToAnalyseError
        If nothing matches.
    SettingsError
        If a format is unknown, or the folder holds an export already, or results of a run.
    HrtemDaskError
        If a workbook is asked for and openpyxl is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp())
    >>> settings = hd.Settings().updated({"segmentation": {"method": "otsu"}})
    >>> _ = hd.run(folder / "images", folder / "results", settings=settings, cluster="threads")
    >>> summary = hd.export(folder / "results", folder / "export", formats=["coco", "csv"], cluster="threads")
    >>> summary.n_micrographs, summary.failed
    (1, {})
    >>> sorted(path.name for path in (folder / "export").glob("*.json"))
    ['annotations.json', 'export.json']
    """
    formats = [formats] if isinstance(formats, str) else list(dict.fromkeys(formats))
    opened, target = open_results(results), Location.of(out)
    _check(formats, target)
    chosen = choose_micrographs(opened.micrographs, only=only, doubtful=doubtful)
    table_formats = [name for name in formats if name in _TABLE_FORMATS]
    label_formats = [name for name in formats if name not in _TABLE_FORMATS]
    if label_formats and not len(chosen):
        raise NothingToAnalyseError(
            f"no micrograph{f' of the name {only!r}' if only else ''} with labels in {opened.folder.url}: see the "
            "column status of its table micrographs"
        )
    written = _tables(opened, chosen, all_rows=only is None and doubtful is None) if table_formats else {}
    for name in table_formats:
        _TABLE_FORMATS[name](target, written)
    done: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    if label_formats:  # tables alone need no cluster
        with connect(cluster, device="cpu") as client:
            done, failed = _export(client, opened, chosen, target, label_formats, images)
    for name, reason in failed.items():
        logger.warning("%s: %s", name, reason)
    manifest = {"results": opened.folder.url, "formats": formats, "micrographs": done, "failed": failed}
    target.write_json(MANIFEST, manifest)
    return ExportSummary(target.url, len(done), failed, {name: len(table) for name, table in written.items()})


def choose_micrographs(
    micrographs: pd.DataFrame, *, only: str | None = None, doubtful: int | None = None
) -> pd.DataFrame:
    """Choose micrographs that have labels.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    only : str, optional
        Pattern (``*``, ``?``) of a `micrograph_id`, a file's name or its path.
    doubtful : int, optional
        Number of micrographs to choose. Micrographs that are not corrected yet come first, among these the ones whose
        verdict is doubtful, then the ones with the lowest predicted Dice, and among those without a prediction the
        ones with the most flags.

    Returns
    -------
    pandas.DataFrame
        Rows of the chosen micrographs; with `doubtful` the most doubtful first.
    """
    rows = micrographs[micrographs["status"].isin(tables.ANALYZED_STATUSES)]
    if only is not None:
        pairs = zip(rows["micrograph_id"], rows["source"], strict=True)
        names = [(str(name), str(source), Path(str(source).split("::")[-1]).name) for name, source in pairs]
        rows = rows[[any(fnmatch.fnmatchcase(one, only) for one in three) for three in names]]
    if doubtful is not None:
        flags = rows[["quality_flags", "calibration_flags"]].fillna("").astype(object)
        counts = flags.map(lambda text: len([flag for flag in text.split(",") if flag])).sum(axis=1)
        keys = pd.DataFrame(
            {
                "corrected": rows["corrected"].fillna(False).astype(bool),
                "believed": ~rows["micrograph_id"].isin(doubtful_micrographs(rows)),
                "dice": rows["predicted_dice"].astype("Float64").astype(float),
                "flags": -counts,
                "name": rows["micrograph_id"].astype(object),
            }
        )
        rows = rows.loc[
            keys.sort_values(["corrected", "believed", "dice", "flags", "name"], na_position="last").index[:doubtful]
        ]
    return rows


def _check(formats: Sequence[str], target: Location) -> None:
    """Check the formats and the folder before anything is written."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise SettingsError(f"formats must be among {', '.join(FORMATS)}, got {', '.join(unknown) or 'none'}")
    if "xlsx" in formats:
        table_files.require_openpyxl()
    if target.exists(MANIFEST):
        raise SettingsError(f"{target.url} holds an export already, which may have been edited: give another folder")
    if target.exists("micrographs.parquet"):
        raise SettingsError(f"{target.url} is a results folder, whose own labels have the same names: give another one")


def _tables(opened: Results, chosen: pd.DataFrame, *, all_rows: bool) -> dict[str, pd.DataFrame]:
    """Return all tables, with the rows of the chosen micrographs or with all rows."""
    read = {name: opened.table(name) for name in tables.SCHEMAS}
    ids = set(chosen["micrograph_id"])
    return {name: table if all_rows else table[table["micrograph_id"].isin(ids)] for name, table in read.items()}


def _export(
    client: Client, opened: Results, chosen: pd.DataFrame, target: Location, formats: Sequence[str], images: bool
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Write micrographs on the workers; return their entries in the manifest, and the reasons of those that failed."""
    if "zarr" in formats:
        zarr_store.create_store(Location.of(target.path(STORE)))
    rows_of = {name: dict(tuple(opened.table(name).groupby("micrograph_id"))) for name in ("particles", "regions")}
    empty = {name: tables.empty(tables.SCHEMAS[name]) for name in rows_of}
    items = [
        _Micrograph(row, *(rows_of[name].get(row["micrograph_id"], empty[name]) for name in ("particles", "regions")))
        for _, row in chosen.iterrows()
    ]
    written: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for item, result in stream(client, _export_one, items, opened.folder, target, tuple(formats), images, key="export"):
        name = str(item.row["micrograph_id"])
        if isinstance(result, BaseException):
            failed[name] = str(result) if isinstance(result, HrtemDaskError) else failure_reason(result)
        else:
            written[name] = result
    in_order = [written[name] for name in chosen["micrograph_id"] if name in written]
    if "zarr" in formats:
        zarr_store.write_collection(Location.of(target.path(STORE)), [str(one["micrograph_id"]) for one in in_order])
    described = [one.pop("coco") for one in in_order if "coco" in one]
    if "coco" in formats:
        annotations = (a for _, of_image in described for a in of_image)
        target.write_json(ANNOTATIONS, coco.make_coco((image for image, _ in described), annotations))
    return in_order, failed


def _export_one(
    item: _Micrograph, folder: Location, target: Location, formats: Sequence[str], images: bool
) -> dict[str, Any]:
    """Write one micrograph, on a worker; return its entry in the manifest."""
    row, name, size = item.row, str(item.row["micrograph_id"]), pixel_size_of(item.row)
    labels = label_packs.read_labels(folder, name)
    image = _image(row) if images else None
    entry: dict[str, Any] = {
        "micrograph_id": name, "source": row["source"], "source_hash": row["source_hash"],
        "settings_hash": row["settings_hash"], "labels_hash": labels_hash(labels), "files": {},
    }  # fmt: skip

    def write(kind: str, file: str, content: bytes) -> None:
        target.write_bytes(file, content)
        entry["files"][kind] = file

    if image is not None and {"coco", "labels"} & set(formats):
        write("picture", f"images/{name}.png", label_files.picture_bytes(image))
    if image is not None and "tiff" in formats:
        write("image", f"images/{name}.tif", label_files.tiff_bytes(image, pixel_size_nm=size))
    if "labels" in formats:
        write("labels", f"labels/{name}.png", label_files.png_bytes(labels))
    if "tiff" in formats:
        write("tiff", f"labels/{name}.tif", label_files.tiff_bytes(labels, pixel_size_nm=size, labels=True))
    if "geojson" in formats:
        outlines = label_files.make_geojson(labels, item.particles)
        write("geojson", f"geojson/{name}.geojson", json.dumps(outlines).encode())
    if "zarr" in formats:
        label_files.write_ngff(Location.of(target.path(STORE)), name, image, labels, pixel_size_nm=size)
        entry["files"]["zarr"] = f"{STORE}/{name}"
    if "coco" in formats:
        described = {
            "micrograph_id": name, "file_name": f"images/{name}.png", "height": labels.shape[0],
            "width": labels.shape[1], "pixel_size_nm": size, "sample": _text(row["sample"]), "source": row["source"],
        }  # fmt: skip
        entry["coco"] = described, coco.make_annotations(name, labels, item.particles, item.regions)
        entry["files"]["coco"] = ANNOTATIONS
    return entry


def _image(row: pd.Series) -> np.ndarray:
    """Read the image of a row; the error explains how to export without it."""
    try:
        return loading.read_image(find_record(row))
    except (HrtemDaskError, OSError, ValueError) as error:
        raise HrtemDaskError(f"{error} (or export without images: --no-images)") from error


def _text(value: str | None) -> str | None:
    """Return a text, or None for a null."""
    return None if pd.isna(value) else str(value)
