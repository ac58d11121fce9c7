"""Combination of standard uncertainties into a budget (JCGM 100:2008, GUM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

__all__ = ["budget"]


def budget(
    value: float, sources: Sequence[tuple[str, float | None, str]], *, degrees_of_freedom: float, confidence: float
) -> dict[str, Any]:
    """Combine the sources of uncertainty of a quantity.

    Parameters
    ----------
    value : float
        The quantity.
    sources : sequence of tuple
        Name, standard uncertainty (None where it is not known) and basis, in words; one is named ``sampling``.
    degrees_of_freedom : float
        Degrees of freedom of the sampling uncertainty; all others count as known.
    confidence : float
        Probability, 0 to 1, of the expanded uncertainty.

    Returns
    -------
    dict
        Ready for JSON: ``value``, ``sources`` (``source``, ``standard_uncertainty``, ``basis``),
        ``combined_standard_uncertainty``, ``degrees_of_freedom`` (effective, by Welch and Satterthwaite, G.4 of GUM;
        None where infinite), ``coverage_factor``, ``expanded_uncertainty`` and ``reason`` (why the last are None).

    Examples
    --------
    >>> found = budget(
    ...     1.2, [("sampling", 0.03, ""), ("segmentation", 0.04, "")], degrees_of_freedom=4, confidence=0.95
    ... )
    >>> round(found["combined_standard_uncertainty"], 3), round(found["coverage_factor"], 2)
    (0.05, 2.04)
    """
    sampling = {name: u for name, u, _ in sources}.get("sampling")
    head: dict[str, Any] = {
        "value": value,
        "sources": [{"source": n, "standard_uncertainty": u, "basis": text} for n, u, text in sources],
    }
    if sampling is None:
        names = ("combined_standard_uncertainty", "degrees_of_freedom", "coverage_factor", "expanded_uncertainty")
        return head | dict.fromkeys(names) | {"reason": "too few micrographs for the uncertainty of sampling"}
    combined = float(np.sqrt(sum((u or 0.0) ** 2 for _, u, _ in sources)))
    freedom = float("inf") if sampling == 0 else degrees_of_freedom * (combined / sampling) ** 4
    factor = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom))
    return head | {
        "combined_standard_uncertainty": combined,
        "degrees_of_freedom": freedom if np.isfinite(freedom) else None,
        "coverage_factor": factor,
        "expanded_uncertainty": factor * combined,
        "reason": None,
    }
