"""Where labelled micrographs come from, by what is found at a path."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated
from hrtem_dask.training.labelled import Labelled, LabelledMicrograph, make_labelled

__all__ = ["list_labelled", "list_simulated"]


def list_labelled(places: Sequence[str | Path], *, pixel_size_nm: float | None = None) -> list[Labelled]:
    """List the labelled micrographs of simulated stores.

    Parameters
    ----------
    places : sequence of str or path-like
        Of each, what is found there decides how it is read.
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
    del pixel_size_nm
    if (place / "truth").is_dir() or (place / "simulation.toml").is_file():
        return list_simulated(open_simulated(place))
    raise NothingToAnalyseError(f"{place}: holds no labelled micrographs that can be read")


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
            group=f"{store.place.url}/{name}",
            read=functools.partial(_read_simulated, store, str(name), float(size)),
        )
        for name, size in zip(rows["micrograph_id"], rows["pixel_size_nm"], strict=True)
    ]


def _read_simulated(store: SimulatedStore, name: str, size_nm: float) -> LabelledMicrograph:
    """Read one micrograph of a store."""
    return make_labelled(store.image(name), store.labels(name), pixel_size_nm=(size_nm, size_nm))
