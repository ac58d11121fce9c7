"""Labels corrected by hand: an input of the run, kept in its results folder beside what the run makes.

Each micrograph's labels lie in ``corrections/labels.zarr``, a record of them and of the file that they belong to in
``corrections/<micrograph_id>.json``, written last. A run measures them instead of what the segmenter finds, as long as
the micrograph's file is the same; whatever happens to the results, they stay.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection
from dataclasses import asdict, dataclass, field

import numpy as np

from hrtem_dask.errors import ResultsFolderError, error_text
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.components import renumber
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location

__all__ = [
    "Correction",
    "create_corrections",
    "labels_hash",
    "read_corrections",
    "remove_correction",
    "sound_corrections",
    "write_correction",
]

FOLDER = "corrections"
_STORE = f"{FOLDER}/labels.zarr"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Correction:
    """Corrected labels of one micrograph, light enough to travel to a worker."""

    micrograph_id: str
    """The micrograph."""
    labels_hash: str
    """See `labels_hash`."""
    source_size: int
    """Size in bytes of the file whose image was corrected."""
    source_mtime_ns: int
    """Time at which that file was last changed."""
    source_hash: str
    """Hash of its content."""
    folder: Location = field(compare=False)
    """The results folder."""

    def read(self) -> np.ndarray:
        """Read the labels.

        Returns
        -------
        numpy.ndarray of int32
            Shape (y, x), 0 is background.

        Raises
        ------
        ResultsFolderError
            If they are missing or damaged, which their hash shows.
        """
        try:
            labels = zarr_store.read_labels(Location.of(self.folder.path(_STORE)), self._group)
            whole = labels_hash(labels) == self.labels_hash
        except Exception as error:  # damaged arrays raise errors of many kinds
            raise ResultsFolderError(f"its corrected labels cannot be read: {error_text(error)}") from error
        if not whole:
            raise ResultsFolderError("its corrected labels are not those that were stored")
        return labels

    @property
    def _group(self) -> str:
        """Name in the store: a new correction lies beside the old one until its record is written."""
        return f"{self.micrograph_id}.{self.labels_hash}"


def labels_hash(labels: np.ndarray) -> str:
    """Return a hash of which pixels belong together; the numbers that particles bear do not count.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.blake2b(json.dumps(labels.shape).encode(), digest_size=8)
    digest.update(renumber(labels).astype("<i4").tobytes())
    return digest.hexdigest()


def create_corrections(folder: Location) -> None:
    """Make the store of corrected labels where it is not there yet, before workers write to it.

    Parameters
    ----------
    folder : Location
        The results folder.
    """
    zarr_store.create_store(Location.of(folder.path(_STORE)))


def write_correction(
    folder: Location,
    micrograph_id: str,
    labels: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    source_stat: tuple[int, int],
    source_hash: str,
) -> Correction:
    """Keep corrected labels; workers do so side by side, in the store that `create_corrections` made.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrograph_id : str
        The micrograph; an earlier correction of it is replaced.
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    source_stat : tuple of int
        Size and date of the micrograph's file.
    source_hash : str
        Hash of its content.

    Returns
    -------
    Correction
        The record.
    """
    made = Correction(micrograph_id, labels_hash(labels), *source_stat, source_hash, folder)
    store = Location.of(folder.path(_STORE))
    before = _read(folder, f"{FOLDER}/{micrograph_id}.json")
    zarr_store.write_labels(store, made._group, labels, pixel_size_nm=pixel_size_nm)
    record = {name: value for name, value in asdict(made).items() if name != "folder"}
    folder.write_json(f"{FOLDER}/{micrograph_id}.json", record)
    if before is not None and before._group != made._group:
        zarr_store.remove(store, before._group)
    return made


def read_corrections(folder: Location) -> dict[str, Correction]:
    """Read which micrographs have been corrected.

    Parameters
    ----------
    folder : Location
        The results folder.

    Returns
    -------
    dict
        `micrograph_id` → its correction.
    """
    found = (_read(folder, name) for name in folder.names(FOLDER, ".json"))
    return {one.micrograph_id: one for one in found if one is not None}


def sound_corrections(folder: Location, micrographs: Collection[str]) -> dict[str, Correction]:
    """Read the corrections that can be used, and log a warning for each one that is damaged.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrographs : collection of str
        The micrographs in question; the labels of others are not read.

    Returns
    -------
    dict
        `micrograph_id` → its correction.
    """
    found = read_corrections(folder)
    damaged = {name: "its record cannot be read" for name in _record_names(folder) if name not in found}
    for name in list(found):
        if name in micrographs:
            try:
                found[name].read()
            except ResultsFolderError as error:
                damaged[name] = str(error)
                del found[name]
    for name, problem in damaged.items():
        logger.warning(
            "the correction of %s is damaged and not used (%s): correct its labels again, or delete %s",
            name, problem, folder.path(FOLDER, f"{name}.json"),
        )  # fmt: skip
    return found


def _record_names(folder: Location) -> list[str]:
    """Return the micrographs that have a record, readable or not."""
    return [name.removeprefix(f"{FOLDER}/").removesuffix(".json") for name in folder.names(FOLDER, ".json")]


def remove_correction(folder: Location, micrograph_id: str) -> None:
    """Forget a correction; an absent one is no error.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrograph_id : str
        The micrograph.
    """
    known = _read(folder, f"{FOLDER}/{micrograph_id}.json")
    if known is not None:
        folder.remove(f"{FOLDER}/{micrograph_id}.json")
        zarr_store.remove(Location.of(folder.path(_STORE)), known._group)


def _read(folder: Location, name: str) -> Correction | None:
    """Read one record; None where there is none, or it is damaged."""
    try:
        record = Correction(**json.loads(folder.read_bytes(name)), folder=folder)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = (record.micrograph_id, record.labels_hash, record.source_hash)
    numbers = (record.source_size, record.source_mtime_ns)
    whole = all(isinstance(t, str) for t in texts) and all(isinstance(n, int) for n in numbers)
    whole = whole and record.labels_hash.isalnum() and name == f"{FOLDER}/{record.micrograph_id}.json"
    return record if whole else None
