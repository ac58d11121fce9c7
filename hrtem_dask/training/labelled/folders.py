"""Labelled images in folders: an image file and a mask file of the same name."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hrtem_dask.errors import NothingToAnalyseError, UnreadableMicrographError
from hrtem_dask.loading import find_sources, list_micrographs, read_image
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.storage.ground_truth import read_mask
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled

__all__ = ["group_of", "has_mask_folder", "list_folder", "read_calibrated"]

_MASK_SUFFIX = re.compile(r"[_-](mask|label|labels)$", re.IGNORECASE)
_PATCH_SUFFIX = re.compile(r"[_-](patch|tile|crop)[_-]?\d+([_-]\d+)?$", re.IGNORECASE)


def list_folder(folder: Path, *, pixel_size_nm: float | None = None) -> list[Labelled]:
    """List the images of a folder that have a mask.

    Parameters
    ----------
    folder : path-like
        Holds ``images/NAME.ext`` and ``masks/NAME.ext`` (or ``masks/NAME_mask.ext``), or ``NAME.ext`` beside
        ``NAME_mask.ext``; any format that `loading` reads, one image per file. Masks are 0 and 1, 0 and 255
        or numbered particles, as `storage.ground_truth.read_mask` reads them.
    pixel_size_nm : float, optional
        Pixel size (nm) for images that state none.

    Returns
    -------
    list of Labelled
        By name. ``NAME_patch3``, ``NAME_tile_0_512`` and the like are of one group, ``NAME``.

    Raises
    ------
    NothingToAnalyseError
        If there is no image, one has no mask, or a mask has no image or a double.
    """
    if has_mask_folder(folder):
        images, masks = list(_files(folder / "images")), list(_files(folder / "masks"))
    else:
        files = list(_files(folder))
        masks = [path for path in files if _MASK_SUFFIX.search(path.stem)]
        images = [path for path in files if not _MASK_SUFFIX.search(path.stem)]
    by_name = {_MASK_SUFFIX.sub("", path.stem): path for path in masks}
    if not images or not masks:
        raise NothingToAnalyseError(
            f"{folder}: holds no labelled images; need images/NAME.ext with masks/NAME.ext, or NAME.ext with "
            "NAME_mask.ext"
        )
    lacking = [path.name for path in images if path.stem not in by_name]
    if lacking:
        raise NothingToAnalyseError(
            f"{folder}: {lacking[0]} has no mask ({len(lacking)} of {len(images)} images); name it "
            f"{Path(lacking[0]).stem}.png or {Path(lacking[0]).stem}_mask.png; an empty field needs one of zeros"
        )
    stems = {path.stem for path in images}
    spare = [path.name for path in masks if by_name[_MASK_SUFFIX.sub("", path.stem)] != path]
    spare += [path.name for name, path in by_name.items() if name not in stems]
    if spare:
        raise NothingToAnalyseError(
            f"{folder}: the mask {spare[0]} belongs to no image, or to one that has another mask ({len(spare)} such): "
            "name it after its image, or take it away"
        )
    return [
        Labelled(
            micrograph_id=path.stem,
            group=group_of(path),
            read=functools.partial(_read, path, by_name[path.stem], pixel_size_nm),
        )
        for path in images
    ]


def has_mask_folder(folder: Path) -> bool:
    """Say whether images and masks are in folders of their own.

    Parameters
    ----------
    folder : path-like
        A folder.

    Returns
    -------
    bool
        True for ``images/`` and ``masks/``.
    """
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def group_of(path: Path) -> str:
    """Return what a file is a patch of.

    Parameters
    ----------
    path : path-like
        Of an image, or of a stack with ``#`` and what is in it.

    Returns
    -------
    str
        Its path without what its name says of a patch: that of the micrograph.
    """
    return str(path.resolve().with_name(_PATCH_SUFFIX.sub("", path.stem)))


def read_calibrated(path: Path, pixel_size_nm: float | None) -> tuple[np.ndarray, PixelSize | None]:
    """Read a file that holds one image.

    Parameters
    ----------
    path : path-like
        The file.
    pixel_size_nm : float or None
        Pixel size (nm) where the file states none.

    Returns
    -------
    image : numpy.ndarray
        Shape (y, x).
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Raises
    ------
    UnreadableMicrographError
        If it holds no image, or several.
    """
    records = [record for source in find_sources(path) for record in list_micrographs(source)]
    images = [record for record in records if record.status == "ok"]
    if len(images) != 1:
        reasons = "; ".join(record.reason for record in records if record.status != "ok")
        raise UnreadableMicrographError(f"{path} must hold one image, it holds {len(images)}. {reasons}".rstrip())
    size = images[0].pixel_size_nm
    if size is None and pixel_size_nm is not None:
        size = (pixel_size_nm, pixel_size_nm)
    return read_image(images[0]), size


def _read(image_path: Path, mask_path: Path, pixel_size_nm: float | None) -> LabelledMicrograph:
    """Read an image and its mask."""
    image, size = read_calibrated(image_path, pixel_size_nm)
    mask, _ = read_mask(str(mask_path))
    try:
        return make_labelled(image, mask > 0, pixel_size_nm=size)
    except ValueError as error:
        raise UnreadableMicrographError(f"{image_path} and {mask_path}: {error}") from error


def _files(folder: Path) -> Iterable[Path]:
    """Return the files of a folder that could be images, by name."""
    others = {
        ".txt",
        ".md",
        ".json",
        ".csv",
        ".toml",
        ".yaml",
        ".yml",
        ".xml",
        ".svg",
        ".safetensors",
        ".pt",
        ".parquet",
    }
    return sorted(
        p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".") and p.suffix.lower() not in others
    )
