"""Check of the pixel size against the lattice of a known material.

Spacings alone do not determine the scale: {111} of gold at a pixel size that is 13 % too small look like {200}. Two
reflections of a particle do, since their ratio and the angle between them do not depend on the scale.

An error of the pixel size changes every measured spacing by the same factor. The factor is searched that makes most
measured spacings agree with known ones. There is no result if several very different factors do so equally well, or if
too few spacings agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hrtem_dask.crystals.materials import Material, find_material
from hrtem_dask.crystals.reflections import known_reflections

__all__ = ["LatticeScale", "lattice_pair_scale", "lattice_scale_ratio"]

_MIN_STRENGTH = 0.01
"""Families that are much weaker than the strongest one ({200} of CdTe: 0.002) are allowed but not observed."""


class LatticeScale(NamedTuple):
    """Comparison of measured with known spacings."""

    ratio: float | None
    """Measured over known spacing: 1 if the pixel size is right, 1.05 if it is 5 % too large. None if the spacings do
    not determine it."""
    n: int
    """Number of measured spacings that agree with the ratio."""
    spread: float | None
    """Scatter of the ratios of single spacings: 1.4826 × median absolute deviation, relative to the ratio."""


def lattice_scale_ratio(
    spacings_nm: Iterable[float | None],
    material: str | Material,
    *,
    max_deviation: float = 0.07,
    assignment_tolerance: float = 0.015,
    min_share: float = 0.6,
) -> LatticeScale:
    """Compare measured lattice spacings with those of a known material.

    Parameters
    ----------
    spacings_nm : iterable of float or None
        Measured spacings in nm, of many particles of a micrograph; NaN and None are left out.
    material : str or Material
        Name of a known material, or a material of your own.
    max_deviation : float
        Largest relative error of the pixel size to consider. Beyond half the step between two families ({111} and
        {200} of a face-centered metal: 15 %) they are confused.
    assignment_tolerance : float
        Largest relative deviation of a measured spacing from a scaled known one with which it agrees.
    min_share : float
        Smallest share of the measured spacings that must agree.

    Returns
    -------
    LatticeScale
        The ratio is None where fewer than three spacings were measured or agree, or where another ratio (more
        than two tolerances away) explains nearly as many.

    Raises
    ------
    ValueError
        If the material is not known.

    Examples
    --------
    >>> scale = lattice_scale_ratio([0.2473, 0.2472, 0.2141, 0.2471, 0.2140], "Au")
    >>> round(scale.ratio, 2), scale.n
    (1.05, 5)
    """
    measured = np.array([np.nan if s is None else s for s in spacings_nm], dtype=np.float64)
    measured = measured[np.isfinite(measured) & (measured > 0)]
    if measured.size < 3:
        return LatticeScale(None, int(measured.size), None)
    low, high = measured.min() / (1 + 2 * max_deviation), measured.max() * (1 + 2 * max_deviation)
    families = known_reflections(material, spacing_range_nm=(float(low), float(high)))
    known = np.array([family.spacing_nm for family in families if family.strength >= _MIN_STRENGTH])
    if not known.size:
        return LatticeScale(None, 0, None)
    log_ratios = np.log(measured[:, None] / known)  # (measured, known)
    candidates = log_ratios[np.abs(log_ratios) <= np.log1p(max_deviation)]
    if not candidates.size:
        return LatticeScale(None, 0, None)
    distance = np.abs(log_ratios[..., None] - candidates).min(axis=1)  # (measured, candidate)
    agreeing = (distance <= assignment_tolerance).sum(axis=0)
    # of candidates with equally many agreeing spacings, take the one with the smallest deviations
    deviation = np.minimum(distance, assignment_tolerance).sum(axis=0)
    best = int(np.lexsort((deviation, -agreeing))[0])
    n = int(agreeing[best])
    elsewhere = np.abs(candidates - candidates[best]) > 2 * assignment_tolerance
    rival = int(agreeing[elsewhere].max(initial=0))
    if n < max(3, min_share * measured.size) or rival >= 0.8 * n:
        return LatticeScale(None, n, None)
    nearest = np.abs(log_ratios - candidates[best]).argmin(axis=1)
    single = log_ratios[np.arange(measured.size), nearest]
    single = single[np.abs(single - candidates[best]) <= assignment_tolerance]
    middle = float(np.median(single))
    return LatticeScale(float(np.exp(middle)), n, 1.4826 * float(np.median(np.abs(single - middle))))


def lattice_pair_scale(
    spacings_1_nm: Iterable[float | None],
    spacings_2_nm: Iterable[float | None],
    angles_deg: Iterable[float | None],
    material: str | Material,
    *,
    largest_factor: float = 2.2,
    tolerance: float = 0.015,
    angle_tolerance_deg: float = 3.0,
    min_share: float = 0.6,
) -> LatticeScale:
    """Find the scale from pairs of reflections, by their ratio and angle, far beyond small errors of the pixel size.

    Parameters
    ----------
    spacings_1_nm : iterable of float or None
        First spacing of each particle (nm); particles without one of the three numbers are left out.
    spacings_2_nm : iterable of float or None
        Spacing of a reflection that is not parallel to the first one (nm).
    angles_deg : iterable of float or None
        Angle between the two, 0 to 90 (°).
    material : str or Material
        Name of a known material, or a material of your own.
    largest_factor : float
        Largest factor, or its inverse, by which the pixel size may be wrong.
    tolerance : float
        Largest relative deviation of a single spacing.
    angle_tolerance_deg : float
        Largest deviation of an angle (°).
    min_share : float
        Smallest share of the pairs that must agree.

    Returns
    -------
    LatticeScale
        The ratio is None where fewer than three pairs agree, or where another ratio explains nearly as many.

    Raises
    ------
    ValueError
        If the material is not known.

    Examples
    --------
    Two {111} of gold, 70.5° apart, at a pixel size that is 13.4 % too small:

    >>> scale = lattice_pair_scale([0.2039] * 5, [0.2039] * 5, [70.5] * 5, "Au")
    >>> round(scale.ratio, 2), scale.n
    (0.87, 5)
    """
    columns = [
        np.array([np.nan if x is None else x for x in values], dtype=float)
        for values in (spacings_1_nm, spacings_2_nm, angles_deg)
    ]
    measured = np.stack(columns, axis=1).reshape(-1, 3)
    measured = measured[np.isfinite(measured).all(axis=1) & (measured[:, :2] > 0).all(axis=1)]
    if len(measured) < 3:
        return LatticeScale(None, len(measured), None)
    known = _known_pairs(material, measured[:, :2].min() / largest_factor, measured[:, :2].max() * largest_factor)
    if not len(known):
        return LatticeScale(None, 0, None)
    logs = np.log(measured[:, None, :2] / known[:, :2])  # (measured, known, 2)
    fits = (np.abs(logs[..., 0] - logs[..., 1]) <= 2 * tolerance) & (
        np.abs(measured[:, None, 2] - known[:, 2]) <= angle_tolerance_deg
    )
    scales = np.where(fits, logs.mean(axis=2), np.inf)
    scales[np.abs(scales) > np.log(largest_factor)] = np.inf
    candidates = np.unique(scales[np.isfinite(scales)].round(4))
    if not candidates.size:
        return LatticeScale(None, 0, None)
    nearest = np.stack([np.abs(scales - c).min(axis=1) for c in candidates], axis=1)  # (measured, candidate)
    agreeing = (nearest <= tolerance).sum(axis=0)
    best = int(np.lexsort((np.minimum(nearest, tolerance).sum(axis=0), -agreeing))[0])
    n = int(agreeing[best])
    rival = int(agreeing[np.abs(candidates - candidates[best]) > 2 * tolerance].max(initial=0))
    if n < max(3, min_share * len(measured)) or rival >= 0.8 * n:
        return LatticeScale(None, n, None)
    single = scales[np.arange(len(scales)), np.abs(scales - candidates[best]).argmin(axis=1)]
    single = single[np.abs(single - candidates[best]) <= tolerance]
    middle = float(np.median(single))
    return LatticeScale(float(np.exp(middle)), n, 1.4826 * float(np.median(np.abs(single - middle))))


def _known_pairs(material: str | Material, low_nm: float, high_nm: float) -> np.ndarray:
    """Return spacings and angle (0 to 90°) of all pairs of observable planes, shape (pairs, 3); harmonics left out."""
    crystal = find_material(material) if isinstance(material, str) else material
    families = known_reflections(crystal, spacing_range_nm=(float(low_nm), float(high_nm)))
    strong = np.array([family.spacing_nm for family in families if family.strength >= _MIN_STRENGTH])
    if not strong.size:
        return np.zeros((0, 3))
    a, c = crystal.a_nm, crystal.c_nm
    edges = a * np.eye(3) if c is None else np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])
    largest = int(np.ceil(max(a, c or a) / strong.min()))
    hkl = np.array(list(itertools.product(range(-largest, largest + 1), repeat=3)))
    hkl = hkl[hkl.any(axis=1)]
    waves = hkl @ np.linalg.inv(edges).T
    spacing = 1 / np.linalg.norm(waves, axis=1)
    seen = (np.abs(spacing[:, None] / strong - 1) < 1e-6).any(axis=1)
    allowed = {tuple(row) for row in hkl[seen].tolist()}
    first = [not any(tuple(v // n for v in row) in allowed for n in (2, 3) if not any(v % n for v in row))
             for row in hkl[seen].tolist()]  # fmt: skip
    waves, spacing = waves[seen][first], spacing[seen][first]
    cosine = np.abs(waves @ waves.T) * spacing[:, None] * spacing
    i, j = np.nonzero(cosine < 1 - 1e-6)
    angle = np.degrees(np.arccos(np.clip(cosine[i, j], 0, 1)))
    return np.asarray(np.unique(np.stack([spacing[i], spacing[j], angle], axis=1).round(5), axis=0))
