"""Known crystals: cell parameters, structures and atoms of the unit cell.

Cell parameters are at room temperature, in nm, from the references below. No other module contains cell parameters.

References
----------
[1] Wyckoff, Crystal Structures, vol. 1, Wiley 1963 (metals, diamond structure, zinc blende, MgO).
[2] Madelung, Semiconductors: Data Handbook, Springer 2004 (CdSe, CdS, CdTe, ZnO, PbS, PbSe).
[3] Swanson & Tatge, NBS Circular 539, 1953 (Au 0.40786, Ag 0.40862, Pt 0.39231, Pd 0.38898, Cu 0.36150).
[4] Mohr et al., CODATA 2014 (Si 0.5431020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ATOMIC_NUMBERS",
    "MATERIALS",
    "Material",
    "cubic_material",
    "find_material",
    "hexagonal_material",
]

ATOMIC_NUMBERS = {
    "C": 6, "O": 8, "Mg": 12, "Al": 13, "Si": 14, "S": 16, "Fe": 26, "Ni": 28, "Cu": 29, "Zn": 30, "Ge": 32, "Se": 34,
    "Pd": 46, "Ag": 47, "Cd": 48, "Te": 52, "Pt": 78, "Au": 79, "Pb": 82,
}  # fmt: skip
"""Atomic number of each chemical symbol that `cubic_material` and `hexagonal_material` accept."""

_Site = tuple[float, float, float]
_FCC: tuple[_Site, ...] = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_HCP: tuple[_Site, ...] = ((1 / 3, 2 / 3, 0.0), (2 / 3, 1 / 3, 0.5))


def _moved(sites: tuple[_Site, ...], shift: _Site) -> tuple[_Site, ...]:
    """Add a vector to sites."""
    return tuple((x + shift[0], y + shift[1], z + shift[2]) for x, y, z in sites)


_SITES: dict[str, tuple[tuple[_Site, ...], ...]] = {
    "fcc": (_FCC,),
    "bcc": (((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),),
    "diamond": (_FCC + _moved(_FCC, (0.25, 0.25, 0.25)),),
    "zinc_blende": (_FCC, _moved(_FCC, (0.25, 0.25, 0.25))),
    "halite": (_FCC, _moved(_FCC, (0.5, 0.5, 0.5))),
    "hcp": (_HCP,),
    "wurtzite": (_HCP, _moved(_HCP, (0.0, 0.0, 0.375))),
}
"""Fractional coordinates of the sites of each element, by structure."""


@dataclass(frozen=True)
class Material:
    """A crystal: its unit cell and the atoms in it."""

    name: str
    """Name of the material in tables."""
    structure: str
    """Name of the structure: fcc, bcc, diamond, zinc_blende, halite, hcp, wurtzite, or one of your own."""
    a_nm: float
    """Cell parameter a (nm)."""
    c_nm: float | None
    """Cell parameter c (nm) of a hexagonal cell; None for a cubic one."""
    basis: tuple[tuple[int, float, float, float], ...]
    """Atomic number and fractional coordinates of every atom of the cell."""


def cubic_material(
    name: str,
    structure: Literal["fcc", "bcc", "diamond", "zinc_blende", "halite"],
    elements: Sequence[str],
    a_nm: float,
) -> Material:
    """Return a cubic material.

    Parameters
    ----------
    name : str
        Name of the material in tables.
    structure : {"fcc", "bcc", "diamond", "zinc_blende", "halite"}
        Name of the structure.
    elements : sequence of str
        Chemical symbols: cation and anion for zinc blende and halite, one element for the others.
    a_nm : float
        Cell parameter (nm).

    Returns
    -------
    Material
        The material.

    Raises
    ------
    ValueError
        If the number of elements does not fit the structure, or a chemical symbol is unknown.

    Examples
    --------
    >>> nickel = cubic_material("Ni at 600 K", "fcc", ["Ni"], 0.3540)
    >>> len(nickel.basis), nickel.basis[0]
    (4, (28, 0.0, 0.0, 0.0))
    """
    return Material(name, structure, a_nm, None, _basis(structure, elements))


def hexagonal_material(
    name: str, structure: Literal["hcp", "wurtzite"], elements: Sequence[str], a_nm: float, c_nm: float
) -> Material:
    """Return a hexagonal material.

    Parameters
    ----------
    name : str
        Name of the material in tables.
    structure : {"hcp", "wurtzite"}
        Name of the structure.
    elements : sequence of str
        Chemical symbols: cation and anion for wurtzite, one element for hcp.
    a_nm, c_nm : float
        Cell parameters (nm).

    Returns
    -------
    Material
        The material.

    Raises
    ------
    ValueError
        If the number of elements does not fit the structure, or a chemical symbol is unknown.

    Examples
    --------
    >>> zinc = hexagonal_material("Zn", "hcp", ["Zn"], 0.2665, 0.4947)
    >>> len(zinc.basis), zinc.c_nm
    (2, 0.4947)
    """
    return Material(name, structure, a_nm, c_nm, _basis(structure, elements))


def _basis(structure: str, elements: Sequence[str]) -> tuple[tuple[int, float, float, float], ...]:
    """Put elements on the sites of a structure."""
    sites = _SITES[structure]
    if len(elements) != len(sites):
        raise ValueError(f"{structure} has {len(sites)} kinds of site, got the elements {', '.join(elements)}")
    unknown = [element for element in elements if element not in ATOMIC_NUMBERS]
    if unknown:
        raise ValueError(f"unknown element {unknown[0]!r}: known are {', '.join(ATOMIC_NUMBERS)}")
    return tuple(
        (ATOMIC_NUMBERS[element], *site) for element, places in zip(elements, sites, strict=True) for site in places
    )


MATERIALS: dict[str, Material] = {
    material.name: material
    for material in (
        cubic_material("Au", "fcc", ["Au"], 0.40782),
        cubic_material("Ag", "fcc", ["Ag"], 0.40862),
        cubic_material("Pt", "fcc", ["Pt"], 0.39236),
        cubic_material("Pd", "fcc", ["Pd"], 0.38902),
        cubic_material("Cu", "fcc", ["Cu"], 0.36150),
        cubic_material("Ni", "fcc", ["Ni"], 0.35238),
        cubic_material("Al", "fcc", ["Al"], 0.40495),
        cubic_material("Fe", "bcc", ["Fe"], 0.28665),
        cubic_material("Si", "diamond", ["Si"], 0.54310),
        cubic_material("Ge", "diamond", ["Ge"], 0.56579),
        hexagonal_material("CdSe", "wurtzite", ["Cd", "Se"], 0.4299, 0.7010),
        cubic_material("CdSe-zb", "zinc_blende", ["Cd", "Se"], 0.6052),
        hexagonal_material("CdS", "wurtzite", ["Cd", "S"], 0.41362, 0.6714),
        cubic_material("CdTe", "zinc_blende", ["Cd", "Te"], 0.6482),
        hexagonal_material("ZnO", "wurtzite", ["Zn", "O"], 0.32501, 0.52071),
        cubic_material("PbS", "halite", ["Pb", "S"], 0.5936),
        cubic_material("PbSe", "halite", ["Pb", "Se"], 0.6124),
        cubic_material("MgO", "halite", ["Mg", "O"], 0.42112),
    )
}
"""Known materials by name."""


def find_material(name: str) -> Material:
    """Return a known material.

    Parameters
    ----------
    name : str
        For instance ``"Au"``.

    Returns
    -------
    Material
        The material.

    Raises
    ------
    ValueError
        If the material is not known.

    Examples
    --------
    >>> gold = find_material("Au")
    >>> gold.structure, gold.a_nm
    ('fcc', 0.40782)
    """
    try:
        return MATERIALS[name]
    except KeyError:
        raise ValueError(f"unknown material {name!r}: known are {', '.join(MATERIALS)}") from None
