"""The published files of Groschner et al. (2021), found in a folder by name and content.

The data set (Zenodo 3755011) consists of HDF5 stacks, with images and class maps in separate files. The networks are
Keras weight files in the repository of the code. The labeled regions are pictures in one folder per class. File names
are those in the published notebooks.
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
"""Materials of a stack or network; ``all`` means both materials."""
CLASS_FOLDERS = {
    "agglomeration": "agglomeration",
    "no_particle": "empty",
    "no_stacking_fault": "no",
    "misoriented": "no_fringe",
    "stacking_fault": "yes",
}
"""Names of the five classes here, with the folder names in the notebook. Folders of either name are found."""
# the file names of the Au images contain "cutimages"
_MATERIAL = {
    "all": re.compile(r"AuCdSe|CdSeAu|combined", re.IGNORECASE),
    "CdSe": re.compile(r"CdSe", re.IGNORECASE),
    "Au": re.compile(r"(?<![a-z])Au(?![a-z])|AuDots|cutimages|cutmaps", re.IGNORECASE),
}
_FOLDER_CLASS = {name: kind for kind, published in CLASS_FOLDERS.items() for name in (kind, published)} | {
    "nofringe": "misoriented"
}
_PICTURES = {".png", ".tif", ".tiff", ".npy", ".bmp"}


@dataclass(frozen=True, kw_only=True)
class PublishedStack:
    """Images of one material with their class maps."""

    images: Path
    """HDF5 file with ``images``, shape (n, y, x, 1) or (n, y, x)."""
    maps: Path
    """HDF5 file with ``maps``, shape (n, y, x, 2) for background and particle, or (n, y, x); may be the same file."""
    n: int
    """Number of images."""

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one image with its mask.

        Parameters
        ----------
        index : int
            Index of the image, from 0.

        Returns
        -------
        image : numpy.ndarray
            Shape (y, x), float32 in [0, 1]. An image with the exact range 0 to 1 was filtered and scaled by the authors
            and is used unchanged; other images are prepared by `filtering.prepare`.
        mask : numpy.ndarray
            Shape (y, x), bool: True on particles.

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
            # one-hot with any scale
            mask = classes[..., 1] > classes[..., 0] if classes.ndim == 3 and classes.shape[2] == 2 else classes > 0
            image, mask = image.reshape(image.shape[:2]), mask.reshape(mask.shape[:2])
            if not (image.min() == 0 and image.max() == 1):
                image, _ = prepare(image, spike_threshold_sd=5.0, spike_scale="image", flatten=False)
        except (OSError, ValueError, IndexError) as error:
            raise UnreadableMicrographError(f"{self.images.name}, image {index}: {error}") from error
        return image, mask


@dataclass(frozen=True, kw_only=True)
class PublishedFiles:
    """The published files that were found."""

    stacks: dict[str, PublishedStack]
    """Stacks by material, one of `MATERIALS`."""
    networks: dict[str, Path]
    """Weight files by the material that the network was trained on."""
    crops: dict[str, tuple[Path, ...]]
    """Pictures of labeled regions by class, one of `CLASS_FOLDERS`, in the order of their names."""
    problems: tuple[str, ...] = ()
    """Messages about files that look like published files but cannot be used."""

    def found(self) -> list[str]:
        """Return a line of text for each part that was found.

        Returns
        -------
        list of str
            Stacks, networks and labeled regions with their file names.
        """
        lines = [
            f"{MATERIALS[name]}: {stack.n} images in {stack.images.name}, maps in {stack.maps.name}"
            for name, stack in self.stacks.items()
        ]
        lines += [f"network of {MATERIALS[name]}: {path.name}" for name, path in self.networks.items()]
        if self.crops:
            counts = ", ".join(f"{name} {len(paths)}" for name, paths in self.crops.items())
            lines.append(f"labeled regions: {counts}, in {next(iter(self.crops.values()))[0].parents[1].name}")
        return lines

    def missing(self) -> list[str]:
        """Return a line of text for each missing part, with the results that need it.

        Returns
        -------
        list of str
            File names and the tables or figures of the paper.
        """
        lines = [
            f"{files}: needed for {results}"
            for name, (files, results) in _STACK_PARTS.items()
            if name not in self.stacks
        ]
        if "all" not in self.networks:
            lines.append(
                "unet32_AuCdSeDots_09_final.h5 (weights): needed for Table 1 and Figure 2 with the network of the paper"
            )
        absent = [f"{published}/" for kind, published in CLASS_FOLDERS.items() if kind not in self.crops]
        if absent:
            lines.append(f"labeled regions in {', '.join(absent)}: needed for Figure 5f")
        return lines


_STACK_PARTS = {
    "all": ("Bal_MedFilt_AuCdSeDots_*.h5 with its maps", "Table 1, combined"),
    "CdSe": (
        "Bal_MedFilt_CdSeRelabel512Images_*.h5 with its maps",
        "Table 1 and Figure 2a of CdSe, and the empty regions for Figure 5f",
    ),
    "Au": ("Bal_MedFilt_cutimages_*.h5 with its maps", "Table 1 and Figure 2b of Au"),
}


@dataclass
class _Candidates:
    """Files found so far that could be stacks or networks, by material."""

    images: dict[str, list[tuple[Path, tuple[int, ...]]]] = field(default_factory=dict)
    maps: dict[str, list[tuple[Path, tuple[int, ...]]]] = field(default_factory=dict)
    networks: dict[str, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find_published(folder: str | Path, *, weights: Iterable[str | Path] = ()) -> PublishedFiles:
    """Find the published files in a folder and the folders below.

    Parameters
    ----------
    folder : str or path-like
        Contains any of the published files.
    weights : iterable of str or path-like
        Files or folders with weights outside of `folder`.

    Returns
    -------
    PublishedFiles
        The files that were found. Among several candidates, the filtered and balanced stack (``MedFilt``, ``Bal``) of
        the last version is preferred, the network named ``final``, and the set of labeled regions with the most
        classes, then with the most files.

    Raises
    ------
    NothingToAnalyseError
        If the folder does not exist or contains none of these files.
    """
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        raise NothingToAnalyseError(
            f"{root}: is not a folder; --data needs the folder with the published files of the paper"
        )
    candidates = _Candidates()
    for path in _files([root, *map(Path, weights)]):
        _add_file(path, candidates)
    stacks = dict(_pair(candidates))
    networks = {
        name: max(candidates.networks[name], key=_network_rank) for name in MATERIALS if name in candidates.networks
    }
    found = PublishedFiles(
        stacks=stacks, networks=networks, crops=_find_crops(root), problems=tuple(candidates.problems)
    )
    if not found.stacks and not found.crops:
        raise NothingToAnalyseError(
            f"{root}: contains neither stacks (HDF5 files with images and maps) nor labeled regions (folders "
            f"{', '.join(CLASS_FOLDERS.values())}). {' '.join(found.problems)}".rstrip()
        )
    return found


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files at these paths that could be stacks or weights."""
    for path in paths:
        inside = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (p for p in inside if p.suffix.lower() in {".h5", ".hdf5", ".safetensors"} and p.is_file())


