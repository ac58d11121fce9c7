"""Known crystals, and the lattice spacings that electron diffraction allows them.

Cell parameters at room temperature, in nm, from the references below. Allowed are the reflections whose structure
factor, with the atomic number as scattering strength, is not zero.

References
----------
[1] Wyckoff, Crystal Structures, vol. 1, Wiley 1963 (metals, diamond structure, zinc blende).
[2] Madelung, Semiconductors: Data Handbook, Springer 2004 (CdSe, CdS, CdTe, ZnO, PbS, PbSe).
[3] Swanson & Tatge, NBS Circular 539, 1953 (Au 0.40786, Ag 0.40862, Pt 0.39231, Pd 0.38898, Cu 0.36150).
[4] Mohr et al., CODATA 2014 (Si 0.5431020).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

__all__ = ["MATERIALS", "KnownReflection", "Material", "find_material", "known_reflections"]

_FCC = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))


@dataclass(frozen=True)
class Material:
    """A crystal: its cell and what stands in it."""

    name: str
    structure: str
    """Structure in words: fcc, zinc blende, wurtzite …"""
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
    """Number of planes in the family, Friedel mates both counted."""
    strength: float
    """Squared structure factor times multiplicity, over that of the strongest family listed."""


def _fcc(name: str, a_nm: float, number: int) -> Material:
    return Material(name, "fcc", a_nm, None, tuple((number, *site) for site in _FCC))


def _cubic_pair(name: str, structure: str, a_nm: float, numbers: tuple[int, int], shift: float) -> Material:
    """Two face-centred lattices, the second moved along the diagonal: zinc blende and diamond by 1/4, halite by 1/2."""
    moved = tuple((x + shift, y + shift, z + shift) for x, y, z in _FCC)
    atoms = [(numbers[0], *site) for site in _FCC] + [(numbers[1], *site) for site in moved]
    return Material(name, structure, a_nm, None, tuple(atoms))


def _wurtzite(name: str, a_nm: float, c_nm: float, numbers: tuple[int, int]) -> Material:
    cation, anion = numbers
    sites = ((1 / 3, 2 / 3, 0.0), (2 / 3, 1 / 3, 0.5))
    atoms = [(cation, *site) for site in sites] + [(anion, x, y, z + 0.375) for x, y, z in sites]
    return Material(name, "wurtzite", a_nm, c_nm, tuple(atoms))


MATERIALS: dict[str, Material] = {
    material.name: material
    for material in (
        _fcc("Au", 0.40782, 79),
        _fcc("Ag", 0.40862, 47),
        _fcc("Pt", 0.39236, 78),
        _fcc("Pd", 0.38902, 46),
        _fcc("Cu", 0.36150, 29),
        _fcc("Ni", 0.35238, 28),
        _fcc("Al", 0.40495, 13),
        Material("Fe", "bcc", 0.28665, None, ((26, 0.0, 0.0, 0.0), (26, 0.5, 0.5, 0.5))),
        _cubic_pair("Si", "diamond", 0.54310, (14, 14), 0.25),
        _cubic_pair("Ge", "diamond", 0.56579, (32, 32), 0.25),
        _wurtzite("CdSe", 0.4299, 0.7010, (48, 34)),
        _cubic_pair("CdSe-zb", "zinc blende", 0.6052, (48, 34), 0.25),
        _wurtzite("CdS", 0.41362, 0.6714, (48, 16)),
        _cubic_pair("CdTe", "zinc blende", 0.6482, (48, 52), 0.25),
        _wurtzite("ZnO", 0.32501, 0.52071, (30, 8)),
        _cubic_pair("PbS", "halite", 0.5936, (82, 16), 0.5),
        _cubic_pair("PbSe", "halite", 0.6124, (82, 34), 0.5),
        _cubic_pair("MgO", "halite", 0.42112, (12, 8), 0.5),
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
        The crystal.

    Raises
    ------
    ValueError
        If the material is not known.
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
        Name of a known material, or a crystal of your own.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing, in nm.

    Returns
    -------
    tuple of KnownReflection
        Families with a structure factor that is not zero, by falling spacing. Families of equal spacing (cubic
        {333} and {511}) are one entry.

    Raises
    ------
    ValueError
        If the material is not known or the range is empty.
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
        KnownReflection(_nicest(hkl[members]), float(spacing[members[0]]), len(members), total[d] / strongest)
        for d, members in sorted(families.items(), reverse=True)
    )


def _spacings_nm(crystal: Material, hkl: np.ndarray) -> np.ndarray:
    """Return d of each plane; infinite for (000)."""
    h, k, m = hkl.T.astype(float)
    if crystal.c_nm is None:
        inverse_squared = (h**2 + k**2 + m**2) / crystal.a_nm**2
    else:
        inverse_squared = 4 / 3 * (h**2 + h * k + k**2) / crystal.a_nm**2 + m**2 / crystal.c_nm**2
    with np.errstate(divide="ignore"):
        spacing: np.ndarray = 1 / np.sqrt(inverse_squared)
    return spacing


def _nicest(members: np.ndarray) -> tuple[int, int, int]:
    """Return the member that one writes: few negative indices, large ones first."""
    h, k, m = min(members.tolist(), key=lambda hkl: (sum(i < 0 for i in hkl), [-i for i in hkl]))
    return h, k, m
