"""Labels that come back from correction, in any of the formats that are exported."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from hrtem_dask import loading
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, UnreadableMicrographError
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.exchange.coco import paint
from hrtem_dask.storage.exchange.label_files import LABEL_IMAGE
from hrtem_dask.storage.location import Location

__all__ = ["ANNOTATIONS", "MANIFEST", "STORE", "CorrectedFile", "LabelFormat", "exported_hashes", "list_corrected"]

LabelFormat = Literal["coco", "labels", "tiff", "zarr"]
ANNOTATIONS = "annotations.json"
MANIFEST = "export.json"
STORE = "micrographs.zarr"
_SUFFIXES: dict[str, tuple[str, ...]] = {"labels": (".png",), "tiff": (".tif", ".tiff")}


@dataclass(frozen=True)
class CorrectedFile:
    """Labels of one micrograph that have come back; light enough to travel to a worker."""

    micrograph_id: str
    """The micrograph that it is named after."""
    path: str
    """Where it is, for messages."""
    read_raw: Callable[[], np.ndarray]
    """Reads what is in it."""

    def read(self) -> np.ndarray:
        """Read the labels.

        Returns
        -------
        numpy.ndarray of int32
            Shape (y, x), 0 is background, each value a particle.

        Raises
        ------
        UnreadableMicrographError
            If they cannot be read, are not whole numbers of 0 or above, or are a mask in which particles have no
            numbers of their own.
        """
        try:
            labels = self.read_raw()
        except HrtemDaskError as error:
            raise UnreadableMicrographError(str(error)) from error
        except Exception as error:
            raise UnreadableMicrographError(f"cannot be read ({type(error).__name__}: {error})") from error
        return _checked(labels)


def list_corrected(folder: str | Path, *, form: LabelFormat | None = None) -> list[CorrectedFile]:
    """List the labels that have come back.

    Parameters
    ----------
    folder : str or path-like
        A folder that `hrtem-dask export` wrote, a folder of label files named after their micrographs, a COCO file, or
        a Zarr store.
    form : {"coco", "labels", "tiff", "zarr"}, optional
        Their format; by default what is found, in this order.

    Returns
    -------
    list of CorrectedFile
        By name; no label is read yet, but for a COCO file.

    Raises
    ------
    NothingToAnalyseError
        If there is none, or a COCO file is none.
    """
    path = Path(folder)
    if not path.exists():
        raise NothingToAnalyseError(f"{path} is not there: give the folder that `hrtem-dask export` wrote, corrected")
    found: list[CorrectedFile] = []
    for name in (form,) if form else ("coco", "zarr", "labels", "tiff"):
        found = _LISTS[name](path)
        if found:
            return found
    raise NothingToAnalyseError(
        f"no labels{f' of the format {form}' if form else ''} in {path}: need {ANNOTATIONS}, {STORE}, or files "
        "labels/<micrograph_id>.png or .tif"
    )


def exported_hashes(folder: str | Path) -> dict[str, str]:
    """Read which labels had been exported, so that edited labels can be recognized.

    Parameters
    ----------
    folder : str or path-like
        The folder that has come back, or a file in it.

    Returns
    -------
    dict
        `micrograph_id` → hash of the exported labels; empty without a manifest.
    """
    path = Path(folder)
    for parent in (path, path.parent):
        try:
            manifest = json.loads((parent / MANIFEST).read_text(encoding="utf-8"))
            return {one["micrograph_id"]: one["labels_hash"] for one in manifest["micrographs"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}


def _checked(labels: np.ndarray) -> np.ndarray:
    """Refuse what is no label image."""
    if labels.ndim != 2:
        raise UnreadableMicrographError(
            f"holds an array of shape {labels.shape}, not (y, x): save one channel, without colors"
        )
    if labels.dtype == bool or not np.issubdtype(labels.dtype, np.integer):
        raise UnreadableMicrographError(
            f"holds {labels.dtype}, not whole numbers: save 0 for background and a number per particle, as 16 or 32 "
            "bits"
        )
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0:
        raise UnreadableMicrographError(f"holds the label {low}: labels are 0 (background) or above")
    if high == np.iinfo(np.uint8).max and not np.any((labels > 0) & (labels < high)):
        n_pieces = cv2.connectedComponents((labels > 0).view(np.uint8), connectivity=8)[0] - 1
        if n_pieces > 1:
            raise UnreadableMicrographError(
                f"is a mask of 0 and 255 with {n_pieces} pieces, not labels: give each particle a number of its own"
            )
    if high > labels.size:  # numbers as some programs choose them; tables of numbers up to the highest would be huge
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape) + int(labels.min() > 0)
    return labels.astype(np.int32)


def _label_files(suffixes: Iterable[str], path: Path) -> list[CorrectedFile]:
    """List label images."""
    folder = path / "labels" if (path / "labels").is_dir() else path
    files = [path] if path.is_file() else sorted(folder.iterdir())
    chosen = [f for f in files if f.suffix.lower() in suffixes and not f.name.startswith(".")]
    return [CorrectedFile(f.stem, str(f), functools.partial(loading.read_single_image, str(f))) for f in chosen]


def _zarr_labels(path: Path) -> list[CorrectedFile]:
    """List the groups of a Zarr store."""
    folder = path / STORE if (path / STORE).is_dir() else path
    if not (folder / "zarr.json").is_file() and not (folder / ".zgroup").is_file():
        return []
    store = Location.of(folder)
    found = []
    for name, group in sorted(zarr_store.open_store(store).groups()):
        if name == zarr_store.COLLECTION:
            continue
        inner = f"{name}/{LABEL_IMAGE}" if LABEL_IMAGE in group else name
        read = functools.partial(zarr_store.read_labels, store, inner)
        found.append(CorrectedFile(str(name), f"{folder / name}", read))
    return found


def _coco_labels(path: Path) -> list[CorrectedFile]:
    """List the images of a COCO file."""
    file = path / ANNOTATIONS if path.is_dir() else path
    if file.suffix.lower() != ".json" or not file.is_file():
        return []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        by_image: dict[Any, list[Any]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        named = [(str(i.get("micrograph_id") or Path(i["file_name"]).stem), i) for i in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NothingToAnalyseError(f"{file} is no COCO file with images and annotations: {error!r}") from error
    return [
        CorrectedFile(name, f"{file} ({image['file_name']})", functools.partial(_drawn, image, by_image[image["id"]]))
        for name, image in sorted(named, key=lambda one: one[0])
    ]


def _drawn(image: Mapping[str, Any], annotations: list[Any]) -> np.ndarray:
    """Draw the annotations of an image, crowds too: each is a particle, later ones over earlier ones."""
    labels = np.zeros((int(image["height"]), int(image["width"])), np.int32)
    for number, annotation in enumerate(annotations, 1):
        try:
            paint(labels, annotation["segmentation"], number)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableMicrographError(f"annotation {annotation.get('id')}: {error}") from error
    return labels


_LISTS: dict[str, Callable[[Path], list[CorrectedFile]]] = {
    "coco": _coco_labels,
    "zarr": _zarr_labels,
    "labels": functools.partial(_label_files, _SUFFIXES["labels"]),
    "tiff": functools.partial(_label_files, _SUFFIXES["tiff"]),
}
