"""Score for a particle on a low-index zone axis that does not need its material.

On a low-index zone axis the beam runs along rows of atoms, and the spectrum has a two-dimensional lattice of
reflections; away from every such axis it has one set of fringes or none [1]. So the score depends on reflections in a
second direction, and on further reflections that are sums of the first two.

References
----------
[1] Groschner et al., Microsc. Microanal. 27 (2021) 549: the class "misoriented".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrtem_dask.fourier.compiled.nodes import evidence_on_nodes
from hrtem_dask.fourier.lattice import MIN_ANGLE_DEG, Reflection

__all__ = ["NOISE_SNR", "evidence", "on_zone_score", "position_errors_per_nm"]

NOISE_SNR = 8.0
"""Maxima of the spectrum below this SNR are noise; among thousands of frequencies some noise reaches it."""
FULL_SNR = 200.0
"""Reflections with this SNR or more have an evidence of 1."""
STRAIN = 0.012
"""Relative error of a frequency by strain, pixel size and tilt."""
WIDTH_SHARE = 0.18
"""Error of the position of a reflection times the size of the crop."""
_COEFFICIENTS = (-1.15, -0.61, 3.25, 0.48)
"""Intercept, first direction, second direction, lattice; by logistic regression on the simulated particles of
`zone_axis._CALIBRATION`."""
_BASES = 4
"""Number of reflections that are tried as the second basis vector of the lattice."""


def evidence(snr: np.ndarray) -> np.ndarray:
    """Return the weight of reflections as evidence.

    Parameters
    ----------
    snr : numpy.ndarray
        Ratio of the power to the median power of the ring, any shape.

    Returns
    -------
    numpy.ndarray
        Same shape, from 0 (SNR 8 or less) to 1 (200 or more), linear in the logarithm.
    """
    return np.asarray(np.clip(_log_evidence(snr), 0, 1))


def position_errors_per_nm(position: np.ndarray, size_nm: float) -> np.ndarray:
    """Return the standard deviation of each component of the position of reflections.

    Parameters
    ----------
    position : numpy.ndarray
        Shape (n, 2): positions (1/nm).
    size_nm : float
        Size of the crop (nm).

    Returns
    -------
    numpy.ndarray
        Shape (n,): standard deviations (1/nm).
    """
    return np.asarray(np.hypot(STRAIN * np.hypot(*position.T), WIDTH_SHARE / size_nm))


def on_zone_score(reflections: Sequence[Reflection], *, size_nm: float) -> float:
    """Judge whether a particle is on a low-index zone axis, from its reflections alone.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections` with a minimal SNR of 8, largest SNR first.
    size_nm : float
        Shorter side of the crop (nm).

    Returns
    -------
    float
        0 (misoriented, or no reflections) to 1 (on zone): logistic in the evidence for the strongest reflection, for
        the strongest one in another direction, and for further ones on the lattice that two of them span, minus the
        expected number by chance.

    Examples
    --------
    >>> from hrtem_dask.fourier import Reflection
    >>> row = [Reflection(0.0, 4.0, 300.0)]
    >>> lattice = [*row, Reflection(4.0, 0.0, 250.0), Reflection(4.0, 4.0, 200.0), Reflection(-4.0, 4.0, 200.0)]
    >>> on_zone_score(row, size_nm=4.0) < 0.2, on_zone_score(lattice, size_nm=4.0) > 0.9
    (True, True)
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
    lattice = max(evidence_on_nodes(position, weight, error, int(k)) for k in others[:_BASES])
    return float(weight[0]), float(weight[others[0]]), max(lattice, 0.0)


def _log_evidence(snr: np.ndarray) -> np.ndarray:
    """Return the evidence without its upper limit."""
    return np.asarray(np.log(np.maximum(snr, NOISE_SNR) / NOISE_SNR) / np.log(FULL_SNR / NOISE_SNR))
