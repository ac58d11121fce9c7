"""Uncertainty budget of the defect fraction: sampling, the classifier, and what segmentation does not find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.budgets.combined import budget

__all__ = ["defect_budget"]


def defect_budget(related: dict[str, Any], *, confidence: float = 0.95) -> dict[str, Any] | None:
    """Return the uncertainty budget of the fraction of faulted particles.

    Parameters
    ----------
    related : dict
        Relations of one population: ``defect_fraction``, ``defect_fraction_corrected`` and ``defect_curve``.
    confidence : float
        Probability, 0 to 1, of the expanded uncertainty.

    Returns
    -------
    dict or None
        From `combined.budget`; None where no particle is assessable. ``classification``: the fraction is uniform
        within ± its difference from the one that is corrected by a confusion matrix, or bin by bin for detectability.
        ``segmentation``: uniform within ± the change of the fraction if particles that are not found, by the found
        share at each size, had the fraction of their bin.
    """
    fraction = related["defect_fraction"]["fraction"]
    value = fraction["estimate"]
    if value is None:
        return None
    bins = pd.DataFrame(related["defect_curve"]["bins"])
    classified, how = _classification(related, value)
    missed, where = _missed(related["defect_curve"], bins)
    sampling = None
    if fraction["low"] is not None and fraction["n_effective"]:
        sampling = float(np.sqrt(max(value * (1 - value), 1e-9) / fraction["n_effective"]))
    sources = [
        ("classification", classified, how),
        ("segmentation", missed, where),
        ("sampling", sampling, "binomial at the effective number of particles (design effect of micrographs)"),
    ]
    freedom = max(float(fraction["n_micrographs"]) - 1, 1.0)
    return budget(value, sources, degrees_of_freedom=freedom, confidence=confidence)


def _classification(related: dict[str, Any], value: float) -> tuple[float | None, str]:
    """Return the standard uncertainty by wrong answers of the classifier."""
    corrected = related["defect_fraction_corrected"]
    if corrected and corrected["estimate"] is not None:
        other, how = corrected["estimate"], f"confusion matrix measured on {corrected['measured_on']}"
    else:
        bins = related["defect_curve"]["bins"]
        known = [b for b in bins if b.get("corrected") and b["corrected"]["estimate"] is not None]
        if not known:
            return None, "not known: no confusion matrix, and no detectability at these sizes"
        weights = [b["n"] + b["n_unknown"] for b in known]
        other = float(np.average([b["corrected"]["estimate"] for b in known], weights=weights))
        how = f"detectability measured on {related['defect_curve']['detectability']['measured_on']}"
    return abs(other - value) / float(np.sqrt(3)), f"{how}: uniform within ± the difference from {other:.1%}"


def _missed(curve: dict[str, Any], bins: pd.DataFrame) -> tuple[float | None, str]:
    """Return the standard uncertainty by particles that segmentation does not find."""
    if curve["detectability"] is None or bins.empty:
        return None, "not known: the share of particles that are found at each size is not known"
    at, found = curve["detectability"]["value"], curve["detectability"]["found"]["share"]
    share = np.interp((bins["from"] + bins["to"]) / 2, at, found).clip(0.01, 1)
    weighted = float(np.average(bins["estimate"], weights=bins["n"] / share))
    return abs(weighted - float(np.average(bins["estimate"], weights=bins["n"]))) / float(np.sqrt(3)), (
        "particles that are not found, by the found share at each size, have the fraction of their size: uniform "
        "within ± the change"
    )
