"""Correction of p-values for the number of tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy

__all__ = ["adjust_p_values"]


def adjust_p_values(
    p_values: Sequence[float | None], *, method: Literal["holm", "benjamini_hochberg"]
) -> list[float | None]:
    """Adjust p-values for the number of tests.

    Parameters
    ----------
    p_values : sequence of float or None
        P-values, 0 to 1; None stands for no test and is not counted.
    method : {"holm", "benjamini_hochberg"}
        ``holm`` bounds the probability of any false finding (S. Holm, Scand. J. Stat. 6 (1979) 65),
        ``benjamini_hochberg`` the false discovery rate, which is the expected share of false findings among all
        findings (Y. Benjamini, Y. Hochberg, J. R. Stat. Soc. B 57 (1995) 289).

    Returns
    -------
    list of float or None
        Adjusted p-values in the same order, to be compared with the level of significance (0.05).

    Examples
    --------
    >>> adjust_p_values([0.25, None, 0.125], method="holm")
    [0.25, None, 0.25]
    """
    known = [i for i, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    if not known:
        return adjusted
    p = np.array([p_values[i] for i in known], dtype=float)
    if method == "holm":
        order = np.argsort(p, kind="stable")
        steps = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
        values = np.empty_like(p)
        values[order] = np.minimum(steps, 1)
    else:
        values = scipy.stats.false_discovery_control(p, method="bh")
    for i, value in zip(known, values, strict=True):
        adjusted[i] = float(value)
    return adjusted
