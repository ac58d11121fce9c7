"""A results folder as layers of napari: each micrograph, the labels of its particles, and their table as features."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

__all__ = ["MAX_MICROGRAPHS", "get_reader", "read_results"]

Layer: TypeAlias = "tuple[Any, dict[str, Any], str]"
"""Data, options and kind of a layer, as napari takes them from a reader."""
MAX_MICROGRAPHS = 8
"""Most micrographs that a folder opens at once; the others open as the files inside, see `get_reader`."""
LABELS, PACKS, OVERLAYS = "labels.zarr", "labels", "overlays"
"""Folders in the results: one folder of labels per micrograph; labels of many in a ZIP file each; a picture of each."""
PACK_END = ".zarr.zip"


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """Return the function that reads a path, or None where it holds no results.

    napari calls this for everything that it is asked to open.

    Parameters
    ----------
    path : str or sequence of str
        Path of a results folder, or in it: the labels of one micrograph (``labels.zarr/<micrograph_id>``), its picture
        (``overlays/<micrograph_id>.jpg``), or a file with the labels of many (``labels/<part>.zarr.zip``).

    Returns
    -------
    callable or None
        `read_results`.

    Examples
    --------
    >>> get_reader("image.tif") is None
    True
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if len(paths) == 1 and (_folder_of(paths[0])[0] / "micrographs.parquet").is_file():
        return read_results
    return None


def read_results(path: str | Sequence[str]) -> list[Layer]:
    """Read micrographs, labels and particles as layers.

    Parameters
    ----------
    path : str or sequence of str
        As for `get_reader`.

    Returns
    -------
    list of tuple
        For each micrograph an image and a labels layer, at its pixel size in nm where it has one. The labels have the
        rows of particles.parquet as features, by ``index``, the number of the particle. Of a folder with more than
        `MAX_MICROGRAPHS` analyzed micrographs, doubtful ones come first, and a warning states how many are left out.
        An image whose file is no longer there, or has changed, is left out with a warning.

    Raises
    ------
    KeyError
        If the micrograph that the path names is not among the results.
    """
    from hrtem_dask import tables
    from hrtem_dask.errors import suggestion
    from hrtem_dask.storage.packing.label_packs import packed_ids
    from hrtem_dask.storage.results import open_results

    folder, part = _folder_of(path if isinstance(path, str | os.PathLike) else path[0])
    results = open_results(folder)
    rows = results.micrographs
    rows = rows[rows["status"].isin(tables.ANALYZED_STATUSES)]
    if part:
        names = rows["micrograph_id"].astype(str)
        known = packed_ids(results.folder) if part.endswith(PACK_END) else {}
        wanted = {name for name, pack in known.items() if pack == part.removesuffix(PACK_END)} or {part}
        rows = rows[names.isin(wanted)]
        if rows.empty:
            raise KeyError(f"no labels of micrograph {part!r} in {folder}{suggestion(part, list(names))}")
    rows = rows.iloc[(rows["verdict"] != "doubtful").fillna(True).to_numpy().argsort(kind="stable")]
    if (n_left := len(rows) - MAX_MICROGRAPHS) > 0:
        is_packed = (folder / PACKS).is_dir()
        place = f"{PACKS}/<part>{PACK_END}" if is_packed else f"{LABELS}/<micrograph_id>"
        warnings.warn(
            f"{path} has {len(rows)} analyzed micrographs; {n_left} are not shown: open {place} or "
            f"{OVERLAYS}/<micrograph_id>.jpg",
            stacklevel=2,
        )
    particles = results.particles
    layers: list[Layer] = []
    for _, row in rows.head(MAX_MICROGRAPHS).iterrows():
        of_row = particles[particles["micrograph_id"] == row["micrograph_id"]]
        layers += _layers(row, of_row, results.labels(str(row["micrograph_id"])), visible=not layers)
    return layers


def _folder_of(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return the results folder of a path, and the micrograph or the file of labels that it names."""
    given = Path(path)
    inside, name = given.parent.name, given.name
    if inside == OVERLAYS and given.suffix == ".jpg":
        return given.parent.parent, given.stem
    if inside == LABELS or (inside == PACKS and name.endswith(PACK_END)):
        return given.parent.parent, name
    return (given.parent, None) if name in (LABELS, PACKS) else (given, None)


def _layers(row: pd.Series, particles: pd.DataFrame, labels: Any, *, visible: bool) -> list[Layer]:
    """Return the layers of one micrograph."""
    from hrtem_dask import loading
    from hrtem_dask.errors import HrtemDaskError
    from hrtem_dask.storage.results import find_record, pixel_size_of

    name, size = str(row["micrograph_id"]), pixel_size_of(row)
    shared: dict[str, Any] = {"visible": visible}
    if size is not None:
        shared |= {"scale": size, "units": ("nm", "nm")}
    known = ("source", "sample", "status", "verdict", "pixel_size_source")
    told = {"hrtem_dask": {key: None if pd.isna(row[key]) else row[key] for key in known}}
    features = particles.drop(columns="micrograph_id").rename(columns={"particle_id": "index"})
    texts = [name for name, kind in features.dtypes.items() if str(kind).startswith("string")]
    features = features.astype(dict.fromkeys(texts, object))
    found: list[Layer] = [
        (
            labels,
            {
                "name": f"{name} particles",
                "features": features.reset_index(drop=True),
                "metadata": told,
                "opacity": 0.4,
                **shared,
            },
            "labels",
        )
    ]
    try:
        image = loading.read_image(find_record(row))
    except (HrtemDaskError, OSError, ValueError) as error:
        warnings.warn(f"{name}: the labels are shown without the image: {error}", stacklevel=3)
        return found
    low, high = np.nanpercentile(image, (0.5, 99.5))  # hot pixels would make everything else black
    shown: dict[str, Any] = {"colormap": "gray"} | ({"contrast_limits": (low, high)} if low < high else {})
    return [(image, {"name": name, "metadata": told, **shown, **shared}, "image"), *found]
