"""Vesicles and holes: where they lie, how they are outlined, and what they do to the beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.simulation.scenes.scene import SceneObject

__all__ = ["VESICLE_CLASSES", "Vesicle", "VesicleLook", "paint_vesicles", "place_apart"]

VESICLE_CLASSES = ("large_vesicle", "small_vesicle", "hole")
"""Large light regions with a faint membrane; small dark ones; small bright circles (Zhong et al. 2021)."""
N_DIRECTIONS = 720


@dataclass(frozen=True)
class Vesicle:
    """A vesicle or hole: positions and lengths in px, centers of pixels are whole numbers."""

    kind: str
    """A name in `VESICLE_CLASSES`."""
    y_px: float
    """Center."""
    x_px: float
    """Center."""
    radius_px: np.ndarray
    """Shape (720,), float32: distance of the outline from the center in each direction, from +x towards +y."""

    @property
    def reach_px(self) -> float:
        """Largest radius."""
        return float(self.radius_px.max())


@dataclass(frozen=True, kw_only=True)
class VesicleLook:
    """What the objects of one scene do to the beam: optical depths, about relative changes of intensity."""

    interior: float
    """By how much a large vesicle is lighter."""
    membrane: float
    """By how much its membrane is darker."""
    membrane_px: float
    """Width of the membrane (px)."""
    bilayer: bool
    """Whether the membrane shows two lines."""
    small: float
    """By how much a small vesicle is darker."""
    small_ring: float
    """0 for a filled small vesicle, 1 for a ring."""
    hole: float
    """By how much a hole is lighter."""


def wavy_radius(rng: np.random.Generator, radius_px: float, *, waviness: float) -> np.ndarray:
    """Draw an outline around a circle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    radius_px : float
        Radius of the disk of the same area (px).
    waviness : float
        Standard deviation of the radius over the radius.

    Returns
    -------
    numpy.ndarray of float32
        Shape (720,): radius in each direction (px).
    """
    angle = np.arange(N_DIRECTIONS) * (2 * np.pi / N_DIRECTIONS)
    order = np.arange(2, 7)
    weight = rng.standard_normal(5) / (order / 2.0) ** 1.5
    wave = (weight[:, None] * np.cos(order[:, None] * angle + rng.uniform(0, 2 * np.pi, (5, 1)))).sum(axis=0)
    radius = np.maximum(1 + waviness * wave / max(float(wave.std()), 1e-6), 0.4)
    return np.asarray(radius_px * radius / np.sqrt((radius**2).mean()), np.float32)


def place_apart(
    rng: np.random.Generator,
    kind: str,
    diameters_px: Sequence[float],
    *,
    size_px: int,
    waviness: float,
    overlap: float,
    others: Sequence[Vesicle] = (),
) -> list[Vesicle]:
    """Place objects so that they overlap no more than allowed.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    kind : str
        A name in `VESICLE_CLASSES`.
    diameters_px : sequence of float
        Equivalent diameters (px).
    size_px : int
        Side of the field.
    waviness : float
        Standard deviation of the radius over the radius.
    overlap : float
        Share of the smaller radius by which two may overlap.
    others : sequence of Vesicle
        Objects that are there already, which also must not be overlapped by more.

    Returns
    -------
    list of Vesicle
        Those that found a place in 20 trials.
    """
    taken = [(v.y_px, v.x_px, float(np.sqrt((v.radius_px**2).mean()))) for v in others]
    made = []
    for diameter in diameters_px:
        radius = diameter / 2
        for _ in range(20):
            y, x = (float(v) for v in rng.uniform(-0.5 * radius, size_px + 0.5 * radius, 2))
            if taken:
                near = np.array(taken)
                free = radius + near[:, 2] - overlap * np.minimum(radius, near[:, 2])
                if (np.hypot(near[:, 0] - y, near[:, 1] - x) < free).any():
                    continue
            taken.append((y, x, radius))
            made.append(Vesicle(kind, y, x, wavy_radius(rng, radius, waviness=waviness)))
            break
    return made


def paint_vesicles(
    rng: np.random.Generator, depth: np.ndarray, vesicles: Sequence[Vesicle], look: VesicleLook, *, size_px: int
) -> list[SceneObject]:
    """Paint vesicles and holes, all of them translucent.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    depth : numpy.ndarray of float32
        Shape (y, x): optical depth of the field with an equal margin on all sides, changed in place.
    vesicles : sequence of Vesicle
        What to paint.
    look : VesicleLook
        What it does to the beam.
    size_px : int
        Side of the field (px).

    Returns
    -------
    list of SceneObject
        Those that reach into the field, in the same order.
    """
    margin = (depth.shape[0] - size_px) // 2
    made = []
    for vesicle in vesicles:
        beyond = vesicle.reach_px + 3 * look.membrane_px + 2
        y0, x0 = (max(int(np.floor(p + margin - beyond)), 0) for p in (vesicle.y_px, vesicle.x_px))
        y1, x1 = (min(int(np.ceil(p + margin + beyond)) + 1, depth.shape[0]) for p in (vesicle.y_px, vesicle.x_px))
        if y1 <= y0 or x1 <= x0:
            continue
        y = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(vesicle.y_px + margin)
        x = np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(vesicle.x_px + margin)
        direction = np.arctan2(y, x)
        distance = np.hypot(y, x) - vesicle.radius_px[np.rint(direction * (N_DIRECTIONS / 2 / np.pi)).astype(np.intp)]
        depth[y0:y1, x0:x1] += _depth(rng, vesicle, look, distance, direction)
        # a membrane belongs to its vesicle, whose outline is the middle of the membrane
        edge = look.membrane_px / 2 if vesicle.kind == "large_vesicle" else 0.0
        thing = _object(vesicle, distance < edge, y0 - margin, x0 - margin, size_px)
        if thing is not None:
            made.append(thing)
    return made


def _depth(
    rng: np.random.Generator, vesicle: Vesicle, look: VesicleLook, distance: np.ndarray, direction: np.ndarray
) -> np.ndarray:
    """Return what a vesicle adds to the optical depth."""
    cover = np.clip(np.float32(0.5) - distance, 0, 1)
    factor = np.float32(np.exp(np.clip(rng.normal(0, 0.2), -0.4, 0.4)))
    radius = np.float32(np.sqrt((vesicle.radius_px**2).mean()))
    inner = np.clip(-distance / radius, 0, 1)
    if vesicle.kind == "hole":
        return np.asarray(-np.float32(look.hole) * factor * np.clip(-distance / 2, 0, 1) * cover, np.float32)
    if vesicle.kind == "small_vesicle":
        profile = (1 - np.float32(look.small_ring)) * np.sqrt(inner * (2 - inner)) + np.float32(look.small_ring) * (
            np.exp(-(((inner - np.float32(0.3)) / np.float32(0.25)) ** 2))
        )
        return np.asarray(np.float32(look.small) * factor * profile * cover, np.float32)
    width = np.float32(look.membrane_px / 1.67)  # full width at half maximum
    line = np.exp(-((distance / width) ** 2))
    if look.bilayer:
        line = np.maximum(line, np.exp(-(((distance + 2.2 * look.membrane_px) / width) ** 2)))
    # the membrane is fainter on one side, and lost in parts
    strength = 1 + np.float32(rng.uniform(0, 0.7)) * np.cos(direction + np.float32(rng.uniform(0, 6.3)))
    if rng.random() < 0.5:
        strength = strength * (
            1 - np.float32(rng.uniform(0.2, 0.9)) * np.cos(direction / 2 + np.float32(rng.uniform(0, 6.3))) ** 8
        )
    interior = -np.float32(look.interior) * np.clip(-distance / (3 * width) + 0.5, 0, 1)
    if rng.random() < 0.15:  # some are filled, and darker than others
        interior = interior * np.float32(rng.uniform(-0.8, 0.4))
    return np.asarray(factor * (interior + np.float32(look.membrane) * strength * line), np.float32)


def _object(vesicle: Vesicle, inside: np.ndarray, y0: int, x0: int, size_px: int) -> SceneObject | None:
    """Tell what is true of a painted vesicle; None beyond the field."""
    rows = slice(max(-y0, 0), max(size_px - y0, 0))
    columns = slice(max(-x0, 0), max(size_px - x0, 0))
    mask = InstanceMask.from_image(inside[rows, columns], y0_px=max(y0, 0), x0_px=max(x0, 0))
    if not mask.crop.size:
        return None
    whole = int(inside.sum())
    diameter = 2 * float(np.sqrt(whole / np.pi))
    area = mask.area_px
    return SceneObject(
        class_name=vesicle.kind,
        box=None,
        mask=mask,
        whole_px=float(whole),
        full_size_px=(diameter, diameter),
        is_cut=area < whole or vesicle.reach_px > min(vesicle.y_px, vesicle.x_px) + 0.5,
    )
