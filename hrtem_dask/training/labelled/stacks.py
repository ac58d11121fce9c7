"""HDF5 stacks of images and class maps, the format of the data set of Groschner et al. (2021), Zenodo 3755011."""

from __future__ import annotations

import functools
from pathlib import Path

import h5py
import numpy as np

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled

__all__ = ["list_stack"]


def list_stack(path: Path, *, pixel_size_nm: float | None = None) -> list[Labelled]:
    """List the images of an HDF5 stack.

    Parameters
    ----------
    path : path-like
        Contains ``images``, shape (n, y, x, 1) or (n, y, x), and ``maps``, shape (n, y, x, 2) with class 1 for
        particles, or (n, y, x), non-zero on particles. Optional: ``micrograph``, shape (n,), the name or number of
        the micrograph that each image is a patch of, and the attribute ``pixel_size_nm`` (nm).
    pixel_size_nm : float, optional
        Pixel size (nm) if the file does not state it.

    Returns
    -------
    list of Labelled
        Images in the order of the stack. Without ``micrograph``, each image is treated as a separate micrograph.

    Raises
    ------
    UnreadableMicrographError
        If the file has another content.
    """
    try:
        with h5py.File(path, "r") as file:
            shapes = {name: tuple(file[name].shape) for name in ("images", "maps")}
            micrographs = [_text(v) for v in file["micrograph"][:]] if "micrograph" in file else None
            size = file.attrs.get("pixel_size_nm", pixel_size_nm)
    except (OSError, KeyError, AttributeError) as error:
        raise UnreadableMicrographError(
            f"{path}: is not a stack for training; need datasets images (n, y, x, 1) and maps (n, y, x, 2): {error}"
        ) from error
    images, maps = shapes["images"], shapes["maps"]
    if images[:3] != maps[:3] or images[3:] not in {(), (1,)} or maps[3:] not in {(), (2,)}:
        raise UnreadableMicrographError(
            f"{path}: images {images} and maps {maps} do not match; need (n, y, x, 1) and (n, y, x, 2)"
        )
    if micrographs is not None and len(micrographs) != images[0]:
        raise UnreadableMicrographError(f"{path}: lists {len(micrographs)} micrographs for {images[0]} images")
    resolved = str(path.resolve())
    return [
        Labelled(
            micrograph_id=f"{path.stem}-{i:05d}",
            group=f"{resolved}#{i if micrographs is None else micrographs[i]}",
            read=functools.partial(_read, path, i, None if size is None else float(size)),
        )
        for i in range(images[0])
    ]


def _read(path: Path, index: int, size_nm: float | None) -> LabelledMicrograph:
    """Read one image with its map."""
    with h5py.File(path, "r") as file:
        image, classes = np.asarray(file["images"][index]), np.asarray(file["maps"][index])
    # a map is one-hot or has probabilities
    particle = classes[..., 1] > 0.5 if classes.ndim == 3 else classes
    size = None if size_nm is None else (size_nm, size_nm)
    try:
        return make_labelled(image.reshape(image.shape[:2]), particle, pixel_size_nm=size)
    except ValueError as error:
        raise UnreadableMicrographError(f"{path}, image {index}: {error}") from error


def _text(value: object) -> str:
    """Return a name as text; HDF5 stores names as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
