"""Check of the pixel size against the lattice of a known material.

Spacings alone do not determine the scale: {111} of gold at a pixel size that is 13 % too small look like {200}. Two
reflections of a particle do, since their ratio and the angle between them do not depend on the scale.

An error of the pixel size changes every measured spacing by the same factor. The factor is searched that makes most
measured spacings agree with known ones. There is no result if several very different factors do so equally well, or if
too few spacings agree.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hrtem_dask.crystals.materials import Material, find_material
from hrtem_dask.crystals.reflections import known_reflections
from hrtem_dask.crystals.zone_axes import low_index_zone_axes
from hrtem_dask.crystals.zone_patterns import zone_pattern

__all__ = [
    "MIN_SPACINGS",
    "LatticeScale",
    "judge_scale",
    "lattice_pair_scale",
    "lattice_scale_ratio",
    "setting_scales",
]

MIN_PAIRS = 5
"""Fewest pairs of reflections that confirm a scale."""
MIN_SPACINGS = 3
"""Fewest spacings from which anything is said."""
KNOWN_TO = 0.002
"""Relative standard uncertainty of the spacings of a crystal: lattice constants of small particles differ by some
tenths of a percent from those of large ones."""
_FINEST_NM = 0.1
_MIN_WEIGHT = 0.004
"""Share of a reflection in the strength of its zone axis below which it is not expected to be seen."""
_ONE_FAMILY = 0.03
_FEW = 0.5
_SAME_FACTOR = 0.05

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
) -> LatticeScale:
    """Find the scale from pairs of reflections, by their ratio and angle, far beyond small errors of the pixel size.

    Each pair votes for every scale at which it agrees with two planes of a low-index zone axis. The scale with most
    votes is taken if it has `MIN_PAIRS` and clearly more than any other: particles that are tilted away from every
    zone axis vote for scales at random.

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

    Returns
    -------
    LatticeScale
        The ratio is None where fewer than `MIN_PAIRS` pairs agree, or where their number n exceeds that of another
        scale by less than 2 √n.

    Raises
    ------
    ValueError
        If the material is not known.

    Examples
    --------
    Two {111} of gold, 70.5° apart, at a pixel size that is 13.4 % too small:

    >>> scale = lattice_pair_scale([0.2039] * 8, [0.2039] * 8, [70.5] * 8, "Au")
    >>> round(scale.ratio, 2), scale.n
    (0.87, 8)
    """
    columns = [
        np.array([np.nan if x is None else x for x in values], dtype=float)
        for values in (spacings_1_nm, spacings_2_nm, angles_deg)
    ]
    measured = np.stack(columns, axis=1).reshape(-1, 3)
    measured = measured[np.isfinite(measured).all(axis=1) & (measured[:, :2] > 0).all(axis=1)]
    known = _zone_pairs(find_material(material) if isinstance(material, str) else material)
    if len(measured) < MIN_PAIRS or not len(known):
        return LatticeScale(None, 0, None)
    logs = np.log(measured[:, None, :2] / known[:, :2])  # (measured, known, 2)
    fits = np.abs(logs[..., 0] - logs[..., 1]) <= 2 * tolerance
    fits &= np.abs(measured[:, None, 2] - known[:, 2]) <= angle_tolerance_deg
    pair, _ = np.nonzero(fits)
    scales = logs[fits].mean(axis=1)
    grid = np.arange(-np.log(largest_factor), np.log(largest_factor), tolerance / 3)
    votes = np.zeros((len(measured), len(grid)), dtype=bool)
    for one, scale in zip(pair, scales, strict=True):  # a particle has one vote for each scale
        votes[one, slice(*np.searchsorted(grid, [scale - tolerance, scale + tolerance]))] = True
    total = votes.sum(axis=0)
    n = int(total.max())
    best = float(grid[total == n].mean())
    rival = int(total[np.abs(grid - best) > 3 * tolerance].max(initial=0))
    single = scales[np.abs(scales - best) <= tolerance]
    if n < MIN_PAIRS or n - rival <= 2 * np.sqrt(n) or not single.size:
        return LatticeScale(None, n, None)
    middle = float(np.median(single))
    return LatticeScale(float(np.exp(middle)), n, 1.4826 * float(np.median(np.abs(single - middle))))


@functools.lru_cache(maxsize=64)
def _zone_pairs(material: Material) -> np.ndarray:
    """Return spacings and angle (0 to 90°) of all pairs of planes that a low-index zone axis shows, shape (pairs, 3).

    Harmonics, planes that are hardly observed, and planes finer than images resolve are left out.
    """
    found: list[tuple[float, float, float]] = []
    for axis in low_index_zone_axes(material):
        try:
            pattern = zone_pattern(material, axis, max_frequency_per_nm=1 / _FINEST_NM)
        except ValueError:  # no reflection is coarse enough
            continue
        allowed = {tuple(row) for row in pattern.hkl[pattern.weight > 0].tolist()}
        is_first = [
            not any(tuple(v // n for v in row) in allowed for n in (2, 3) if not any(v % n for v in row))
            for row in pattern.hkl.tolist()
        ]
        waves = pattern.frequency_per_nm[(pattern.weight > _MIN_WEIGHT) & is_first]
        frequency = np.hypot(*waves.T)
        for i, j in itertools.permutations(range(len(waves)), 2):
            cosine = abs(float(waves[i] @ waves[j])) / (frequency[i] * frequency[j])
            if cosine < 1 - 1e-6:
                found.append((1 / frequency[i], 1 / frequency[j], float(np.degrees(np.arccos(cosine)))))
    return np.unique(np.array(found).reshape(-1, 3).round(5), axis=0)


def setting_scales(
    particles: pd.DataFrame, micrographs: pd.DataFrame, material: str, *, tolerance: float
) -> list[dict[str, Any]]:
    """Find the scale of each setting of the microscope, from all particles that were imaged with it.

    One setting has one scale, so that all its micrographs are judged together.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES` or `tables.WINDOWS`.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`: micrographs of one instrument, voltage, magnification, source and size of the
        pixels have one setting.
    material : str
        Name of a known material.
    tolerance : float
        Largest relative error of the pixel size that is not flagged.

    Returns
    -------
    list of dict
        One per setting, most micrographs first: ``instrument``, ``voltage_kv``, ``magnification``,
        ``pixel_size_nm``, ``n_micrographs``, ``n_particles`` (with a measured spacing), ``n_pairs`` (that agree),
        ``verdict`` (``"confirmed"``, ``"off"``, ``"not confirmed"``, ``"no match"`` or ``"no lattice"``), ``ratio``
        (measured over known; None unless confirmed or off), ``standard_uncertainty`` (relative) and ``words``.
    """
    analyzed = micrographs[micrographs["micrograph_id"].isin(particles["micrograph_id"])]
    key = pd.DataFrame(
        {
            "instrument": analyzed["instrument"].astype(object),
            "voltage_kv": analyzed["voltage_kv"].astype(float),
            "magnification": analyzed["magnification"].astype(float),
            # three digits: the same size is stored with other rounding by another program
            "pixel_size_nm": [float(f"{v:.3g}") for v in analyzed["pixel_size_y_nm"].astype(float)],
            "source": analyzed["pixel_size_source"].astype(object).fillna("").astype(str).str.split(":").str[0],
        }
    )
    rows = []
    for setting, index in key.groupby(list(key), dropna=False).groups.items():
        ids = analyzed.loc[index, "micrograph_id"]
        own = particles[particles["micrograph_id"].isin(ids)]
        names = [None if pd.isna(v) else v for v in np.atleast_1d(np.array(setting, dtype=object)).tolist()]
        row: dict[str, Any] = dict(
            zip(("instrument", "voltage_kv", "magnification", "pixel_size_nm"), names, strict=False)
        )
        rows.append(row | {"n_micrographs": len(ids)} | judge_scale(own, material, tolerance=tolerance))
    return sorted(rows, key=lambda row: -int(row["n_micrographs"]))


def judge_scale(particles: pd.DataFrame, material: str, *, tolerance: float) -> dict[str, Any]:
    """Judge the pixel size by the lattice of particles that have one scale.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows with ``spacing_1_nm``, ``spacing_2_nm`` and ``angle_12_deg``.
    material : str
        Name of a known material.
    tolerance : float
        Largest relative error of the pixel size that is not flagged.

    Returns
    -------
    dict
        ``n_particles``, ``n_pairs``, ``verdict``, ``ratio``, ``standard_uncertainty`` and ``words``, see
        `setting_scales`.
    """
    one, two, angle = (
        particles[name].to_numpy(dtype=float, na_value=np.nan)
        for name in ("spacing_1_nm", "spacing_2_nm", "angle_12_deg")
    )
    pairs = lattice_pair_scale(one, two, angle, material)
    n = int(np.isfinite(one).sum())
    row = {"n_particles": n, "n_pairs": pairs.n, "ratio": None, "standard_uncertainty": None}
    if pairs.ratio is not None and pairs.spread is not None:
        off = abs(pairs.ratio - 1) > tolerance
        words = f"{pairs.n} pairs of reflections agree in ratio and angle with {material}"
        if off:
            words += f": the pixel size is {pairs.ratio:.3g} times what it should be{_unit_error(pairs.ratio)}"
        error = float(np.hypot(pairs.spread / np.sqrt(pairs.n), KNOWN_TO))
        return row | {
            "verdict": "off" if off else "confirmed",
            "ratio": pairs.ratio,
            "standard_uncertainty": error,
            "words": words,
        }
    if n < MIN_SPACINGS:
        return row | {
            "verdict": "no lattice",
            "words": f"{n} particles show lattice planes, too few to check the scale",
        }
    alone = lattice_scale_ratio(one, material)
    if alone.ratio is None and not pairs.n and _share_of_known(one, material) < _FEW:
        return row | {"verdict": "no match", "words": f"no scale from 1/2 to 2 explains the spacings by {material}"}
    families = "one family only" if np.nanstd(np.log(one)) < _ONE_FAMILY else "no angles that only one scale explains"
    return row | {"verdict": "not confirmed", "words": f"{families}: not confirmed; a wrong scale can look the same"}


def _share_of_known(spacings_nm: np.ndarray, material: str) -> float:
    """Return the largest share of spacings that a single scale from 1/2 to 2 explains."""
    known = np.log(np.unique(_zone_pairs(find_material(material))[:, 0]))
    measured = np.log(spacings_nm[np.isfinite(spacings_nm)])
    grid = np.arange(-np.log(2), np.log(2), 0.005)
    distance = np.abs((measured[:, None] - grid)[..., None] - known).min(axis=2)
    return float((distance <= 0.015).mean(axis=0).max())


def _unit_error(ratio: float) -> str:
    """Say which mistake makes a factor."""
    for factor in (0.1, 0.5, 2.0, 10.0):
        if abs(ratio / factor - 1) < _SAME_FACTOR:
            reason = (
                "Å or nm taken for the other unit" if factor in {0.1, 10.0} else "binning, or a diameter for a radius"
            )
            return f" (a factor of {factor:g}: {reason}?)"
    return ""
