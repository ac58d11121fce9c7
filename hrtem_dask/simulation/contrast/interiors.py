"""What a crystal's inside looks like: factors on its mass-thickness contrast, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["INTERIORS", "interior"]

Interior = Callable[[np.random.Generator, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def interior(
    rng: np.random.Generator, kind: str, y: np.ndarray, x: np.ndarray, thickness: np.ndarray, mottle: np.ndarray
) -> np.ndarray:
    """Return the factor on a particle's optical depth at each place.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    kind : str
        A name in `INTERIORS`.
    y, x : numpy.ndarray
        Places over the particle's diameter, from its centre; they broadcast.
    thickness : numpy.ndarray
        Shape (y, x): thickness over the particle's diameter.
    mottle : numpy.ndarray
        Shape (y, x): noise of standard deviation 1.

    Returns
    -------
    numpy.ndarray of float32
        Shape (y, x), 0.05 and more, about 1.
    """
    return np.maximum(INTERIORS[kind](rng, y, x, thickness, mottle), np.float32(0.05))


def _plain(
    _rng: np.random.Generator, _y: np.ndarray, _x: np.ndarray, thickness: np.ndarray, _mottle: np.ndarray
) -> np.ndarray:
    return np.ones_like(thickness)


def _mottled(
    rng: np.random.Generator, _y: np.ndarray, _x: np.ndarray, _thickness: np.ndarray, mottle: np.ndarray
) -> np.ndarray:
    return 1 + np.float32(rng.uniform(0.1, 0.45)) * mottle


def _porous(
    rng: np.random.Generator, _y: np.ndarray, _x: np.ndarray, _thickness: np.ndarray, mottle: np.ndarray
) -> np.ndarray:
    openness = np.clip(mottle + np.float32(rng.uniform(-0.2, 0.6)), 0, 1.2)
    return 1 - np.float32(rng.uniform(0.35, 0.75)) * openness


def _grains(
    rng: np.random.Generator, y: np.ndarray, x: np.ndarray, thickness: np.ndarray, _mottle: np.ndarray
) -> np.ndarray:
    nearest = np.full(thickness.shape, np.inf, np.float32)
    factor = np.ones_like(thickness)
    for cy, cx in rng.uniform(-0.5, 0.5, (int(rng.integers(2, 8)), 2)).astype(np.float32):
        squared = (y - cy) ** 2 + (x - cx) ** 2
        factor = np.where(squared < nearest, np.float32(np.exp(rng.normal(0, 0.35))), factor)
        nearest = np.minimum(nearest, squared)
    return factor


def _bend(
    rng: np.random.Generator, y: np.ndarray, x: np.ndarray, thickness: np.ndarray, _mottle: np.ndarray
) -> np.ndarray:
    factor = np.ones_like(thickness)
    for _ in range(int(rng.integers(1, 4))):
        u, v = _along(rng, y, x)
        where = u + np.float32(rng.normal(0, 0.8)) * v * v - np.float32(rng.uniform(-0.4, 0.4))
        strength = rng.uniform(0.4, 1.6) if rng.random() < 0.75 else -rng.uniform(0.3, 0.7)
        factor += np.float32(strength) * np.exp(-((where / np.float32(rng.uniform(0.05, 0.22))) ** 2))
    return factor


def _fringes(
    rng: np.random.Generator, _y: np.ndarray, _x: np.ndarray, thickness: np.ndarray, _mottle: np.ndarray
) -> np.ndarray:
    phase = np.float32(2 * np.pi / rng.uniform(0.25, 0.7)) * thickness + np.float32(rng.uniform(0, 6.3))
    return np.asarray(1 + np.float32(rng.uniform(0.15, 0.5)) * np.cos(phase))


def _twin(
    rng: np.random.Generator, y: np.ndarray, x: np.ndarray, thickness: np.ndarray, _mottle: np.ndarray
) -> np.ndarray:
    u, _ = _along(rng, y, x)
    factor = np.ones_like(thickness)
    for start in np.sort(rng.uniform(-0.5, 0.5, int(rng.integers(1, 4)))):
        inside = (u > start) & (u < start + rng.uniform(0.05, 0.35))
        factor = np.where(inside, np.float32(rng.uniform(0.4, 1.7)), factor)
    return factor


INTERIORS: Mapping[str, Interior] = {
    "plain": _plain,
    "mottled": _mottled,
    "grains": _grains,
    "bend": _bend,
    "fringes": _fringes,
    "twin": _twin,
    "porous": _porous,
}
"""Kind → factor on the optical depth."""


def _along(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates along and across a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    s, c = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    return x * c + y * s, y * c - x * s
