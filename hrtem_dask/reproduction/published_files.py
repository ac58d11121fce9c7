"""The published files of Groschner et al. (2021), found in a folder by name and content.

The data set (Zenodo 3755011) is HDF5 stacks, images and class maps in files of their own; the networks are Keras weight
files of the code's repository; the labelled regions are pictures in a folder per class. Names are those that the
published notebooks open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from hrtem_dask.errors import NothingToAnalyseError, UnreadableMicrographError
from hrtem_dask.filtering.prepare import prepare
from hrtem_dask.training.labelled.folders import read_calibrated

__all__ = ["CLASS_FOLDERS", "MATERIALS", "PublishedFiles", "PublishedStack", "find_published", "read_crop"]

MATERIALS = {"all": "Au and CdSe", "CdSe": "CdSe", "Au": "Au"}
"""What a stack or network is of; ``all`` is both."""
CLASS_FOLDERS = {
    "agglomeration": "agglomeration",
    "no_particle": "empty",
    "no_stacking_fault": "no",
    "misoriented": "no_fringe",
    "stacking_fault": "yes",
}
"""Our names of the five classes, and the notebook's of their folders; either is found."""
# the authors call their Au images "cutimages"
_MATERIAL = {
    "all": re.compile(r"AuCdSe|CdSeAu|combined", re.IGNORECASE),
    "CdSe": re.compile(r"CdSe", re.IGNORECASE),
    "Au": re.compile(r"(?<![a-z])Au(?![a-z])|AuDots|cutimages|cutmaps", re.IGNORECASE),
}
_FOLDER_CLASS = {name: kind for kind, theirs in CLASS_FOLDERS.items() for name in (kind, theirs)} | {
    "nofringe": "misoriented"
}
_PICTURES = {".png", ".tif", ".tiff", ".npy", ".bmp"}


