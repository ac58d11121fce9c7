"""Comparison with the certified size of a reference material, which gives the bias of the measurement."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from hrtem_dask.errors import SettingsError

__all__ = ["compare_with_reference", "read_reference"]

_K = 2.0
"""Coverage factor of the expanded uncertainties in certificates."""


def read_reference(text: str) -> tuple[float, float]:
    """Read a certified size.

    Parameters
    ----------
    text : str
        Such as ``30.2±0.6``, ``30.2 +- 0.6`` or ``30.2+/-0.6``: value and expanded uncertainty (nm, k = 2).

    Returns
    -------
    tuple of float
        Value and expanded uncertainty (nm).

    Raises
    ------
    SettingsError
        If the text is not of this form, or a number is not positive.

    Examples
    --------
    >>> read_reference("30.2±0.6")
    (30.2, 0.6)
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(?:±|\+-|\+/-)\s*([0-9]*\.?[0-9]+)\s*(?:nm)?\s*", text)
    if found is None or not float(found[1]) > 0 or not float(found[2]) > 0:
        raise SettingsError(f"a reference is value±expanded uncertainty in nm, such as 30.2±0.6, got {text!r}")
    return float(found[1]), float(found[2])


def compare_with_reference(budget: dict[str, Any], certified_nm: float, expanded_nm: float) -> dict[str, Any]:
    """Compare a measured size with a certified one.

    Parameters
    ----------
    budget : dict
        Uncertainty budget of the measured size, from `uncertainty.uncertainty_budget`.
    certified_nm : float
        Certified size (nm).
    expanded_nm : float
        Its expanded uncertainty (nm, k = 2).

    Returns
    -------
    dict
        ``certified_nm``, ``certified_expanded_nm``, ``measured_nm``, ``measured_expanded_nm``, ``bias_nm``,
        ``relative_bias``, ``standard_uncertainty_of_bias_nm``, ``e_n`` (bias over the root sum of squares of the
        expanded uncertainties; ISO 13528), ``agrees`` (|e_n| at most 1; None where an uncertainty is not known),
        ``bias_term_nm`` (standard uncertainty that covers an uncorrected bias: √(bias²/3 + u²)) and ``words``.

    Examples
    --------
    >>> measured = {"value_nm": 30.8, "expanded_uncertainty_nm": 0.5, "combined_standard_uncertainty_nm": 0.25}
    >>> found = compare_with_reference(measured, 30.2, 0.6)
    >>> round(found["bias_nm"], 2), round(found["e_n"], 2), found["agrees"]
    (0.6, 0.77, True)
    """
    value, expanded = budget["value_nm"], budget["expanded_uncertainty_nm"]
    bias = value - certified_nm
    own = budget["combined_standard_uncertainty_nm"]
    error = None if own is None else float(np.hypot(own, expanded_nm / _K))
    score = None if expanded is None else float(bias / np.hypot(expanded, expanded_nm))
    agrees = None if score is None else abs(score) <= 1
    words = {
        None: "the uncertainty of the measurement is not known: too few micrographs",
        True: "the measurement agrees with the certificate within the expanded uncertainties",
        False: "the measurement does not agree with the certificate: correct its cause, or state the bias",
    }[agrees]
    return {
        "certified_nm": certified_nm,
        "certified_expanded_nm": expanded_nm,
        "measured_nm": value,
        "measured_expanded_nm": expanded,
        "bias_nm": bias,
        "relative_bias": bias / certified_nm,
        "standard_uncertainty_of_bias_nm": error,
        "e_n": score,
        "agrees": agrees,
        "bias_term_nm": float(np.hypot(bias / np.sqrt(3), expanded_nm / _K)),
        "words": words,
    }
