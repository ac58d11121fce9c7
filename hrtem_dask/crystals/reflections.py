"""Reflections that a crystal can show in electron diffraction.

A reflection is allowed if its structure factor, with the atomic number as scattering strength, is not zero [1].

References
----------
[1] Williams & Carter, Transmission Electron Microscopy, 2nd ed., Springer 2009, chapter 16: structure factors.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from hrtem_dask.crystals.materials import Material, find_material

__all__ = ["KnownReflection", "known_reflections"]


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
