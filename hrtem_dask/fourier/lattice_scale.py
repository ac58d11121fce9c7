"""The pixel size checked against the lattice of a known material.

If the pixel size is wrong by some factor, so is every measured spacing, by the same factor. The factor is looked for
that brings most measured spacings onto known ones; where several very different factors do so equally well, or too few
spacings agree, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hrtem_dask.crystals.materials import Material, known_reflections

__all__ = ["LatticeScale", "lattice_scale_ratio"]


_MIN_STRENGTH = 0.01
"""Families much weaker than the strongest ({200} of CdTe: 0.002) are allowed, but not what one sees."""


class LatticeScale(NamedTuple):
    """How measured spacings compare with known ones."""

    ratio: float | None
    """Measured over known spacing: 1 where the pixel size is right, 1.05 where it is 5 % too large. None where the
    spacings do not tell."""
    n: int
    """Measured spacings that agree with the ratio."""
    spread: float | None
    """Scatter of their single ratios about it: 1.4826 × median absolute deviation, relative."""


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
        Name of a known material, or a crystal of your own.
    max_deviation : float
        Largest relative error of the pixel size considered. Beyond half the step between two families ({111} and
        {200} of a face-centred metal: 15 %) one would be taken for the other.
    assignment_tolerance : float
        A measured spacing agrees with a known one, scaled, that is this near, relative.
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
    # of candidates that explain equally many, the one nearest to all of them
    badness = np.minimum(distance, assignment_tolerance).sum(axis=0)
    best = int(np.lexsort((badness, -agreeing))[0])
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
