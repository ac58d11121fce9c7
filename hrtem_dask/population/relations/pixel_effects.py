"""Correlations of size and shape that pixels alone could make, because small particles have coarser outlines."""

from __future__ import annotations

import numpy as np

from hrtem_dask.population.relations.ingredients import INGREDIENTS

__all__ = ["DISK_EXCESS_PX", "pixel_warning"]

DISK_EXCESS_PX = {
    "aspect_ratio": 0.12,
    "eccentricity": 4.6,
    "roundness": 0.1,
    "compactness": 0.05,
    "circularity": 0.05,
}
"""Descriptor → mean deviation from its value of a disk × diameter (px), measured on perfect disks of 60 to 200 px."""
_WORTH_A_WARNING = 0.1


def pixel_warning(first: str, second: str, x: np.ndarray, y: np.ndarray, diameters_px: np.ndarray) -> str | None:
    """Warn where pixels alone could make a correlation between size and shape.

    Parameters
    ----------
    first : str
        Name of the descriptor of `x`.
    second : str
        Name of the descriptor of `y`.
    x : numpy.ndarray of float
        Shape (n,).
    y : numpy.ndarray of float
        Shape (n,).
    diameters_px : numpy.ndarray of float
        Shape (n,): equivalent diameters (px); NaN where unknown.

    Returns
    -------
    str or None
        A sentence where one of the two is a size, the other one is in `DISK_EXCESS_PX`, and the particles, if they were
        perfect disks apart from pixels, would correlate by at least 0.1 at the observed spread of the descriptor.

    Examples
    --------
    >>> d = np.linspace(20, 60, 9)
    >>> pixel_warning("equivalent_diameter_nm", "aspect_ratio", d / 10, 1 + 0.1 / d, d)
    'pixels alone could make a correlation of 0.95: the particles are 20 to 60 px across'
    >>> pixel_warning("equivalent_diameter_nm", "aspect_ratio", d / 10, 1 + 0.3 * (d % 2), d) is None
    True
    """
    if first in DISK_EXCESS_PX:
        first, second, x, y = second, first, y, x
    known = np.isfinite(diameters_px) & (diameters_px > 0)
    if "size" not in INGREDIENTS.get(first, ()) or second not in DISK_EXCESS_PX or known.sum() < 2:
        return None
    size, shape, diameter = x[known], y[known], diameters_px[known]
    excess = DISK_EXCESS_PX[second] / diameter
    if min(np.ptp(size), np.ptp(shape), np.ptp(excess)) == 0:
        return None
    possible = abs(np.corrcoef(size, excess)[0, 1]) * min(excess.std() / shape.std(), 1.0)
    if possible < _WORTH_A_WARNING:
        return None
    return (
        f"pixels alone could make a correlation of {possible:.2f}: the particles are "
        f"{diameter.min():.0f} to {diameter.max():.0f} px across"
    )
