"""Labeled images in folders, each with an image file, a mask file of the same name, and where it is not known.

Particles that the border cuts, and others that nobody outlined, are neither particle nor background for a training.
They are marked in a file of their own, because a third gray value in the mask could not be told from a smoothed
outline.
"""

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
from hrtem_dask.training.labelled.image_groups import groups_of
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled

__all__ = ["has_mask_folder", "list_folder", "read_calibrated"]

_MASK_SUFFIX = re.compile(r"[_-](mask|label|labels)$", re.IGNORECASE)
_UNKNOWN_SUFFIX = re.compile(r"[_-]unknown$", re.IGNORECASE)
_NO_IMAGES = {
    ".txt", ".md", ".json", ".csv", ".toml", ".yaml", ".yml", ".xml", ".svg", ".safetensors", ".pt", ".parquet",
}  # fmt: skip
"""Suffixes of files that lie beside images and are ignored."""


def list_folder(folder: Path, *, pixel_size_nm: float | None = None) -> list[Labelled]:
    """List the images of a folder, each with its mask.

    Parameters
    ----------
    folder : path-like
        Contains ``images/NAME.ext`` and ``masks/NAME.ext`` (or ``masks/NAME_mask.ext``), or ``NAME.ext`` and
        ``NAME_mask.ext``, with one image per file in any format that `loading` reads. Mask values are 0 and 1, 0 and
        255, or numbers of particles, as `storage.ground_truth.read_mask` reads them. Where the mask is not known may be
        marked in ``unknown/NAME.ext`` (or ``unknown/NAME_unknown.ext``), or ``NAME_unknown.ext``: values as in a
        mask, other than 0 where the pixel may be particle or background. Without such a file, every pixel is known.
    pixel_size_nm : float, optional
        Pixel size (nm) of images whose file does not state it.

    Returns
    -------
    list of Labelled
        Images in the order of their names. ``NAME_patch3`` and ``NAME_tile_0_512`` belong to the group ``NAME``; a
        table ``groups.csv`` may state other groups, see `image_groups.groups_of`.

    Raises
    ------
    NothingToAnalyseError
        If there is no image, an image has no mask or two masks, or a mask or a file of unknown pixels has no image.
    SettingsError
        If the table of groups is wrong.
    """
    if has_mask_folder(folder):
        images, masks = list(_files(folder / "images")), list(_files(folder / "masks"))
        marks = list(_files(folder / "unknown")) if (folder / "unknown").is_dir() else []
    else:
        files = list(_files(folder))
        masks = [path for path in files if _MASK_SUFFIX.search(path.stem)]
        marks = [path for path in files if _UNKNOWN_SUFFIX.search(path.stem)]
        images = [path for path in files if path not in masks and path not in marks]
    by_name = {_MASK_SUFFIX.sub("", path.stem): path for path in masks}
    unknown = {_UNKNOWN_SUFFIX.sub("", path.stem): path for path in marks}
    if not images or not masks:
        raise NothingToAnalyseError(
            f"{folder}: contains no labeled images; need images/NAME.ext with masks/NAME.ext, or NAME.ext with "
            "NAME_mask.ext"
        )
    missing = [path.name for path in images if path.stem not in by_name]
    if missing:
        raise NothingToAnalyseError(
            f"{folder}: {missing[0]} has no mask ({len(missing)} of {len(images)} images); name it "
            f"{Path(missing[0]).stem}.png or {Path(missing[0]).stem}_mask.png; an image without particles needs "
            "a mask of zeros"
        )
    stems = {path.stem for path in images}
    unused = [path.name for path in masks if by_name[_MASK_SUFFIX.sub("", path.stem)] != path]
    unused += [path.name for name, path in by_name.items() if name not in stems]
    if unused:
        raise NothingToAnalyseError(
            f"{folder}: the mask {unused[0]} belongs to no image, or to an image with another mask ({len(unused)} such "
            "masks): name it after its image, or remove it"
        )
    unused = [p.name for name, p in unknown.items() if name not in stems]
    unused += [p.name for p in marks if unknown[_UNKNOWN_SUFFIX.sub("", p.stem)] != p]
    if unused:
        raise NothingToAnalyseError(
            f"{folder}: {unused[0]}, which marks unknown pixels, belongs to no image, or to an image with another such "
            "file: name it NAME_unknown.png after the image NAME, or remove it"
        )
    return [
        Labelled(
            micrograph_id=path.stem,
            group=group,
            read=functools.partial(_read, path, by_name[path.stem], unknown.get(path.stem), pixel_size_nm),
        )
        for path, group in zip(images, groups_of(folder, images), strict=True)
    ]


def has_mask_folder(folder: Path) -> bool:
    """Return whether images and masks are in separate folders.

    Parameters
    ----------
    folder : path-like
        A folder.

    Returns
    -------
    bool
        True if the folder contains the folders ``images`` and ``masks``.
    """
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def read_calibrated(path: Path, pixel_size_nm: float | None) -> tuple[np.ndarray, PixelSize | None]:
    """Read a file that contains one image.

    Parameters
    ----------
    path : path-like
        The file.
    pixel_size_nm : float or None
        Pixel size (nm) if the file does not state it.

    Returns
    -------
    image : numpy.ndarray
        Shape (y, x), in the dtype of the file.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); None if unknown.

    Raises
    ------
    UnreadableMicrographError
        If it contains no image, or several.
    """
    records = [record for source in find_sources(path) for record in list_micrographs(source)]
    images = [record for record in records if record.status == "ok"]
    if len(images) != 1:
        reasons = "; ".join(record.reason for record in records if record.status != "ok")
        raise UnreadableMicrographError(f"{path} must contain one image, it contains {len(images)}. {reasons}".rstrip())
    size = images[0].pixel_size_nm
    if size is None and pixel_size_nm is not None:
        size = (pixel_size_nm, pixel_size_nm)
    return read_image(images[0]), size


def _read(
    image_path: Path, mask_path: Path, unknown_path: Path | None, pixel_size_nm: float | None
) -> LabelledMicrograph:
    """Read an image, its mask, and where the mask is not known."""
    image, size = read_calibrated(image_path, pixel_size_nm)
    mask, _ = read_mask(str(mask_path))
    valid = None if unknown_path is None else read_mask(str(unknown_path))[0] == 0
    try:
        return make_labelled(image, mask > 0, pixel_size_nm=size, valid=None if valid is None or valid.all() else valid)
    except ValueError as error:
        raise UnreadableMicrographError(f"{image_path} and {unknown_path or mask_path}: {error}") from error


def _files(folder: Path) -> Iterable[Path]:
    """Return the files of a folder that could be images, in the order of their names."""
    return sorted(
        p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".") and p.suffix.lower() not in _NO_IMAGES
    )
