"""Low-index zone axes of a crystal: their names, families and indices.

References
----------
[1] Frank, Acta Cryst. 18 (1965) 862: four-index symbols of directions; [uvtw] is [u−t, v−t, w] in three.
"""

from __future__ import annotations

import itertools
from math import gcd

import numpy as np

from hrtem_dask.crystals.materials import Material, find_material

__all__ = ["LOW_INDEX_CUBIC", "LOW_INDEX_HEXAGONAL", "low_index_zone_axes", "three_indices"]

LOW_INDEX_CUBIC = ("[100]", "[110]", "[111]", "[112]")
LOW_INDEX_HEXAGONAL = ("[0001]", "[11-20]", "[10-10]", "[11-23]", "[10-11]")


def low_index_zone_axes(material: str | Material, *, max_index: int | None = None) -> tuple[str, ...]:
    """Return the low-index zone axes of a crystal.

    Parameters
    ----------
    material : str or Material
        Name of a known material, or a material of your own.
    max_index : int, optional
        Return all families with no index above this (for a hexagonal crystal in three-index symbols [uvw]) instead of
        the usual four of cubic and five of hexagonal crystals.

    Returns
    -------
    tuple of str
        One name per family, such as ``"[110]"``.

    Raises
    ------
    ValueError
        If the material is not known, or the largest index is below 1.

    Examples
    --------
    >>> low_index_zone_axes("Au")
    ('[100]', '[110]', '[111]', '[112]')
    >>> low_index_zone_axes("CdSe")
    ('[0001]', '[11-20]', '[10-10]', '[11-23]', '[10-11]')
    """
    crystal = find_material(material) if isinstance(material, str) else material
    if max_index is None:
        return LOW_INDEX_CUBIC if crystal.c_nm is None else LOW_INDEX_HEXAGONAL
    if max_index < 1:
        raise ValueError(f"max_index must be at least 1, got {max_index}")
    named: dict[tuple[int, ...], str] = {}
    for name in LOW_INDEX_CUBIC if crystal.c_nm is None else LOW_INDEX_HEXAGONAL:
        uvw = three_indices(name)
        if max(abs(i) for i in uvw) <= max_index:
            named[_family(crystal, uvw)] = name
    steps = range(-max_index, max_index + 1)
    for direction in sorted(itertools.product(steps, repeat=3), key=lambda i: np.abs(i).sum()):
        if gcd(*direction) == 1:
            family = _family(crystal, direction)
            named.setdefault(family, f"[{''.join(map(str, family))}]")
    return tuple(named.values())


def three_indices(zone_axis: str) -> tuple[int, int, int]:
    """Parse the name of a zone axis.

    Parameters
    ----------
    zone_axis : str
        Such as ``"[1-12]"`` or, with four indices, ``"[11-20]"``; each index has one digit.

    Returns
    -------
    tuple of int
        The indices u, v, w without a common divisor.

    Raises
    ------
    ValueError
        If the name cannot be read.

    Examples
    --------
    >>> three_indices("[11-20]")
    (1, 1, 0)
    """
    digits: list[int] = []
    sign = 1
    for letter in zone_axis.strip("[]"):
        if letter == "-":
            sign = -1
        elif letter.isdigit():
            digits.append(sign * int(letter))
            sign = 1
        else:
            digits = []
            break
    if len(digits) == 4 and sum(digits[:3]) == 0:
        u, v, t, w = digits
        digits = [u - t, v - t, w]
    if len(digits) != 3 or not any(digits):
        raise ValueError(f"cannot read the zone axis {zone_axis!r}: write [110], or [11-20] with u + v + t = 0")
    divisor = gcd(*digits)
    return (digits[0] // divisor, digits[1] // divisor, digits[2] // divisor)


def _family(crystal: Material, uvw: tuple[int, ...]) -> tuple[int, ...]:
    """Return one representative of all directions that are equal by the symmetry of the crystal."""
    if crystal.c_nm is None:
        return tuple(sorted(abs(i) for i in uvw))
    u, v, w = uvw
    t = -(u + v)
    # symmetry permutes the four-index symbol [1]; it is three times (2u − v)/3, (2v − u)/3, −(u + v)/3
    four = (2 * u - v, 2 * v - u, t)
    variants = [p for sign in (1, -1) for p in itertools.permutations([sign * i for i in four])]
    first = min(variants, key=lambda p: (sum(i < 0 for i in p), [-i for i in p]))  # [11-20], not [2-1-10]
    divisor = gcd(*first, 3 * abs(w)) or 1
    return (*(i // divisor for i in first), 3 * abs(w) // divisor)
