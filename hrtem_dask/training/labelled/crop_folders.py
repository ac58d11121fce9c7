"""Labeled crops of regions, sorted by hand into one folder per class."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hrtem_dask import fourier
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError
from hrtem_dask.training.labelled.folders import read_calibrated

__all__ = ["ALIASES", "class_folders", "class_of", "crop_table"]

ALIASES: dict[str, tuple[str, ...]] = {
    "agglomeration": ("agglomeration", "agglomerations", "agglomerate", "agglomerates", "aggregate"),
    "no_particle": ("noparticle", "noparticles", "empty", "background", "carbon"),
    "no_stacking_fault": ("nostackingfault", "nostackingfaults", "nosf", "nofault", "no", "perfect"),
    "misoriented": ("misoriented", "misorientated", "offzone", "nofringe", "nofringes"),
    "stacking_fault": ("stackingfault", "stackingfaults", "sf", "fault", "faulted", "yes"),
}
"""Accepted folder names of each class, compared without case, spaces, hyphens and underscores. Groschner et al. (2021)
use `empty`, `no`, `no_fringe` and `yes`."""
_NUMBER = re.compile(r"[_-]\d+$")
_log = logging.getLogger(__name__)


def class_of(name: str) -> str | None:
    """Return the class that a folder name stands for.

    Parameters
    ----------
    name : str
        Name of the folder.

    Returns
    -------
    str or None
        One of `tables.REGION_CLASSES`; None if the name stands for no class.

    Examples
    --------
    >>> class_of("No Stacking-Fault")
    'no_stacking_fault'
    >>> print(class_of("notes"))
    None
    """
    plain = re.sub(r"[\s_-]+", "", name).lower()
    return next((kind for kind, names in ALIASES.items() if plain in names), None)


def class_folders(folder: Path) -> dict[Path, str]:
    """Return the class of each class folder in a folder.

    Parameters
    ----------
    folder : path-like
        The folder to search, without its subfolders' contents.

    Returns
    -------
    dict of Path to str
        Paths of the class folders with their class; empty if there is none.
    """
    named = {path: class_of(path.name) for path in sorted(Path(folder).iterdir()) if path.is_dir()}
    return {path: kind for path, kind in named.items() if kind is not None}


def crop_table(
    folder: str | Path,
    *,
    pixel_size_nm: float | None = None,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Measure labeled crops.

    Files and folders that are left out are reported to the logger of this module.

    Parameters
    ----------
    folder : str or path-like
        Contains a folder per class, named as in `ALIASES`, with one crop per file in any format that `loading` reads.
    pixel_size_nm : float, optional
        Pixel size (nm) of crops whose file does not state it.
    groups : mapping of str to str, optional
        Micrograph of each file name. By default, ``NAME_12.png`` belongs to the micrograph ``NAME``.

    Returns
    -------
    pandas.DataFrame
        A row per crop: ``file``, ``micrograph_id``, ``region_class``, the five features of Groschner et al. (2021) of
        the crop as stored, and those of `fourier.region_features` with the whole crop as the region (NaN if the pixel
        size is unknown). Features of the shape are missing, because a crop has no outline.

    Raises
    ------
    NothingToAnalyseError
        If there is no class folder, or no crop can be used.
    """
    folder = Path(folder)
    kinds = class_folders(folder)
    others = [p.name for p in folder.iterdir() if p.is_dir() and p not in kinds]
    if not kinds:
        raise NothingToAnalyseError(
            f"{folder}: contains no folder of a class: name the folders {', '.join(ALIASES)}; "
            f"it contains {', '.join(others) or 'no folder'}"
        )
    if others:
        _log.info(
            "%s: folders that are not named after a class are left out: %s", folder.name, ", ".join(sorted(others))
        )
    rows, uncalibrated = [], 0
    for class_folder, kind in kinds.items():
        for path in sorted(p for p in class_folder.iterdir() if p.is_file() and not p.name.startswith(".")):
            try:
                features, has_size = _crop_features(path, pixel_size_nm)
            except (HrtemDaskError, OSError, ValueError) as error:
                _log.warning("%s/%s is left out: %s", class_folder.name, path.name, error)
                continue
            uncalibrated += not has_size
            group = (groups or {}).get(path.name, _NUMBER.sub("", path.stem))
            file = f"{class_folder.name}/{path.name}"
            rows.append({"file": file, "micrograph_id": group, "region_class": kind, **features})
    if not rows:
        raise NothingToAnalyseError(f"{folder}: no crop could be used")
    if uncalibrated:
        _log.warning(
            "%d of %d crops have no pixel size: only the five features of the paper, which are in pixels, are "
            "measured; give --pixel-size to measure all features",
            uncalibrated,
            len(rows),
        )
    columns = ["file", "micrograph_id", "region_class", *_feature_names(rows)]
    return pd.DataFrame(rows, columns=columns)


def _feature_names(rows: list[dict[str, object]]) -> list[str]:
    """Return the names of all features of any row, in order of first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in {"file", "micrograph_id", "region_class"}]


def _crop_features(path: Path, pixel_size_nm: float | None) -> tuple[dict[str, float], bool]:
    """Return the features of one crop, and whether its pixel size is known."""
    crop, size = read_calibrated(path, pixel_size_nm)
    if not np.isfinite(crop).all():
        raise ValueError("it has pixels that are not finite")
    features = fourier.groschner2021_features(crop)
    if size is not None:
        features |= fourier.region_features(crop, np.ones(crop.shape, bool), pixel_size_nm=size)[0]
    return features, size is not None
