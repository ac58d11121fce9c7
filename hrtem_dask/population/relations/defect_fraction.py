"""Fraction of faulted particles among those whose orientation shows a fault.

A stacking fault is visible only where the atomic columns of the particle are parallel to the beam. A misoriented
particle is *unknown* and never counts as one without a fault. The fraction is therefore that of the assessable
particles, and its bounds are the fractions if none or all of the unknown particles were faulted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.inference.fractions import FRACTION_METHOD, clustered_fraction
from hrtem_dask.population.particle_table import LazyTable, counted_particles, micrograph_codes, weight_column

__all__ = ["defect_fraction", "fault_states"]


def fault_states(table: pd.DataFrame) -> np.ndarray:
    """Return the fault state of each particle as a number.

    Parameters
    ----------
    table : pandas.DataFrame
        Particles, with ``fault_state``.

    Returns
    -------
    numpy.ndarray of float
        Shape (rows,): 1 for fault, 0 for no_fault, NaN for unknown and all other states.

    Examples
    --------
    >>> fault_states(pd.DataFrame({"fault_state": ["fault", "no_fault", "unknown"]}))
    array([ 1.,  0., nan])
    """
    states = table["fault_state"].astype(object)
    return np.where(states == "fault", 1.0, np.where(states == "no_fault", 0.0, np.nan))


def defect_fraction(particles: pd.DataFrame | LazyTable) -> dict[str, Any]:
    """Return the fraction of faulted particles among the assessable ones, with its bounds.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted particles are used.

    Returns
    -------
    dict
        ``n_counted``, ``n_fault``, ``n_no_fault``, ``n_unknown``; ``fraction`` (fault / (fault + no fault)),
        ``assessable`` (particles in the right orientation / counted; the paper's first number) and
        ``not_assessable``, each as `fractions.clustered_fraction` gives it; ``bounds``, the fraction of all counted
        particles if no (``low``) or every (``high``) unknown particle is faulted (C. Manski, Partial Identification of
        Probability Distributions, 2003), each with its interval; ``method`` and ``reason``.

    Examples
    --------
    >>> table = pd.DataFrame({"fault_state": ["fault", "no_fault", "unknown", "no_fault"] * 5, "counted": True})
    >>> table["micrograph_id"] = np.repeat(np.arange(5), 4)
    >>> result = defect_fraction(table)
    >>> round(result["fraction"]["estimate"], 3), result["bounds"]["high"]["estimate"]
    (0.333, 0.5)
    """
    table = counted_particles(particles)
    fault, weights, codes = fault_states(table), weight_column(table), micrograph_codes(table)
    known = np.isfinite(fault)
    reason = None
    if not known.any():
        reason = "no particle is assessable" if len(table) else "no counted particle"
    return {
        "n_counted": len(table),
        "n_fault": int((fault == 1).sum()),
        "n_no_fault": int((fault == 0).sum()),
        "n_unknown": int((~known).sum()),
        "fraction": clustered_fraction(fault[known] == 1, weights[known], codes[known]),
        "assessable": clustered_fraction(known, weights, codes),
        "not_assessable": clustered_fraction(~known, weights, codes),
        "bounds": {
            "low": clustered_fraction(fault == 1, weights, codes),
            "high": clustered_fraction(fault != 0, weights, codes),
            "meaning": "fraction of all counted particles if no, and if every, particle that is unknown is faulted",
        },
        "method": FRACTION_METHOD,
        "reason": reason,
    }
