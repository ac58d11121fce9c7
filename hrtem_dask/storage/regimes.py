"""The regimes of simulated micrographs: names, tables and label images of the store of each one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hrtem_dask import tables
from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.contrast import CONTRAST_MICROGRAPHS, CONTRAST_PARTICLES
from hrtem_dask.simulation.scenes import SCENE_INSTANCES, SCENE_MICROGRAPHS
from hrtem_dask.simulation.truth import TRUTH_MICROGRAPHS, TRUTH_PARTICLES, TRUTH_REGIONS

__all__ = ["CONTRAST", "IMAGES", "LABELS", "LATTICE", "REGIMES", "RODS", "VESICLES", "Regime", "find_regime"]

IMAGES: Final = "micrographs.zarr"
LABELS: Final = "truth/labels.zarr"


@dataclass(frozen=True)
class Regime:
    """What a store of one kind of simulated micrographs contains."""

    name: str
    """Name of the regime in ``simulation.toml`` and on the command line."""
    prefix: str
    """Beginning of the names of its micrographs."""
    truth_tables: Mapping[str, tables.Schema]
    """Name → schema of each table of truth. The table of micrographs is the last one: if it exists, all of them do."""
    label_images: Mapping[str, str]
    """Attribute of the simulated micrograph → store inside the folder that its label images are written to."""

    @property
    def has_regions(self) -> bool:
        """Whether its truth has regions with their classes."""
        return "regions" in self.truth_tables


LATTICE = Regime(
    name="lattice",
    prefix="sim",
    truth_tables={"regions": TRUTH_REGIONS, "particles": TRUTH_PARTICLES, "micrographs": TRUTH_MICROGRAPHS},
    label_images={"labels": LABELS, "region_labels": "truth/region_labels.zarr"},
)
"""Lattice fringes are resolved, and regions have classes by their stacking faults."""
CONTRAST = Regime(
    name="contrast",
    prefix="con",
    truth_tables={"particles": CONTRAST_PARTICLES, "micrographs": CONTRAST_MICROGRAPHS},
    label_images={"labels": LABELS, "annotation": "truth/annotation.zarr"},
)
"""No lattice fringes are resolved. There are no regions: their classes are about lattices, and connected pieces of the
particles can be computed from the labels."""
_SCENE = {"particles": SCENE_INSTANCES, "micrographs": SCENE_MICROGRAPHS}
_SCENE_IMAGES = {"labels": LABELS, "annotation": "truth/annotation.zarr"}
RODS = Regime(name="rods", prefix="rod", truth_tables=_SCENE, label_images=_SCENE_IMAGES)
"""Nanorods that lie over one another. Label images show the uppermost one; the table of particles has a box and a mask
of each, which `storage.annotations.simulated_instances` reads."""
VESICLES = Regime(name="vesicles", prefix="ves", truth_tables=_SCENE, label_images=_SCENE_IMAGES)
"""Vesicles and holes, which overlap too."""
REGIMES: Mapping[str, Regime] = {regime.name: regime for regime in (LATTICE, CONTRAST, RODS, VESICLES)}
"""All regimes by name."""


def find_regime(recipe: Mapping[str, object]) -> Regime:
    """Return the regime of a store.

    Parameters
    ----------
    recipe : mapping
        Content of the ``simulation.toml`` of the store. Stores of earlier versions name no regime: they are of the
        regime ``lattice``.

    Returns
    -------
    Regime
        The regime.

    Raises
    ------
    SettingsError
        If this version does not know the regime.

    Examples
    --------
    >>> find_regime({"seed": 0, "regime": "contrast"}).prefix
    'con'
    >>> find_regime({"seed": 0}).prefix
    'sim'
    """
    name = str(recipe.get("regime", LATTICE.name))
    if name not in REGIMES:
        raise SettingsError(f"unknown regime {name!r} of simulated micrographs: known are {', '.join(REGIMES)}")
    return REGIMES[name]