@dataclass(frozen=True, kw_only=True)
class PublishedStack:
    """Images of one material with their class maps."""

    images: Path
    """Holds ``images`` (n, y, x, 1) or (n, y, x)."""
    maps: Path
    """Holds ``maps`` (n, y, x, 2), background and particle, or (n, y, x); may be the same file."""
    n: int
    """Number of images."""

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one image with its mask.

        Parameters
        ----------
        index : int
            Which one, from 0.

        Returns
        -------
        image : numpy.ndarray
            Shape (y, x), float32 in [0, 1]. One that reaches from 0 to 1 was filtered and scaled by the authors and is
            taken as it is; another one is prepared their way, by `filtering.prepare`.
        mask : numpy.ndarray
            Shape (y, x), bool: particle.

        Raises
        ------
        UnreadableMicrographError
            If it cannot be read, or no pixel is finite.
        """
        try:
            with h5py.File(self.images, "r") as file:
                image = np.asarray(file["images"][index], dtype=np.float32)
            with h5py.File(self.maps, "r") as file:
                classes = np.asarray(file["maps"][index])
            # one-hot, in whatever scale
            mask = classes[..., 1] > classes[..., 0] if classes.ndim == 3 and classes.shape[2] == 2 else classes > 0
            image, mask = image.reshape(image.shape[:2]), mask.reshape(mask.shape[:2])
            if not (image.min() == 0 and image.max() == 1):
                image, _ = prepare(image, spike_scale="image", flatten=False)
        except (OSError, ValueError, IndexError) as error:
            raise UnreadableMicrographError(f"{self.images.name}, image {index}: {error}") from error
        return image, mask


@dataclass(frozen=True, kw_only=True)
class PublishedFiles:
    """What of the published files is there."""

    stacks: dict[str, PublishedStack]
    """By material, of `MATERIALS`."""
    networks: dict[str, Path]
    """Weights by the material that they were trained on."""
    crops: dict[str, tuple[Path, ...]]
    """Pictures of labelled regions by class, of `CLASS_FOLDERS`; by name."""
    complaints: tuple[str, ...] = ()
    """Files that look like parts of it and cannot be used, and why."""

    def found(self) -> list[str]:
        """Return a line for each part that is there."""
        lines = [
            f"{MATERIALS[name]}: {stack.n} images in {stack.images.name}, maps in {stack.maps.name}"
            for name, stack in self.stacks.items()
        ]
        lines += [f"network of {MATERIALS[name]}: {path.name}" for name, path in self.networks.items()]
        if self.crops:
            counts = ", ".join(f"{name} {len(paths)}" for name, paths in self.crops.items())
            lines.append(f"labelled regions: {counts}, in {next(iter(self.crops.values()))[0].parents[1].name}")
        return lines

    def lacking(self) -> list[str]:
        """Return a line for each part that is not there, and what it would give."""
        lines = [
            f"{text}: would give {gives}" for name, (text, gives) in _STACK_PARTS.items() if name not in self.stacks
        ]
        if "all" not in self.networks:
            lines.append(
                "unet32_AuCdSeDots_09_final.h5 (weights): would give Table 1 and Figure 2 by the paper's network"
            )
        absent = [f"{theirs}/" for kind, theirs in CLASS_FOLDERS.items() if kind not in self.crops]
        if absent:
            lines.append(f"labelled regions in {', '.join(absent)}: would give Figure 5f")
        return lines


_STACK_PARTS = {
    "all": ("Bal_MedFilt_AuCdSeDots_*.h5 with its maps", "Table 1, combined"),
    "CdSe": (
        "Bal_MedFilt_CdSeRelabel512Images_*.h5 with its maps",
        "Table 1 and Figure 2a of CdSe, and the empty regions that Figure 5f takes from it",
    ),
    "Au": ("Bal_MedFilt_cutimages_*.h5 with its maps", "Table 1 and Figure 2b of Au"),
}


@dataclass
class _Heap:
    """What was seen so far, of everything that could be meant."""

    images: dict[str, list[tuple[Path, tuple[int, ...]]]] = field(default_factory=dict)
    maps: dict[str, list[tuple[Path, tuple[int, ...]]]] = field(default_factory=dict)
    networks: dict[str, list[Path]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def find_published(folder: str | Path, *, weights: Iterable[str | Path] = ()) -> PublishedFiles:
    """Find the published files in a folder and the folders below.

    Parameters
    ----------
    folder : str or path-like
        Holds any of them.
    weights : iterable of str or path-like
        Files or folders with weights, where they lie elsewhere.

    Returns
    -------
    PublishedFiles
        What there is. Of several candidates the filtered and balanced stack (``MedFilt``, ``Bal``) of the last version
        is taken, the network called ``final``, and the set of labelled regions with the most classes, then files.

    Raises
    ------
    NothingToAnalyseError
        If the folder is absent or holds none of them.
    """
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        raise NothingToAnalyseError(f"{root}: is no folder; --data names the folder with the paper's published files")
    heap = _Heap()
    for path in _files([root, *map(Path, weights)]):
        _look_into(path, heap)
    stacks = dict(_pair(heap))
    networks = {name: max(heap.networks[name], key=_network_rank) for name in MATERIALS if name in heap.networks}
    found = PublishedFiles(stacks=stacks, networks=networks, crops=_find_crops(root), complaints=tuple(heap.complaints))
    if not found.stacks and not found.crops:
        raise NothingToAnalyseError(
            f"{root}: holds neither stacks (HDF5 files with images and maps) nor labelled regions (folders "
            f"{', '.join(CLASS_FOLDERS.values())}). {' '.join(found.complaints)}".rstrip()
        )
    return found


def _files(places: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that could be stacks or weights."""
    for place in places:
        inside = [place] if place.is_file() else sorted(place.rglob("*"))
        yield from (p for p in inside if p.suffix.lower() in {".h5", ".hdf5", ".safetensors"} and p.is_file())


