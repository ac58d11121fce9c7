"""The median size of a population in one line, with its uncertainty or the reason why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["median_text", "size_lines"]

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
        A line for all particles, and one for each of several samples (up to `MAX_SAMPLES`). Sizes that come from
        doubtful micrographs begin with the word. Empty where no particle is counted.
    """
    whole = median_text(summary.get("all", {}))
    if not whole:
        return []
    verdicts = summary.get("verdicts", {})
    lines = [f"{_doubt(verdicts)}: {whole}" if _doubt(verdicts) else whole]
    samples = summary.get("samples", {})
    if not 1 < len(samples) <= MAX_SAMPLES:
        return lines
    for name, population in samples.items():
        if text := median_text(population):
            doubt = _doubt(verdicts.get("samples", {}).get(name, {}))
            lines.append(f"{name or 'no sample stated'}{', ' if doubt else ''}{doubt}: {text}")
    return lines


def _doubt(verdicts: Mapping[str, Any]) -> str:
    """Return the word for sizes that are doubtful by `verdicts.describe_verdicts`."""
    return "doubtful" if verdicts.get("sizes_are_doubtful") else ""


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
        the reason why it has none. Where no particle has a size in nm, its diameter in pixels with an interval. Empty
        where no particle is counted.

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
        return _pixel_text(population.get("equivalent_diameter_px") or {})
    counts = f"{_counted(size['n'], 'particle')} of {_counted(size['n_micrographs'], 'micrograph')}"
    if missing := size.get("n_missing"):
        counts += f"; {_counted(missing, 'counted particle')} without a size in nm"
    if not uncertainty or not math.isfinite(uncertainty):
        reason = budget.get("reason") or "one of its sources is not known"
        return f"median diameter {value:.3g} nm, uncertainty not known: {reason} ({counts})"
    decimals = max(0, 1 - int(f"{uncertainty:.1e}".split("e")[1]))
    text = f"median diameter {value:.{decimals}f} ± {uncertainty:.{decimals}f} nm"
    if uncertainty >= value:
        text = f"median diameter {value:.3g} nm, its uncertainty is larger than that: ± {uncertainty:.2g} nm"
    return f"{text} (k = {budget['coverage_factor']:.1f}; {counts})"


def _pixel_text(size: Mapping[str, Any]) -> str:
    """Return the median diameter in pixels with its interval; empty where there is none."""
    median = (size.get("number_weighted") or {}).get("median_px") or {}
    if median.get("value") is None:
        return ""
    known = median.get("low") is not None and median.get("high") is not None
    interval = f", interval {median['low']:.3g} to {median['high']:.3g} px" if known else ""
    counts = f"{_counted(size['n'], 'particle')} of {_counted(size['n_micrographs'], 'micrograph')}"
    return f"median diameter {median['value']:.3g} px{interval} ({counts}; no size in nm)"


def _counted(n: int, thing: str) -> str:
    """Return a number of things."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
