"""One rod in its own frame: how thick it is at each place, and how far the place is from its outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["PROFILES", "Rod", "in_field", "rod_frame", "window_of"]

PROFILES = ("round", "prism", "flat", "tube", "spindle", "dumbbell")
"""Cross sections: a cylinder with round ends, a faceted prism, a flat bar, a tube, a spindle, a rod with thick ends."""
PAD_PX = 3
OUTSIDE_PX = np.float32(30.0)
"""Distance from the outline that is given to places beyond the frame."""


@dataclass(frozen=True)
class Rod:
    """A rod, or a body that rods are seen beside: lengths in px, centers of pixels are whole numbers."""

    y_px: float
    """Center."""
    x_px: float
    """Center."""
    length_px: float
    """Length of the projection."""
    width_px: float
    """Width of the projection, at most the length."""
    angle_rad: float
    """Direction of the long axis, from +x towards +y."""
    profile: str = "round"
    """A name in `PROFILES`."""
    roundness: float = 0.5
    """Radius of the corners over half the width."""
    thickness: float = 1.0
    """Thickness along the beam over the width: above 1 where a rod stands on end."""
    kind: str = "rod"
    """rod, end_on_rod, or a neighbor that is no instance: cube, sphere."""

    @property
    def area_px(self) -> float:
        """Area of the bounding rectangle."""
        return self.length_px * self.width_px


def rod_frame(rod: Rod) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compute a rod in a frame along its axes, of 1 px pitch.

    Parameters
    ----------
    rod : Rod
        The rod; its place and direction are not used.

    Returns
    -------
    along, across : numpy.ndarray of float32
        Shapes (1, n) and (m, 1): places from the center (px).
    distance : numpy.ndarray of float32
        Shape (m, n): signed distance from the outline (px), negative inside, exact near the outline.
    thickness : numpy.ndarray of float32
        Shape (m, n): length of the beam's way (px), 0 outside.
    """
    half_l, half_w = np.float32(rod.length_px / 2), np.float32(rod.width_px / 2)
    n, m = (int(np.ceil(half)) + PAD_PX for half in (half_l, half_w))
    u = np.arange(-n, n + 1, dtype=np.float32)[None, :]
    v = np.arange(-m, m + 1, dtype=np.float32)[:, None]
    if rod.profile == "spindle":
        distance = _pointed(u, v, half_l, half_w)
    else:
        width = half_w
        if rod.profile == "dumbbell":  # as wide as stated at the centers of its round ends, thinner between them
            t = np.minimum(np.abs(u) / np.maximum(half_l - half_w, 0.2 * half_w), 1)
            waist = np.float32(0.32) * (1 - half_w / half_l)
            width = half_w * (1 - waist * np.cos(t * np.float32(np.pi / 2)) ** 2)
        corner = half_w * np.float32(1.0 if rod.profile in ("round", "dumbbell") else np.clip(rod.roundness, 0.05, 1))
        du, dv = np.abs(u) - half_l + corner, np.abs(v) - width + np.minimum(corner, width)
        distance = np.hypot(np.maximum(du, 0), np.maximum(dv, 0)) + np.minimum(np.maximum(du, dv), 0) - corner
        distance = distance if rod.profile != "dumbbell" else distance + (corner - np.minimum(corner, width))
    depth = np.clip(-distance / half_w, 0, 1)
    return u, v, distance, _thickness(rod.profile, depth) * np.float32(2 * rod.thickness) * half_w


def _pointed(u: np.ndarray, v: np.ndarray, half_l: np.floating, half_w: np.floating) -> np.ndarray:
    """Return the distance from a spindle: |v| = half width × (1 − (u / half length)²), to first order."""
    t = u / half_l
    slope = 2 * half_w / half_l * np.minimum(np.abs(t), 1)
    beyond = np.maximum(np.abs(u) - half_l, 0)
    across = (np.abs(v) - half_w * (1 - np.minimum(t * t, 1))) / np.sqrt(1 + slope * slope)
    return np.asarray(np.where(beyond > 0, np.hypot(beyond, np.maximum(across, 0)), across), np.float32)


def _thickness(profile: str, depth: np.ndarray) -> np.ndarray:
    """Return thickness over the width, from the distance inside the outline over half the width."""
    if profile == "prism":
        return np.asarray(0.87 * np.minimum(depth / 0.5, 1), np.float32)
    if profile == "flat":
        return np.asarray(0.55 * np.minimum(depth / 0.12, 1), np.float32)
    whole = np.sqrt(depth * (2 - depth))
    if profile == "tube":
        inner = np.clip((depth - 0.35) / 0.65, 0, 1)
        return np.asarray(whole - 0.6 * np.sqrt(inner * (2 - inner)), np.float32)
    return np.asarray(whole, np.float32)


def window_of(rod: Rod, shape: tuple[int, int], margin_px: int, beyond_px: float = 2.0) -> tuple[slice, slice] | None:
    """Return the part of a canvas that a rod lies in.

    Parameters
    ----------
    rod : Rod
        The rod, in px of the field.
    shape : tuple of int
        Shape (y, x) of the canvas.
    margin_px : int
        Width of the margin around the field (px).
    beyond_px : float
        How much is wanted around the rod (px).

    Returns
    -------
    tuple of slice or None
        Rows and columns; None if the rod lies beyond the canvas.
    """
    s, c = abs(np.sin(rod.angle_rad)), abs(np.cos(rod.angle_rad))
    half_y = (rod.length_px * s + rod.width_px * c) / 2 + beyond_px
    half_x = (rod.length_px * c + rod.width_px * s) / 2 + beyond_px
    y, x = rod.y_px + margin_px, rod.x_px + margin_px
    rows = slice(max(int(np.floor(y - half_y)), 0), min(int(np.ceil(y + half_y)) + 1, shape[0]))
    columns = slice(max(int(np.floor(x - half_x)), 0), min(int(np.ceil(x + half_x)) + 1, shape[1]))
    return (rows, columns) if rows.stop > rows.start and columns.stop > columns.start else None


def in_field(rod: Rod, frame: np.ndarray, window: tuple[slice, slice], margin_px: int, *, outside: float) -> np.ndarray:
    """Turn an image of a rod's own frame into the field.

    Parameters
    ----------
    rod : Rod
        Its place and direction.
    frame : numpy.ndarray of float32
        Shape (m, n), as `rod_frame` makes it.
    window : tuple of slice
        From `window_of`.
    margin_px : int
        Width of the margin around the field (px).
    outside : float
        Value beyond the frame.

    Returns
    -------
    numpy.ndarray of float32
        Shape of the window, interpolated linearly.
    """
    rows, columns = window
    c, s = np.cos(rod.angle_rad), np.sin(rod.angle_rad)
    dx, dy = columns.start - rod.x_px - margin_px, rows.start - rod.y_px - margin_px
    middle_u, middle_v = (frame.shape[1] - 1) / 2, (frame.shape[0] - 1) / 2
    way = np.array([[c, s, c * dx + s * dy + middle_u], [-s, c, -s * dx + c * dy + middle_v]])
    size = (columns.stop - columns.start, rows.stop - rows.start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(frame, way, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
    return np.asarray(turned, np.float32)
