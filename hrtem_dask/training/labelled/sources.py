"""Where labelled micrographs come from, by what is found at a path."""

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
    """List labelled micrographs.

    Parameters
    ----------
    places : sequence of str or path-like
        Simulated stores; folders of images and masks (`list_folder`); COCO files, or folders with one (`list_coco`);
        HDF5 stacks, or folders of them (`list_stack`).
    pixel_size_nm : float, optional
        Pixel size (nm) for images that state none.

    Returns
    -------
    list of Labelled
        In the order given; names are made unique by a number where two sources share one.

    Raises
    ------
    NothingToAnalyseError
        If a place is none of the kinds that are read.
    """
    found: dict[str, Labelled] = {}
    for place in places:
        for labelled in _list_one(Path(place), pixel_size_nm):
            number, name = 1, labelled.micrograph_id
            while name in found:
                number += 1
                name = f"{labelled.micrograph_id}#{number}"
            found[name] = Labelled(micrograph_id=name, group=labelled.group, read=labelled.read)
    return list(found.values())


def _list_one(place: Path, pixel_size_nm: float | None) -> list[Labelled]:
    """List one place."""
    if not place.exists():
        raise NothingToAnalyseError(f"{place}: there is nothing of this name")
    if (place / "simulation.toml").is_file() or (place / "truth" / "micrographs.parquet").is_file():
        return list_simulated(open_simulated(place))
    if place.suffix.lower() in {".h5", ".hdf5"}:
        return list_stack(place, pixel_size_nm=pixel_size_nm)
    if place.suffix.lower() == ".json":
        return list_coco(place, pixel_size_nm=pixel_size_nm)
    if not place.is_dir():
        raise NothingToAnalyseError(f"{place}: a file of labels ends in .json (COCO), .h5 or .hdf5 (stacks)")
    stacks = sorted([*place.glob("*.h5"), *place.glob("*.hdf5")])
    if stacks:
        return [one for path in stacks for one in list_stack(path, pixel_size_nm=pixel_size_nm)]
    tables = sorted(place.glob("*.json"))
    if len(tables) == 1 and not has_mask_folder(place):
        return list_coco(tables[0], pixel_size_nm=pixel_size_nm)
    return list_folder(place, pixel_size_nm=pixel_size_nm)


def list_simulated(store: SimulatedStore) -> list[Labelled]:
    """List the micrographs of a simulated store.

    Parameters
    ----------
    store : SimulatedStore
        From `open_simulated`.

    Returns
    -------
    list of Labelled
        In the order of the store; each is a group of its own.
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
