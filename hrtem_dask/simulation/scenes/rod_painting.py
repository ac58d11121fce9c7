"""Rods on a canvas, as they are seen in HAADF-STEM, in bright field and by secondary electrons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.simulation.contrast.interiors import interior
from hrtem_dask.simulation.ranges import choose
from hrtem_dask.simulation.scenes.rods import OUTSIDE_PX, Rod, in_field, rod_frame, window_of
from hrtem_dask.simulation.scenes.scene import SceneObject

__all__ = ["RodLook", "paint_rods"]

LARGEST_DEPTH = 5.0
SHADOW_PX = 3.0
MOST_LAYERS = 2
LEAST_DISTINCT = 0.25
"""A rod of which a smaller share lies alone or over one other rod cannot be told from the heap."""
INSTANCE_KINDS = ("rod", "end_on_rod")


@dataclass(frozen=True, kw_only=True)
class RodLook:
    """What the rods of one scene look like."""

    imaging: str
    """haadf, bright_field or sem."""
    width_px: float
    """Median width (px): the signal is relative to a rod of this thickness."""
    interiors: Mapping[str, float]
    """Kind of interior → weight."""
    spread: float
    """Standard deviation of the logarithm of a rod's factor on its signal."""
    rim: float
    """Strength of a brighter edge."""
    rim_px: float
    """Its width (px)."""
    shadow: float
    """In SEM images, how much darker it is beside the edge of a rod that lies above."""


def paint_rods(
    rng: np.random.Generator, canvas: np.ndarray, rods: Sequence[Rod], look: RodLook, *, size_px: int
) -> list[SceneObject]:
    """Paint rods, each over those before it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    canvas : numpy.ndarray of float32
        Shape (y, x): the field with an equal margin on all sides, changed in place. Signals add (haadf), or optical
        depths do (bright_field); in SEM images a rod replaces what lies below it.
    rods : sequence of Rod
        The rods, and the cubes and spheres beside them.
    look : RodLook
        What they look like.
    size_px : int
        Side of the field (px).

    Returns
    -------
    list of SceneObject
        The rods that reach into the field, in the same order; cubes and spheres are not among them.
    """
    margin = (canvas.shape[0] - size_px) // 2
    uppermost = np.zeros((size_px, size_px), np.int32) if look.imaging == "sem" else None
    seen: list[tuple[Rod, InstanceMask, int, int]] = []
    for number, rod in enumerate(rods, 1):
        window = window_of(rod, (canvas.shape[0], canvas.shape[1]), margin, 2 + SHADOW_PX * (look.shadow > 0))
        if window is None:
            continue
        inside = _paint_one(rng, canvas, rod, look, window, margin) < 0
        mask = _inside_field(inside, window, margin, size_px)
        if uppermost is not None:
            mask.paint(uppermost, number)
        if rod.kind in INSTANCE_KINDS and mask.crop.size:
            seen.append((rod, mask, number, int(inside.sum())))
    layers = np.zeros((size_px, size_px), np.uint8)
    for _, mask, _, _ in seen:
        layers[mask.window] += mask.crop
    made = []
    for rod, mask, number, painted in seen:
        visible = mask if uppermost is None else replace(mask, crop=mask.crop & (uppermost[mask.window] == number))
        # what lies beyond the canvas counts as part of the whole
        whole = max(painted, 0.75 * rod.length_px * rod.width_px)
        distinct = visible.crop if uppermost is not None else mask.crop & (layers[mask.window] <= MOST_LAYERS)
        is_lost = np.count_nonzero(distinct) < LEAST_DISTINCT * mask.area_px
        made.append(_object(rod, mask, visible, size_px, whole_px=np.inf if is_lost else whole))
    return made


def _object(rod: Rod, mask: InstanceMask, visible: InstanceMask, size_px: int, *, whole_px: float) -> SceneObject:
    """Tell what is true of a painted rod; where the border cuts it, its box is that of the part in the field."""
    c, s = np.cos(rod.angle_rad), np.sin(rod.angle_rad)
    half_y = (rod.length_px * abs(s) + rod.width_px * abs(c)) / 2
    half_x = (rod.length_px * abs(c) + rod.width_px * abs(s)) / 2
    low, high = -0.5, size_px - 0.5
    is_cut = min(rod.y_px - half_y, rod.x_px - half_x) < low or max(rod.y_px + half_y, rod.x_px + half_x) > high
    box = np.array([rod.x_px, rod.y_px, rod.length_px, rod.width_px, -np.degrees(rod.angle_rad)])
    return SceneObject(
        class_name=rod.kind,
        box=_box_of_part(rod, mask) if is_cut else box,
        mask=visible,
        whole_px=whole_px,
        full_size_px=(rod.length_px, rod.width_px),
        is_cut=is_cut,
    )


