"""Labeled micrographs from paths: the kind of each source is recognized by its content."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated
from hrtem_dask.training.labelled.coco import list_coco
from hrtem_dask.training.labelled.folders import has_mask_folder, list_folder
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled
from hrtem_dask.training.labelled.stacks import list_stack

__all__ = ["list_labelled", "list_simulated"]


def list_labelled(places: Sequence[str | Path], *, pixel_size_nm: float | None = None) -> list[Labelled]:
    """List labeled micrographs.

    Parameters
    ----------
    places : sequence of str or path-like
        Paths of simulated stores; folders of images and masks (`list_folder`); COCO files, or folders with one
        (`list_coco`); HDF5 stacks, or folders of stacks (`list_stack`).
    pixel_size_nm : float, optional
        Pixel size (nm) of images whose file does not state it.

    Returns
    -------
    list of Labelled
        Micrographs in the order of the sources. If two sources share a name, a number makes it unique.

    Raises
    ------
    NothingToAnalyseError
        If a path does not exist or is of none of these kinds.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     np.save(folder / "gold.npy", np.arange(64.0).reshape(8, 8))
    ...     np.save(folder / "gold_mask.npy", np.eye(8, dtype=np.uint8))
    ...     (gold,) = list_labelled([folder], pixel_size_nm=0.05)
    ...     mask = gold.read().mask
    >>> gold.micrograph_id, int(mask.sum())
    ('gold', 8)
    """
    found: dict[str, Labelled] = {}
    for path in map(Path, places):
        for labelled in _list_one(path, pixel_size_nm):
            number, name = 1, labelled.micrograph_id
            while name in found:
                number += 1
                name = f"{labelled.micrograph_id}#{number}"
            found[name] = Labelled(micrograph_id=name, group=labelled.group, read=labelled.read)
    return list(found.values())


def _list_one(path: Path, pixel_size_nm: float | None) -> list[Labelled]:
    """List the labeled micrographs of one path."""
    if not path.exists():
        raise NothingToAnalyseError(f"{path}: this path does not exist")
    if (path / "simulation.toml").is_file() or (path / "truth" / "micrographs.parquet").is_file():
        return list_simulated(open_simulated(path))
    if path.suffix.lower() in {".h5", ".hdf5"}:
        return list_stack(path, pixel_size_nm=pixel_size_nm)
    if path.suffix.lower() == ".json":
        return list_coco(path, pixel_size_nm=pixel_size_nm)
    if not path.is_dir():
        raise NothingToAnalyseError(f"{path}: a file with labels must end in .json (COCO), .h5 or .hdf5 (stacks)")
    stacks = sorted([*path.glob("*.h5"), *path.glob("*.hdf5")])
    if stacks:
        return [labelled for stack in stacks for labelled in list_stack(stack, pixel_size_nm=pixel_size_nm)]
    tables = sorted(path.glob("*.json"))
    if len(tables) == 1 and not has_mask_folder(path):
        return list_coco(tables[0], pixel_size_nm=pixel_size_nm)
    return list_folder(path, pixel_size_nm=pixel_size_nm)


def list_simulated(store: SimulatedStore) -> list[Labelled]:
    """List the micrographs of a simulated store.

    Parameters
    ----------
    store : SimulatedStore
        Store from `open_simulated`.

    Returns
    -------
    list of Labelled
        Micrographs in the order of the store; each one is a separate group.
    """
    rows = store.micrographs
    return [
        Labelled(
            micrograph_id=str(name),
            group=f"{store.folder.url}/{name}",
            read=functools.partial(_read_simulated, store, str(name), float(size)),
        )
        for name, size in zip(rows["micrograph_id"], rows["pixel_size_nm"], strict=True)
    ]


def _read_simulated(store: SimulatedStore, name: str, size_nm: float) -> LabelledMicrograph:
    """Read one micrograph of a store."""
    return make_labelled(store.image(name), store.labels(name), pixel_size_nm=(size_nm, size_nm))