def _look_into(path: Path, heap: _Heap) -> None:
    """Put a file where it belongs, by its content and by what its name says of the material."""
    material = next((name for name, pattern in _MATERIAL.items() if pattern.search(path.stem)), None)
    try:
        if path.suffix.lower() == ".safetensors":
            held, is_network = {}, True
        else:
            with h5py.File(path, "r") as file:
                held = {
                    key: tuple(file[key].shape) for key in ("images", "maps") if isinstance(file.get(key), h5py.Dataset)
                }
                is_network = "layer_names" in file.attrs
    except OSError as error:
        heap.complaints.append(f"{path.name}: cannot be read as HDF5: {error}")
        return
    if not held and not is_network:
        heap.complaints.append(f"{path.name}: holds neither images nor maps nor the weights of a network")
    elif material is None:
        heap.complaints.append(f"{path.name}: its name says no material; put AuCdSe, CdSe or Au into it")
    elif is_network:
        heap.networks.setdefault(material, []).append(path)
    for key, shape in held.items() if material is not None else ():
        if (
            len(shape) == 3
            or (len(shape) == 4 and shape[3] == 1)
            or (key == "maps" and len(shape) == 4 and shape[3] == 2)
        ):
            getattr(heap, key).setdefault(material, []).append((path, shape[:3]))
        else:
            wanted = "(n, y, x, 1)" if key == "images" else "(n, y, x, 2)"
            heap.complaints.append(f"{path.name}: {key} have shape {shape}, need {wanted}")


def _pair(heap: _Heap) -> Iterator[tuple[str, PublishedStack]]:
    """Yield for each material the best images that have maps of the same shape."""
    for name in MATERIALS:
        images = sorted(heap.images.get(name, ()), key=lambda c: _stack_rank(c[0]), reverse=True)
        maps = sorted(heap.maps.get(name, ()), key=lambda c: _stack_rank(c[0]), reverse=True)
        pairs = [(i, m, shape) for i, shape in images for m, other in maps if shape == other]
        # a file that holds both is its own partner
        pairs.sort(key=lambda pair: pair[0] == pair[1], reverse=True)
        if pairs:
            yield name, PublishedStack(images=pairs[0][0], maps=pairs[0][1], n=pairs[0][2][0])
        elif images or maps:
            said = ", ".join(f"{path.name} {shape}" for path, shape in (*images, *maps))
            heap.complaints.append(f"{MATERIALS[name]}: no images and maps of the same number and size: {said}")


def _stack_rank(path: Path) -> tuple[bool, bool, str]:
    """Order stacks: filtered, balanced, last version."""
    return "medfilt" in path.stem.lower(), path.stem.lower().startswith("bal_"), path.name


def _network_rank(path: Path) -> tuple[bool, str]:
    """Order networks: final, last version."""
    return "final" in path.stem.lower(), path.name


def _find_crops(root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the pictures of each class, of the set of class folders that is most complete."""
    sets: dict[Path, dict[str, list[Path]]] = {}
    for folder in sorted(p for p in root.rglob("*") if p.is_dir()):
        kind = _FOLDER_CLASS.get(folder.name.lower())
        pictures = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES) if kind else []
        if kind and pictures:
            sets.setdefault(folder.parent, {}).setdefault(kind, []).extend(pictures)
    if not sets:
        return {}
    best = max(sets.values(), key=lambda classes: (len(classes), sum(map(len, classes.values()))))
    return {kind: tuple(best[kind]) for kind in CLASS_FOLDERS if kind in best}


def read_crop(path: Path) -> np.ndarray:
    """Read the picture of a labelled region.

    Parameters
    ----------
    path : path-like
        One image, grey.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), its values as they are.

    Raises
    ------
    UnreadableMicrographError
        If it holds no grey image, or one of a single value: that has no spectrum.
    """
    crop, _ = read_calibrated(path, None)
    if crop.min() == crop.max():
        raise UnreadableMicrographError(f"{path} is of one value, {crop.flat[0]:g}: there is nothing to see in it")
    return crop
