"""Correction of the defect fraction by a confusion matrix that was measured on the same kind of data.

This correction does not run by default: a confusion matrix from other optics, doses or materials gives a wrong fraction
with a narrow interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.intervals import too_few_micrographs
from hrtem_dask.population.particle_table import LazyTable, counted_particles, micrograph_codes, weight_column

__all__ = ["ConfusionError", "corrected_defect_fraction"]

STATES = ("fault", "no_fault", "unknown")
_MIN_YOUDEN = 0.1


class ConfusionError(HrtemDaskError):
    """Raised for a confusion matrix that cannot be used."""


def corrected_defect_fraction(
    particles: pd.DataFrame | LazyTable,
    confusion: Mapping[str, Mapping[str, int]],
    *,
    measured_on: str,
    n_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return the fraction of faulted particles, corrected for the classifier's confusion matrix.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`; only counted particles are used.
    confusion : mapping
        True state → predicted state → number of particles, for fault and no_fault, or for all three states. With two,
        particles predicted as unknown are left out, as if faults were equally often assessable.
    measured_on : str
        Data on which it was measured, in words; it must be the same kind of data. It is part of the result.
    n_resamples : int
        Number of draws of micrographs (with replacement) and of the matrix.
    seed : int
        Seed of the draws.
    confidence : float
        Share of the draws within the interval, 0 to 1.

    Returns
    -------
    dict
        ``estimate`` (fault / (fault + no fault) in truth), ``low``, ``high``, ``uncorrected``, ``n``,
        ``n_micrographs``, ``measured_on``, ``clipped`` (share of draws outside of 0 to 1), ``method`` and
        ``reason``. The observed shares are multiplied by the inverse of the matrix (W. Rogan, B. Gladen, Am. J.
        Epidemiol. 107 (1978) 71); the matrix's rows are drawn from Dirichlet distributions of the counts + 1/2 and
        the shares from micrographs drawn with replacement (compare J. Reiczigel et al., Epidemiol. Infect. 138 (2010)
        1674); the interval contains the central draws.

    Raises
    ------
    ConfusionError
        If the matrix is not a matrix of counts, `measured_on` is empty, or the matrix separates fault from no fault
        hardly better than chance.

    Examples
    --------
    >>> table = pd.DataFrame({"fault_state": ["fault", "no_fault"] * 10, "counted": True})
    >>> table["micrograph_id"] = np.repeat(np.arange(5), 4)
    >>> confusion = {"fault": {"fault": 80, "no_fault": 20}, "no_fault": {"fault": 10, "no_fault": 90}}
    >>> round(corrected_defect_fraction(table, confusion, measured_on="CdSe")["estimate"], 3)
    0.571
    """
    states, counts = _checked(confusion, measured_on)
    table = counted_particles(particles)
    observed = np.stack([(table["fault_state"].astype(object) == state).to_numpy(dtype=bool) for state in states])
    weights, codes = weight_column(table), micrograph_codes(table)
    if len(states) == len(STATES):
        observed[2] = ~(observed[0] | observed[1])
    used = observed.any(axis=0) & (weights > 0)
    n_micrographs = len(np.unique(codes[used]))
    row: dict[str, Any] = {
        "estimate": None,
        "low": None,
        "high": None,
        "uncorrected": None,
        "n": int(used.sum()),
        "n_micrographs": n_micrographs,
        "measured_on": measured_on,
        "clipped": None,
        "method": "inverse of the confusion matrix; matrix and micrographs drawn anew, middle of the draws",
        "reason": None,
    }
    if not used.any():
        return row | {"reason": "no particle is assessable"}
    _, codes = np.unique(codes[used], return_inverse=True)
    sums = np.stack([np.bincount(codes, weights[used] * hit[used], minlength=n_micrographs) for hit in observed], 1)
    totals = sums.sum(axis=0)
    row["uncorrected"] = float(totals[0] / totals[:2].sum()) if totals[:2].sum() else None
    corrected = _true_fraction(totals[None], counts[None] / counts.sum(axis=1, keepdims=True))
    row["estimate"] = float(np.clip(corrected[0], 0, 1))
    row["reason"] = too_few_micrographs(n_micrographs)
    if row["reason"]:
        return row
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_micrographs, np.full(n_micrographs, 1 / n_micrographs), size=n_resamples) @ sums
    matrices = np.stack([rng.dirichlet(line + 0.5, size=n_resamples) for line in counts], axis=1)
    draws = _true_fraction(drawn, matrices)
    draws = draws[np.isfinite(draws)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.clip(draws, 0, 1), [tail, 1 - tail])
    return row | {"low": float(low), "high": float(high), "clipped": float(((draws < 0) | (draws > 1)).mean())}


def _true_fraction(observed: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Solve observed = matrixᵀ · true for each draw, and return fault / (fault + no fault)."""
    try:
        true = np.linalg.solve(np.swapaxes(matrices, 1, 2), observed[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return np.full(len(observed), np.nan)
    assessable = true[:, 0] + true[:, 1]
    fraction: np.ndarray = np.divide(true[:, 0], assessable, out=np.full(len(true), np.nan), where=assessable > 0)
    return fraction


def _checked(confusion: Mapping[str, Mapping[str, int]], measured_on: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return states and counts, shape (true, predicted), or raise an error that explains what is wrong."""
    if not measured_on.strip():
        raise ConfusionError(
            "a confusion matrix is valid only for data of the same kind: name that data in measured_on"
        )
    states = STATES if set(confusion) == set(STATES) else STATES[:2]
    if set(confusion) != set(states):
        raise ConfusionError(f"the confusion matrix has rows {sorted(confusion)}: required are {', '.join(states)}")
    for state, line in confusion.items():
        if unknown := set(line) - set(states):
            raise ConfusionError(f"row {state} of the confusion matrix predicts {sorted(unknown)}: known are {states}")
    counts = np.array([[float(confusion[t].get(p, 0)) for p in states] for t in states])
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts.sum(axis=1) > 0).all()):
        raise ConfusionError(f"the confusion matrix {counts.tolist()} must hold counts, at least one in every row")
    rates = counts[:2, :2] / counts[:2, :2].sum(axis=1, keepdims=True).clip(min=1e-9)
    youden = rates[0, 0] + rates[1, 1] - 1
    if youden < _MIN_YOUDEN:
        raise ConfusionError(
            f"sensitivity + specificity − 1 is {youden:.2f}, at least {_MIN_YOUDEN} is needed: "
            "a classifier that hardly separates fault from no fault cannot be corrected; label more particles by hand"
        )
    return states, counts
