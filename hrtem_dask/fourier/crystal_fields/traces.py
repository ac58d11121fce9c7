"""Faults of a field: the planes that neighboring windows see, joined to straight traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.fourier.crystal_fields.measurement import FaultKind, MeasuredWindow
from hrtem_dask.fourier.pattern import between_deg
from hrtem_dask.micrograph import PixelSize

__all__ = ["FaultTrace", "joined_traces"]

SAME_DIRECTION_DEG = 6.0
"""Largest angle between the planes of two windows that see the same fault."""
SAME_LINE_NM = 1.0
"""Largest distance, halfway between the windows, of their planes: faults that are nearer are seen as one."""

Segment = tuple[tuple[float, float], tuple[float, float]]
"""Two ends (y, x)."""


@dataclass(frozen=True)
class FaultTrace:
    """One planar fault, seen edge-on."""

    kind: FaultKind
    """Stacking fault or twin boundary: what most of its windows see, weighted by gain, where it is not at their rim.
    Unknown if it is in all of them, as a fault at the border of the field."""
    ends_px: Segment
    """Ends (y, x) in px, where 0 is the center of the first pixel. They are as uncertain as a quarter of a window."""
    trace_deg: float
    """Direction, counter-clockwise from +x on the screen, 0 to 180 (°)."""
    length_nm: float
    """Length in the field (nm)."""
    windows: tuple[int, ...]
    """Numbers of the windows that see it, in the list that was given."""
    gain: float
    """Largest gain of the phase step in its windows."""
    step_rad: float
    """Median jump of phase of the inclined reflections (rad); 2π/3 at an intrinsic fault in fcc, without meaning at a
    twin boundary."""
    amplitude_asymmetry: float
    """Median asymmetry of amplitudes; near 1 at a twin boundary."""


def joined_traces(windows: Sequence[MeasuredWindow], *, pixel_size_nm: PixelSize) -> list[FaultTrace]:
    """Join the planes of windows to faults of the field.

    Parameters
    ----------
    windows : sequence of MeasuredWindow
        From `measure_windows`.
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).

    Returns
    -------
    list of FaultTrace
        Longest trace first. Windows that overlap and see the same plane belong to the same fault. A plane that lies
        near the rim of a window, and that none of the windows sees near its middle, gives no trace.
    """
    faulted = [i for i, w in enumerate(windows) if w.fault_kind is not None]
    planes = [_Plane.of(windows[i], pixel_size_nm) for i in faulted]
    traces = []
    for group in _groups([windows[i] for i in faulted], planes):
        pieces = [p for g in group if (p := planes[g].inside(windows[faulted[g]].window.core)) is not None]
        if pieces:
            members = tuple(faulted[g] for g in group)
            traces.append(_trace(members, [windows[i] for i in members], pieces, pixel_size_nm))
    return sorted(traces, key=lambda t: -t.length_nm)


@dataclass(frozen=True)
class _Plane:
    """A plane seen edge-on: a line through the field."""

    point_nm: np.ndarray  # (2,): y, x from the center of the first pixel
    along: np.ndarray  # (2,): unit vector of the trace
    trace_deg: float
    pixel_size_nm: PixelSize

    @classmethod
    def of(cls, window: MeasuredWindow, pixel_size_nm: PixelSize) -> _Plane:
        """Return the plane that a window sees."""
        assert window.step is not None
        angle = np.deg2rad(window.step.angle_deg)
        y0, x0, y1, x1 = window.window.box
        middle = np.array([(y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2]) * pixel_size_nm
        normal = np.array([-np.cos(angle), -np.sin(angle)])  # 90° counter-clockwise of the trace; y runs downwards
        along = np.array([-np.sin(angle), np.cos(angle)])
        return cls(middle + window.step.offset_nm * normal, along, window.step.angle_deg, pixel_size_nm)

    def distance_nm(self, point_nm: np.ndarray) -> float:
        """Return the signed distance of a point."""
        across = np.array([-self.along[1], self.along[0]])
        return float((point_nm - self.point_nm) @ across)

    def inside(self, box_px: tuple[float, float, float, float]) -> np.ndarray | None:
        """Return the two ends (end, y or x), in nm, of its part inside of a box; None if it misses the box."""
        # borders of pixels, not their centers, limit the box
        low, high = (np.array(corner) * self.pixel_size_nm for corner in (box_px[:2], box_px[2:]))
        low, high = (corner - np.array(self.pixel_size_nm) / 2 for corner in (low, high))
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (low - self.point_nm) / self.along, (high - self.point_nm) / self.along
        parallel = np.abs(self.along) < 1e-9
        within = (low <= self.point_nm) & (self.point_nm <= high)
        first = np.where(parallel, np.where(within, -np.inf, np.inf), np.minimum(a, b)).max()
        last = np.where(parallel, np.where(within, np.inf, -np.inf), np.maximum(a, b)).min()
        return np.array([self.point_nm + t * self.along for t in (first, last)]) if first < last else None


def _groups(windows: Sequence[MeasuredWindow], planes: Sequence[_Plane]) -> list[list[int]]:
    """Group windows that see the same fault, by number."""
    group = list(range(len(windows)))
    for i in range(len(windows)):
        for j in range(i):
            if _same(windows[i], windows[j], planes[i], planes[j]):
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    return [[i for i, g in enumerate(group) if g == name] for name in dict.fromkeys(group)]


def _same(a: MeasuredWindow, b: MeasuredWindow, plane_a: _Plane, plane_b: _Plane) -> bool:
    """Say whether two windows overlap and see the same plane."""
    if between_deg(plane_a.trace_deg, plane_b.trace_deg) > SAME_DIRECTION_DEG:
        return False
    box_a, box_b = a.window.box, b.window.box
    if any(min(box_a[k + 2], box_b[k + 2]) <= max(box_a[k], box_b[k]) for k in (0, 1)):
        return False
    size = np.array(plane_a.pixel_size_nm)
    halfway = (np.array(box_a[:2]) + box_a[2:] + box_b[:2] + np.array(box_b[2:])) / 4 * size
    # of the two planes at the point of one of them that is nearest to the place between the windows
    across = np.array([-plane_a.along[1], plane_a.along[0]])
    nearest = halfway - plane_a.distance_nm(halfway) * across
    return abs(plane_b.distance_nm(nearest)) <= SAME_LINE_NM


def _trace(
    members: tuple[int, ...], windows: Sequence[MeasuredWindow], pieces: Sequence[np.ndarray], size: PixelSize
) -> FaultTrace:
    """Fit one line to the pieces that windows see."""
    points = np.concatenate(pieces)
    weight = np.repeat([np.linalg.norm(p[1] - p[0]) for p in pieces], 2)
    middle = np.average(points, axis=0, weights=weight)
    spread = (points - middle).T @ ((points - middle) * weight[:, np.newaxis])
    along = np.linalg.eigh(spread)[1][:, 1]  # total least squares: the direction of the largest spread
    position = (points - middle) @ along
    first, last = middle + position.min() * along, middle + position.max() * along
    steps = [w.step for w in windows if w.step is not None]
    ends = [(float(end[0] / size[0]), float(end[1] / size[1])) for end in (first, last)]
    return FaultTrace(
        kind=_kind(windows),
        ends_px=(ends[0], ends[1]),
        trace_deg=float(np.degrees(np.arctan2(-along[0], along[1])) % 180),
        length_nm=float(np.linalg.norm(last - first)),
        windows=members,
        gain=max(s.gain for s in steps),
        step_rad=float(np.median([s.step_rad for s in steps])),
        amplitude_asymmetry=float(np.median([s.amplitude_asymmetry for s in steps])),
    )


def _kind(windows: Sequence[MeasuredWindow]) -> FaultKind:
    """Return the kind that most windows see, weighted by gain."""
    votes: dict[FaultKind, float] = {"stacking_fault": 0.0, "twin_boundary": 0.0}
    for window in windows:
        if window.fault_kind in votes and window.step is not None:
            votes[window.fault_kind] += window.step.gain
    return max(votes, key=lambda kind: votes[kind]) if any(votes.values()) else "unknown"
