"""Labelled crops of regions, one folder per class, as microscopists keep them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
"""Names of folders by class, without case, spaces, hyphens and underscores; `empty`, `no`, `no_fringe` and `yes` are
those of Groschner et al. 2021."""
_NUMBER = re.compile(r"[_-]\d+$")


def class_of(name: str) -> str | None:
    """Return the class that a folder's name means.

    Parameters
    ----------
    name : str
        Name of the folder.

    Returns
    -------
    str or None
        One of `tables.REGION_CLASSES`; None where it means none.
    """
    plain = re.sub(r"[\s_-]+", "", name).lower()
    return next((kind for kind, names in ALIASES.items() if plain in names), None)


def class_folders(folder: Path) -> dict[Path, str]:
    """Return the folders of classes, by path.

    Parameters
    ----------
    folder : path-like
        Holds them.

    Returns
    -------
    dict of Path to str
        Each with its class; empty where there is none.
    """
    named = {path: class_of(path.name) for path in sorted(Path(folder).iterdir()) if path.is_dir()}
    return {path: kind for path, kind in named.items() if kind is not None}


def crop_table(
    folder: str | Path,
    *,
    pixel_size_nm: float | None = None,
    groups: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure labelled crops.

    Parameters
    ----------
    folder : str or path-like
        A folder per class, named as in `ALIASES`; any format that `loading` reads, one crop per file.
    pixel_size_nm : float, optional
        Pixel size (nm) of crops that state none.
    groups : mapping of str to str, optional
        File name → micrograph; without it, ``NAME_12.png`` is of the micrograph ``NAME``.
    say : callable
        Takes a line on each file that cannot be used.

    Returns
    -------
    pandas.DataFrame
        A row per crop: ``file``, ``micrograph_id``, ``region_class``, the paper's five features (of the crop as it is
        in the file) and those of `fourier.region_features` with the whole crop as the region: NaN where no pixel size
        is known. Shape cannot be measured without an outline.

    Raises
    ------
    NothingToAnalyseError
        If there is no folder of a class, or no crop can be used.
    """
    folder = Path(folder)
    kinds = class_folders(folder)
    others = [p.name for p in folder.iterdir() if p.is_dir() and p not in kinds]
    if not kinds:
        raise NothingToAnalyseError(
            f"{folder}: holds no folder of a class: name them {', '.join(ALIASES)}; "
            f"it holds {', '.join(others) or 'none'}"
        )
    if others:
        say(f"{folder.name}: folders that name no class are left out: {', '.join(sorted(others))}")
    rows, uncalibrated = [], 0
    for place, kind in kinds.items():
        for path in sorted(p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")):
            try:
                features, has_size = _measured(path, pixel_size_nm)
            except (HrtemDaskError, OSError, ValueError) as error:
                say(f"{place.name}/{path.name} is left out: {error}")
                continue
            uncalibrated += not has_size
            group = (groups or {}).get(path.name, _NUMBER.sub("", path.stem))
            rows.append({"file": f"{place.name}/{path.name}", "micrograph_id": group, "region_class": kind, **features})
    if not rows:
        raise NothingToAnalyseError(f"{folder}: no crop could be used")
    if uncalibrated:
        say(
            f"{uncalibrated} of {len(rows)} crops have no pixel size: only the paper's five features, which are "
            "in pixels, are measured on them; give --pixel-size"
        )
    columns = ["file", "micrograph_id", "region_class", *_features_of(rows)]
    return pd.DataFrame(rows, columns=columns)


def _features_of(rows: list[dict[str, object]]) -> list[str]:
    """Return the names of all features that any row has, in the order they came."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in {"file", "micrograph_id", "region_class"}]


def _measured(path: Path, pixel_size_nm: float | None) -> tuple[dict[str, float], bool]:
    """Return the features of one crop, and whether its pixel size is known."""
    crop, size = read_calibrated(path, pixel_size_nm)
    if not np.isfinite(crop).all():
        raise ValueError("it holds pixels that are not finite")
    features = fourier.groschner2021_features(crop)
    if size is not None:
        features |= fourier.region_features(crop, np.ones(crop.shape, bool), pixel_size_nm=size)[0]
    return features, size is not None
