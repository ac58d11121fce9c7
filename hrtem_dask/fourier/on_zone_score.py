"""Whether a particle is seen along a zone axis, told without knowing its crystal.

On a low-index zone axis the beam runs along atomic rows, and the spectrum shows a two-dimensional lattice of
reflections; away from every such axis it shows one set of fringes or none [1]. So what tells is the second
direction, and that further reflections are sums of the first two.

References
----------
[1] Groschner et al., Microsc. Microanal. 27 (2021) 549: the class "misoriented".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrtem_dask.fourier.lattice import MIN_ANGLE_DEG, Reflection

__all__ = ["NOISE_SNR", "evidence", "on_zone_score", "position_errors_per_nm"]

NOISE_SNR = 8.0
"""Below this a maximum of the spectrum is noise; among thousands of frequencies, some noise reaches it."""
FULL_SNR = 200.0
"""From here on a reflection is full evidence."""
STRAIN = 0.012
"""Relative error of a frequency: strain, pixel size, tilt."""
WIDTH_SHARE = 0.18
"""Error of a reflection's position times the size of the crop."""
_COEFFICIENTS = (-1.81, -0.62, 2.93, 1.21)
"""Intercept, first direction, second direction, lattice: logistic regression on simulated particles."""
_BASES = 4
"""Reflections that are tried as the lattice's second vector."""


def evidence(snr: np.ndarray) -> np.ndarray:
    """Return how much a reflection counts.

    Parameters
    ----------
    snr : numpy.ndarray
        Power over the median power of the ring, any shape.

    Returns
    -------
    numpy.ndarray
        From 0 (SNR 8) to 1 (200 and more), linear in the logarithm; the same shape.
    """
    return np.asarray(np.clip(_log_evidence(snr), 0, 1))


def position_errors_per_nm(position: np.ndarray, size_nm: float) -> np.ndarray:
    """Return the standard deviation of each component of reflections' positions.

    Parameters
    ----------
    position : numpy.ndarray
        Shape (n, 2), 1/nm.
    size_nm : float
        Size of the crop (nm).

    Returns
    -------
    numpy.ndarray
        Shape (n,), 1/nm.
    """
    return np.asarray(np.hypot(STRAIN * np.hypot(*position.T), WIDTH_SHARE / size_nm))


def on_zone_score(reflections: Sequence[Reflection], *, size_nm: float) -> float:
    """Judge whether a particle is on a low-index zone axis, from its reflections alone.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`, weak ones (SNR 8 and more) included, by falling SNR.
    size_nm : float
        Shorter side of the crop (nm).

    Returns
    -------
    float
        0 (misoriented, or nothing to see) to 1 (on zone): logistic in the evidence for the strongest reflection, for
        the strongest of another direction, and for further ones on the lattice that two of them span, less what
        chance would put there.
    """
    intercept, *slopes = _COEFFICIENTS
    terms = _terms(reflections, size_nm)
    return float(1 / (1 + np.exp(-intercept - np.dot(slopes, terms))))


def _terms(reflections: Sequence[Reflection], size_nm: float) -> tuple[float, float, float]:
    """Return the evidence for a first direction, a second one, and their lattice."""
    if not reflections:
        return 0.0, 0.0, 0.0
    position = np.array([(r.frequency_x_per_nm, -r.frequency_y_per_nm) for r in reflections])
    weight = np.clip(_log_evidence(np.array([r.snr for r in reflections])), 0, 2)
    direction = np.degrees(np.arctan2(position[:, 1], position[:, 0]))
    others = np.flatnonzero(np.abs((direction - direction[0] + 90) % 180 - 90) > MIN_ANGLE_DEG)
    if not others.size:
        return float(weight[0]), 0.0, 0.0
    error = position_errors_per_nm(position, size_nm)
    lattice = max(_on_lattice(position, weight, error, int(k)) for k in others[:_BASES])
    return float(weight[0]), float(weight[others[0]]), max(lattice, 0.0)


def _on_lattice(position: np.ndarray, weight: np.ndarray, error: np.ndarray, second: int) -> float:
    """Return the evidence on the lattice of reflections 0 and `second`, those two left out, less chance's share."""
    basis = position[[0, second]]
    steps = position @ np.linalg.inv(basis)
    distance = np.hypot(*((steps - np.round(steps)) @ basis).T) / error
    chance = np.minimum(2 * np.pi * np.square(error) / np.abs(np.linalg.det(basis)), 1)
    gain = weight * (np.exp(-0.5 * np.square(distance)) - chance)
    gain[[0, second]] = 0
    return float(gain.sum())


def _log_evidence(snr: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(snr, NOISE_SNR) / NOISE_SNR) / np.log(FULL_SNR / NOISE_SNR))
