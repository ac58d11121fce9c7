"""Rules for the true class of a region, shared by the simulator and the evaluation."""

from __future__ import annotations

import pandas as pd

__all__ = ["CLEAR_VISIBILITY", "CLEAR_VISIBILITY_MISORIENTED", "is_clear", "particle_class"]

CLEAR_VISIBILITY = 1.7
"""A region is clear where the visibility of each of its particles is at least this."""
CLEAR_VISIBILITY_MISORIENTED = 0.8
"""The same for misoriented particles."""


def particle_class(particle: pd.Series) -> str | None:
    """Return the class of a region that holds a single particle.

    Parameters
    ----------
    particle : pandas.Series
        Row of `simulation.TRUTH_PARTICLES`, with ``orientation``, ``n_faults`` and ``fault_visible``.

    Returns
    -------
    str or None
        One of `tables.REGION_CLASSES`. None where the region is not scored: the orientation is between on zone and
        misoriented, or a fault is not visible from this direction.
    """
    if particle["orientation"] != "on_zone":
        return "misoriented" if particle["orientation"] == "misoriented" else None
    if particle["n_faults"] == 0:
        return "no_stacking_fault"
    return "stacking_fault" if particle["fault_visible"] else None


def is_clear(region_class: str | None, visibility: float, *, ordinary: bool) -> bool:
    """Return whether a person should recognize the class of a region.

    Parameters
    ----------
    region_class : str or None
        Class of the region, one of `tables.REGION_CLASSES`.
    visibility : float
        Lowest visibility of its particles; not used for ``no_particle``.
    ordinary : bool
        Whether the micrograph was taken with ordinary imaging.

    Returns
    -------
    bool
        True where the imaging is ordinary, the region has a class, and the visibility is high enough.

    Examples
    --------
    >>> is_clear("stacking_fault", 1.0, ordinary=True), is_clear("misoriented", 1.0, ordinary=True)
    (False, True)
    """
    if not ordinary or region_class is None:
        return False
    if region_class == "no_particle":
        return True
    needed = CLEAR_VISIBILITY_MISORIENTED if region_class == "misoriented" else CLEAR_VISIBILITY
    return visibility >= needed
