"""Fault traces: where the plane of a fault, seen edge-on, crosses its particle."""

from __future__ import annotations

import numpy as np

from hrtem_dask.micrograph import PixelSize

__all__ = ["fault_trace"]


def fault_trace(
    inside: np.ndarray, *, trace_deg: float, offset_nm: float, pixel_size_nm: PixelSize
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the two ends of a fault trace in a particle.

    Parameters
    ----------
    inside : numpy.ndarray of bool
        Shape (y, x): True on the particle, in its bounding box.
    trace_deg : float
        Direction of the trace, counter-clockwise from +x on the screen (°).
    offset_nm : float
        Distance (nm) of the trace from the middle of the box, positive 90° counter-clockwise of the trace.
    pixel_size_nm : tuple of float
        Height and width of a pixel (nm).

    Returns
    -------
    tuple of tuple of float or None
        The two ends (y, x) in pixels of the box, where 0 is the center of the first pixel; None where the trace misses
        the particle.

    Examples
    --------
    A horizontal trace through the middle of a square particle:

    >>> import numpy as np
    >>> from hrtem_dask.particles import fault_trace
    >>> fault_trace(np.ones((5, 5), dtype=bool), trace_deg=0.0, offset_nm=0.0, pixel_size_nm=(1.0, 1.0))[0][0]
    2.0
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
