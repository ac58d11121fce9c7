"""The pattern that the reflections of one region make: how many rows of planes, and of how many lattices.

On a low-index zone axis several rows of lattice planes stand along the beam, and their wave vectors are whole-number
combinations of two. Off it one row is left, or none. Two crystals in one region, or a twin, need more than one lattice.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from hrtem_dask.fourier.lattice import MIN_ANGLE_DEG, Reflection

__all__ = ["PATTERN_COLUMNS", "between_deg", "lattice_shares", "pattern_features", "without_side_lobes"]

SIDE_LOBE_SIZES = 3.5
"""Nearer than so many reciprocal particle sizes to a stronger reflection a maximum is its side lobe, or its streak."""
MAX_SIDE_LOBE_PER_NM = 0.6
"""But two reflections farther apart than this (1/nm) may be of a particle and its twin."""
STRONG_SNR = 20.0
"""Noise alone reaches this SNR once in a million frequencies."""
MAX_BASIS = 7
"""A lattice is spanned by two of so many strongest reflections."""
MAX_INDEX = 3
MIN_BASIS_SINE = 0.4
"""Two reflections nearer in direction span no lattice that noise would not fill too."""
TOLERANCE_SIZES = 0.7
MIN_TOLERANCE_PER_NM = 0.12
"""A reflection is of a lattice within so many reciprocal particle sizes, or 1/nm, of its node."""

PATTERN_COLUMNS = (
    "n_strong_reflections", "n_row_directions", "row_1_snr", "row_2_snr", "row_3_snr", "row_snr_ratio",
    "row_spacing_ratio", "row_angle_deg", "lattice_share_1", "lattice_share_2", "n_lattices",
)  # fmt: skip
"""Features of `pattern_features`; `tables.REGION_FEATURES` says what they mean."""


def between_deg(a: float, b: float) -> float:
    """Return the angle between two lines.

    Parameters
    ----------
    a, b : float
        Their directions (°).

    Returns
    -------
    float
        0 to 90 (°).
    """
    return abs((a - b + 90) % 180 - 90)


def without_side_lobes(reflections: Sequence[Reflection], area_nm2: float, *, most: int) -> list[Reflection]:
    """Return the strongest reflections, without those so near to a stronger one that they are part of it.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`.
    area_nm2 : float
        Area of the particle (nm²): a small one has broad reflections.
    most : int
        How many are kept at most.

    Returns
    -------
    list of Reflection
        By falling SNR.
    """
    near = min(SIDE_LOBE_SIZES / float(np.sqrt(area_nm2)), MAX_SIDE_LOBE_PER_NM)
    kept: list[Reflection] = []
    for r in sorted(reflections, key=lambda r: -r.snr):
        y, x = r.frequency_y_per_nm, r.frequency_x_per_nm
        distances = [
            np.hypot(y - sign * k.frequency_y_per_nm, x - sign * k.frequency_x_per_nm) for k in kept for sign in (1, -1)
        ]
        if min(distances, default=np.inf) > near:
            kept.append(r)
    return kept[:most]


def pattern_features(reflections: Sequence[Reflection], *, diameter_nm: float) -> dict[str, float]:
    """Describe the pattern of a region's reflections.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`, of low minimal SNR (12): noise hardly weighs.
    diameter_nm : float
        Equivalent diameter of the region (nm), which says how broad its reflections are.

    Returns
    -------
    dict of str to float
        The names of `PATTERN_COLUMNS`; NaN where there is nothing to measure.
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
    """Explain reflections by lattices, one after the other.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`.
    diameter_nm : float
        Equivalent diameter of the region (nm).
    most : int
        Number of lattices looked for.

    Returns
    -------
    list of float
        For each lattice, the share of the sum of log(SNR) that it explains of what the ones before left, 0 to 1. A
        lattice is spanned by two of the strongest reflections that are left; where there are none at an angle, it is
        the row of the strongest.
    """
    if not reflections:
        return []
    ordered = sorted(reflections, key=lambda r: -r.snr)
    vectors = np.array([[r.frequency_y_per_nm, r.frequency_x_per_nm] for r in ordered])
    weight = np.log(np.maximum([r.snr for r in ordered], 1.01))
    tolerance = max(TOLERANCE_SIZES / diameter_nm, MIN_TOLERANCE_PER_NM)
    left = np.ones(len(vectors), bool)
    shares: list[float] = []
    while left.any() and len(shares) < most:
        of_lattice = _best_lattice(vectors, weight, left, tolerance)
        shares.append(float(weight[of_lattice].sum() / weight.sum()))
        left &= ~of_lattice
    return shares


def _best_lattice(vectors: np.ndarray, weight: np.ndarray, left: np.ndarray, tolerance: float) -> np.ndarray:
    """Return which of the reflections left belong to the lattice, or row, that explains most."""
    candidates = np.flatnonzero(left)
    first = vectors[candidates[0]]
    beside = np.abs(vectors[:, 0] * first[1] - vectors[:, 1] * first[0]) / np.hypot(*first)
    best = left & (beside < tolerance)  # the row
    if (pairs := _bases(vectors, candidates[:MAX_BASIS])).size:
        basis = vectors[pairs].transpose(0, 2, 1)  # (pair, component, vector)
        index = np.clip(np.round(np.linalg.inv(basis) @ vectors.T), -MAX_INDEX, MAX_INDEX)
        off = np.linalg.norm(vectors.T - basis @ index, axis=1)
        explained = (off < tolerance) & (np.abs(index).max(1) > 0) & left
        most = int((explained * weight).sum(1).argmax())
        best = explained[most]
    return np.asarray(best)


def _bases(vectors: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return pairs of reflections at an angle: (pair, 2) indices."""
    pairs = np.array(list(itertools.combinations(candidates.tolist(), 2)), np.int64).reshape(-1, 2)
    a, b = vectors[pairs[:, 0]], vectors[pairs[:, 1]]
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    return np.asarray(pairs[area >= MIN_BASIS_SINE * np.hypot(*a.T) * np.hypot(*b.T)])
