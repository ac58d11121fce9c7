"""Known crystals, and the lattice spacings that electron diffraction can show of them.

This is the only place with cell parameters (at room temperature, in nm) and structures; the sources are listed below.
A reflection is allowed if its structure factor, with the atomic number as scattering strength, is not zero.

References
----------
[1] Wyckoff, Crystal Structures, vol. 1, Wiley 1963 (metals, diamond structure, zinc blende, wurtzite, halite).
[2] Madelung, Semiconductors: Data Handbook, Springer 2004 (CdSe, CdS, CdTe, ZnO, PbS, PbSe).
[3] Swanson & Tatge, NBS Circular 539, 1953 (Au 0.40786, Ag 0.40862, Pt 0.39231, Pd 0.38898, Cu 0.36150).
[4] Mohr et al., CODATA 2014 (Si 0.5431020).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = [
    "ATOMIC_NUMBERS",
    "MATERIALS",
    "KnownReflection",
    "Material",
    "cubic_material",
    "find_material",
    "hexagonal_material",
    "known_reflections",
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


@dataclass(frozen=True)
class KnownReflection:
    """A family of symmetric lattice planes."""

    hkl: tuple[int, int, int]
    """Miller indices of one member."""
    spacing_nm: float
    """Lattice spacing d (nm)."""
    multiplicity: int
    """Number of planes in the family; both members of a Friedel pair count."""
    strength: float
    """Squared structure factor times multiplicity, relative to the strongest family in the list."""


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
    >>> round(known_reflections(nickel)[0].spacing_nm, 4)
    0.2044
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
    >>> [r.hkl for r in known_reflections(zinc, spacing_range_nm=(0.2, 0.3))]
    [(0, 0, 2), (1, 0, 0), (1, 0, 1)]
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


def known_reflections(
    material: str | Material, *, spacing_range_nm: tuple[float, float] = (0.1, 0.42)
) -> tuple[KnownReflection, ...]:
    """List the reflections that a crystal can show.

    Parameters
    ----------
    material : str or Material
        Name of a known material, or a material of your own.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing, in nm.

    Returns
    -------
    tuple of KnownReflection
        Families with a structure factor that is not zero, largest spacing first. Families of equal spacing (cubic
        {333} and {511}) are one entry.

    Raises
    ------
    ValueError
        If the material is not known or the range is empty.

    Examples
    --------
    >>> for family in known_reflections("Au", spacing_range_nm=(0.14, 0.3)):
    ...     print(family.hkl, round(family.spacing_nm, 4), family.multiplicity)
    (1, 1, 1) 0.2355 8
    (2, 0, 0) 0.2039 6
    (2, 2, 0) 0.1442 12
    """
    low, high = spacing_range_nm
    if not 0 < low < high:
        raise ValueError(f"need 0 < low < high in spacing_range_nm, got {spacing_range_nm}")
    crystal = find_material(material) if isinstance(material, str) else material
    longest = max(crystal.a_nm, crystal.c_nm or 0)
    largest = int(longest / low) + 1
    hkl = np.array(list(itertools.product(range(-largest, largest + 1), repeat=3)))
    spacing = _spacings_nm(crystal, hkl)
    hkl, spacing = hkl[inside := (spacing >= low) & (spacing <= high)], spacing[inside]
    numbers, sites = np.array([a[0] for a in crystal.basis]), np.array([a[1:] for a in crystal.basis])
    strength = np.abs(np.exp(2j * np.pi * hkl @ sites.T) @ numbers) ** 2
    families: dict[float, list[int]] = {}
    for i in np.flatnonzero(strength > 1e-6 * numbers.sum() ** 2):
        families.setdefault(round(float(spacing[i]), 9), []).append(int(i))
    total = {d: float(strength[members].sum()) for d, members in families.items()}
    strongest = max(total.values(), default=1.0)
    return tuple(
        KnownReflection(_usual_member(hkl[members]), float(spacing[members[0]]), len(members), total[d] / strongest)
        for d, members in sorted(families.items(), reverse=True)
    )


def _spacings_nm(crystal: Material, hkl: np.ndarray) -> np.ndarray:
    """Return the spacing d of each plane; infinite for (000)."""
    h, k, m = hkl.T.astype(float)
    if crystal.c_nm is None:
        inverse_squared = (h**2 + k**2 + m**2) / crystal.a_nm**2
    else:
        inverse_squared = 4 / 3 * (h**2 + h * k + k**2) / crystal.a_nm**2 + m**2 / crystal.c_nm**2
    with np.errstate(divide="ignore"):
        spacing: np.ndarray = 1 / np.sqrt(inverse_squared)
    return spacing


def _usual_member(members: np.ndarray) -> tuple[int, int, int]:
    """Return the member that is usually written: few negative indices, large ones first."""
    h, k, m = min(members.tolist(), key=lambda hkl: (sum(i < 0 for i in hkl), [-i for i in hkl]))
    return h, k, m
