"""Which reflections lie on the lattice that two of them span."""

from __future__ import annotations

import math

import numpy as np

from hrtem_dask.machine_code import compiled

__all__ = ["best_pair_on_nodes", "evidence_on_nodes"]


@compiled("float64[:, ::1], float64[::1], float64[::1], int64")
def evidence_on_nodes(
    position: np.ndarray, weight: np.ndarray, error: np.ndarray, second: int
) -> float:  # pragma: no cover
    """Return the evidence of further reflections on the lattice of two, minus that expected by chance.

    Parameters
    ----------
    position : numpy.ndarray of float64
        Shape (n, 2): positions of reflections; the first one is a basis vector.
    weight : numpy.ndarray of float64
        Shape (n,): evidence for each of them.
    error : numpy.ndarray of float64
        Shape (n,): standard deviation of each position.
    second : int
        Number of the other basis vector, not parallel to the first.

    Returns
    -------
    float
        Sum over all other reflections.
    """
    ay, ax = position[0, 0], position[0, 1]
    by, bx = position[second, 0], position[second, 1]
    area = ay * bx - ax * by
    total = 0.0
    for k in range(len(position)):
        if k == 0 or k == second:
            continue
        y, x = position[k, 0], position[k, 1]
        a, b = (y * bx - x * by) / area, (x * ay - y * ax) / area
        a, b = a - round(a), b - round(b)
        distance = math.hypot(a * ay + b * by, a * ax + b * bx) / error[k]
        chance = min(2 * math.pi * error[k] * error[k] / abs(area), 1.0)
        total += weight[k] * (math.exp(-0.5 * distance * distance) - chance)
    return total


@compiled()
def _explained(
    vectors: np.ndarray, remaining: np.ndarray, first: int, second: int, tolerance: float, max_index: int
) -> np.ndarray:  # pragma: no cover
    """Return which remaining reflections are nodes of the lattice of two of them."""
    ay, ax = vectors[first, 0], vectors[first, 1]
    by, bx = vectors[second, 0], vectors[second, 1]
    area = ay * bx - ax * by
    found = np.zeros(len(vectors), np.bool_)
    for k in range(len(vectors)):
        if remaining[k]:
            y, x = vectors[k, 0], vectors[k, 1]
            a = min(max(round((y * bx - x * by) / area), -max_index), max_index)
            b = min(max(round((x * ay - y * ax) / area), -max_index), max_index)
            if a != 0 or b != 0:
                found[k] = math.hypot(y - a * ay - b * by, x - a * ax - b * bx) < tolerance
    return found


@compiled("float64[:, ::1], float64[::1], boolean[::1], int64[::1], float64, int64, float64")
def best_pair_on_nodes(
    vectors: np.ndarray,
    weight: np.ndarray,
    remaining: np.ndarray,
    candidates: np.ndarray,
    tolerance: float,
    max_index: int,
    min_sine: float,
) -> tuple[bool, np.ndarray]:  # pragma: no cover
    """Return which reflections the lattice of two of them explains, for the two with the largest weight.

    Parameters
    ----------
    vectors : numpy.ndarray of float64
        Shape (n, 2): positions of reflections.
    weight : numpy.ndarray of float64
        Shape (n,).
    remaining : numpy.ndarray of bool
        Shape (n,): reflections that may be explained.
    candidates : numpy.ndarray of int
        Shape (m,): reflections of which two span a lattice.
    tolerance : float
        Largest distance of a reflection from its node.
    max_index : int
        Largest index of a node.
    min_sine : float
        Smallest sine of the angle between the two.

    Returns
    -------
    found : bool
        Whether any two span a lattice.
    explained : numpy.ndarray of bool
        Shape (n,).
    """
    best = np.zeros(len(vectors), np.bool_)
    most, found = -1.0, False
    for i in range(candidates.size):
        ay, ax = vectors[candidates[i], 0], vectors[candidates[i], 1]
        for j in range(i + 1, candidates.size):
            by, bx = vectors[candidates[j], 0], vectors[candidates[j], 1]
            if abs(ay * bx - ax * by) < min_sine * math.hypot(ay, ax) * math.hypot(by, bx):
                continue
            explained = _explained(vectors, remaining, candidates[i], candidates[j], tolerance, max_index)
            total = 0.0
            for k in range(weight.size):
                if explained[k]:
                    total += weight[k]
            if total > most:
                most, found, best = total, True, explained
    return found, best
