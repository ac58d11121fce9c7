"""What particles lie on, and what else lies there: films, nets, holes, patches, shells and dirt. None is a particle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.simulation.contrast.textures import grains, ridges

__all__ = ["SUPPORTS", "Film", "add_contamination", "add_dirt", "add_ligands", "support"]

FINEST_PX = 1.2


@dataclass
class Film:
    """What the support does to the beam at each pixel."""

    depth: np.ndarray
    """Shape (y, x), float32: optical depth, −ln of the intensity behind it."""
    phase: np.ndarray
    """Shape (y, x), float32: phase (rad)."""


def support(rng: np.random.Generator, kind: str, shape: tuple[int, int], *, contrast: float, grain_px: float) -> Film:
    """Make a support.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    kind : str
        A name in `SUPPORTS`.
    shape : tuple of int
        (y, x) in px.
    contrast : float
        Standard deviation of its texture's contrast.
    grain_px : float
        Grain size of its texture (px).

    Returns
    -------
    Film
        The support.
    """
    return SUPPORTS[kind](rng, shape, contrast, grain_px)


def _carbon(rng: np.random.Generator, shape: tuple[int, int], contrast: float, grain_px: float) -> Film:
    texture = grains(rng, shape, grain_px)
    if rng.random() < 0.6:
        share = np.float32(rng.uniform(0.3, 0.7))
        coarser = grain_px * rng.uniform(2.5, 8)
        texture = (1 - share) * texture + share * grains(rng, shape, min(coarser, shape[0] / 3))
    # part of the texture is phase, which shows as the lens has it
    phase = np.float32(rng.uniform(0, 4) * contrast) * grains(rng, shape, FINEST_PX + 0.2 * min(grain_px, 4))
    return Film(np.float32(contrast) * texture, phase)


def _graphene(rng: np.random.Generator, shape: tuple[int, int], contrast: float, grain_px: float) -> Film:
    film = _carbon(rng, shape, 0.15 * contrast, grain_px)
    if rng.random() < 0.6:  # clean areas between contaminated ones
        where = _smooth_step(grains(rng, shape, rng.uniform(50, 200)), rng.normal(0, 0.5), 0.2)
        film.depth += np.float32(rng.uniform(0.02, 0.1)) * where
        film.depth += np.float32(0.5 * contrast) * where * grains(rng, shape, grain_px)
    return film


def _thick(rng: np.random.Generator, shape: tuple[int, int], contrast: float, grain_px: float) -> Film:
    film = _carbon(rng, shape, contrast, grain_px)
    film.depth += np.float32(rng.uniform(0.03, 0.18)) * grains(rng, shape, rng.uniform(60, 300))
    if rng.random() < 0.35:  # the edge of a second layer
        y, x = _centred(shape)
        angle, bow = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.0008)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        beyond = u + bow * v * v + rng.uniform(-0.35, 0.35) * shape[0] + 3 * grains(rng, shape, 40)
        film.depth += np.float32(rng.uniform(0.1, 0.6)) * _smooth_step(beyond, 0, rng.uniform(0.5, 4))
    return film


def _wrinkled(rng: np.random.Generator, shape: tuple[int, int], contrast: float, grain_px: float) -> Film:
    film = _carbon(rng, shape, contrast, grain_px)
    for _ in range(int(rng.integers(1, 4))):
        lines = ridges(rng, shape, spacing_px=rng.uniform(80, 300), width_px=rng.uniform(2, 9))
        strength = np.float32(rng.uniform(0.03, 0.18))
        # each line fades out along its way
        fading = np.clip(grains(rng, shape, 120) + np.float32(0.3), 0, 1)
        film.depth += strength * lines * fading
    return film


def _lacey(rng: np.random.Generator, shape: tuple[int, int], contrast: float, grain_px: float) -> Film:
    film = _carbon(rng, shape, contrast, grain_px)
    spacing = rng.uniform(90, 350)
    strands = ridges(rng, shape, spacing_px=spacing, width_px=spacing * rng.uniform(0.08, 0.25))
    return _cut(film, _smooth_step(strands, rng.uniform(0.2, 0.6), 0.08), rng.uniform(0.1, 0.7), rng.uniform(0, 0.3))


def _holey(rng: np.random.Generator, shape: tuple[int, int], contrast: float, grain_px: float) -> Film:
    film = _carbon(rng, shape, contrast, grain_px)
    field = grains(rng, shape, rng.uniform(60, 250))
    return _cut(film, _smooth_step(field, rng.uniform(-1.2, 0.2), 0.06), rng.uniform(0.08, 0.5), 0.02)


def _vacuum(_rng: np.random.Generator, shape: tuple[int, int], _contrast: float, _grain_px: float) -> Film:
    return Film(np.zeros(shape, np.float32), np.zeros(shape, np.float32))


SUPPORTS: Mapping[str, Callable[[np.random.Generator, tuple[int, int], float, float], Film]] = {
    "carbon": _carbon,
    "graphene": _graphene,
    "thick": _thick,
    "wrinkled": _wrinkled,
    "lacey": _lacey,
    "holey": _holey,
    "vacuum": _vacuum,
}
"""Support → what makes it."""


def add_contamination(rng: np.random.Generator, film: Film) -> None:
    """Put patches, stains or drying rings on a film.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    film : Film
        Changed in place.
    """
    shape = film.depth.shape
    field = grains(rng, (shape[0], shape[1]), rng.uniform(50, 220))
    field += np.float32(rng.uniform(0, 0.1)) * grains(rng, (shape[0], shape[1]), rng.uniform(10, 30))
    level = rng.uniform(0.4, 1.4)
    soft = rng.uniform(0.1, 0.6)
    strength = np.float32(rng.uniform(0.03, 0.3))
    if rng.random() < 0.3:  # a drying ring
        film.depth += strength * np.exp(-(((field - np.float32(level)) / np.float32(soft)) ** 2))
    else:
        film.depth += strength * _smooth_step(field, level, soft)


def add_ligands(rng: np.random.Generator, film: Film, cover: np.ndarray) -> None:
    """Put a faint organic shell around the particles.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    film : Film
        Changed in place.
    cover : numpy.ndarray
        Shape (y, x), float32: share of each pixel that is particle.
    """
    width = rng.uniform(1.5, 6)
    around = cv2.GaussianBlur(cover, (0, 0), width)
    shell = np.clip(around * np.float32(rng.uniform(2.0, 4.0)), 0, 1) * (1 - cover)
    film.depth += np.float32(rng.uniform(0.02, 0.12)) * shell


def add_dirt(rng: np.random.Generator, film: Film, largest_px: float) -> int:
    """Put specks on a film, smaller than any particle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    film : Film
        Changed in place.
    largest_px : float
        Largest diameter of a speck (px).

    Returns
    -------
    int
        Number of specks.
    """
    n = int(rng.integers(3, 80))
    height, width = film.depth.shape
    specks = np.zeros((height, width), np.float32)
    smallest = min(1.0, 0.7 * largest_px)
    for y, x, d in zip(
        rng.integers(0, height, n), rng.integers(0, width, n),
        rng.uniform(smallest, largest_px, n), strict=True,
    ):  # fmt: skip
        half = int(np.ceil(d)) + 1
        window = specks[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]
        v = np.arange(window.shape[0], dtype=np.float32)[:, None] + np.float32(max(y - half, 0) - y)
        u = np.arange(window.shape[1], dtype=np.float32)[None, :] + np.float32(max(x - half, 0) - x)
        np.maximum(window, np.exp(-2.8 * (v * v + u * u) / np.float32(d * d)), out=window)
    film.depth += np.float32(rng.uniform(0.05, 0.7)) * specks
    return n


def _cut(film: Film, there: np.ndarray, depth: float, inner: float) -> Film:
    """Leave a film where it is there, with a depth of its own that changes by `inner` along it."""
    thickness = np.float32(depth) * there * (1 + np.float32(inner) * film.depth / max(float(film.depth.std()), 1e-6))
    return Film(film.depth * there + thickness, film.phase * there + np.float32(0.8) * thickness)


def _smooth_step(field: np.ndarray, level: float, softness: float) -> np.ndarray:
    """Return 0 below a level and 1 above it, over a soft border."""
    t = np.clip((field - np.float32(level)) / np.float32(max(softness, 1e-3)) * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _centred(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return (y, x) from the middle, as an open grid."""
    y = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(shape[0] / 2)
    x = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(shape[1] / 2)
    return y, x
