"""Where the truth comes from: a simulated store, or a folder of images beside a folder of masks."""

from __future__ import annotations

import fnmatch
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hrtem_dask import loading
from hrtem_dask.errors import NothingToAnalyseError, SettingsError, UnreadableMicrographError
from hrtem_dask.evaluation.micrographs import connected_pieces
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.regimes import IMAGES, LABELS
from hrtem_dask.storage.simulated import open_simulated, truth_ids

__all__ = ["GroundTruth", "TrueMicrograph", "open_truth", "read_mask"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrueMicrograph:
    """One micrograph whose truth is known; light enough to travel to a worker."""

    truth_id: str
    """Name of the simulated micrograph, or of the image file."""
    image: str | None
    """Path of its image, which `hrtem-dask run` reads; None where there is only a mask."""
    mask: str | None = None
    """Path of its mask; None in a simulated store."""
    labels_folder: Location | None = None
    """The labels of a simulated store."""

    def read(self) -> tuple[np.ndarray, bool]:
        """Read the true particles.

        Returns
        -------
        labels : numpy.ndarray of int32
            Shape (y, x), 0 = background. A mask of one value other than 0, or an 8-bit one that reaches 255, is
            particle above half of its highest value, and its connected pieces are the particles; else each value is
            a particle.
        instances : bool
            Whether touching particles have labels of their own.

        Raises
        ------
        UnreadableMicrographError
            If the mask cannot be read or holds no integers.
        """
        if self.labels_folder is not None:
            return zarr_store.read_labels(self.labels_folder, self.truth_id), True
        return read_mask(str(self.mask))


@dataclass(frozen=True)
class GroundTruth:
    """Micrographs whose truth is known."""

    micrographs: Mapping[str, TrueMicrograph]
    """By `truth_id`, in order."""
    table: pd.DataFrame
    """A row per micrograph, with ``truth_id`` and what else is known of it, such as ``material``."""
    without_mask: tuple[str, ...] = ()
    """Images that have no mask."""
    is_simulated: bool = False
    """Whether it is a simulated store."""
    has_regions: bool = False
    """Whether the truth has regions with classes, as simulated stores of the regime lattice have."""
    folder: Location | None = None
    """Where it lies."""

    @property
    def inputs(self) -> list[str]:
        """The images, for a run."""
        return [m.image for m in self.micrographs.values() if m.image is not None]

    def join(self, results: pd.DataFrame) -> pd.Series:
        """Find the true micrograph of each row of a run's table is.

        Parameters
        ----------
        results : pandas.DataFrame
            ``micrographs`` of the results of a run.

        Returns
        -------
        pandas.Series of str
            `truth_id` of each row, null where it is none of these.

        Raises
        ------
        SettingsError
            If two rows are the same micrograph.
        """
        if self.is_simulated and self.folder is not None:
            found = truth_ids(results, open_simulated(self.folder))
            return found.where(found.isin(list(self.micrographs)))
        names = results["source"].map(lambda path: _stem(str(path)))
        by_stem = {_stem(name): name for name in self.micrographs}
        found = names.map(by_stem)
        again = found[found.notna() & found.duplicated()]
        if len(again):
            twice = results.loc[found == again.iloc[0], "source"].tolist()
            raise SettingsError(
                f"{again.iloc[0]} is there twice, from {twice}: one image per mask, give it its own name"
            )
        return found.rename("truth_id")


def open_truth(folder: str | os.PathLike[str], *, only: str | None = None) -> GroundTruth:
    """Open a simulated store, or a folder that holds ``images`` and ``masks``.

    Parameters
    ----------
    folder : str or path-like
        The folder. An image and its mask share their name up to the suffix.
    only : str, optional
        Pattern of names (``image_[0-7].png``, ``sim-0-*``); others are not looked at.

    Returns
    -------
    GroundTruth
        No image or mask is read yet.

    Raises
    ------
    NothingToAnalyseError
        If the folder holds neither, or nothing matches the pattern.
    """
    location = Location.of(folder)
    if location.exists("truth/micrographs.parquet"):
        truth = _simulated(location, only)
    else:
        if not all((Path(location.url) / name).is_dir() for name in ("images", "masks")):
            raise NothingToAnalyseError(
                f"no truth in {location.url}: give what `hrtem-dask simulate` wrote, or a folder that holds the "
                "folders images and masks, an image and its mask of the same name"
            )
        truth = _masks(location, only)
    if not truth.micrographs:
        named = f" of the name {only!r}" if only else ""
        raise NothingToAnalyseError(f"no micrograph with a truth{named} in {location.url}")
    return truth


def _simulated(folder: Location, only: str | None) -> GroundTruth:
    """List a simulated store."""
    store = open_simulated(folder)
    table = store.micrographs.rename(columns={"micrograph_id": "truth_id"})
    names = [str(name) for name in table["truth_id"] if fnmatch.fnmatchcase(str(name), only or "*")]
    labels = folder.inside(LABELS)
    micrographs = {n: TrueMicrograph(n, folder.path(IMAGES, n), labels_folder=labels) for n in names}
    table = table[table["truth_id"].isin(names)].reset_index(drop=True)
    return GroundTruth(micrographs, table, is_simulated=True, has_regions=store.regime.has_regions, folder=folder)


def _masks(folder: Location, only: str | None) -> GroundTruth:
    """Pair images and masks by name."""
    images, masks = (_files(Path(folder.url) / name, only) for name in ("images", "masks"))
    if (Path(folder.url) / "unknown").is_dir():
        _log.warning(
            "%s: the folder unknown is not read here, every pixel counts in the scores; training leaves them out",
            folder.url,
        )
    names = {stem: images.get(stem, path).name for stem, path in masks.items()}
    micrographs = {
        name: TrueMicrograph(name, str(images[stem]) if stem in images else None, mask=str(masks[stem]))
        for stem, name in names.items()
    }
    table = pd.DataFrame({"truth_id": list(micrographs)}, dtype=object)
    without = tuple(path.name for stem, path in images.items() if stem not in masks)
    return GroundTruth(micrographs, table, without_mask=without, folder=folder)


def _files(folder: Path, only: str | None) -> dict[str, Path]:
    """Return the files of a folder by their name without suffix."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if only and not (fnmatch.fnmatchcase(path.name, only) or fnmatch.fnmatchcase(path.stem, only)):
            continue
        if path.stem in found:
            raise NothingToAnalyseError(
                f"{found[path.stem].name} and {path.name} in {folder} have one name: an image and its mask are paired "
                "by their names without suffix"
            )
        found[path.stem] = path
    return found


def _stem(path: str) -> str:
    """Return the name of a file, or of an archive's member, without suffix."""
    return Path(path.split("::")[-1]).stem


def read_mask(path: str) -> tuple[np.ndarray, bool]:
    """Read a mask file; evaluation and training read it alike.

    Parameters
    ----------
    path : str
        The file, with ``::member`` for one in an archive: true and false, or whole numbers. One value other than 0,
        or 8 bits that reach 255, are particle above half of the highest value; else each value is a particle.

    Returns
    -------
    labels : numpy.ndarray
        Shape (y, x), int32: the particle of each pixel, 0 = background.
    instances : bool
        Whether touching particles have labels of their own; otherwise connected pieces are numbered.

    Raises
    ------
    UnreadableMicrographError
        If it cannot be read, or holds fractions or negative numbers.
    """
    mask = loading.read_single_image(path)
    if mask.dtype == bool:
        return connected_pieces(mask), False
    if not np.issubdtype(mask.dtype, np.integer) or (mask.size and mask.min() < 0):
        raise UnreadableMicrographError(
            f"the mask {path} holds {mask.dtype}: save it as whole numbers, 0 for background and 255 or the number of "
            "the particle"
        )
    highest = int(mask.max(initial=0))
    lossy = Path(path).suffix.lower() in {".jpg", ".jpeg"}  # around edges JPEG is never quite 0
    two_values = not np.any((mask > 0) & (mask < highest))
    if lossy or two_values or (mask.dtype == np.uint8 and highest == 255):
        return connected_pieces(2 * mask.astype(np.int64) > highest), False
    return mask.astype(np.int32), True
