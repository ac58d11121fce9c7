"""Labeled micrographs from paths: the kind of each source is recognized by its content."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.storage.regimes import CONTRAST
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated
from hrtem_dask.training.labelled.coco import list_coco
from hrtem_dask.training.labelled.folders import has_mask_folder, list_folder
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled
from hrtem_dask.training.labelled.stacks import list_stack

__all__ = ["LEAST_CONTRAST_TO_NOISE", "is_simulated", "list_labelled", "list_simulated"]

LEAST_CONTRAST_TO_NOISE = 0.7
"""Smallest absolute contrast of a particle to which a network is trained, in standard deviations of the gray values
around it.

A particle with less contrast differs from its surroundings by less than their own variation, and can hardly be seen.
Labeled as a particle, it would teach a network to find particles in noise; labeled as background, to overlook faint
ones. Its pixels are therefore left out of the loss and of the scores. A particle without a contrast is hidden and has
no pixel."""


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
    if is_simulated(path):
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


def is_simulated(path: Path) -> bool:
    """Tell whether a path is a simulated store.

    Parameters
    ----------
    path : pathlib.Path
        Any path.

    Returns
    -------
    bool
        True if it is the folder of a store.
    """
    return (path / "simulation.toml").is_file() or (path / "truth" / "micrographs.parquet").is_file()


def list_simulated(store: SimulatedStore) -> list[Labelled]:
    """List the micrographs of a simulated store.

    In a store of the regime contrast, pixels of particles that can hardly be seen (`LEAST_CONTRAST_TO_NOISE`) are not
    valid, and micrographs have no pixel size: networks for this regime are trained without one.

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
    names = [str(name) for name in rows["micrograph_id"]]
    if store.regime == CONTRAST:
        faint = _faint_particles(store)
        reads = [functools.partial(_read_contrast, store, name, faint.get(name, [])) for name in names]
    else:
        sizes = rows["pixel_size_nm"].astype(float)
        reads = [functools.partial(_read_lattice, store, name, size) for name, size in zip(names, sizes, strict=True)]
    return [
        Labelled(micrograph_id=name, group=f"{store.folder.url}/{name}", read=read)
        for name, read in zip(names, reads, strict=True)
    ]


def _read_lattice(store: SimulatedStore, name: str, size_nm: float) -> LabelledMicrograph:
    """Read one micrograph of the regime lattice."""
    return make_labelled(store.image(name), store.labels(name), pixel_size_nm=(size_nm, size_nm), instances=True)


def _read_contrast(store: SimulatedStore, name: str, faint: Sequence[int]) -> LabelledMicrograph:
    """Read one micrograph of the regime contrast; `faint` are the ids of particles that can hardly be seen."""
    labels = store.labels(name)
    valid = ~np.isin(labels, faint)
    known = None if valid.all() else valid
    return make_labelled(store.image(name), labels, pixel_size_nm=None, valid=known, instances=True)


def _faint_particles(store: SimulatedStore) -> dict[str, list[int]]:
    """Return the ids of the particles of each micrograph that can hardly be seen."""
    particles = store.particles
    ratio = particles["contrast_to_noise"].to_numpy(dtype=float, na_value=np.nan)
    faint = particles[~(np.abs(ratio) >= LEAST_CONTRAST_TO_NOISE)]  # NaN is faint too
    return {str(name): [int(i) for i in rows] for name, rows in faint.groupby("micrograph_id")["particle_id"]}