def _box_of_part(rod: Rod, mask: InstanceMask) -> np.ndarray:
    """Return the box, in the direction of the rod, of the part that the border leaves."""
    rows, columns = np.nonzero(mask.crop)
    y, x = rows + mask.y0_px - rod.y_px, columns + mask.x0_px - rod.x_px
    c, s = np.cos(rod.angle_rad), np.sin(rod.angle_rad)
    (u0, u1), (v0, v1) = (
        (max(w.min() - 0.5, -size / 2), min(w.max() + 0.5, size / 2))
        for w, size in ((x * c + y * s, rod.length_px), (y * c - x * s, rod.width_px))
    )
    u, v = (u0 + u1) / 2, (v0 + v1) / 2
    center = rod.x_px + u * c - v * s, rod.y_px + u * s + v * c
    return np.array([*center, u1 - u0, v1 - v0, -np.degrees(rod.angle_rad)])


def _paint_one(
    rng: np.random.Generator, canvas: np.ndarray, rod: Rod, look: RodLook, window: tuple[slice, slice], margin: int
) -> np.ndarray:
    """Paint one rod; return the distance from its outline in the window."""
    u, v, frame, thickness = rod_frame(rod)
    signal = _signal(rng, rod, look, u, v, frame, thickness)
    distance = in_field(rod, frame, window, margin, outside=float(OUTSIDE_PX))
    turned = in_field(rod, signal, window, margin, outside=0.0)
    cover = np.clip(np.float32(0.5) - distance, 0, 1)
    target = canvas[window]
    if look.imaging == "sem":
        if look.shadow > 0:
            target *= 1 - np.float32(look.shadow) * np.exp(-np.maximum(distance, 0) / np.float32(SHADOW_PX))
        target += cover * (turned - target)
    else:
        target += cover * turned
    return distance


def _signal(
    rng: np.random.Generator,
    rod: Rod,
    look: RodLook,
    u: np.ndarray,
    v: np.ndarray,
    distance: np.ndarray,
    thickness: np.ndarray,
) -> np.ndarray:
    """Return what a rod adds to the canvas, in its own frame."""
    factor = np.float32(np.exp(np.clip(rng.normal(0, look.spread), -1.2, 1.2)))
    rim = np.float32(look.rim) * np.exp(-(((distance + look.rim_px) / np.float32(look.rim_px)) ** 2))
    kind = choose(rng, look.interiors)
    width = np.float32(rod.width_px)
    # the frame's edge carries the value at the outline: the cover decides where the rod ends
    if look.imaging == "sem":
        tilt = np.float32(rng.uniform(-0.3, 0.3)) * np.clip(v / width, -0.5, 0.5)
        signal = factor * (np.float32(0.6) + tilt) + rim + 0 * u
    else:
        signal = factor * thickness / np.float32(look.width_px) * (1 + rim)
    if kind != "plain":
        mottle = rng.standard_normal(distance.shape, np.float32)
        long = max(rod.length_px, 1.5 * rod.width_px)
        # bends and twins cross the rod a few times along its length
        signal = signal * interior(rng, kind, v / width, u / np.float32(0.6 * long), thickness / width, mottle)
    return np.asarray(np.minimum(signal, np.float32(LARGEST_DEPTH)), np.float32)


def _inside_field(inside: np.ndarray, window: tuple[slice, slice], margin: int, size_px: int) -> InstanceMask:
    """Return the part of a window that lies in the field."""
    rows, columns = window
    y0, x0 = max(rows.start - margin, 0), max(columns.start - margin, 0)
    y1, x1 = max(min(rows.stop - margin, size_px), y0), max(min(columns.stop - margin, size_px), x0)
    first_row, first_column = y0 + margin - rows.start, x0 + margin - columns.start
    part = inside[first_row : first_row + y1 - y0, first_column : first_column + x1 - x0]
    return InstanceMask.from_image(part, y0_px=y0, x0_px=x0)
