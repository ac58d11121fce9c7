"""Pattern of the reflections of a region: number of sets of lattice planes, and number of lattices.

On a low-index zone axis several sets of lattice planes are parallel to the beam, and their wave vectors are integer
combinations of two. Away from it one set remains, or none. Two crystals in one region, or a twin, need more than one
lattice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hrtem_dask.fourier.compiled.nodes import best_pair_on_nodes
from hrtem_dask.fourier.lattice import MIN_ANGLE_DEG, Reflection

__all__ = ["PATTERN_COLUMNS", "between_deg", "lattice_shares", "pattern_features", "without_side_lobes"]

SIDE_LOBE_SIZES = 3.5
"""A maximum nearer than this to a stronger one (in reciprocal particle sizes) is a side lobe or a streak of it …"""
MAX_SIDE_LOBE_PER_NM = 0.6
"""… unless it is farther away than this (1/nm): then the two may be reflections of a particle and its twin."""
STRONG_SNR = 20.0
"""Noise alone reaches this SNR once in a million frequencies."""
MAX_BASIS = 7
"""Number of strongest reflections of which two span a lattice."""
MAX_INDEX = 3
"""Largest index of a reflection in the basis of its lattice."""
MIN_BASIS_SINE = 0.4
"""Smallest sine of the angle between basis vectors: reflections near in direction span a lattice dense enough for
noise to fit it."""
TOLERANCE_SIZES = 0.7
MIN_TOLERANCE_PER_NM = 0.12
"""Largest distance of a reflection from its lattice node: the larger one of so many reciprocal particle sizes and
so many 1/nm."""

PATTERN_COLUMNS = (
    "n_strong_reflections", "n_row_directions", "row_1_snr", "row_2_snr", "row_3_snr", "row_snr_ratio",
    "row_spacing_ratio", "row_angle_deg", "lattice_share_1", "lattice_share_2", "n_lattices",
)  # fmt: skip
"""Features of `pattern_features`; `tables.REGION_FEATURES` describes them."""


def between_deg(a: float, b: float) -> float:
    """Return the angle between two lines.

    Parameters
    ----------
    a, b : float
        Directions of the lines (°).

    Returns
    -------
    float
        Angle, 0 to 90 (°).

    Examples
    --------
    >>> between_deg(175, 5)
    10
    """
    return abs((a - b + 90) % 180 - 90)


def without_side_lobes(reflections: Sequence[Reflection], area_nm2: float, *, most: int) -> list[Reflection]:
    """Return the strongest reflections without their side lobes and streaks.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`.
    area_nm2 : float
        Area of the particle (nm²); the reflections of a small particle are broad.
    most : int
        Largest number of reflections to return.

    Returns
    -------
    list of Reflection
        Reflections, largest SNR first.
    """
    near = min(SIDE_LOBE_SIZES / math.sqrt(area_nm2), MAX_SIDE_LOBE_PER_NM)
    kept: list[Reflection] = []
    for r in sorted(reflections, key=lambda r: -r.snr):
        y, x = r.frequency_y_per_nm, r.frequency_x_per_nm
        if all(
            math.hypot(y - sign * k.frequency_y_per_nm, x - sign * k.frequency_x_per_nm) > near
            for k in kept
            for sign in (1, -1)
        ):
            kept.append(r)
            if len(kept) == most:  # those after it are weaker
                break
    return kept


def pattern_features(reflections: Sequence[Reflection], *, diameter_nm: float) -> dict[str, float]:
    """Describe the pattern of a region's reflections.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections` with a low minimal SNR of 12; reflections of noise have little weight.
    diameter_nm : float
        Equivalent diameter of the region (nm), which determines the width of its reflections.

    Returns
    -------
    dict of str to float
        Features named in `PATTERN_COLUMNS`; NaN where there is nothing to measure.
    """
    rows: list[Reflection] = []
    for r in sorted(reflections, key=lambda r: -r.snr):
        if all(between_deg(r.direction_deg, other.direction_deg) >= MIN_ANGLE_DEG for other in rows):
            rows.append(r)
    snr = [r.snr for r in rows[:3]] + [1.0] * (3 - len(rows[:3]))
    shares = lattice_shares(reflections, diameter_nm=diameter_nm)
    two = len(rows) > 1
    return {
        "n_strong_reflections": float(sum(r.snr >= STRONG_SNR for r in reflections)),
        "n_row_directions": float(sum(r.snr >= STRONG_SNR for r in rows)),
        "row_1_snr": snr[0],
        "row_2_snr": snr[1],
        "row_3_snr": snr[2],
        "row_snr_ratio": snr[1] / snr[0] if two else 0.0,
        "row_spacing_ratio": rows[0].spacing_nm / rows[1].spacing_nm if two else np.nan,
        "row_angle_deg": between_deg(rows[0].direction_deg, rows[1].direction_deg) if two else np.nan,
        "lattice_share_1": shares[0] if shares else 0.0,
        "lattice_share_2": shares[1] if len(shares) > 1 else 0.0,
        "n_lattices": float(sum(share > 0.1 for share in shares)),
    }


def lattice_shares(reflections: Sequence[Reflection], *, diameter_nm: float, most: int = 3) -> list[float]:
    """Assign reflections to lattices, one lattice after the other.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`.
    diameter_nm : float
        Equivalent diameter of the region (nm).
    most : int
        Largest number of lattices.

    Returns
    -------
    list of float
        Share of the sum of log(SNR) of all reflections that each lattice explains, 0 to 1. Each lattice explains
        reflections that the ones before do not. It is spanned by two of the strongest remaining reflections; if they
        are all in one direction, it is the row of the strongest one.

    Examples
    --------
    >>> from hrtem_dask.fourier import Reflection
    >>> square = [Reflection(0.0, 4.0, 100.0), Reflection(4.0, 0.0, 100.0), Reflection(4.0, 4.0, 100.0)]
    >>> lattice_shares(square, diameter_nm=5.0)
    [1.0]
    >>> other_crystal = Reflection(1.5, 6.1, 100.0)
    >>> lattice_shares([*square, other_crystal], diameter_nm=5.0)
    [0.75, 0.25]
    """
    if not reflections:
        return []
    ordered = sorted(reflections, key=lambda r: -r.snr)
    vectors = np.array([[r.frequency_y_per_nm, r.frequency_x_per_nm] for r in ordered])
    weight = np.log(np.maximum([r.snr for r in ordered], 1.01))
    tolerance = max(TOLERANCE_SIZES / diameter_nm, MIN_TOLERANCE_PER_NM)
    remaining = np.ones(len(vectors), bool)
    shares: list[float] = []
    while remaining.any() and len(shares) < most:
        explained = _best_lattice(vectors, weight, remaining, tolerance)
        shares.append(float(weight[explained].sum() / weight.sum()))
        remaining &= ~explained
    return shares


def _best_lattice(vectors: np.ndarray, weight: np.ndarray, remaining: np.ndarray, tolerance: float) -> np.ndarray:
    """Return which remaining reflections belong to the lattice, or row, that explains most of them."""
    candidates = np.flatnonzero(remaining)
    first = vectors[candidates[0]]
    beside = np.abs(vectors[:, 0] * first[1] - vectors[:, 1] * first[0]) / np.hypot(*first)
    best = remaining & (beside < tolerance)  # the row of the strongest
    found, explained = best_pair_on_nodes(
        *(vectors, weight, remaining, candidates[:MAX_BASIS], tolerance, MAX_INDEX, MIN_BASIS_SINE)
    )
    return explained if found else np.asarray(best)
