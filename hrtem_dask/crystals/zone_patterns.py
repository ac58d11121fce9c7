"""Patterns of a crystal along its low-index zone axes: the reflections of the zero-order Laue zone.

A reflection hkl belongs to the zone [uvw] if hu + kv + lw = 0 (Weiss zone law). Its strength is kinematic: the squared
structure factor, with the atomic number as scattering strength, times a decay towards high frequencies. Reflections
that are kinematically forbidden but possible by double diffraction are listed without strength. They are sums of two
allowed ones of the same zone, such as 000l with odd l of wurtzite along [11-20].

References
----------
[1] Williams & Carter, Transmission Electron Microscopy, 2nd ed., Springer 2009, chapters 16 and 18: forbidden
    reflections, zone-axis patterns.
[2] Frank, Acta Cryst. 18 (1965) 862: four-index symbols of directions; [uvtw] is [u−t, v−t, w] in three.
[3] Warren, X-ray Diffraction, Addison-Wesley 1969, chapter 13: rows with h − k not a multiple of 3 streak.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from dataclasses import dataclass
from math import gcd

import numpy as np

from hrtem_dask.crystals.materials import Material, find_material

__all__ = ["LOW_INDEX_CUBIC", "LOW_INDEX_HEXAGONAL", "ZonePattern", "low_index_zone_axes", "zone_pattern"]

LOW_INDEX_CUBIC = ("[100]", "[110]", "[111]", "[112]")
LOW_INDEX_HEXAGONAL = ("[0001]", "[11-20]", "[10-10]", "[11-23]", "[10-11]")
FALL_PER_NM = 5.0
"""Decay constant of the strength, exp(−(q/FALL_PER_NM)²): scattering factors, envelopes and sensor together; fitted."""
_MIN_WEIGHT = 0.002
"""Weaker reflections are left out."""


@dataclass(frozen=True, eq=False)
class ZonePattern:
    """The two-dimensional lattice of reflections along one zone axis, one of each Friedel pair."""

    zone_axis: str
    """Such as ``"[110]"`` or ``"[11-20]"``, which stands for its whole family."""
    hkl: np.ndarray
    """Shape (n, 3), int: Miller indices (three, also for a hexagonal crystal)."""
    frequency_per_nm: np.ndarray
    """Shape (n, 2): x (right) and y (up) of each wave vector (1/nm), with the reference reflection along +x."""
    weight: np.ndarray
    """Shape (n,): expected share of the strength of the pattern; 0 if only double diffraction gives the reflection."""
    ring: np.ndarray
    """Shape (n,), int: number of the set of reflections of equal frequency and strength; −1 without strength."""
    streak: np.ndarray
    """Shape (n,), bool: whether it is on a streak of stacking faults, where symmetric mates may be missing."""
    reference_hkl: tuple[int, int, int]
    """Reflection whose direction is the rotation of the pattern: that of the lowest frequency on a mirror line."""
    period_deg: float
    """Rotation after which the pattern repeats: 180, 90 or 60 degrees."""
    has_mirror: bool
    """Whether the mirrored pattern is a rotation of the pattern."""


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
    crystal = _crystal(material)
    if max_index is None:
        return LOW_INDEX_CUBIC if crystal.c_nm is None else LOW_INDEX_HEXAGONAL
    if max_index < 1:
        raise ValueError(f"max_index must be at least 1, got {max_index}")
    named: dict[tuple[int, ...], str] = {}
    for name in LOW_INDEX_CUBIC if crystal.c_nm is None else LOW_INDEX_HEXAGONAL:
        uvw = _three_indices(name)
        if max(abs(i) for i in uvw) <= max_index:
            named[_family(crystal, uvw)] = name
    steps = range(-max_index, max_index + 1)
    for direction in sorted(itertools.product(steps, repeat=3), key=lambda i: np.abs(i).sum()):
        if gcd(*direction) == 1:
            family = _family(crystal, direction)
            named.setdefault(family, f"[{''.join(map(str, family))}]")
    return tuple(named.values())


def zone_pattern(material: str | Material, zone_axis: str, *, max_frequency_per_nm: float = 10.0) -> ZonePattern:
    """Return the reflections of a crystal along a zone axis.

    Parameters
    ----------
    material : str or Material
        Name of a known material, or a material of your own.
    zone_axis : str
        Such as ``"[110]"``, with three indices, or ``"[11-20]"``, with four for a hexagonal crystal.
    max_frequency_per_nm : float
        Largest frequency of a reflection (1/nm).

    Returns
    -------
    ZonePattern
        Reflections, lowest frequency first.

    Raises
    ------
    ValueError
        If the material is not known, the axis cannot be read, or no allowed reflection lies within the frequency.

    Examples
    --------
    >>> pattern = zone_pattern("Au", "[110]", max_frequency_per_nm=6)
    >>> pattern.hkl.tolist(), pattern.period_deg
    ([[1, -1, 1], [1, -1, -1], [0, 0, 2]], 180.0)
    """
    return _pattern(_crystal(material), zone_axis, float(max_frequency_per_nm))


@functools.lru_cache(maxsize=512)
def faulted_pattern(pattern: ZonePattern) -> ZonePattern | None:
    """Return the pattern of a close-packed crystal with stacking faults.

    Planes normal to the stacking direction are edge-on along [110] of face-centered and [11-20] of hexagonal crystals.
    Rows of reflections along their normal stay sharp if the number of the row is a multiple of 3. On the other rows
    faults move the strength along the row, to the positions of the twin and of the other stacking [3].

    Parameters
    ----------
    pattern : ZonePattern
        Pattern of the perfect crystal.

    Returns
    -------
    ZonePattern or None
        Pattern of the faulted crystal along the same axis; None along other axes and for other crystals.
    """
    normal_hkl = {"[110]": (1, -1, 1), "[11-20]": (0, 0, 2)}.get(pattern.zone_axis)
    hkl = pattern.hkl.tolist()
    if normal_hkl is None or list(normal_hkl) not in hkl:
        return None
    position = pattern.frequency_per_nm @ [1, 1j]
    normal = position[hkl.index(list(normal_hkl))]
    if not pattern.weight[hkl.index(list(normal_hkl))] > 0:
        return None  # body-centered crystals are not close-packed
    unit = normal / abs(normal)
    turned = position / unit  # the real part is along the normal
    across = np.abs(turned.imag)
    step = across[across > 1e-6].min()
    row = np.round(turned.imag / step).astype(int)
    spread = row % 3 != 0
    reach = 6 * int(np.abs(turned).max() / abs(normal)) + 6
    steps = np.arange(-reach, reach + 1)
    # positions along the normal in sixths: 2 and 4 are the crystal and its twin, 0 and 3 the other stacking
    x = abs(normal) / 6 * steps[(steps % 3 == 0) | (steps % 2 == 0)]
    new_position, new_weight = [turned[~spread]], [pattern.weight[~spread]]
    for k in np.unique(np.abs(row[spread])):
        in_row = np.abs(row) == k
        perfect_x = turned[in_row].real * np.sign(turned[in_row].imag)
        total = pattern.weight[in_row].sum()
        near = np.exp(-0.5 * np.square((x[:, None] - np.concatenate([perfect_x, -perfect_x])) / (abs(normal) / 4)))
        share = near @ np.tile(pattern.weight[in_row], 2)
        if total > 0:
            new_position.append(x + 1j * k * step)
            new_weight.append(share / share.sum() * total)
    z, weight = np.concatenate(new_position) * unit, np.concatenate(new_weight)
    streak = np.arange(len(z)) >= (~spread).sum()
    kept = ~streak | (weight > _MIN_WEIGHT)
    z, weight, streak = z[kept], weight[kept], streak[kept]
    rows = np.round((z / unit).imag / step).astype(int)
    ring = np.concatenate([pattern.ring[~spread], 10_000 + rows[streak]])
    return dataclasses.replace(
        pattern,
        hkl=np.concatenate([pattern.hkl[~spread], np.zeros((int(streak.sum()), 3), int)]),
        frequency_per_nm=np.stack([z.real, z.imag], axis=1),
        weight=weight / weight.sum(),
        ring=ring,
        streak=streak,
        has_mirror=False,
    )


@functools.lru_cache(maxsize=512)
def _pattern(crystal: Material, zone_axis: str, max_frequency: float) -> ZonePattern:
    """Build a pattern; the result is cached."""
    uvw = _three_indices(zone_axis)
    hkl, position, strength = _zone_reflections(crystal, uvw, max_frequency)
    if not (strength > 0).any():
        raise ValueError(
            f"{crystal.name} along {zone_axis} has no allowed reflection below {max_frequency:.3g} 1/nm; "
            "raise max_frequency_per_nm"
        )
    allowed = strength > 0
    reach = position[allowed]
    sums = np.concatenate([reach[:, None] + reach, reach[:, None] - reach]).reshape(-1, 2)
    doubled = (np.hypot(*(position[:, None] - sums[None]).transpose(2, 0, 1)) < 1e-6).any(axis=1)
    weight = strength * np.exp(-np.square(np.hypot(*position.T) / FALL_PER_NM))
    weight /= weight.sum()
    kept = (weight > _MIN_WEIGHT) | (~allowed & doubled)
    hkl, position, weight = hkl[kept], position[kept], weight[kept] / weight[kept].sum()
    reference, has_mirror = _reference(position, weight)
    along = position[reference] / np.hypot(*position[reference])
    across = np.array([-along[1], along[0]])
    turned = position @ np.stack([along, across], axis=1)
    return ZonePattern(
        zone_axis=zone_axis,
        hkl=hkl,
        frequency_per_nm=turned,
        weight=weight,
        ring=_rings(position, weight),
        streak=np.zeros(len(weight), bool),
        reference_hkl=_triple(hkl[reference]),
        period_deg=_period_deg(position, weight),
        has_mirror=has_mirror,
    )


def _zone_reflections(
    crystal: Material, uvw: tuple[int, int, int], max_frequency: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return indices, position in the plane (right, up, with the beam away from the viewer) and |F|² of each hkl."""
    direct = _cell(crystal)
    largest = int(max_frequency * np.linalg.norm(direct, axis=1).max()) + 1
    steps = range(-largest, largest + 1)
    hkl = np.array([i for i in itertools.product(steps, repeat=3) if i > (0, 0, 0)])
    hkl = hkl[hkl @ np.array(uvw) == 0]
    waves = hkl @ np.linalg.inv(direct).T
    inside = np.linalg.norm(waves, axis=1) <= max_frequency
    hkl, waves = hkl[inside], waves[inside]
    order = np.lexsort((*-hkl.T[::-1], np.linalg.norm(waves, axis=1).round(6)))
    hkl, waves = hkl[order], waves[order]
    beam = np.array(uvw) @ direct
    beam = beam / np.linalg.norm(beam)
    right = np.cross(np.eye(3)[np.argmin(np.abs(beam))], beam)
    right /= np.linalg.norm(right)
    position = waves @ np.stack([right, np.cross(right, beam)], axis=1)
    numbers, sites = np.array([a[0] for a in crystal.basis]), np.array([a[1:] for a in crystal.basis])
    strength = np.abs(np.exp(2j * np.pi * hkl @ sites.T) @ numbers) ** 2
    strength[strength < 1e-6 * numbers.sum() ** 2] = 0
    return hkl, position, strength


