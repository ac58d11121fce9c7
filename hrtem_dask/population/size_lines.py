"""The median size of a population in one line, with its uncertainty or the reason why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from hrtem_dask.population.particle_table import is_counted

__all__ = ["median_text", "pixel_lines", "size_lines"]

MAX_SAMPLES = 6
"""Largest number of samples with lines of their own."""


def size_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return the median sizes of a run in words.

    Parameters
    ----------
    summary : mapping
        Content of ``summary.json``.

    Returns
    -------
    list of str
        A line for all particles, and one for each of several samples (up to `MAX_SAMPLES`). Empty where no particle
        has a size in nm.
    """
    whole = median_text(summary.get("all", {}))
    if not whole:
        return []
    samples = summary.get("samples", {})
    if not 1 < len(samples) <= MAX_SAMPLES:
        return [whole]
    each = [(name or "no sample stated", median_text(population)) for name, population in samples.items()]
    return [whole, *(f"{name}: {text}" for name, text in each if text)]


def pixel_lines(particles: pd.DataFrame) -> list[str]:
    """Return the median size in pixels in words, where no particle has a size in nm.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.

    Returns
    -------
    list of str
        A line, or none.

    Examples
    --------
    >>> table = pd.DataFrame({"micrograph_id": ["a", "a", "b"], "counted": [True, True, False]})
    >>> pixel_lines(table.assign(equivalent_diameter_px=[50.0, 60.0, 90.0], equivalent_diameter_nm=None))
    ['median diameter 55 px (not weighted; 2 particles of 1 micrograph)']
    """
    counted = particles[is_counted(particles)]
    sizes = counted["equivalent_diameter_px"].dropna()
    if not len(sizes) or counted["equivalent_diameter_nm"].notna().any():
        return []
    counts = f"{_counted(len(sizes), 'particle')} of {_counted(counted['micrograph_id'].nunique(), 'micrograph')}"
    return [f"median diameter {float(sizes.median()):.3g} px (not weighted; {counts})"]


def median_text(population: Mapping[str, Any]) -> str:
    """Return the median diameter of a population in words.

    Parameters
    ----------
    population : mapping
        ``all`` or one of ``samples`` of ``summary.json``.

    Returns
    -------
    str
        Median by number of the equivalent circular diameter with its expanded uncertainty, whose last digits agree; or
        the reason why it has none. Empty where no particle has a size in nm.

    Examples
    --------
    >>> budget = {"value_nm": 3.27062, "expanded_uncertainty_nm": 0.25235, "coverage_factor": 2.18, "reason": None}
    >>> size = {"n": 48, "n_micrographs": 6, "uncertainty": {"median_nm": budget}}
    >>> median_text({"equivalent_diameter_nm": size})
    'median diameter 3.27 ± 0.25 nm (k = 2.2; 48 particles of 6 micrographs)'
    """
    size = population.get("equivalent_diameter_nm") or {}
    budget = (size.get("uncertainty") or {}).get("median_nm") or {}
    value, uncertainty = budget.get("value_nm"), budget.get("expanded_uncertainty_nm")
    if value is None:
        return ""
    counts = f"{_counted(size['n'], 'particle')} of {_counted(size['n_micrographs'], 'micrograph')}"
    if not uncertainty or not math.isfinite(uncertainty):
        reason = budget.get("reason") or "one of its sources is not known"
        return f"median diameter {value:.3g} nm, uncertainty not known: {reason} ({counts})"
    decimals = max(0, 1 - int(f"{uncertainty:.1e}".split("e")[1]))
    text = f"median diameter {value:.{decimals}f} ± {uncertainty:.{decimals}f} nm"
    return f"{text} (k = {budget['coverage_factor']:.1f}; {counts})"


def _counted(n: int, thing: str) -> str:
    """Return a number of things."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
