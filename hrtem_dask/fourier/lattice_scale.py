"""Check of the pixel size against the lattice of a known material.

An error of the pixel size changes every measured spacing by the same factor. The factor is searched that makes most
measured spacings agree with known ones. There is no result if several very different factors do so equally well, or if
too few spacings agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hrtem_dask.crystals.materials import Material
from hrtem_dask.crystals.reflections import known_reflections

__all__ = ["LatticeScale", "lattice_scale_ratio"]

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
