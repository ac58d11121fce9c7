"""Patterns of a crystal along its zone axes: the reflections of the zero-order Laue zone.

A reflection hkl belongs to the zone [uvw] if hu + kv + lw = 0 (Weiss zone law). Its strength is kinematic: the squared
structure factor, with the atomic number as scattering strength, times a decay towards high frequencies. Reflections
that are kinematically forbidden but possible by double diffraction are listed without strength. They are sums of two
allowed ones of the same zone, such as 000l with odd l of wurtzite along [11-20].

References
----------
[1] Williams & Carter, Transmission Electron Microscopy, 2nd ed., Springer 2009, chapters 16 and 18: forbidden
    reflections, zone-axis patterns.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from hrtem_dask.crystals.materials import Material, find_material
from hrtem_dask.crystals.zone_axes import three_indices

__all__ = ["MIN_WEIGHT", "ZonePattern", "zone_pattern"]

DECAY_PER_NM = 5.0
"""Decay constant of the strength, exp(−(q/DECAY_PER_NM)²): factors, envelopes and sensor together; fitted."""
MIN_WEIGHT = 0.002
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
    crystal = find_material(material) if isinstance(material, str) else material
    return _pattern(crystal, zone_axis, float(max_frequency_per_nm))


@functools.lru_cache(maxsize=512)
def _pattern(crystal: Material, zone_axis: str, max_frequency: float) -> ZonePattern:
    """Build a pattern; the result is cached."""
    uvw = three_indices(zone_axis)
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
    weight = strength * np.exp(-np.square(np.hypot(*position.T) / DECAY_PER_NM))
    weight /= weight.sum()
    kept = (weight > MIN_WEIGHT) | (~allowed & doubled)
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


def _cell(crystal: Material) -> np.ndarray:
    """Return the edges of the cell as rows (nm)."""
    if crystal.c_nm is None:
        return crystal.a_nm * np.eye(3)
    a, c = crystal.a_nm, crystal.c_nm
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def _triple(indices: np.ndarray) -> tuple[int, int, int]:
    """Convert an array of three indices to a tuple."""
    a, b, c = (int(i) for i in indices)
    return a, b, c
