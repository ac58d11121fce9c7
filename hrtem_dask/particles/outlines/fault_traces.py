"""Fault traces: where the plane of a fault, seen edge-on, crosses its particle."""

from __future__ import annotations

import numpy as np

from hrtem_dask.micrograph import PixelSize

__all__ = ["fault_trace"]


def fault_trace(
    inside: np.ndarray, *, trace_deg: float, offset_nm: float, pixel_size_nm: PixelSize
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the ends of a trace in a particle.

    Parameters
    ----------
    inside : numpy.ndarray of bool
        Shape (y, x): the particle in its bounding box.
    trace_deg : float
        Direction of the trace, counter-clockwise from +x on the screen (°).
    offset_nm : float
        Its distance (nm) from the middle of the box, positive 90° counter-clockwise of the trace.
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).

    Returns
    -------
    tuple of tuple of float or None
        Two ends (y, x) in pixels of the box, 0 is the centre of its first pixel; None where the trace misses the
        particle.
    """
    height, width = inside.shape
    angle = np.deg2rad(trace_deg)
    # y runs downwards on the screen
    along, normal = np.array([-np.sin(angle), np.cos(angle)]), np.array([-np.cos(angle), -np.sin(angle)])
    reach_nm = np.hypot(height * pixel_size_nm[0], width * pixel_size_nm[1])
    steps = np.arange(-reach_nm, reach_nm, min(pixel_size_nm) / 2)
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    points = middle + (offset_nm * normal + steps[:, None] * along) / pixel_size_nm
    nearest = np.rint(points).astype(int)
    there = ((nearest >= 0) & (nearest < inside.shape)).all(axis=1)
    there[there] = inside[tuple(nearest[there].T)]
    if not there.any():
        return None
    first, last = points[there][0], points[there][-1]
    return (float(first[0]), float(first[1])), (float(last[0]), float(last[1]))