def _add_file(path: Path, candidates: _Candidates) -> None:
    """Add a file to the candidates by its content, and by the material in its name."""
    material = next((name for name, pattern in _MATERIAL.items() if pattern.search(path.stem)), None)
    try:
        if path.suffix.lower() == ".safetensors":
            shapes, is_network = {}, True
        else:
            with h5py.File(path, "r") as file:
                shapes = {
                    key: tuple(file[key].shape) for key in ("images", "maps") if isinstance(file.get(key), h5py.Dataset)
                }
                is_network = "layer_names" in file.attrs
    except OSError as error:
        candidates.problems.append(f"{path.name}: cannot be read as HDF5: {error}")
        return
    if not shapes and not is_network:
        candidates.problems.append(f"{path.name}: contains neither images nor maps nor the weights of a network")
    elif material is None:
        candidates.problems.append(f"{path.name}: its name contains no material; add AuCdSe, CdSe or Au to it")
    elif is_network:
        candidates.networks.setdefault(material, []).append(path)
    for key, shape in shapes.items() if material is not None else ():
        if (
            len(shape) == 3
            or (len(shape) == 4 and shape[3] == 1)
            or (key == "maps" and len(shape) == 4 and shape[3] == 2)
        ):
            getattr(candidates, key).setdefault(material, []).append((path, shape[:3]))
        else:
            expected = "(n, y, x, 1)" if key == "images" else "(n, y, x, 2)"
            candidates.problems.append(f"{path.name}: {key} have shape {shape}, need {expected}")


def _pair(candidates: _Candidates) -> Iterator[tuple[str, PublishedStack]]:
    """Yield for each material the best images with maps of the same number and size."""
    for name in MATERIALS:
        images = sorted(candidates.images.get(name, ()), key=lambda c: _stack_rank(c[0]), reverse=True)
        maps = sorted(candidates.maps.get(name, ()), key=lambda c: _stack_rank(c[0]), reverse=True)
        pairs = [(i, m, shape) for i, shape in images for m, other in maps if shape == other]
        # a file with images and maps is preferred as its own partner
        pairs.sort(key=lambda pair: pair[0] == pair[1], reverse=True)
        if pairs:
            yield name, PublishedStack(images=pairs[0][0], maps=pairs[0][1], n=pairs[0][2][0])
        elif images or maps:
            files = ", ".join(f"{path.name} {shape}" for path, shape in (*images, *maps))
            candidates.problems.append(f"{MATERIALS[name]}: no images and maps of the same number and size: {files}")


def _stack_rank(path: Path) -> tuple[bool, bool, str]:
    """Return the rank of a stack: filtered, then balanced, then last version."""
    return "medfilt" in path.stem.lower(), path.stem.lower().startswith("bal_"), path.name


def _network_rank(path: Path) -> tuple[bool, str]:
    """Return the rank of a network: final, then last version."""
    return "final" in path.stem.lower(), path.name


def _find_crops(root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the pictures of each class, from the most complete set of class folders."""
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
    """Read the picture of a labeled region.

    Parameters
    ----------
    path : path-like
        A file with one gray image.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), with the values of the file.

    Raises
    ------
    UnreadableMicrographError
        If it contains no gray image, or if all pixels have the same value, so that there is no spectrum.
    """
    crop, _ = read_calibrated(path, None)
    if crop.min() == crop.max():
        raise UnreadableMicrographError(
            f"{path}: all pixels have the same value, {crop.flat[0]:g}: there is nothing to measure"
        )
    return crop