def _rings(position: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the number of the set of reflections, equal by symmetry, that each reflection belongs to."""
    frequency = np.hypot(*position.T)
    keys = np.where(weight > 0, np.round(frequency, 4) + 1e3 * np.round(weight, 5), -1)
    numbers = np.unique(keys, return_inverse=True)[1]
    return np.asarray(np.where(weight > 0, numbers, -1))


def _reference(position: np.ndarray, weight: np.ndarray) -> tuple[int, bool]:
    """Return the first allowed reflection on a mirror line, or the first one, and whether there is a mirror line."""
    allowed = np.flatnonzero(weight > 0)
    for i in allowed:
        along = position[i] / np.hypot(*position[i])
        if _coincides(position, weight, 2 * np.outer(position @ along, along) - position):
            return int(i), True
    return int(allowed[0]), False


def _period_deg(position: np.ndarray, weight: np.ndarray) -> float:
    """Return the smallest rotation of 60, 90 and 180 degrees that repeats the pattern."""
    for period in (60.0, 90.0):
        cosine, sine = np.cos(np.radians(period)), np.sin(np.radians(period))
        if _coincides(position, weight, position @ np.array([[cosine, sine], [-sine, cosine]])):
            return period
    return 180.0


def _coincides(position: np.ndarray, weight: np.ndarray, moved: np.ndarray) -> bool:
    """Return whether every moved reflection falls on one of equal weight, or on the Friedel mate of one."""
    pairs = np.concatenate([position, -position])
    distance = np.hypot(*(moved[:, None] - pairs[None]).transpose(2, 0, 1))
    nearest = distance.argmin(axis=1)
    same = np.isclose(np.tile(weight, 2)[nearest], weight, rtol=1e-3, atol=1e-9)
    return bool((distance.min(axis=1) < 1e-6).all() and same.all())


def _crystal(material: str | Material) -> Material:
    return find_material(material) if isinstance(material, str) else material


def _cell(crystal: Material) -> np.ndarray:
    """Return the edges of the cell as rows (nm)."""
    if crystal.c_nm is None:
        return crystal.a_nm * np.eye(3)
    a, c = crystal.a_nm, crystal.c_nm
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def _three_indices(zone_axis: str) -> tuple[int, int, int]:
    """Parse ``"[1-12]"`` or, with four indices, ``"[11-20]"``; each index has one digit."""
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
    return _triple(np.array(digits) // divisor)


def _family(crystal: Material, uvw: tuple[int, ...]) -> tuple[int, ...]:
    """Return one representative of all directions that are equal by the symmetry of the crystal."""
    if crystal.c_nm is None:
        return tuple(sorted(abs(i) for i in uvw))
    u, v, w = uvw
    t = -(u + v)
    # symmetry permutes the four-index symbol [2]; it is three times (2u − v)/3, (2v − u)/3, −(u + v)/3
    four = (2 * u - v, 2 * v - u, t)
    variants = [p for sign in (1, -1) for p in itertools.permutations([sign * i for i in four])]
    first = min(variants, key=lambda p: (sum(i < 0 for i in p), [-i for i in p]))  # [11-20], not [2-1-10]
    divisor = gcd(*first, 3 * abs(w)) or 1
    return (*(i // divisor for i in first), 3 * abs(w) // divisor)


def _triple(indices: np.ndarray) -> tuple[int, int, int]:
    a, b, c = (int(i) for i in indices)
    return a, b, c
