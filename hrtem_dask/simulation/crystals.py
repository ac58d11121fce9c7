"""Close-packed crystals as stacks of layers, derived from the materials of `hrtem_dask.crystals`.

The frame of a crystal: x along a close-packed row ([1-10] or [11-20]), y along [11-2] or [10-10], z along the stacking
normal ([111] or [0001]). Each layer is a triangular net at one of three positions A, B, C (see `stacking`).

References
----------
[1] Hirth & Lothe, Theory of Dislocations, 2nd ed., Wiley 1982, chapter 10: close-packed layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrtem_dask.crystals.materials import ATOMIC_NUMBERS, MATERIALS, Material

__all__ = ["CRYSTALS", "Crystal", "find_crystal", "layered_crystal"]

_CUBIC = frozenset({"fcc", "zinc_blende", "halite"})
_LAYER_SITES = {
    "fcc": ((0, 0.0, True),),
    "hcp": ((0, 0.0, True),),
    "zinc_blende": ((0, 0.0, True), (1, 0.75, True)),
    "wurtzite": ((0, 0.0, True), (1, 0.75, True)),
    "halite": ((0, 0.0, True), (1, 0.5, False)),
}
"""By structure, the sites of a layer: number of the element, and the last two entries of `Crystal.basis`."""


@dataclass(frozen=True)
class Crystal:
    """A close-packed crystal: its net, its layers, and the atoms on each site of a layer."""

    name: str
    """Name of the material in tables."""
    structure: str
    """Name of the structure: fcc, zinc_blende, halite, hcp or wurtzite."""
    row_nm: float
    """Distance of neighbors in a close-packed row (nm): a/√2 of a cubic cell, a of a hexagonal one."""
    layer_nm: float
    """Distance of layers (nm): a/√3 of a cubic cell, c/2 of a hexagonal one."""
    basis: tuple[tuple[str, float, bool], ...]
    """Chemical symbol, height in layer distances, and position of every atom of a site: True at the position of its
    layer, False at the position that is neither that of its layer nor that of the next one."""
    displacement_nm: float
    """Thermal displacement, root mean square along one axis (nm)."""

    @property
    def is_cubic(self) -> bool:
        """Whether the stacking is ABCABC… (else ABAB…)."""
        return self.structure in _CUBIC

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in alphabetical order."""
        return tuple(sorted({element for element, _, _ in self.basis}))


def layered_crystal(material: Material, *, displacement_nm: float) -> Crystal:
    """Return a material as a stack of close-packed layers.

    Parameters
    ----------
    material : Material
        Structure fcc, zinc_blende, halite, hcp or wurtzite; see `hrtem_dask.crystals.cubic_material`.
    displacement_nm : float
        Thermal displacement, root mean square along one axis (nm).

    Returns
    -------
    Crystal
        The crystal, with layers normal to [111] or [0001].

    Raises
    ------
    ValueError
        If the structure is not close-packed, or an element is unknown.

    Examples
    --------
    >>> from hrtem_dask.crystals import find_material
    >>> gold = layered_crystal(find_material("Au"), displacement_nm=0.0087)
    >>> round(float(gold.layer_nm), 4), gold.elements
    (0.2355, ('Au',))
    """
    if material.structure not in _LAYER_SITES:
        known = ", ".join(_LAYER_SITES)
        raise ValueError(f"the structure {material.structure!r} of {material.name} is not close-packed: use {known}")
    symbols = {number: symbol for symbol, number in ATOMIC_NUMBERS.items()}
    numbers = list(dict.fromkeys(number for number, *_ in material.basis))  # cation first
    unknown = [number for number in numbers if number not in symbols]
    if unknown:
        raise ValueError(f"{material.name} has an unknown element of atomic number {unknown[0]}")
    sites = _LAYER_SITES[material.structure]
    basis = tuple((symbols[numbers[i]], height, at_layer) for i, height, at_layer in sites)
    a_nm, c_nm = material.a_nm, material.c_nm
    row_nm, layer_nm = (a_nm / np.sqrt(2), a_nm / np.sqrt(3)) if c_nm is None else (a_nm, c_nm / 2)
    return Crystal(material.name, material.structure, row_nm, layer_nm, basis, displacement_nm)


_DISPLACEMENTS_NM = {
    "Au": 0.0087,
    "Ag": 0.0095,
    "Pt": 0.0063,
    "Pd": 0.0075,
    "Cu": 0.0085,
    "Ni": 0.0070,
    "Al": 0.0101,
    "CdSe": 0.0135,
    "CdSe-zb": 0.0135,
    "CdS": 0.0130,
    "CdTe": 0.0140,
    "ZnO": 0.0090,
    "PbS": 0.0130,
}
"""Thermal displacement at room temperature (nm), root mean square along one axis; one value for all elements of a
material, which is a simplification (CdSe: 13 to 14 pm)."""

CRYSTALS: dict[str, Crystal] = {
    name: layered_crystal(MATERIALS[name], displacement_nm=displacement_nm)
    for name, displacement_nm in _DISPLACEMENTS_NM.items()
}
"""Crystals that can be simulated, by the name of their material."""


def find_crystal(name: str) -> Crystal:
    """Return a crystal that can be simulated.

    Parameters
    ----------
    name : str
        Name of a material, for instance ``"Au"``.

    Returns
    -------
    Crystal
        The crystal.

    Raises
    ------
    ValueError
        If no crystal of this name is known.

    Examples
    --------
    >>> find_crystal("CdSe").is_cubic
    False
    """
    try:
        return CRYSTALS[name]
    except KeyError:
        raise ValueError(f"unknown crystal {name!r}: known are {', '.join(CRYSTALS)}") from None
